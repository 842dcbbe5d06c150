/*
 * Facts as JSON. Names may be a stranger's: each is escaped and bounded, and a
 * member goes in whole or not at all.
 */
#include "findings.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROOM	 8 /* brackets that are still to come */
#define TEXT_MAX 120

void facts_init(struct facts *facts)
{
	buf_init(&facts->json, EVENT_FACTS_MAX + 1);
	buf_put_u8(&facts->json, '{');
}

void facts_done(struct facts *facts)
{
	buf_done(&facts->json);
}

/* Cut between characters. */
static size_t bounded(const char *text)
{
	size_t len = strlen(text);

	if (len <= TEXT_MAX)
		return len;
	for (len = TEXT_MAX; len && (text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

static bool put_whole(struct buf *out, const struct buf *piece)
{
	if (buf_error(piece) || out->len + piece->len + ROOM > EVENT_FACTS_MAX)
		return false;
	buf_put(out, piece->data, piece->len);
	return true;
}

static void begin(const struct facts *facts, struct buf *piece)
{
	uint8_t last = facts->json.data[facts->json.len - 1];

	buf_init(piece, EVENT_FACTS_MAX);
	if (last != '{' && last != '[')
		buf_put_u8(piece, ',');
}

void facts_text(struct facts *facts, const char *name, const char *text)
{
	struct buf piece;

	begin(facts, &piece);
	buf_printf(&piece, "\"%s\":", name);
	json_put_string(&piece, text, bounded(text));
	(void)put_whole(&facts->json, &piece);
	buf_done(&piece);
}

void facts_number(struct facts *facts, const char *name, int64_t number)
{
	struct buf piece;

	begin(facts, &piece);
	buf_printf(&piece, "\"%s\":%lld", name, (long long)number);
	(void)put_whole(&facts->json, &piece);
	buf_done(&piece);
}

const char *facts_time_text(int64_t ms, char text[FACTS_TIME_MAX])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) ||
		!strftime(text, FACTS_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
		(void)snprintf(text, FACTS_TIME_MAX, "?");
	return text;
}

void facts_time(struct facts *facts, const char *name, int64_t ms)
{
	char text[FACTS_TIME_MAX];

	facts_text(facts, name, facts_time_text(ms, text));
}

bool facts_list_open(struct facts *facts, const char *name)
{
	struct buf piece;
	bool whole;

	begin(facts, &piece);
	buf_printf(&piece, "\"%s\":[", name);
	whole = put_whole(&facts->json, &piece);
	buf_done(&piece);
	return whole;
}

bool facts_list_add(struct facts *facts, const char *member, const char *text,
	int64_t count, int64_t last_ms)
{
	char last[FACTS_TIME_MAX];
	struct buf piece;
	bool whole;

	begin(facts, &piece);
	buf_printf(&piece, "{\"%s\":", member);
	json_put_string(&piece, text, bounded(text));
	if (count)
		buf_printf(&piece, ",\"count\":%lld", (long long)count);
	if (last_ms)
		buf_printf(&piece, ",\"last\":\"%s\"",
			facts_time_text(last_ms, last));
	buf_put_u8(&piece, '}');
	whole = put_whole(&facts->json, &piece);
	buf_done(&piece);
	return whole;
}

void facts_list_close(struct facts *facts)
{
	buf_put_u8(&facts->json, ']');
}

const char *facts_end(struct facts *facts)
{
	buf_put(&facts->json, "}", 2);
	return buf_error(&facts->json) ? "{}" : (const char *)facts->json.data;
}
