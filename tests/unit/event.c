/*
 * Events as JSON lines: read back with a real JSON parser, so that what is
 * tested is what a consumer sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/event.h"

static json_t *written(const struct event *event, size_t *ret_len)
{
	struct buf out;
	json_t *json;

	buf_init(&out, EVENT_MAX_BYTES);
	assert_int_equal(event_json(event, &out), SGB_OK);
	assert_null(memchr(out.data, '\n', out.len));
	/* What the recorder relies on when it adds sequence and chain. */
	assert_memory_equal(out.data, "{\"metadata\":{\"version\"", 22);
	assert_memory_equal(out.data + out.len - 4, "\"}}}", 4);
	json = json_loadb((const char *)out.data, out.len,
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	assert_non_null(json);
	if (ret_len)
		*ret_len = out.len;
	buf_done(&out);
	return json;
}

static json_t *at(json_t *json, const char *path)
{
	char copy[200], *save = NULL, *part;

	assert_true(strlen(path) < sizeof(copy));
	strcpy(copy, path);
	for (part = strtok_r(copy, ".", &save); part && json;
		part = strtok_r(NULL, ".", &save))
		json = json_object_get(json, part);
	return json;
}

static const char *text_at(json_t *json, const char *path)
{
	const char *text = json_string_value(at(json, path));

	return text ? text : "(none)";
}

static long long number_at(json_t *json, const char *path)
{
	assert_true(json_is_integer(at(json, path)));
	return json_integer_value(at(json, path));
}

static void test_logon(void **state)
{
	struct event event = {.kind = EVENT_LOGON,
		.ok = true,
		.time_ns = 1795416485123456789ULL,
		.conn = "c1",
		.user = "alice",
		.source_port = 40022,
		.mfa = "totp",
		.target = "web1",
		.target_port = 22,
		.login = "ops",
		.rule = "policy.conf:31",
		.key_fp = "SHA256:abc",
		.has_exit = true,
		.exit_status = 0,
		.bytes_out = 7};
	json_t *json;

	(void)state;
	assert_int_equal(addr_parse("203.0.113.9", &event.source), SGB_OK);
	json = written(&event, NULL);
	assert_int_equal(number_at(json, "class_uid"), 3002);
	assert_int_equal(number_at(json, "category_uid"), 3);
	assert_int_equal(number_at(json, "type_uid"), 300201);
	assert_int_equal(number_at(json, "status_id"), 1);
	assert_int_equal(number_at(json, "time"), 1795416485123LL);
	assert_string_equal(
		text_at(json, "time_dt"), "2026-11-23T06:48:05.123Z");
	assert_string_equal(text_at(json, "actor.user.name"), "alice");
	assert_string_equal(text_at(json, "src_endpoint.ip"), "203.0.113.9");
	assert_int_equal(number_at(json, "src_endpoint.port"), 40022);
	assert_true(json_is_true(at(json, "is_mfa")));
	assert_string_equal(text_at(json, "dst_endpoint.hostname"), "web1");
	assert_string_equal(text_at(json, "unmapped.sgb.event"), "logon");
	assert_string_equal(text_at(json, "unmapped.sgb.login"), "ops");
	assert_string_equal(text_at(json, "unmapped.sgb.mfa"), "totp");
	assert_string_equal(text_at(json, "metadata.correlation_uid"), "c1");
	assert_int_equal(number_at(json, "exit_code"), 0);
	assert_int_equal(number_at(json, "traffic.bytes_out"), 7);
	assert_null(at(json, "metadata.is_truncated"));
	assert_null(at(json, "unmapped.sgb.encoding"));
	json_decref(json);
}

static void test_zero_is_failure_without_mfa(void **state)
{
	struct event event = {.kind = EVENT_ACCESS, .user = "bob"};
	json_t *json = written(&event, NULL);

	(void)state;
	assert_int_equal(number_at(json, "status_id"), 2);
	assert_true(json_is_false(at(json, "is_mfa")));
	assert_string_equal(text_at(json, "unmapped.sgb.mfa"), "none");
	assert_true(number_at(json, "time") > 1600000000000LL);
	assert_null(at(json, "src_endpoint"));
	json_decref(json);
	event.mfa = "exempt";
	json = written(&event, NULL);
	assert_true(json_is_false(at(json, "is_mfa")));
	assert_string_equal(text_at(json, "unmapped.sgb.mfa"), "exempt");
	json_decref(json);
}

static void test_every_kind(void **state)
{
	int kind;

	(void)state;
	for (kind = 1; kind < EVENT_KIND_COUNT; kind++) {
		struct event event = {.kind = (enum event_kind)kind};
		json_t *json = written(&event, NULL);

		assert_string_equal(text_at(json, "unmapped.sgb.event"),
			event_slug(event.kind));
		assert_true(strlen(text_at(json, "message")) > 4);
		json_decref(json);
	}
	assert_string_equal(event_slug(EVENT_NONE), "?");
	assert_string_equal(event_slug(EVENT_KIND_COUNT), "?");
}

static void test_no_kind(void **state)
{
	struct event event = {.user = "x"};
	struct buf out;

	(void)state;
	buf_init(&out, EVENT_MAX_BYTES);
	assert_int_equal(event_json(&event, &out), SGB_ERR_FORMAT);
	event.kind = EVENT_KIND_COUNT;
	assert_int_equal(event_json(&event, &out), SGB_ERR_FORMAT);
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

/* Every text at once, each far too long and of the costliest bytes. */
static void test_longest_line(void **state)
{
	static char huge[20000];
	struct event event = {.kind = EVENT_TARGET_FAIL,
		.time_ns = UINT64_MAX,
		.conn = huge,
		.ref = huge,
		.user = huge,
		.client = huge,
		.key_fp = huge,
		.key_type = huge,
		.mfa = huge,
		.target = huge,
		.security_group = huge,
		.login = huge,
		.rule = huge,
		.rec_id = huge,
		.what = huge,
		.reason = huge,
		.has_exit = true,
		.exit_status = -2147483647,
		.bytes_in = UINT64_MAX,
		.bytes_out = UINT64_MAX,
		.source_port = 65535,
		.target_port = 65535};
	const char fills[] = {'a', '\\', '\033', '\377'};
	size_t i, len;

	(void)state;
	assert_int_equal(addr_parse("2001:db8:1111:2222:3333:4444:5555:6666",
				 &event.source),
		SGB_OK);
	event.target_addr = event.source;
	for (i = 0; i < sizeof(fills); i++) {
		json_t *json;

		memset(huge, fills[i], sizeof(huge) - 1);
		json = written(&event, &len);
		assert_true(len < EVENT_MAX_BYTES - 400);
		assert_true(json_is_true(at(json, "metadata.is_truncated")));
		json_decref(json);
	}
}

static void test_cut_at_a_character(void **state)
{
	char text[] = "\xe6\x97\xa5\xe6\x9c\xac"; /* two of three bytes */
	char many[1201];
	struct event event = {.kind = EVENT_COMMAND, .ok = true, .what = many};
	const char *shown;
	json_t *json;
	size_t i;

	(void)state;
	for (i = 0; i < 200; i++)
		memcpy(many + i * 6, text, 6);
	many[1200] = '\0';
	event.reason = many; /* limit 800, which is not a multiple of 3 */
	json = written(&event, NULL);
	shown = text_at(json, "status_detail");
	assert_int_equal(strlen(shown), 798);
	assert_string_equal(text_at(json, "process.cmd_line"), many);
	assert_true(json_is_true(at(json, "metadata.is_truncated")));
	json_decref(json);
}

static void escapes_to(const char *bytes, size_t len, const char *json)
{
	struct buf out;

	buf_init(&out, 1000);
	json_put_string(&out, bytes, len);
	assert_int_equal(buf_error(&out), SGB_OK);
	buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.data, json);
	buf_done(&out);
}

static void test_strings(void **state)
{
	(void)state;
	escapes_to("", 0, "\"\"");
	escapes_to("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
	escapes_to("\033[2J\n\0\177", 7, "\"\\u001b[2J\\u000a\\u0000\\u007f\"");
	escapes_to("\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80", 9,
		"\"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80\"");
	/* CSI as one C1 character, a right-to-left override */
	escapes_to("\xc2\x9b\xe2\x80\xae", 5, "\"\\u009b\\u202e\"");
	/* overlong, surrogate, beyond the last, cut short, lone tail */
	escapes_to("\xc0\xaf", 2, "\"\\u00c0\\u00af\"");
	escapes_to("\xed\xa0\x80", 3, "\"\\u00ed\\u00a0\\u0080\"");
	escapes_to("\xf4\x90\x80\x80", 4, "\"\\u00f4\\u0090\\u0080\\u0080\"");
	escapes_to("x\xe6\x97", 3, "\"x\\u00e6\\u0097\"");
	escapes_to("\x80", 1, "\"\\u0080\"");
}

static void test_foreign_bytes_are_flagged(void **state)
{
	struct event event = {.kind = EVENT_COMMAND, .what = "ls \xff"};
	json_t *json = written(&event, NULL);

	(void)state;
	assert_string_equal(text_at(json, "unmapped.sgb.encoding"), "bytes");
	assert_string_equal(text_at(json, "process.cmd_line"), "ls \xc3\xbf");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logon),
		cmocka_unit_test(test_zero_is_failure_without_mfa),
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_no_kind),
		cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_cut_at_a_character),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_foreign_bytes_are_flagged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
