/*
 * Channels and the passes over them. Taking the earliest channel that is not
 * done whenever none is being read, as many passes suffice as channels were
 * open at once: one that has to wait began while another was read.
 */
#include "channels.h"

#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/record.h"

static int by_id(const void *a, const void *b)
{
	const struct channel_span *one = a, *two = b;

	return one->id < two->id ? -1 : one->id > two->id;
}

static bool make_room(struct channels *channels)
{
	size_t room = channels->room ? 2 * channels->room : 16;
	struct channel_span **grown;

	if (channels->count < channels->room)
		return true;
	if (channels->count >= CHANNELS_MAX)
		return false;
	grown = reallocarray(channels->all, room, sizeof(*grown));
	if (!grown)
		return false;
	channels->all = grown;
	channels->room = room;
	return true;
}

/* NULL: too many, or no memory. */
static struct channel_span *find(struct channels *channels, uint64_t id)
{
	struct channel_span key = {.id = id}, *span;
	void *node;

	if (channels->latest && channels->latest->id == id)
		return channels->latest;
	node = tfind(&key, &channels->by_id, by_id);
	if (node)
		return *(struct channel_span **)node;
	span = make_room(channels) ? calloc(1, sizeof(*span)) : NULL;
	if (!span)
		return NULL;
	span->id = id;
	span->first = channels->items;
	if (!tsearch(span, &channels->by_id, by_id)) {
		free(span);
		return NULL;
	}
	channels->all[channels->count++] = span;
	return span;
}

void channels_note(
	struct channels *channels, const struct sgr_item *item, bool wanted)
{
	struct channel_span *span;

	channels->items++;
	span = find(channels, item->channel);
	if (!span) {
		channels->missed = true;
		return;
	}
	span->last = channels->items;
	if (wanted && !span->wanted) {
		span->wanted = true;
		channels->wanted++;
	}
	channels->latest = span;
}

void channels_note_output(
	struct channels *channels, const struct sgr_item *item)
{
	channels_note(channels, item,
		item->kind == RECORD_OUT || item->kind == RECORD_ERR);
}

void channels_only(struct channels *channels, uint64_t id)
{
	size_t i;

	channels->wanted = 0;
	for (i = 0; i < channels->count; i++) {
		struct channel_span *span = channels->all[i];

		span->wanted &= span->id == id;
		channels->wanted += span->wanted;
	}
}

static void keep(void *node)
{
	(void)node;
}

void channels_done(struct channels *channels)
{
	size_t i;

	tdestroy(channels->by_id, keep);
	for (i = 0; i < channels->count; i++)
		free(channels->all[i]);
	free(channels->all);
	memset(channels, 0, sizeof(*channels));
}

bool channels_has(const struct channels *channels, uint64_t id)
{
	struct channel_span key = {.id = id};
	void *const *node = tfind(&key, (void *const *)&channels->by_id, by_id);

	return node && (*(struct channel_span *const *)node)->wanted;
}

/* The channel that begins with this item, if it is still to be read. */
static struct channel_span *begins(
	const struct channels *channels, size_t *next, uint64_t number)
{
	struct channel_span *span;

	while (*next < channels->count && channels->all[*next]->first < number)
		(*next)++;
	if (*next == channels->count)
		return NULL;
	span = channels->all[*next];
	return span->first == number && span->wanted && !span->done ? span
								    : NULL;
}

static enum sgb_err pass(struct channels *channels, struct evidence *evidence,
	const struct channels_reader *reader, size_t *left)
{
	struct channel_span *now = NULL;
	uint64_t number = 0;
	struct sgr_item item;
	enum sgb_err err = SGB_OK;
	size_t next = 0;

	while (!err && !evidence_next(evidence, &item)) {
		number++;
		if (now && now->last < number) {
			now = NULL;
			err = reader->end(reader->data);
		}
		if (!err && !now) {
			now = begins(channels, &next, number);
			if (now) {
				now->done = true;
				(*left)--;
				err = reader->begin(reader->data, now->id);
			}
		}
		if (!err && now && now->id == item.channel)
			err = reader->item(reader->data, &item);
	}
	if (!err && now)
		err = reader->end(reader->data);
	return err;
}

enum sgb_err channels_run(struct channels *channels, struct audit *audit,
	int fd, const struct channels_reader *reader)
{
	size_t left = channels->wanted, before;
	unsigned int passes = 0;
	enum sgb_err err = SGB_OK;

	while (!err && left) {
		struct evidence *evidence = NULL;

		if (passes++ == CHANNELS_TOGETHER_MAX)
			return SGB_ERR_LIMIT;
		before = left;
		err = audit_evidence(audit, fd, &evidence);
		if (!err)
			err = pass(channels, evidence, reader, &left);
		evidence_free(evidence);
		/* It is not the file that it was. */
		if (!err && left == before)
			err = SGB_ERR_STALE;
	}
	return !err && channels->missed ? SGB_ERR_LIMIT : err;
}

/* " 1, 2, 3" but for one of them; with "..." where there are many. */
static void put_ids(const struct channels *channels, uint64_t but, FILE *out)
{
	unsigned int put = 0;
	size_t i;

	for (i = 0; i < channels->count; i++) {
		const struct channel_span *span = channels->all[i];

		if (!span->wanted || span->id == but)
			continue;
		if (put == 4) {
			(void)fprintf(out, ", ...");
			return;
		}
		(void)fprintf(out, "%s%" PRIu64, put ? ", " : " ", span->id);
		put++;
	}
}

int channels_missed(const char *name)
{
	(void)fflush(stdout);
	(void)fprintf(stderr,
		"sgbridge-audit: %s: some channels were not looked at: there "
		"are more than %u, or more than %u at once\n",
		name, CHANNELS_MAX, CHANNELS_TOGETHER_MAX);
	return EX_DATAERR;
}

void channels_none(
	const struct channels *channels, const char *name, uint64_t id)
{
	char text[CHANNELS_OTHERS_MAX] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	if (out) {
		put_ids(channels, id, out);
		(void)fclose(out);
	}
	audit_fatal(EX_DATAERR,
		"%s: channel %" PRIu64 " shows nothing; those that do:%s", name,
		id, *text ? text : " none");
}

const char *channels_others(const struct channels *channels, uint64_t shown,
	char text[CHANNELS_OTHERS_MAX])
{
	FILE *out;

	*text = '\0';
	if (channels->wanted < 2)
		return text;
	out = fmemopen(text, CHANNELS_OTHERS_MAX, "w");
	if (!out)
		return text;
	(void)fprintf(out, "channel %" PRIu64 ", one of %zu; --channel", shown,
		channels->wanted);
	put_ids(channels, shown, out);
	(void)fclose(out);
	return text;
}

void channels_say_others(const struct channels *channels, uint64_t shown)
{
	char text[CHANNELS_OTHERS_MAX];

	(void)fflush(stdout);
	if (*channels_others(channels, shown, text))
		(void)fprintf(stderr, "sgbridge-audit: %s\n", text);
}
