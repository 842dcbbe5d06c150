/* Showing one recording without its content. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "core/record.h"

#include "audit.h"
#include "evidence.h"
#include "select.h"

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

static uint32_t exit_status(const struct sgr_item *item)
{
	return (uint32_t)item->data[0] << 24 | (uint32_t)item->data[1] << 16 |
	       (uint32_t)item->data[2] << 8 | item->data[3];
}

static void print_item_json(const struct sgr_item *item, const char *slug)
{
	char *text;

	(void)printf("{\"us\":%" PRIu64 ",\"channel\":%" PRIu64
		     ",\"kind\":\"%s\"",
		item->time_us, item->channel, slug ? slug : "?");
	if (item->kind == RECORD_EXIT && item->len == 4) {
		(void)printf(",\"exit\":%u}\n", exit_status(item));
		return;
	}
	text = strndup((const char *)item->data, item->len);
	(void)printf(",\"text\":");
	print_json(stdout, text ? text : "");
	(void)printf("}\n");
	free(text);
}

/* What happened besides data: a line each. */
static void print_item(const struct sgr_item *item, bool json)
{
	const char *slug = record_slug(item->kind);
	size_t len = item->len;
	char span[PRINT_SPAN_MAX];

	/* Of a command every byte counts. */
	if (item->kind != RECORD_EXEC && len > 300)
		len = 300;
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
	if (json) {
		print_item_json(item, slug);
		return;
	}
	(void)printf("  %s  channel %llu  %s", print_span(item->time_us, span),
		(unsigned long long)item->channel, slug ? slug : "?");
	if (item->kind == RECORD_EXIT && item->len == 4) {
		(void)printf(" %u", exit_status(item));
	} else if (item->len) {
		(void)printf(" ");
		print_text(stdout, (const char *)item->data, len);
	}
	if (len < item->len)
		(void)printf(" ... (%zu bytes more)", item->len - len);
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

static void print_header_json(const struct sgr_scan *scan, const char *meta)
{
	const struct sgr_header *header = &scan->header;
	json_t *root = json_object(), *keys = json_array();
	char id[SGR_ID_TEXT], hex[2 * SUITE_HASH_LEN + 1];
	char when[PRINT_TIME_MAX], *text;
	size_t i;

	sgr_id_text(header->rec_id, id);
	json_object_set_new(root, "rec", json_string(id));
	json_object_set_new(
		root, "start", json_string(print_time(header->start_ns, when)));
	suite_hex(header->writer_id, 8, hex);
	json_object_set_new(root, "writer", json_string(hex));
	json_object_set_new(root, "retention", json_string(header->retention));
	for (i = 0; i < header->stanza_count; i++) {
		suite_hex(header->stanzas[i].key_id, 4, hex);
		json_array_append_new(keys, json_string(hex));
	}
	json_object_set_new(root, "recipients", keys);
	json_object_set_new(
		root, "quorum", json_boolean(header->flags & SGR_FLAG_QUORUM));
	json_object_set_new(root, "meta", json_loads(meta, 0, NULL));
	text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	print_dump(stdout, text ? text : "{}");
	(void)printf("\n");
	free(text);
	json_decref(root);
}

static void print_end_json(
	const struct sgr_scan *scan, const struct totals *totals)
{
	(void)printf("{\"verdict\":\"%s\",\"text\":",
		sgr_verdict_text(scan->verdict));
	print_json(stdout, scan->fault);
	(void)printf(",\"us\":%" PRIu64 ",\"output\":%" PRIu64
		     ",\"input\":%" PRIu64 ",\"channels\":%" PRIu64,
		totals->last_us, totals->out, totals->in, totals->channels);
	if (scan->verdict == SGR_INTACT)
		(void)printf(",\"reason\":\"%s\"",
			store_reason_text(scan->close_reason));
	(void)printf("}\n");
}

static void print_end(const struct sgr_scan *scan, const struct totals *totals)
{
	char size[PRINT_SIZE_MAX], span[PRINT_SPAN_MAX];

	(void)printf(
		"length            %s\n", print_span(totals->last_us, span));
	(void)printf("output            %s\n", print_size(totals->out, size));
	(void)printf("input recorded    %s\n", print_size(totals->in, size));
	if (scan->verdict == SGR_INTACT)
		(void)printf("ended             %s\n",
			store_reason_text(scan->close_reason));
	(void)printf("verdict           %s: %s\n",
		sgr_verdict_text(scan->verdict), scan->fault);
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
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "show takes one recording");
	audit_places(audit);
	if (audit->events && is_no_recording(audit, argv[0]))
		return cmd_who(audit, argc, argv);
	evidence = select_evidence(audit, argv[0], &chosen);
	scan = evidence_scan(evidence);
	if (audit->json) {
		print_header_json(scan, evidence_meta(evidence));
	} else {
		print_header(scan);
		(void)printf("session\n");
		print_meta(evidence_meta(evidence));
		(void)printf("what happened\n");
	}
	while (!evidence_next(evidence, &item)) {
		count_item(&totals, &item);
		print_item(&item, audit->json);
	}
	(audit->json ? print_end_json : print_end)(scan, &totals);
	status = sgr_verdict_exit(scan->verdict);
	evidence_free(evidence);
	select_done(&chosen);
	return status;
}
