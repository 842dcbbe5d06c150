/*
 * Channels of a recording: each wanted one is read whole, and once, in as many
 * passes as were open at once; what there is no room for is said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/record.h"

#include "../../audit/channels.h"

#define ITEMS 4000

/* A recording that is a list of channels' numbers. */
static uint64_t ids[ITEMS];
static size_t count, at, opened;

enum sgb_err audit_evidence(
	const struct audit *audit, int fd, struct evidence **ret)
{
	(void)audit;
	(void)fd;
	*ret = NULL;
	at = 0;
	opened++;
	return SGB_OK;
}

void evidence_free(struct evidence *evidence)
{
	(void)evidence;
}

enum sgb_err evidence_next(struct evidence *evidence, struct sgr_item *ret)
{
	(void)evidence;
	if (at == count)
		return SGB_ERR_CLOSED;
	*ret = (struct sgr_item){.channel = ids[at++], .kind = RECORD_OUT};
	return SGB_OK;
}

void audit_fatal(int status, const char *fmt, ...)
{
	(void)fmt;
	exit(status);
}

struct reading {
	uint64_t now; /* 0: none */
	uint64_t read[ITEMS + 1];
	size_t begun;
	enum sgb_err fail;
};

static enum sgb_err on_begin(void *data, uint64_t id)
{
	struct reading *reading = data;

	assert_int_equal(reading->now, 0);
	assert_int_equal(reading->read[id], 0);
	reading->now = id;
	reading->begun++;
	return SGB_OK;
}

static enum sgb_err on_item(void *data, const struct sgr_item *item)
{
	struct reading *reading = data;

	assert_int_equal(item->channel, reading->now);
	reading->read[item->channel]++;
	return reading->fail;
}

static enum sgb_err on_end(void *data)
{
	struct reading *reading = data;

	assert_int_not_equal(reading->now, 0);
	reading->now = 0;
	return SGB_OK;
}

/* Channels from 1 on, some open at once; more: how many of them. */
static void make(uint32_t seed, unsigned int together)
{
	uint64_t open[64], next = 1;
	unsigned int i;

	for (i = 0; i < together; i++)
		open[i] = next++;
	for (count = 0; count < ITEMS; count++) {
		seed = seed * 1664525 + 1013904223;
		i = (seed >> 8) % together;
		ids[count] = open[i];
		if (!((seed >> 20) % 4))
			open[i] = next++;
	}
}

static void note(struct channels *channels)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct sgr_item item = {.channel = ids[i], .kind = RECORD_OUT};

		/* Every fifth has nothing to show. */
		if (ids[i] % 5 == 0)
			item.kind = RECORD_EXIT;
		channels_note_output(channels, &item);
	}
}

static void test_passes(void **state)
{
	static struct reading reading;
	const struct channels_reader reader = {
		&reading, on_begin, on_item, on_end};
	unsigned int together;
	size_t i;

	(void)state;
	for (together = 1; together <= 20; together++) {
		struct channels channels = {0};
		uint64_t whole[ITEMS + 1] = {0};

		make(together, together);
		note(&channels);
		memset(&reading, 0, sizeof(reading));
		opened = 0;
		assert_int_equal(
			channels_run(&channels, NULL, 0, &reader), SGB_OK);
		assert_int_equal(reading.now, 0);
		assert_int_equal(reading.begun, channels.wanted);
		assert_true(opened <= together);
		for (i = 0; i < count; i++)
			whole[ids[i]]++;
		for (i = 1; i <= ITEMS; i++)
			assert_int_equal(reading.read[i], i % 5 ? whole[i] : 0);
		assert_true(channels_has(&channels, 1));
		assert_false(channels_has(&channels, 5));
		assert_false(channels_has(&channels, ITEMS + 1));
		channels_done(&channels);
	}
}

static void test_errors(void **state)
{
	static struct reading reading = {.fail = SGB_ERR_TIMEOUT};
	const struct channels_reader reader = {
		&reading, on_begin, on_item, on_end};
	struct channels channels = {0};

	(void)state;
	make(1, 3);
	note(&channels);
	assert_int_equal(
		channels_run(&channels, NULL, 0, &reader), SGB_ERR_TIMEOUT);
	assert_int_equal(reading.begun, 1);
	channels_done(&channels);
	/* A file that is another one now is not read for ever. */
	note(&channels);
	count = 0;
	reading.fail = SGB_OK;
	assert_int_equal(
		channels_run(&channels, NULL, 0, &reader), SGB_ERR_STALE);
	channels_done(&channels);
}

static void test_too_many(void **state)
{
	static struct reading reading;
	const struct channels_reader reader = {
		&reading, on_begin, on_item, on_end};
	struct sgr_item item = {.kind = RECORD_EXIT};
	struct channels channels = {0};

	(void)state;
	make(1, 1);
	count = 10;
	note(&channels);
	for (item.channel = ITEMS; item.channel < ITEMS + CHANNELS_MAX;
		item.channel++)
		channels_note_output(&channels, &item);
	assert_int_equal(channels.count, CHANNELS_MAX);
	assert_true(channels.missed);
	memset(&reading, 0, sizeof(reading));
	assert_int_equal(
		channels_run(&channels, NULL, 0, &reader), SGB_ERR_LIMIT);
	assert_int_equal(reading.begun, channels.wanted);
	channels_done(&channels);
}

/* Each that is open beside the others is one more pass. */
static void test_too_many_at_once(void **state)
{
	static struct reading reading;
	const struct channels_reader reader = {
		&reading, on_begin, on_item, on_end};
	struct channels channels = {0};

	(void)state;
	/* Not all of them are wanted. */
	for (count = 0; count < 3 * CHANNELS_TOGETHER_MAX; count++)
		ids[count] = 1 + count % (3 * CHANNELS_TOGETHER_MAX / 2);
	note(&channels);
	memset(&reading, 0, sizeof(reading));
	assert_int_equal(
		channels_run(&channels, NULL, 0, &reader), SGB_ERR_LIMIT);
	assert_int_equal(reading.begun, CHANNELS_TOGETHER_MAX);
	channels_done(&channels);
}

static void test_others(void **state)
{
	struct channels channels = {0};
	char text[CHANNELS_OTHERS_MAX];

	(void)state;
	count = 1;
	ids[0] = 1;
	note(&channels);
	assert_string_equal(channels_others(&channels, 1, text), "");
	for (count = 0; count < 9; count++)
		ids[count] = count + 1;
	channels_done(&channels);
	note(&channels);
	assert_string_equal(channels_others(&channels, 3, text),
		"channel 3, one of 8; --channel 1, 2, 4, 6, ...");
	channels_only(&channels, 4);
	assert_int_equal(channels.wanted, 1);
	assert_false(channels_has(&channels, 3));
	channels_done(&channels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_too_many_at_once),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
