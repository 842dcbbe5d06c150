/*
 * The folder of recordings. The index is read as text: its chain and its
 * signatures are for verify; here it only says what to expect.
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/msg.h"

#include "journal.h"

const char *store_state_text(enum store_state state)
{
	static const char *const texts[] = {
		[STORE_UNKNOWN] = "unknown",
		[STORE_RUNNING] = "open",
		[STORE_CLOSED] = "closed",
		[STORE_RECOVERED] = "recovered",
		[STORE_FAILED] = "failed",
		[STORE_PURGED] = "purged",
	};

	return texts[state];
}

const char *store_reason_text(unsigned int reason)
{
	static const char *const texts[] = {
		[RECORDER_CLOSE_UNKNOWN] = "the monitor vanished",
		[RECORDER_CLOSE_EXIT] = "the session ended",
		[RECORDER_CLOSE_CLIENT] = "the client went away",
		[RECORDER_CLOSE_TARGET] = "the target went away",
		[RECORDER_CLOSE_POLICY] = "cut by policy",
		[RECORDER_CLOSE_FAILED] = "the recorder failed or was stopped",
		[RECORDER_CLOSE_CRASH] = "the session process died",
	};

	return reason < sizeof(texts) / sizeof(texts[0]) ? texts[reason] : "?";
}

struct builder {
	struct store *store;
	size_t cap;
};

static struct store_entry *add_entry(struct builder *builder, const char *id)
{
	struct store *store = builder->store;
	struct store_entry *entry;
	uint8_t bytes[SGR_ID_LEN];
	uint64_t ms = 0;
	size_t i;

	if (sgr_id_parse(id, bytes))
		return NULL;
	if (store->count == builder->cap) {
		size_t cap = builder->cap ? builder->cap * 2 : 256;
		struct store_entry *entries = reallocarray(
			store->entries, cap, sizeof(*entries));

		if (!entries)
			return NULL;
		store->entries = entries;
		builder->cap = cap;
	}
	entry = &store->entries[store->count++];
	memset(entry, 0, sizeof(*entry));
	memcpy(entry->id, id, SGR_ID_TEXT);
	for (i = 0; i < 6; i++)
		ms = ms << 8 | bytes[i];
	entry->start_ns = ms * 1000000;
	return entry;
}

/* The value of a member of a line that the recorder wrote. */
static bool member(const char *line, const char *name, char *ret, size_t room)
{
	char key[32];
	const char *at;
	size_t len;

	(void)snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(line, key);
	if (!at)
		return false;
	at += strlen(key);
	if (*at == '"') {
		at++;
		len = strcspn(at, "\"");
	} else {
		len = strcspn(at, ",}");
	}
	if (len >= room)
		return false;
	memcpy(ret, at, len);
	ret[len] = '\0';
	return true;
}

static uint64_t number_member(const char *line, const char *name)
{
	char text[32];

	return member(line, name, text, sizeof(text)) ? strtoull(text, NULL, 10)
						      : 0;
}

static bool hash_member(
	const char *line, const char *name, uint8_t ret[SUITE_HASH_LEN])
{
	char text[2 * SUITE_HASH_LEN + 1];

	return member(line, name, text, sizeof(text)) &&
	       !suite_unhex(text, strlen(text), ret) &&
	       strlen(text) == 2 * SUITE_HASH_LEN;
}

/* The latest entry with this id: lines of one recording are near each other. */
static struct store_entry *recent(struct store *store, const char *id)
{
	size_t i;

	for (i = store->count; i-- > 0;)
		if (!strcmp(store->entries[i].id, id))
			return &store->entries[i];
	return NULL;
}

static void take_end(
	struct store_entry *entry, const char *line, const char *op)
{
	char time_text[40];
	struct tm tm = {0};

	entry->state = !strcmp(op, "close")	  ? STORE_CLOSED
		       : !strcmp(op, "recovered") ? STORE_RECOVERED
		       : !strcmp(op, "purged")	  ? STORE_PURGED
						  : STORE_FAILED;
	entry->reason = (unsigned int)number_member(line, "reason");
	entry->frames = number_member(line, "frames");
	entry->bytes = number_member(line, "bytes");
	entry->has_head = hash_member(line, "head", entry->head);
	if (member(line, "time", time_text, sizeof(time_text)) &&
		strptime(time_text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		entry->end_s = (uint64_t)timegm(&tm);
}

static void take_line(struct builder *builder, const char *line)
{
	char op[16], id[SGR_ID_TEXT];
	struct store_entry *entry;

	if (!member(line, "op", op, sizeof(op)) ||
		!member(line, "rec", id, sizeof(id)))
		return;
	if (!strcmp(op, "open")) {
		entry = add_entry(builder, id);
		if (!entry)
			return;
		entry->state = STORE_RUNNING;
		(void)hash_member(line, "head", entry->first);
		(void)hash_member(line, "prev_head", entry->prev);
		return;
	}
	entry = recent(builder->store, id);
	if (entry)
		take_end(entry, line, op);
}

static int by_id(const void *a, const void *b)
{
	const struct store_entry *left = a, *right = b;

	return strcmp(left->id, right->id);
}

/* "purged", "hold" or "release"; entries are sorted. A recording that no index
 * opened is not explained by its end. */
static void take_retention(struct builder *builder, const char *line)
{
	struct store_entry *entry, key;
	char op[16];

	if (!member(line, "op", op, sizeof(op)) ||
		!member(line, "rec", key.id, sizeof(key.id)) ||
		!builder->store->count)
		return;
	entry = bsearch(&key, builder->store->entries, builder->store->count,
		sizeof(key), by_id);
	if (!entry)
		return;
	if (!strcmp(op, "hold") || !strcmp(op, "release"))
		entry->held = !strcmp(op, "hold");
	else if (!strcmp(op, "purged"))
		entry->expired = true;
	if (entry->expired)
		entry->state = STORE_PURGED;
}

static int only_journals(const struct dirent *entry)
{
	return journal_is_file(entry->d_name);
}

static void read_journal(struct builder *builder, int dir, const char *name,
	void (*take)(struct builder *builder, const char *line))
{
	int fd = openat(
		dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;

	if (!file)
		return;
	while (getline(&line, &cap, file) > 0)
		take(builder, line);
	free(line);
	(void)fclose(file);
}

/* All journals of a folder; false if there is none. */
static bool read_journals(struct builder *builder, const char *folder,
	void (*take)(struct builder *builder, const char *line))
{
	struct dirent **entries;
	bool found = false;
	int dir, count, i;

	dir = openat(builder->store->fd, folder,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return false;
	count = scandirat(dir, ".", &entries, only_journals, alphasort);
	for (i = 0; i < count; i++) {
		found = true;
		read_journal(builder, dir, entries[i]->d_name, take);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	close(dir);
	return found;
}

static void take_file(
	struct builder *builder, size_t known, int dir, const char *name)
{
	struct store_entry *entry, key;
	struct stat st;

	if (strlen(name) != SGR_ID_TEXT - 1 + 4 ||
		strcmp(name + SGR_ID_TEXT - 1, ".sgr") != 0 ||
		fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ||
		!S_ISREG(st.st_mode))
		return;
	memcpy(key.id, name, SGR_ID_TEXT - 1);
	key.id[SGR_ID_TEXT - 1] = '\0';
	entry = known ? bsearch(&key, builder->store->entries, known,
				sizeof(key), by_id)
		      : NULL;
	if (!entry)
		entry = add_entry(builder, key.id);
	if (!entry)
		return;
	entry->present = true;
	entry->size = (uint64_t)st.st_size;
}

/* YYYY/MM/DD, digits only: nothing else is looked at. */
static void walk(struct builder *builder, size_t known, int dir, int depth)
{
	DIR *list = fdopendir(dir);
	struct dirent *item;

	if (!list) {
		close(dir);
		return;
	}
	while ((item = readdir(list))) {
		int next;

		if (depth == 3) {
			take_file(builder, known, dir, item->d_name);
			continue;
		}
		if (strspn(item->d_name, "0123456789") !=
				strlen(item->d_name) ||
			strlen(item->d_name) != (depth ? 2 : 4))
			continue;
		next = openat(dir, item->d_name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next >= 0)
			walk(builder, known, next, depth + 1);
	}
	(void)closedir(list);
}

static void sort(struct store *store)
{
	if (store->count)
		qsort(store->entries, store->count, sizeof(*store->entries),
			by_id);
}

enum sgb_err store_open(
	const char *dir, struct store **ret, char *why, size_t why_len)
{
	struct builder builder = {calloc(1, sizeof(struct store)), 0};
	int top;

	if (!builder.store)
		return SGB_ERR_NOMEM;
	builder.store->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (builder.store->fd < 0) {
		(void)snprintf(why, why_len, "%s: %s", dir, strerror(errno));
		free(builder.store);
		return SGB_ERR_SYSTEM;
	}
	builder.store->has_index = read_journals(&builder, "index", take_line);
	sort(builder.store);
	builder.store->has_retention = read_journals(
		&builder, "retention", take_retention);
	top = openat(
		builder.store->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top >= 0)
		walk(&builder, builder.store->count, top, 0);
	sort(builder.store);
	*ret = builder.store;
	return SGB_OK;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	close(store->fd);
	free(store->entries);
	free(store);
}

enum sgb_err store_find(
	const struct store *store, const char *id, struct store_entry **ret)
{
	struct store_entry *found = NULL;
	size_t i, len = strlen(id);

	for (i = 0; i < store->count; i++) {
		if (strncmp(store->entries[i].id, id, len) != 0)
			continue;
		if (found)
			return SGB_ERR_BUSY;
		found = &store->entries[i];
	}
	if (!found || !len)
		return SGB_ERR_NOTFOUND;
	*ret = found;
	return SGB_OK;
}

int store_open_file(const struct store *store, const struct store_entry *entry)
{
	uint8_t id[SGR_ID_LEN];
	char path[SGR_PATH_MAX];

	if (sgr_id_parse(entry->id, id)) {
		errno = EINVAL;
		return -1;
	}
	sgr_path(id, path);
	return openat(store->fd, path,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
}
