/*
 * Hours: ranges over midnight, the days on which clocks change, and every
 * zone of this system against libc's idea of it.
 */
#include "policy_room.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/policy_int.h"

static struct policy *hours_policy(const char *hours)
{
	char text[512];

	snprintf(text, sizeof(text), "hours h %s\n", hours);
	return compile(text);
}

struct row {
	const char *hours, *when;
	bool within;
};

/* 2026-11-23 is a Monday. */
static const struct row rows[] = {
	{"Mon-Fri 08:00-19:00 UTC", "2026-11-23 07:59", false},
	{"Mon-Fri 08:00-19:00 UTC", "2026-11-23 08:00", true},
	{"Mon-Fri 08:00-19:00 UTC", "2026-11-23 18:59", true},
	{"Mon-Fri 08:00-19:00 UTC", "2026-11-23 19:00", false},
	{"Mon-Fri 08:00-19:00 UTC", "2026-11-22 12:00", false},
	{"Mon-Fri 08:00-19:00", "2026-11-23 12:00", true},
	{"Mon-Fri 08:00-19:00 Asia/Shanghai", "2026-11-23 00:00", true},
	{"Mon-Fri 08:00-19:00 Asia/Shanghai", "2026-11-22 23:59", false},
	{"Mon-Fri 08:00-19:00 Asia/Shanghai", "2026-11-23 10:59", true},
	{"Mon-Fri 08:00-19:00 Asia/Shanghai", "2026-11-23 11:00", false},
	/* Over midnight: the range is Monday's, also on Tuesday morning. */
	{"Mon 22:00-06:00 UTC", "2026-11-23 21:59", false},
	{"Mon 22:00-06:00 UTC", "2026-11-23 22:00", true},
	{"Mon 22:00-06:00 UTC", "2026-11-24 05:59", true},
	{"Mon 22:00-06:00 UTC", "2026-11-24 06:00", false},
	{"Mon 22:00-06:00 UTC", "2026-11-23 03:00", false},
	{"Sat 22:00-06:00 UTC", "2026-11-22 03:00", true},
	{"Sun 22:00-06:00 UTC", "2026-11-23 03:00", true},
	{"daily 00:00-24:00 UTC", "2026-11-23 00:00", true},
	{"daily 00:00-24:00 UTC", "2026-11-23 23:59", true},
	{"daily 20:00-24:00 UTC", "2026-11-24 00:00", false},
	{"Mon 20:00-24:00 UTC", "2026-11-23 23:59", true},
	/* Days wrap, lists carry over. */
	{"Sat-Mon 10:00-11:00 UTC", "2026-11-23 10:30", true},
	{"Sat-Mon 10:00-11:00 UTC", "2026-11-24 10:30", false},
	{"Mon, Wed 10:00-11:00 UTC", "2026-11-25 10:30", true},
	{"Mon Wed 10:00-11:00, 15:00-16:00 UTC", "2026-11-25 15:30", true},
	{"Mon 10:00-11:00, Sat 09:00-12:00 UTC", "2026-11-28 09:00", true},
	{"Mon 10:00-11:00, Sat 09:00-12:00 UTC", "2026-11-23 09:30", false},
	/* Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC. */
	{"Sun 02:00-03:00 Europe/Berlin", "2026-03-29 00:59", false},
	{"Sun 02:00-03:00 Europe/Berlin", "2026-03-29 01:00", false},
	{"Sun 03:00-04:00 Europe/Berlin", "2026-03-29 01:00", true},
	{"Sun 01:00-04:00 Europe/Berlin", "2026-03-29 01:59", true},
	{"Sun 01:00-04:00 Europe/Berlin", "2026-03-29 02:00", false},
	/* 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC; the hour repeats. */
	{"Sun 02:00-03:00 Europe/Berlin", "2026-10-24 23:59", false},
	{"Sun 02:00-03:00 Europe/Berlin", "2026-10-25 00:00", true},
	{"Sun 02:00-03:00 Europe/Berlin", "2026-10-25 01:59", true},
	{"Sun 02:00-03:00 Europe/Berlin", "2026-10-25 02:00", false},
	/* New York, over midnight into the day clocks go back. */
	{"Sat 23:00-02:00 America/New_York", "2026-11-01 05:30", true},
	{"Sat 23:00-02:00 America/New_York", "2026-11-01 06:30", true},
	{"Sat 23:00-02:00 America/New_York", "2026-11-01 07:00", false},
	/* Half hours, and a year beyond every table. */
	{"Mon 05:30-06:30 Asia/Kolkata", "2026-11-23 00:00", true},
	{"Mon 05:30-06:30 Asia/Kolkata", "2026-11-22 23:59", false},
	{"Sun 14:00-15:00 Europe/Berlin", "2094-07-04 12:30", true},
	{"Sun 14:00-15:00 Europe/Berlin", "2094-07-04 13:30", false},
};

static void test_rows(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy *policy = hours_policy(rows[i].hours);

		if (policy_hours_contain(policy, 0, utc(rows[i].when)) !=
			rows[i].within)
			fail_msg("%s at %s is %s", rows[i].hours, rows[i].when,
				rows[i].within ? "within" : "outside");
		policy_free(policy);
	}
}

static void compare_zone(const char *name)
{
	struct policy_zone *zone = NULL;
	/* From 1901 on; tables before that are of no use here. */
	time_t when = -2147483647;
	unsigned int step = 0;

	assert_int_equal(policy_zone_load(name, &zone), SGB_OK);
	setenv("TZ", name, 1);
	tzset();
	while (when < 4102444800 + 86400ll * 366 * 50) {
		struct tm tm;

		assert_non_null(localtime_r(&when, &tm));
		if (policy_zone_offset(zone, when) != tm.tm_gmtoff)
			fail_msg("%s at %lld: %d, libc says %ld", name,
				(long long)when, policy_zone_offset(zone, when),
				tm.tm_gmtoff);
		when += 86400 * 3 + (time_t)(++step * 7919 % 86400);
	}
	policy_zone_free(zone);
}

/* Far apart in rules: south, negative saving, half an hour, none, many. */
static void test_zones(void **state)
{
	static const char *const names[] = {"Europe/Berlin", "Asia/Shanghai",
		"America/New_York", "Australia/Lord_Howe", "Europe/Dublin",
		"America/Santiago", "Asia/Kolkata", "Pacific/Auckland",
		"Africa/Casablanca", "Asia/Gaza", "America/Sao_Paulo",
		"Antarctica/Troll", "Pacific/Apia", "Etc/GMT+12", "UTC", NULL};
	size_t i;

	(void)state;
	for (i = 0; names[i]; i++)
		compare_zone(names[i]);
}

static void test_zone_names(void **state)
{
	static const char *const bad[] = {"", "/etc/passwd", "../zoneinfo/UTC",
		"Europe", "Europe/", "Europe//Berlin", "Europe/Atlantis",
		"tzdata.zi", "zone.tab", ":UTC", "UTC\n", NULL};
	struct policy_zone *zone = NULL;
	size_t i;

	(void)state;
	for (i = 0; bad[i]; i++)
		assert_int_equal(
			policy_zone_load(bad[i], &zone), SGB_ERR_NOTFOUND);
	assert_null(zone);
}

/* What the monitors' clock goes by. */
static void test_next_change(void **state)
{
	struct policy *policy = hours_policy("Mon 08:00-19:00 Asia/Kolkata");
	/* 13:30 there is no full hour here. */
	time_t end = utc("2026-11-23 13:30"), begin = utc("2026-11-23 02:30");

	(void)state;
	assert_int_equal(policy_next_change(policy, end - 30, end), end);
	assert_int_equal(policy_next_change(policy, end - 30, end + 99), end);
	assert_int_equal(policy_next_change(policy, end - 30, end - 1), 0);
	assert_int_equal(policy_next_change(policy, end, end + 30), 0);
	assert_int_equal(policy_next_change(policy, begin - 1, end), begin);
	policy_free(policy);
}

static void test_next_expiry(void **state)
{
	static const char text[] =
		"security-group G { instance w 10.0.0.1\n accept tcp 22 from "
		"0.0.0.0/0 priority 1 }\n"
		"permit alice from any to G { expires 2026-11-24T10:01 }\n"
		"permit bob from any to G { expires 2026-11-24T10:00 }\n";
	time_t end = utc("2026-11-24 10:00");
	struct policy *policy = compile(text);

	(void)state;
	assert_int_equal(policy_next_change(policy, end - 9, end + 99), end);
	assert_int_equal(policy_next_change(policy, end, end + 99), end + 60);
	assert_int_equal(policy_next_change(policy, end, end + 9), 0);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_zone_names),
		cmocka_unit_test(test_next_change),
		cmocka_unit_test(test_next_expiry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
