/*
 * The queue of bytes that wait for the recorder, and the stream to it: order,
 * limits, and that nothing is let go before it is acknowledged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/msg.h"
#include "session_flow.h"
#include "session_record.h"

static size_t ready(const struct flow *flow)
{
	size_t len;

	flow_ready(flow, &len);
	return len;
}

static void held_until_acknowledged(void **state)
{
	struct flow flow;
	size_t len;

	(void)state;
	flow_init(&flow);
	assert_int_equal(flow_put(&flow, "one", 3, 1), SGB_OK);
	assert_int_equal(flow_put(&flow, "two", 3, 2), SGB_OK);
	assert_int_equal(ready(&flow), 0);
	assert_true(flow_ack(&flow, 1));
	assert_int_equal(ready(&flow), 3);
	assert_memory_equal(flow_ready(&flow, &len), "one", 3);
	flow_sent(&flow, 2);
	assert_int_equal(ready(&flow), 1);
	assert_false(flow_ack(&flow, 1));
	assert_true(flow_ack(&flow, 7));
	assert_int_equal(ready(&flow), 4);
	assert_memory_equal(flow_ready(&flow, &len), "etwo", 4);
	assert_false(flow_empty(&flow));
	flow_sent(&flow, 4);
	assert_true(flow_empty(&flow));
	assert_int_equal(flow.sent, 6);
	flow_done(&flow);
}

static void unrecorded_keeps_its_place(void **state)
{
	struct flow flow;

	(void)state;
	flow_init(&flow);
	assert_int_equal(flow_put(&flow, "a", 1, 0), SGB_OK);
	assert_int_equal(ready(&flow), 1);
	assert_int_equal(flow_put(&flow, "b", 1, 5), SGB_OK);
	/* behind what is recorded, it waits with it */
	assert_int_equal(flow_put(&flow, "c", 1, 0), SGB_OK);
	assert_int_equal(ready(&flow), 1);
	flow_ack(&flow, 5);
	assert_int_equal(ready(&flow), 3);
	assert_int_equal(flow_put(&flow, "d", 1, 0), SGB_OK);
	assert_int_equal(ready(&flow), 4);
	flow_done(&flow);
}

static void many_pieces_keep_order(void **state)
{
	uint8_t next_in = 0, next_out = 0;
	struct flow flow;
	uint64_t seq;

	(void)state;
	flow_init(&flow);
	srand(1);
	for (seq = 1; seq < 20000; seq++) {
		uint8_t piece[97];
		size_t i, len = (size_t)rand() % sizeof(piece) + 1;
		const uint8_t *out;

		for (i = 0; i < len; i++)
			piece[i] = next_in++;
		assert_int_equal(flow_put(&flow, piece, len, seq), SGB_OK);
		if (rand() % 3)
			continue;
		flow_ack(&flow, seq - (uint64_t)(rand() % 2));
		out = flow_ready(&flow, &len);
		len = len ? (size_t)rand() % len + 1 : 0;
		for (i = 0; i < len; i++)
			assert_int_equal(out[i], next_out++);
		flow_sent(&flow, len);
	}
	assert_true(flow.cap <= FLOW_MAX);
	flow_done(&flow);
}

/* Where the ring ends, and what lies in two pieces. */
static void bytes_go_round(void **state)
{
	uint8_t piece[3000], next_in = 0, next_out = 0;
	struct flow flow;
	size_t i, len, round, cap = 0;

	(void)state;
	flow_init(&flow);
	for (round = 0; round < 200; round++) {
		for (i = 0; i < sizeof(piece); i++)
			piece[i] = next_in++;
		assert_int_equal(
			flow_put(&flow, piece, sizeof(piece), 0), SGB_OK);
		/* One piece stays: the front never comes back by itself. */
		while (flow.len > sizeof(piece)) {
			const uint8_t *out = flow_ready(&flow, &len);

			assert_true(len > 0);
			if (len > flow.len - sizeof(piece))
				len = flow.len - sizeof(piece);
			for (i = 0; i < len; i++)
				assert_int_equal(out[i], next_out++);
			flow_sent(&flow, len);
		}
		if (round == 2)
			cap = flow.cap;
		assert_true(round < 2 || flow.cap == cap);
	}
	flow_done(&flow);
}

static void has_a_limit(void **state)
{
	static uint8_t big[FLOW_MAX];
	struct flow flow;

	(void)state;
	flow_init(&flow);
	assert_true(flow_wants(&flow));
	assert_int_equal(flow_put(&flow, big, FLOW_HIGH, 1), SGB_OK);
	assert_false(flow_wants(&flow));
	assert_int_equal(flow_put(&flow, big, FLOW_MAX, 2), SGB_ERR_LIMIT);
	assert_int_equal(flow.taken, FLOW_HIGH);
	assert_int_equal(flow_put(&flow, big, FLOW_MAX - FLOW_HIGH, 2), SGB_OK);
	assert_int_equal(flow_put(&flow, big, 1, 3), SGB_ERR_LIMIT);
	flow_done(&flow);
}

static void keeps_its_memory_until_rest(void **state)
{
	static uint8_t big[100000];
	struct flow flow;
	uint8_t *data;

	(void)state;
	flow_init(&flow);
	assert_int_equal(flow_put(&flow, big, sizeof(big), 0), SGB_OK);
	data = flow.data;
	flow_rest(&flow);
	assert_ptr_equal(flow.data, data);
	flow_sent(&flow, sizeof(big));
	assert_ptr_equal(flow.data, data);
	flow_rest(&flow);
	assert_null(flow.data);
	assert_int_equal(flow_put(&flow, big, 10, 0), SGB_OK);
	assert_int_equal(ready(&flow), 10);
	assert_int_equal(flow.taken, sizeof(big) + 10);
	flow_done(&flow);
}

struct pair {
	struct record_stream rs;
	int peer;
};

static int stream_setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	int fds[2];

	if (!pair || msg_pair(fds))
		return -1;
	record_init(&pair->rs);
	pair->peer = fds[1];
	*state = pair;
	return record_open(&pair->rs, fds[0]) ? -1 : 0;
}

static int stream_teardown(void **state)
{
	struct pair *pair = *state;

	record_close(&pair->rs);
	if (pair->peer >= 0)
		close(pair->peer);
	free(pair);
	return 0;
}

static void acknowledge(const struct pair *pair, uint64_t seq)
{
	uint8_t bytes[8];
	int i;

	for (i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(seq >> (56 - 8 * i));
	assert_int_equal(send(pair->peer, bytes, 8, 0), 8);
}

/* Of one channel and kind, in one message, and no longer than an item may be.
 */
static void bytes_join_those_before(void **state)
{
	static const uint8_t wanted[] = {0, 0, 0, 1, RECORD_IN, 0, 0, 0, 3, 'a',
		'b', 'c', 0, 0, 0, 2, RECORD_IN, 0, 0, 0, 1, 'd', 0, 0, 0, 2,
		RECORD_ERR, 0, 0, 0, 1, 'e', 0, 0, 0, 2, RECORD_EOF_OUT, 0, 0,
		0, 0, 0, 0, 0, 2, RECORD_EOF_OUT, 0, 0, 0, 0};
	static uint8_t big[RECORD_ITEM_MAX];
	static uint8_t got[RECORD_MESSAGE_MAX + 1];
	struct pair *pair = *state;

	record_put(&pair->rs, 1, RECORD_IN, "a", 1);
	record_put(&pair->rs, 1, RECORD_IN, "bc", 2);
	record_put(&pair->rs, 2, RECORD_IN, "d", 1);
	record_put(&pair->rs, 2, RECORD_ERR, "e", 1);
	record_put(&pair->rs, 2, RECORD_EOF_OUT, NULL, 0);
	record_put(&pair->rs, 2, RECORD_EOF_OUT, NULL, 0);
	record_flush(&pair->rs);
	assert_int_equal(recv(pair->peer, got, sizeof(got), 0), sizeof(wanted));
	assert_memory_equal(got, wanted, sizeof(wanted));
	assert_int_equal(record_put(&pair->rs, 1, RECORD_IN, "x", 1), 2);
	assert_int_equal(
		record_put(&pair->rs, 1, RECORD_IN, big, sizeof(big)), 2);
	assert_int_equal(record_put(&pair->rs, 1, RECORD_IN, "y", 1), 2);
	record_flush(&pair->rs);
	assert_int_equal(
		recv(pair->peer, got, sizeof(got), 0), sizeof(big) + 3 * 9 + 2);
}

static void items_share_a_message(void **state)
{
	static const uint8_t wanted[] = {0, 0, 0, 1, RECORD_OUT, 0, 0, 0, 2,
		'h', 'i', 0, 0, 0, 2, RECORD_EOF_OUT, 0, 0, 0, 0};
	struct pair *pair = *state;
	uint8_t got[100];

	assert_int_equal(record_put(&pair->rs, 1, RECORD_OUT, "hi", 2), 1);
	assert_int_equal(record_put(&pair->rs, 2, RECORD_EOF_OUT, NULL, 0), 1);
	assert_true(record_pending(&pair->rs));
	record_flush(&pair->rs);
	assert_false(record_pending(&pair->rs));
	assert_int_equal(recv(pair->peer, got, sizeof(got), 0), sizeof(wanted));
	assert_memory_equal(got, wanted, sizeof(wanted));
	assert_int_equal(record_put(&pair->rs, 1, RECORD_OUT, "x", 1), 2);
	assert_false(record_written(&pair->rs, 1));
	acknowledge(pair, 1);
	assert_true(record_receive(&pair->rs));
	assert_true(record_written(&pair->rs, 1));
	assert_false(record_written(&pair->rs, 2));
	assert_false(record_written(&pair->rs, 0));
}

static void small_items_wait_for_company(void **state)
{
	static uint8_t big[20000];
	struct pair *pair = *state;
	uint8_t got[sizeof(big) + 100];

	record_put(&pair->rs, 1, RECORD_OUT, "a", 1);
	record_flush(&pair->rs);
	/* Under way: what comes now shares the next message. */
	assert_int_equal(record_put(&pair->rs, 1, RECORD_OUT, "b", 1), 2);
	record_flush(&pair->rs);
	assert_int_equal(record_put(&pair->rs, 1, RECORD_OUT, "c", 1), 2);
	record_flush(&pair->rs);
	assert_true(record_pending(&pair->rs));
	assert_false(record_blocked(&pair->rs));
	assert_int_equal(recv(pair->peer, got, sizeof(got), 0), 10);
	assert_int_equal(recv(pair->peer, got, sizeof(got), MSG_DONTWAIT), -1);
	acknowledge(pair, 1);
	assert_true(record_receive(&pair->rs));
	record_flush(&pair->rs);
	assert_false(record_pending(&pair->rs));
	assert_int_equal(recv(pair->peer, got, sizeof(got), 0), 11);
	/* A large one does not wait, nor does the last. */
	record_put(&pair->rs, 1, RECORD_OUT, big, sizeof(big));
	record_flush(&pair->rs);
	assert_int_equal(
		recv(pair->peer, got, sizeof(got), 0), sizeof(big) + 9);
	record_put(&pair->rs, 1, RECORD_OUT, "d", 1);
	record_flush(&pair->rs);
	assert_true(record_pending(&pair->rs));
	pair->rs.closing = true;
	record_flush(&pair->rs);
	assert_false(record_pending(&pair->rs));
}

static void say_wait(const struct pair *pair, uint64_t seconds)
{
	struct buf words;

	buf_init(&words, 16);
	buf_put_u64(&words, RECORD_ACK_WAIT);
	buf_put_u64(&words, seconds);
	assert_int_equal(send(pair->peer, words.data, words.len, 0), 16);
	buf_done(&words);
}

static void a_recorder_may_wait(void **state)
{
	struct pair *pair = *state;
	struct record_stream *rs = &pair->rs;
	const uint64_t end = 100 + 7000 + RECORD_GRACE_MS;

	assert_false(rs->waits);
	record_put(rs, 1, RECORD_OUT, "x", 1);
	record_flush(rs);
	say_wait(pair, 7);
	assert_true(record_receive(rs));
	assert_true(rs->waits);
	assert_false(record_written(rs, 1));
	record_tick(rs, 100);
	record_tick(rs, end - 1);
	assert_false(rs->lost);
	/* It goes on, and later waits anew: of that, the time is another. */
	say_wait(pair, 0);
	acknowledge(pair, 1);
	assert_true(record_receive(rs));
	assert_false(rs->waits);
	assert_true(record_written(rs, 1));
	record_tick(rs, end);
	assert_false(rs->lost);
	say_wait(pair, 1);
	assert_true(record_receive(rs));
	record_tick(rs, end);
	assert_false(rs->lost);
	record_tick(rs, end + 1000 + RECORD_GRACE_MS);
	assert_true(rs->lost);
	assert_true(rs->waits);
}

static void nobody_waits_for_ever(void **state)
{
	struct pair *pair = *state;

	say_wait(pair, RECORD_WAIT_MAX + 1);
	assert_false(record_receive(&pair->rs));
	assert_true(pair->rs.lost);
}

static void half_a_word_is_none(void **state)
{
	struct pair *pair = *state;

	acknowledge(pair, RECORD_ACK_WAIT);
	assert_false(record_receive(&pair->rs));
	assert_true(pair->rs.lost);
}

/* What is not kept goes on after what is, and with nobody else. */
static void the_unkept_follows(void **state)
{
	struct pair *pair = *state;
	struct record_stream *rs = &pair->rs;

	assert_int_equal(record_behind(rs), 0);
	record_put(rs, 1, RECORD_OUT, "x", 1);
	assert_int_equal(record_behind(rs), 1);
	record_flush(rs);
	assert_int_equal(record_behind(rs), 1);
	record_put(rs, 1, RECORD_OUT, "y", 1);
	assert_int_equal(record_behind(rs), 2);
	acknowledge(pair, 1);
	assert_true(record_receive(rs));
	assert_int_equal(record_behind(rs), 2);
	record_flush(rs);
	acknowledge(pair, 2);
	assert_true(record_receive(rs));
	assert_int_equal(record_behind(rs), 0);
	rs->lost = true;
	assert_int_equal(record_behind(rs), 3);
}

static void nobody_acknowledges_the_unsent(void **state)
{
	struct pair *pair = *state;

	record_put(&pair->rs, 1, RECORD_OUT, "x", 1);
	acknowledge(pair, 1);
	assert_false(record_receive(&pair->rs));
	assert_true(pair->rs.lost);
	assert_int_equal(record_put(&pair->rs, 1, RECORD_OUT, "x", 1), 0);
}

static void a_closed_recorder_is_lost(void **state)
{
	struct pair *pair = *state;

	close(pair->peer);
	pair->peer = -1;
	record_put(&pair->rs, 1, RECORD_OUT, "x", 1);
	record_flush(&pair->rs);
	assert_true(pair->rs.lost);
}

static void a_slow_recorder_is_not(void **state)
{
	static uint8_t piece[32768];
	struct pair *pair = *state;
	uint64_t seq = 0, count = 0;
	int i;

	for (i = 0; i < 100; i++) {
		seq = record_put(
			&pair->rs, 1, RECORD_OUT, piece, sizeof(piece));
		record_flush(&pair->rs);
	}
	assert_false(pair->rs.lost);
	assert_true(pair->rs.backlog > RECORD_BACKLOG_HIGH);
	while (record_pending(&pair->rs)) {
		static uint8_t got[RECORD_MESSAGE_MAX];

		assert_true(recv(pair->peer, got, sizeof(got), 0) > 0);
		count++;
		record_flush(&pair->rs);
	}
	assert_true(count < seq);
	assert_int_equal(pair->rs.backlog, 0);
	acknowledge(pair, seq);
	assert_true(record_receive(&pair->rs));
	assert_true(record_written(&pair->rs, seq));
}

static void an_item_has_a_limit(void **state)
{
	static uint8_t big[RECORD_MESSAGE_MAX];
	struct pair *pair = *state;

	assert_int_equal(
		record_put(&pair->rs, 1, RECORD_OUT, big, RECORD_ITEM_MAX), 1);
	record_flush(&pair->rs);
	assert_false(pair->rs.lost);
	assert_int_equal(
		record_put(&pair->rs, 1, RECORD_OUT, big, RECORD_ITEM_MAX + 1),
		0);
	assert_true(pair->rs.lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held_until_acknowledged),
		cmocka_unit_test(unrecorded_keeps_its_place),
		cmocka_unit_test(many_pieces_keep_order),
		cmocka_unit_test(bytes_go_round),
		cmocka_unit_test(has_a_limit),
		cmocka_unit_test(keeps_its_memory_until_rest),
		cmocka_unit_test_setup_teardown(
			items_share_a_message, stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(
			bytes_join_those_before, stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(small_items_wait_for_company,
			stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(
			a_recorder_may_wait, stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(
			nobody_waits_for_ever, stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(
			half_a_word_is_none, stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(
			the_unkept_follows, stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(nobody_acknowledges_the_unsent,
			stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(a_closed_recorder_is_lost,
			stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(
			a_slow_recorder_is_not, stream_setup, stream_teardown),
		cmocka_unit_test_setup_teardown(
			an_item_has_a_limit, stream_setup, stream_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
