/* Hits are printed into memory first, and shown in groups: each group is one
 * sync of the journal. */
#include "hits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define HELD_NS	 200000000u
#define HELD_MAX ((size_t)256 * 1024)
/* Bytes of a text that are printed. */
#define PIECE_LEN 500

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void hits_begin(struct hits *hits, struct audit *audit, const char *pattern)
{
	*hits = (struct hits){.audit = audit, .views.audit = audit};
	if (asprintf(&hits->what, "search: %s", pattern) < 0)
		audit_fatal(EX_OSERR, "out of memory");
	hits->views.what = hits->what;
	audit_viewed(audit, "", hits->what);
}

static void show(struct hits *hits)
{
	if (!hits->held)
		return;
	audit_views_write(&hits->views);
	if (fclose(hits->held))
		audit_fatal(EX_OSERR, "out of memory");
	(void)fwrite(hits->text, 1, hits->len, stdout);
	(void)fflush(stdout);
	free(hits->text);
	hits->held = NULL;
}

/* Of a long text the part around what was found. */
static void put_piece(FILE *out, const char *text, const char *at)
{
	size_t len = strlen(text), from = (size_t)(at - text);

	from = from > PIECE_LEN / 2 ? from - PIECE_LEN / 4 : 0;
	/* Not into the middle of a character. */
	while (from && ((unsigned char)text[from] & 0xc0) == 0x80)
		from--;
	if (from)
		(void)fprintf(out, "... ");
	print_text(out, text + from,
		len - from > PIECE_LEN ? PIECE_LEN : len - from);
	if (len - from > PIECE_LEN)
		(void)fprintf(
			out, " ... (%zu bytes more)", len - from - PIECE_LEN);
}

static void put(FILE *out, bool json, const char *id,
	const struct found_text *found, const char *at)
{
	char span[PRINT_SPAN_MAX];

	if (json) {
		(void)fprintf(out,
			"{\"rec\":\"%s\",\"us\":%" PRIu64
			",\"channel\":%" PRIu64 ",\"where\":",
			id, found->time_us, found->channel);
		print_json(out, found->where);
		(void)fprintf(out, ",\"text\":");
		print_json(out, found->text);
		(void)fprintf(out, "}\n");
		return;
	}
	(void)fprintf(out, "%s  %8s  ", id, print_span(found->time_us, span));
	print_cstring(out, found->where);
	(void)fprintf(out, "  ");
	put_piece(out, found->text, at);
	(void)fprintf(out, "\n");
}

void hits_put(struct hits *hits, const char *id, const struct found_text *found,
	const char *at)
{
	if (!audit_views_add(&hits->views, id)) {
		show(hits);
		(void)audit_views_add(&hits->views, id);
	}
	if (!hits->held) {
		hits->held = open_memstream(&hits->text, &hits->len);
		if (!hits->held)
			audit_fatal(EX_OSERR, "out of memory");
		hits->since_ns = now_ns();
	}
	put(hits->held, hits->audit->json, id, found, at);
	hits->count++;
	if (ftell(hits->held) > (long)HELD_MAX)
		show(hits);
}

void hits_tick(struct hits *hits)
{
	if (hits->held && now_ns() - hits->since_ns > HELD_NS)
		show(hits);
}

void hits_end(struct hits *hits)
{
	show(hits);
	free(hits->what);
}
