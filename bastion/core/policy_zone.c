/*
 * Time zones from the system's own tables (RFC 8536), read once when a policy
 * is compiled: libc can only do this through the environment, which a PAM
 * module must not touch, and a decision must not open files. Trusts the
 * tables' owner, not their bytes.
 */
#include "core/policy_int.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"

#define ZONE_FOLDER "/usr/share/zoneinfo/"
#define ZONE_MAX    (256u * 1024)
#define HEADER	    44
#define DAY	    86400

/* A day of the year in a POSIX TZ string: Mm.w.d, Jn or n; and a time. */
struct zone_date {
	char kind; /* 'M', 'J', 'N' */
	int month, week, day;
	int32_t time;
};

struct zone_rule {
	bool present, has_dst;
	int32_t standard, summer;
	struct zone_date start, end;
};

struct policy_zone {
	char *name;
	int64_t *at;
	int32_t *offsets;      /* [0] before the first transition */
	uint32_t count;	       /* transitions */
	struct zone_rule rule; /* after the last */
};

void policy_zone_free(struct policy_zone *zone)
{
	if (!zone)
		return;
	free(zone->name);
	free(zone->at);
	free(zone->offsets);
	free(zone);
}

const char *policy_zone_name(const struct policy_zone *zone)
{
	return zone->name;
}

/* Howard Hinnant's days_from_civil: days since 1970-01-01. */
int64_t policy_days_from_civil(
	int64_t year, unsigned int month, unsigned int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 +
		      (int64_t)day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t year_of(int64_t seconds)
{
	int64_t days = floor_div(seconds, DAY);
	int64_t year = 1970 + floor_div(days * 400, 146097);

	while (policy_days_from_civil(year + 1, 1, 1) <= days)
		year++;
	while (policy_days_from_civil(year, 1, 1) > days)
		year--;
	return year;
}

/* ---- the POSIX TZ string at the end ---- */

static bool parse_number(const char **text, int max, int *ret)
{
	int value = 0;
	int digits = 0;

	for (; **text >= '0' && **text <= '9' && digits < 4; digits++)
		value = value * 10 + *(*text)++ - '0';
	*ret = value;
	return digits > 0 && value <= max;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool parse_time(const char **text, int32_t *ret)
{
	int sign = **text == '-' ? -1 : 1;
	int parts[3] = {0, 0, 0};
	int i;

	if (**text == '-' || **text == '+')
		(*text)++;
	for (i = 0; i < 3; i++) {
		if (!parse_number(text, i ? 59 : 167, &parts[i]))
			return false;
		if (**text != ':')
			break;
		(*text)++;
	}
	*ret = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
	return true;
}

static bool skip_name(const char **text)
{
	const char *from = *text;

	if (*from == '<') {
		*text = strchr(from, '>');
		if (!*text)
			return false;
		(*text)++;
		return true;
	}
	while (isalpha((unsigned char)**text))
		(*text)++;
	return *text - from >= 3;
}

static bool parse_month_day(const char **text, struct zone_date *ret)
{
	(*text)++;
	if (!parse_number(text, 12, &ret->month) || ret->month < 1 ||
		*(*text)++ != '.')
		return false;
	if (!parse_number(text, 5, &ret->week) || ret->week < 1 ||
		*(*text)++ != '.')
		return false;
	return parse_number(text, 6, &ret->day);
}

static bool parse_date(const char **text, struct zone_date *ret)
{
	if (*(*text)++ != ',')
		return false;
	ret->kind = **text == 'M' ? 'M' : **text == 'J' ? 'J' : 'N';
	ret->time = 7200;
	if (ret->kind == 'M') {
		if (!parse_month_day(text, ret))
			return false;
	} else {
		if (ret->kind == 'J')
			(*text)++;
		if (!parse_number(text, 366, &ret->day))
			return false;
	}
	if (**text != '/')
		return true;
	(*text)++;
	return parse_time(text, &ret->time);
}

/* West is positive in these strings; east is positive here. */
static bool parse_rule(const char *text, struct zone_rule *ret)
{
	int32_t west;

	if (!skip_name(&text) || !parse_time(&text, &west))
		return false;
	ret->present = true;
	ret->standard = -west;
	if (!*text)
		return true;
	ret->has_dst = true;
	ret->summer = ret->standard + 3600;
	if (!skip_name(&text))
		return false;
	if (*text != ',') {
		if (!parse_time(&text, &west))
			return false;
		ret->summer = -west;
	}
	return parse_date(&text, &ret->start) && parse_date(&text, &ret->end) &&
	       !*text;
}

static bool leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local seconds since 1970 at which this date begins to count. */
static int64_t date_in_year(const struct zone_date *date, int64_t year)
{
	int64_t days;
	int weekday;

	if (date->kind != 'M') {
		days = policy_days_from_civil(year, 1, 1) + date->day;
		/* Jn counts from 1 and never counts 29 February. */
		if (date->kind == 'J' && !(leap(year) && date->day >= 60))
			days--;
		return days * DAY + date->time;
	}
	days = policy_days_from_civil(year, (unsigned int)date->month, 1);
	weekday = (int)((days % 7 + 11) % 7);
	days += (date->day - weekday + 7) % 7 + (date->week - 1) * 7;
	while (days >=
		policy_days_from_civil(date->month == 12 ? year + 1 : year,
			date->month == 12 ? 1u : (unsigned int)date->month + 1,
			1))
		days -= 7;
	return days * DAY + date->time;
}

static int32_t rule_offset(const struct zone_rule *rule, int64_t now)
{
	int64_t year, start, end;
	bool summer;

	if (!rule->has_dst)
		return rule->standard;
	year = year_of(now + rule->standard);
	start = date_in_year(&rule->start, year) - rule->standard;
	end = date_in_year(&rule->end, year) - rule->summer;
	if (start < end)
		summer = now >= start && now < end;
	else
		summer = now >= start || now < end;
	return summer ? rule->summer : rule->standard;
}

int32_t policy_zone_offset(const struct policy_zone *zone, time_t now)
{
	uint32_t low = 0, high = zone->count;

	if (zone->rule.present &&
		(zone->count == 0 || now >= zone->at[zone->count - 1]))
		return rule_offset(&zone->rule, now);
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (zone->at[middle] <= now)
			low = middle + 1;
		else
			high = middle;
	}
	return zone->offsets[low];
}

/* ---- the table ---- */

struct tzif {
	uint32_t isut, isstd, leaps, times, types, chars;
};

static bool read_header(struct reader *rd, struct tzif *ret)
{
	const uint8_t *magic = reader_bytes(rd, 4);

	if (!magic || memcmp(magic, "TZif", 4) || reader_u8(rd) < '2')
		return false;
	reader_bytes(rd, 15);
	ret->isut = reader_u32(rd);
	ret->isstd = reader_u32(rd);
	ret->leaps = reader_u32(rd);
	ret->times = reader_u32(rd);
	ret->types = reader_u32(rd);
	ret->chars = reader_u32(rd);
	return !rd->err && ret->types > 0 && ret->types <= 256 &&
	       ret->times <= 10000 && ret->chars <= 10000 &&
	       ret->leaps <= 10000 && ret->isut <= 256 && ret->isstd <= 256;
}

static bool skip_first_block(struct reader *rd)
{
	struct tzif head;

	if (!read_header(rd, &head))
		return false;
	reader_bytes(rd, head.times * 5 + head.types * 6 + head.chars +
				 head.leaps * 8 + head.isstd + head.isut);
	return !rd->err;
}

static bool read_table(
	struct reader *rd, const struct tzif *head, struct policy_zone *zone)
{
	const uint8_t *kinds;
	int32_t types[256];
	uint32_t i;

	zone->at = calloc(head->times + 1, sizeof(*zone->at));
	zone->offsets = calloc(head->times + 1, sizeof(*zone->offsets));
	if (!zone->at || !zone->offsets)
		return false;
	for (i = 0; i < head->times; i++)
		zone->at[i] = (int64_t)reader_u64(rd);
	kinds = reader_bytes(rd, head->times);
	for (i = 0; i < head->types; i++) {
		types[i] = (int32_t)reader_u32(rd);
		reader_bytes(rd, 2);
	}
	reader_bytes(
		rd, head->chars + head->leaps * 12 + head->isstd + head->isut);
	if (rd->err || (head->times && !kinds))
		return false;
	zone->offsets[0] = types[0];
	for (i = 0; i < head->times; i++) {
		if (kinds[i] >= head->types ||
			(i && zone->at[i] <= zone->at[i - 1]))
			return false;
		zone->offsets[i + 1] = types[kinds[i]];
	}
	zone->count = head->times;
	return true;
}

static bool read_footer(struct reader *rd, struct policy_zone *zone)
{
	char text[128];
	const uint8_t *bytes;
	size_t len = rd->left;

	bytes = reader_bytes(rd, len);
	if (!bytes || len < 2 || len >= sizeof(text) || bytes[0] != '\n' ||
		bytes[len - 1] != '\n')
		return false;
	memcpy(text, bytes + 1, len - 2);
	text[len - 2] = '\0';
	return len == 2 || parse_rule(text, &zone->rule);
}

static bool read_zone(const struct buf *data, struct policy_zone *zone)
{
	struct reader rd;
	struct tzif head;

	reader_init(&rd, data->data, data->len);
	return skip_first_block(&rd) && read_header(&rd, &head) &&
	       read_table(&rd, &head, zone) && read_footer(&rd, zone);
}

/* "Asia/Shanghai": no dots, so that no path leads out of the folder. */
static bool name_safe(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > POLICY_MAX_NAME || !isalpha((unsigned char)*name))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789_+-/") == len &&
	       !strstr(name, "//") && name[len - 1] != '/';
}

static enum sgb_err read_file(const char *name, struct buf *out)
{
	char path[sizeof(ZONE_FOLDER) + POLICY_MAX_NAME];
	enum sgb_err err;
	int fd;

	snprintf(path, sizeof(path), ZONE_FOLDER "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return SGB_ERR_NOTFOUND;
	err = file_read_fd(fd, out);
	close(fd);
	return err ? SGB_ERR_NOTFOUND : SGB_OK;
}

enum sgb_err policy_zone_load(const char *name, struct policy_zone **ret)
{
	enum sgb_err err = SGB_ERR_NOTFOUND;
	struct policy_zone *zone;
	struct buf data;

	if (!name_safe(name))
		return SGB_ERR_NOTFOUND;
	zone = calloc(1, sizeof(*zone));
	if (!zone)
		return SGB_ERR_NOMEM;
	buf_init(&data, ZONE_MAX);
	zone->name = strdup(name);
	/* UTC works on a machine without tables, too. */
	if (!strcmp(name, "UTC")) {
		zone->rule.present = true;
		zone->at = calloc(1, sizeof(*zone->at));
		zone->offsets = calloc(1, sizeof(*zone->offsets));
		err = SGB_OK;
	} else if (!read_file(name, &data) && read_zone(&data, zone)) {
		err = SGB_OK;
	}
	buf_done(&data);
	if (!err && (!zone->name || !zone->at || !zone->offsets))
		err = SGB_ERR_NOMEM;
	if (err)
		policy_zone_free(zone);
	else
		*ret = zone;
	return err;
}
