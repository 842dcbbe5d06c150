/*
 * Searching the index: which blocks may have it, by their trigrams, and then
 * the text of those blocks, with a thread a core. Whoever has the earliest
 * result that is not told yet tells it and those that follow, so the order is
 * always the same.
 */
#include "index_db.h"

#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

#include "index_own.h"

#define JOBS_MAX  64
#define CHUNK	  16  /* blocks that a thread takes at a time */
#define AHEAD	  256 /* chunks that wait to be told */
#define GRAMS_MAX 24  /* of the pattern; the text decides anyway */
#define HITS_MAX  (128 * 1024 * 1024)

struct hit {
	sqlite3_int64 rec;
	uint64_t time_us, channel;
	const char *where;
	uint32_t len; /* of the text that follows, with its NUL */
};

struct chunk {
	sqlite3_int64 blocks[CHUNK];
	size_t count;
	struct buf hits; /* struct hit, text */
	bool done;
};

struct seek {
	struct index_db *index;
	struct audit *audit;
	const struct index_query *query;
	struct needle needle;
	struct index_filter filter;
	index_row row;
	void *data;
	/* Blocks that may have it, as far as SQLite has named them. */
	sqlite3_stmt *list;
	sqlite3_int64 blocks[2 * CHUNK];
	size_t count;
	bool listed;		    /* that was all of them */
	struct chunk chunks[AHEAD]; /* by number modulo AHEAD */
	size_t next, told;	    /* chunks */
	size_t found;
	bool enough;
	pthread_mutex_t lock;
	pthread_cond_t room;
	enum sgb_err err;
	int code; /* of SQLite, of the first failure */
	/* The recording that is told of. */
	sqlite3_stmt *who;
	sqlite3_int64 rec;
	char id[SGR_ID_TEXT];
	bool wanted;
};

/* One thread's own things. */
struct seeker {
	struct seek *seek;
	sqlite3 *db;
	sqlite3_stmt *fetch;
	struct text_reader *reader;
	regex_t regex;
};

/* Text of which the trigrams are in the index. */
static bool by_gram(const struct index_query *query)
{
	return !query->scan && !query->regex && strlen(query->pattern) >= 3;
}

static sqlite3_stmt *prepare_blocks(struct seek *seek)
{
	sqlite3 *db = seek->index->db;
	sqlite3_stmt *statement = NULL;
	struct buf sql, grams;

	buf_init(&sql, 20000);
	buf_init(&grams, 4000);
	if (by_gram(seek->query)) {
		text_grams(seek->query->pattern, GRAMS_MAX, &grams);
		buf_printf(&sql,
			"SELECT rowid FROM gram WHERE gram MATCH '%.*s'"
			" ORDER BY rowid",
			(int)grams.len, (const char *)grams.data);
	} else {
		buf_printf(&sql, "SELECT n FROM block WHERE rec IN (SELECT n "
				 "FROM recording WHERE 1");
		index_filter_put(&seek->filter, &sql);
		buf_printf(&sql, ") ORDER BY n");
	}
	if (!buf_error(&sql))
		seek->code = sqlite3_prepare_v2(db, (const char *)sql.data,
			(int)sql.len, &statement, NULL);
	if (statement && !by_gram(seek->query))
		index_filter_bind(&seek->filter, statement);
	buf_done(&sql);
	buf_done(&grams);
	return statement;
}

/* With the lock, or before there are threads. Only as many as are looked at
 * soon: whoever wants some results does not wait for a list of all. */
static void list_more(struct seek *seek)
{
	const size_t room = sizeof(seek->blocks) / sizeof(seek->blocks[0]);

	while (!seek->listed && !seek->err && seek->count < room) {
		int code = sqlite3_step(seek->list);

		if (code == SQLITE_ROW) {
			seek->blocks[seek->count++] = sqlite3_column_int64(
				seek->list, 0);
			continue;
		}
		seek->listed = true;
		if (code != SQLITE_DONE) {
			seek->code = code;
			seek->err = SGB_ERR_SYSTEM;
		}
	}
}

static void start_list(struct seek *seek)
{
	seek->list = prepare_blocks(seek);
	if (!seek->list)
		seek->err = SGB_ERR_SYSTEM;
	list_more(seek);
}

static void put_hit(
	struct buf *hits, sqlite3_int64 rec, const struct found_text *found)
{
	struct hit hit = {.rec = rec,
		.time_us = found->time_us,
		.channel = found->channel,
		.where = found->where,
		.len = (uint32_t)strlen(found->text) + 1};

	buf_put(hits, &hit, sizeof(hit));
	buf_put(hits, found->text, hit.len);
}

static bool fits_regex(const void *data, const char *line)
{
	return !regexec(data, line, 0, NULL, 0);
}

static enum sgb_err search_text(
	struct seeker *seeker, sqlite3_int64 rec, struct buf *hits)
{
	const struct seek *seek = seeker->seek;
	sqlite3_stmt *fetch = seeker->fetch;
	struct found_text found;
	enum sgb_err err;

	err = text_reader_open(seeker->reader, sqlite3_column_blob(fetch, 2),
		(size_t)sqlite3_column_bytes(fetch, 2),
		sqlite3_column_blob(fetch, 1),
		(size_t)sqlite3_column_bytes(fetch, 1));
	while (!err) {
		err = seek->query->regex
			      ? text_reader_match(seeker->reader, fits_regex,
					&seeker->regex, &found)
			      : text_reader_find(
					seeker->reader, &seek->needle, &found);
		if (!err)
			put_hit(hits, rec, &found);
	}
	return err == SGB_ERR_NOTFOUND ? buf_error(hits) : err;
}

/* A number without a block is of one that was replaced. */
static enum sgb_err search_block(
	struct seeker *seeker, sqlite3_int64 number, struct buf *hits)
{
	enum sgb_err err = SGB_OK;
	int code;

	(void)sqlite3_bind_int64(seeker->fetch, 1, number);
	code = sqlite3_step(seeker->fetch);
	if (code == SQLITE_ROW)
		err = search_text(
			seeker, sqlite3_column_int64(seeker->fetch, 0), hits);
	else if (code != SQLITE_DONE)
		err = SGB_ERR_SYSTEM;
	(void)sqlite3_reset(seeker->fetch);
	if (err)
		seeker->seek->code = code == SQLITE_ROW ? SQLITE_CORRUPT : code;
	return err;
}

/* With the lock. Is this recording among those that were asked for? */
static void look_up(struct seek *seek, sqlite3_int64 rec)
{
	sqlite3_stmt *who = seek->who;
	struct store_entry entry = {0};
	uint8_t id[SGR_ID_LEN];
	const char *text;

	if (rec == seek->rec)
		return;
	seek->rec = rec;
	seek->wanted = false;
	(void)sqlite3_bind_int64(who, 1, rec);
	if (sqlite3_step(who) == SQLITE_ROW) {
		text = (const char *)sqlite3_column_text(who, 0);
		(void)snprintf(
			seek->id, sizeof(seek->id), "%s", text ? text : "");
		text = (const char *)sqlite3_column_text(who, 1);
		entry.start_ns = (uint64_t)sqlite3_column_int64(who, 2);
		entry.state = (enum store_state)sqlite3_column_int(who, 3);
		if (sgr_id_parse(seek->id, id) || entry.state > STORE_PURGED) {
			seek->err = SGB_ERR_FORMAT;
			seek->code = SQLITE_CORRUPT;
		}
		seek->wanted = !seek->err &&
			       filter_entry(seek->audit, &seek->filter.filter,
				       &entry) &&
			       filter_meta(seek->audit, text ? text : "{}");
	}
	(void)sqlite3_reset(who);
}

static void tell(struct seek *seek, const struct buf *hits)
{
	struct found_text found;
	struct hit hit;
	size_t at;

	for (at = 0; !seek->enough && at + sizeof(hit) <= hits->len;
		at += hit.len) {
		memcpy(&hit, hits->data + at, sizeof(hit));
		at += sizeof(hit);
		look_up(seek, hit.rec);
		found = (struct found_text){.time_us = hit.time_us,
			.channel = hit.channel,
			.where = hit.where,
			.text = (const char *)hits->data + at};
		if (!seek->wanted)
			continue;
		seek->row(seek->data, seek->id, &found);
		seek->found++;
		seek->enough = seek->found == seek->audit->limit;
	}
}

/* With the lock. */
static void tell_ready(struct seek *seek)
{
	while (seek->told < seek->next) {
		struct chunk *chunk = &seek->chunks[seek->told % AHEAD];

		if (!chunk->done)
			break;
		if (!seek->err)
			tell(seek, &chunk->hits);
		buf_done(&chunk->hits);
		chunk->done = false;
		seek->told++;
	}
	(void)pthread_cond_broadcast(&seek->room);
}

/* The next one, and its number; NULL: there is none, or nobody wants it. */
static struct chunk *take_chunk(struct seek *seek)
{
	struct chunk *chunk = NULL;

	(void)pthread_mutex_lock(&seek->lock);
	while (!seek->err && !seek->enough && seek->next >= seek->told + AHEAD)
		(void)pthread_cond_wait(&seek->room, &seek->lock);
	if (!seek->count)
		list_more(seek);
	if (!seek->err && !seek->enough && seek->count) {
		chunk = &seek->chunks[seek->next++ % AHEAD];
		chunk->count = seek->count < CHUNK ? seek->count : CHUNK;
		seek->count -= chunk->count;
		memcpy(chunk->blocks, seek->blocks,
			chunk->count * sizeof(chunk->blocks[0]));
		memmove(seek->blocks, seek->blocks + chunk->count,
			seek->count * sizeof(seek->blocks[0]));
	}
	(void)pthread_mutex_unlock(&seek->lock);
	return chunk;
}

static void finish_chunk(struct seek *seek, struct chunk *chunk,
	struct buf *hits, enum sgb_err err)
{
	(void)pthread_mutex_lock(&seek->lock);
	if (err && !seek->err)
		seek->err = err;
	chunk->hits = *hits;
	chunk->done = true;
	tell_ready(seek);
	(void)pthread_mutex_unlock(&seek->lock);
}

static void seek_chunks(struct seeker *seeker)
{
	struct seek *seek = seeker->seek;
	struct chunk *chunk;

	while ((chunk = take_chunk(seek))) {
		enum sgb_err err = SGB_OK;
		struct buf hits;
		size_t i;

		buf_init(&hits, HITS_MAX);
		for (i = 0; !err && i < chunk->count; i++)
			err = search_block(seeker, chunk->blocks[i], &hits);
		finish_chunk(seek, chunk, &hits, err);
	}
}

static enum sgb_err start_seeker(struct seeker *seeker)
{
	const struct index_query *query = seeker->seek->query;

	seeker->reader = text_reader_new();
	seeker->db = index_again(seeker->seek->index);
	if (!seeker->reader || !seeker->db)
		return SGB_ERR_NOMEM;
	if (sqlite3_prepare_v2(seeker->db,
		    "SELECT rec, lines, text FROM block WHERE n = ?", -1,
		    &seeker->fetch, NULL))
		return SGB_ERR_SYSTEM;
	/* Its own: glibc locks one while it matches. */
	if (query->regex && regcomp(&seeker->regex, query->pattern,
				    REG_EXTENDED | REG_ICASE | REG_NOSUB))
		return SGB_ERR_NOMEM;
	return SGB_OK;
}

static void *seek_thread(void *data)
{
	struct seeker seeker = {.seek = data};
	enum sgb_err err = start_seeker(&seeker);

	if (!err) {
		seek_chunks(&seeker);
		if (seeker.seek->query->regex)
			regfree(&seeker.regex);
	} else {
		(void)pthread_mutex_lock(&seeker.seek->lock);
		seeker.seek->err = err;
		(void)pthread_cond_broadcast(&seeker.seek->room);
		(void)pthread_mutex_unlock(&seeker.seek->lock);
	}
	sqlite3_finalize(seeker.fetch);
	sqlite3_close(seeker.db);
	text_reader_free(seeker.reader);
	return NULL;
}

static void run_threads(struct seek *seek)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = seek->audit->jobs ? seek->audit->jobs
		      : cores > 0	? (size_t)cores
					: 1;
	pthread_t threads[JOBS_MAX];
	size_t started, i;

	want = want < JOBS_MAX ? want : JOBS_MAX;
	/* A second one would have nothing to do. */
	want = seek->listed && seek->count <= CHUNK ? 1 : want;
	/* This thread is one of them. */
	for (started = 0; started + 1 < want; started++)
		if (pthread_create(&threads[started], NULL, seek_thread, seek))
			break;
	(void)seek_thread(seek);
	for (i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
}

static void seek_done(struct seek *seek)
{
	size_t i;

	for (i = 0; i < AHEAD; i++)
		buf_done(&seek->chunks[i].hits);
	sqlite3_finalize(seek->who);
	sqlite3_finalize(seek->list);
	index_filter_done(&seek->filter);
	free(seek);
}

static void say_why(const struct seek *seek, char *why, size_t why_len)
{
	bool damaged = seek->index->damaged;

	(void)snprintf(why, why_len, "index: %s%s",
		seek->code ? sqlite3_errstr(seek->code)
			   : sgb_err_text(seek->err),
		damaged ? "; \"index --rebuild\" makes it anew" : "");
}

enum sgb_err index_search(struct index_db *index, struct audit *audit,
	const struct index_query *query, index_row row, void *data, char *why,
	size_t why_len)
{
	struct seek *seek = calloc(1, sizeof(*seek));
	enum sgb_err err;

	if (!seek) {
		(void)snprintf(why, why_len, "out of memory");
		return SGB_ERR_NOMEM;
	}
	*seek = (struct seek){.index = index,
		.audit = audit,
		.query = query,
		.row = row,
		.data = data,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.room = PTHREAD_COND_INITIALIZER};
	needle_init(&seek->needle, query->pattern);
	seek->err = index_filter_init(index, audit, &seek->filter);
	seek->code = sqlite3_prepare_v2(index->db,
		"SELECT id, meta, start_ns, state FROM recording WHERE n = ?",
		-1, &seek->who, NULL);
	if (!seek->err && seek->code)
		seek->err = SGB_ERR_SYSTEM;
	if (!seek->err)
		start_list(seek);
	/* No line has a line feed in it. */
	if (!seek->err && seek->count && !strchr(query->pattern, '\n'))
		run_threads(seek);
	index_check(index, seek->code);
	err = seek->err;
	if (err)
		say_why(seek, why, why_len);
	seek_done(seek);
	return err;
}
