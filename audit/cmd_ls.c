/* Listing recordings, and showing one without its content. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "core/record.h"

#include "audit.h"
#include "evidence.h"
#include "index_db.h"
#include "select.h"

static const char *const meta_names[] = {
	"user", "source", "target", "login", "mfa"};
#define META_NAMES (sizeof(meta_names) / sizeof(meta_names[0]))

/* META of an entry, or NULL: no key, not there, not readable. */
static char *read_meta(struct audit *audit, const struct store *store,
	const struct store_entry *entry)
{
	struct evidence *evidence = NULL;
	char *meta = NULL;
	int fd;

	if (!audit->key_count || !entry->present)
		return NULL;
	fd = store_open_file(store, entry);
	if (fd < 0)
		return NULL;
	if (!audit_evidence(audit, fd, &evidence))
		meta = strdup(evidence_meta(evidence));
	evidence_free(evidence);
	close(fd);
	return meta;
}

static uint64_t duration_us(const struct store_entry *entry)
{
	uint64_t start_s = entry->start_ns / 1000000000;

	return entry->end_s > start_s ? (entry->end_s - start_s) * 1000000 : 0;
}

static const char *state_of(
	const struct store *store, const struct store_entry *entry)
{
	if (!entry->present && entry->state != STORE_PURGED)
		return "missing";
	if (entry->state == STORE_UNKNOWN && store->has_index)
		return "stray";
	return store_state_text(entry->state);
}

static void print_row(const struct store *store,
	const struct store_entry *entry, const char *meta)
{
	char when[PRINT_TIME_MAX], span[PRINT_SPAN_MAX], size[PRINT_SIZE_MAX];
	size_t i;

	(void)printf("%s %8s %8s %-9s", print_time(entry->start_ns, when),
		duration_us(entry) ? print_span(duration_us(entry), span) : "-",
		print_size(entry->size, size), state_of(store, entry));
	for (i = 0; i < META_NAMES; i++) {
		char *text = meta ? json_member(meta, meta_names[i]) : NULL;
		int width = i == 4 ? 6 : i == 1 ? 15 : 10;

		(void)printf(" ");
		if (text && *text) {
			print_cstring(stdout, text);
			(void)printf("%*s",
				(int)strlen(text) < width
					? width - (int)strlen(text)
					: 0,
				"");
		} else {
			(void)printf("%-*s", width, "-");
		}
		free(text);
	}
	(void)printf(" %s\n", entry->id);
}

static void print_object(const struct store *store,
	const struct store_entry *entry, const char *meta)
{
	json_t *root = json_object(), *more;
	char when[PRINT_TIME_MAX], *text;

	json_object_set_new(root, "rec", json_string(entry->id));
	json_object_set_new(
		root, "start", json_string(print_time(entry->start_ns, when)));
	json_object_set_new(root, "state", json_string(state_of(store, entry)));
	json_object_set_new(
		root, "size", json_integer((json_int_t)entry->size));
	if (duration_us(entry))
		json_object_set_new(root, "seconds",
			json_integer(
				(json_int_t)(duration_us(entry) / 1000000)));
	if (entry->end_s)
		json_object_set_new(root, "reason",
			json_string(store_reason_text(entry->reason)));
	more = meta ? json_loads(meta, 0, NULL) : NULL;
	if (more)
		json_object_set_new(root, "meta", more);
	text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (text) {
		print_dump(stdout, text);
		(void)printf("\n");
	}
	free(text);
	json_decref(root);
}

static void print_title(void)
{
	(void)printf("%-19s %8s %8s %-9s %-10s %-15s %-10s %-10s %-6s %s\n",
		"START (UTC)", "LENGTH", "SIZE", "STATE", "USER", "SOURCE",
		"TARGET", "LOGIN", "MFA", "RECORDING");
}

struct listing {
	const struct audit *audit;
	struct store store; /* empty: rows come from the index */
	size_t shown;
};

static void list_row(
	void *data, const struct store_entry *entry, const char *meta)
{
	struct listing *listing = data;

	listing->shown++;
	(listing->audit->json ? print_object : print_row)(
		&listing->store, entry, meta);
}

/* As of the last run of "index": no folder is walked and no file is opened. */
static int list_index(struct audit *audit)
{
	struct listing listing = {.audit = audit};
	struct index_db *db;
	char why[300];

	audit_viewed(audit, "", "ls");
	if (index_open(audit, false, &db, why, sizeof(why)))
		audit_fatal(EX_NOINPUT, "%s", why);
	if (!audit->json)
		print_title();
	if (index_list(db, audit, list_row, &listing, why, sizeof(why)))
		audit_fatal(EX_DATAERR, "%s", why);
	index_close(db);
	return listing.shown ? 0 : AUDIT_EXIT_NONE;
}

/* META may be NULL; the caller frees. False: it is not wanted. */
static bool is_wanted(struct audit *audit, const struct filter *filter,
	const struct store *store, const struct store_entry *entry, char **meta)
{
	*meta = NULL;
	if (!filter_entry(audit, filter, entry))
		return false;
	*meta = read_meta(audit, store, entry);
	return filter_meta(audit, *meta ? *meta : "{}");
}

/* Where the latest of so many as are wanted begin. */
static size_t first(struct audit *audit, const struct filter *filter,
	const struct store *store)
{
	size_t at = store->count, found = 0;
	char *meta;

	if (!audit->limit)
		return 0;
	while (at && found < audit->limit) {
		found += is_wanted(
			audit, filter, store, &store->entries[--at], &meta);
		free(meta);
	}
	return at;
}

static size_t list_store(struct audit *audit, const struct filter *filter,
	const struct store *store, size_t from)
{
	size_t i, shown = 0;
	char *meta;

	for (i = from; i < store->count; i++) {
		if (is_wanted(
			    audit, filter, store, &store->entries[i], &meta)) {
			(audit->json ? print_object : print_row)(
				store, &store->entries[i], meta);
			shown++;
		}
		free(meta);
	}
	return shown;
}

int cmd_ls(struct audit *audit, int argc, char **argv)
{
	struct filter filter;
	struct store *store;
	size_t shown;

	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "ls takes filters, not names; see "
				      "\"sgbridge-audit ls --help\"");
	audit_places(audit);
	if (audit->index)
		return list_index(audit);
	audit_identities(audit, false);
	filter_init(audit, &filter);
	store = select_store(audit);
	if (audit->key_count)
		audit_viewed(audit, "", "ls");
	if (!audit->json)
		print_title();
	shown = list_store(audit, &filter, store, first(audit, &filter, store));
	store_free(store);
	return shown ? 0 : AUDIT_EXIT_NONE;
}

struct totals {
	uint64_t items, out, in, last_us, channels;
};

static void count_item(struct totals *totals, const struct sgr_item *item)
{
	totals->items++;
	totals->last_us = item->time_us;
	if (item->kind == RECORD_OUT || item->kind == RECORD_ERR)
		totals->out += item->len;
	if (item->kind == RECORD_IN)
		totals->in += item->len;
	if (item->kind == RECORD_OPEN)
		totals->channels++;
}

/* What happened besides data: a line each. */
static void print_item(const struct sgr_item *item)
{
	const char *slug = record_slug(item->kind);
	char span[PRINT_SPAN_MAX];

	switch (item->kind) {
	case RECORD_OUT:
	case RECORD_ERR:
	case RECORD_IN:
	case RECORD_TOTALS:
	case RECORD_RESIZE:
	case RECORD_EOF_IN:
	case RECORD_EOF_OUT: return;
	default: break;
	}
	(void)printf("  %s  channel %llu  %s", print_span(item->time_us, span),
		(unsigned long long)item->channel, slug ? slug : "?");
	if (item->kind == RECORD_EXIT && item->len == 4) {
		(void)printf(" %u", (unsigned int)item->data[0] << 24 |
					    (unsigned int)item->data[1] << 16 |
					    (unsigned int)item->data[2] << 8 |
					    item->data[3]);
	} else if (item->len) {
		(void)printf(" ");
		print_text(stdout, (const char *)item->data,
			item->len > 300 ? 300 : item->len);
	}
	(void)printf("\n");
}

static void print_meta(const char *meta)
{
	json_t *root = json_loads(meta, 0, NULL), *value;
	const char *name;

	json_object_foreach(root, name, value)
	{
		char *text = json_dumps(
			value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

		(void)printf("  ");
		print_cstring(stdout, name);
		(void)printf("%*s", (int)(18 - strlen(name) % 18), "");
		print_dump(stdout, text ? text : "?");
		(void)printf("\n");
		free(text);
	}
	json_decref(root);
}

static void print_header(const struct sgr_scan *scan)
{
	const struct sgr_header *header = &scan->header;
	char id[SGR_ID_TEXT], hex[2 * SUITE_HASH_LEN + 1];
	char when[PRINT_TIME_MAX];
	size_t i;

	sgr_id_text(header->rec_id, id);
	(void)printf("recording         %s\n", id);
	(void)printf("started           %s UTC\n",
		print_time(header->start_ns, when));
	suite_hex(header->writer_id, 8, hex);
	(void)printf("writer            %s ", hex);
	print_cstring(stdout, header->writer_name);
	(void)printf("\nretention class   ");
	print_cstring(stdout, *header->retention ? header->retention : "-");
	(void)printf("\nrecipients        ");
	for (i = 0; i < header->stanza_count; i++) {
		suite_hex(header->stanzas[i].key_id, 4, hex);
		(void)printf("%s%s", i ? ", " : "", hex);
	}
	(void)printf("%s\n", header->flags & SGR_FLAG_QUORUM
				     ? " (one of each of two groups)"
				     : "");
}

/* Then it may be the id of a connection, or a reference number. */
static bool is_no_recording(struct audit *audit, const char *name)
{
	struct store_entry *entry;
	struct store *store;
	enum sgb_err err;

	if (strchr(name, '/') || strchr(name, '.'))
		return false;
	store = select_store(audit);
	err = store_find(store, name, &entry);
	store_free(store);
	return err == SGB_ERR_NOTFOUND;
}

int cmd_show(struct audit *audit, int argc, char **argv)
{
	struct evidence *evidence;
	struct totals totals = {0};
	const struct sgr_scan *scan;
	struct sgr_item item;
	struct chosen chosen;
	char size[PRINT_SIZE_MAX], span[PRINT_SPAN_MAX];
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "show takes one recording");
	audit_places(audit);
	if (audit->events && is_no_recording(audit, argv[0]))
		return cmd_who(audit, argc, argv);
	evidence = select_evidence(audit, argv[0], &chosen);
	scan = evidence_scan(evidence);
	print_header(scan);
	(void)printf("session\n");
	print_meta(evidence_meta(evidence));
	(void)printf("what happened\n");
	while (!evidence_next(evidence, &item)) {
		count_item(&totals, &item);
		print_item(&item);
	}
	(void)printf(
		"length            %s\n", print_span(totals.last_us, span));
	(void)printf("output            %s\n", print_size(totals.out, size));
	(void)printf("input recorded    %s\n", print_size(totals.in, size));
	if (scan->verdict == SGR_INTACT)
		(void)printf("ended             %s\n",
			store_reason_text(scan->close_reason));
	(void)printf("verdict           %s: %s\n",
		sgr_verdict_text(scan->verdict), scan->fault);
	status = sgr_verdict_exit(scan->verdict);
	evidence_free(evidence);
	select_done(&chosen);
	return status;
}
