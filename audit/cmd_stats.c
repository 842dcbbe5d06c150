/*
 * Sums over recordings: by user, target or day. Sizes and times come from the
 * index and the files; who and where are in META and need a key.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/record.h"

#include "audit.h"
#include "container.h"
#include "evidence.h"
#include "select.h"
#include "unread.h"

#define GROUPS_MAX 100000

struct group {
	char *name;
	uint64_t sessions, seconds, evidence, stored, commands;
};

struct stats {
	struct group *groups;
	size_t count, cap;
	struct unread unread;
};

/* Sorted: recordings of one name come in any order. */
static struct group *find_group(struct stats *stats, const char *name)
{
	size_t low = 0, high = stats->count, middle;
	struct group *grown;

	while (low < high) {
		int order;

		middle = (low + high) / 2;
		order = strcmp(stats->groups[middle].name, name);
		if (!order)
			return &stats->groups[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (stats->count == GROUPS_MAX)
		audit_fatal(EX_DATAERR, "more than %d groups", GROUPS_MAX);
	if (stats->count == stats->cap) {
		stats->cap = stats->cap ? 2 * stats->cap : 64;
		grown = reallocarray(stats->groups, stats->cap, sizeof(*grown));
		if (!grown)
			audit_fatal(EX_OSERR, "out of memory");
		stats->groups = grown;
	}
	memmove(&stats->groups[low + 1], &stats->groups[low],
		(stats->count++ - low) * sizeof(*stats->groups));
	memset(&stats->groups[low], 0, sizeof(*stats->groups));
	stats->groups[low].name = strdup(name);
	if (!stats->groups[low].name)
		audit_fatal(EX_OSERR, "out of memory");
	return &stats->groups[low];
}

/* Bytes of evidence as CLOSE says; 0 where the file ends otherwise. It is not
 * verified here: "verify" does that. */
static uint64_t evidence_bytes(int fd, uint64_t size)
{
	uint8_t frame[SGR_HEAD_LEN + SGR_CLOSE_LEN + SGR_LINK_LEN];
	struct sgr_head head;
	struct reader rd;

	if (size < sizeof(frame) ||
		pread(fd, frame, sizeof(frame),
			(off_t)(size - sizeof(frame))) != sizeof(frame) ||
		!sgr_head_get(frame, &head) || head.type != SGR_CLOSE)
		return 0;
	reader_init(&rd, frame + SGR_HEAD_LEN + 32, 8);
	return reader_le64(&rd);
}

static uint64_t count_commands(struct stats *stats,
	const struct store_entry *entry, struct evidence *evidence)
{
	uint64_t count = 0;
	struct sgr_item item;

	while (!evidence_next(evidence, &item))
		count += item.kind == RECORD_EXEC;
	(void)unread_rest(&stats->unread, entry, evidence);
	return count;
}

static const char *read_meta(struct stats *stats,
	const struct store_entry *entry, int fd, struct evidence **ret)
{
	enum sgb_err err = audit_evidence(stats->unread.audit, fd, ret);

	if (!err)
		return evidence_meta(*ret);
	unread_evidence(&stats->unread, entry, err, *ret);
	evidence_free(*ret);
	*ret = NULL;
	return "{}";
}

static void add_entry(struct audit *audit, struct stats *stats,
	const struct store *store, const struct store_entry *entry,
	const char *by)
{
	struct evidence *evidence = NULL;
	int fd = store_open_file(store, entry);
	char day[PRINT_TIME_MAX], *name = NULL;
	const char *meta = "{}";
	struct group *group;

	if (fd < 0)
		unread_file(&stats->unread, entry);
	if (fd >= 0 && audit->key_count)
		meta = read_meta(stats, entry, fd, &evidence);
	if (filter_meta(audit, meta)) {
		if (!strcmp(by, "day"))
			name = strndup(print_time(entry->start_ns, day), 10);
		else
			name = json_member(meta, by);
		group = find_group(stats, name && *name ? name : "-");
		group->sessions++;
		if (entry->end_s > entry->start_ns / 1000000000)
			group->seconds += entry->end_s -
					  entry->start_ns / 1000000000;
		group->stored += entry->size;
		if (fd >= 0)
			group->evidence += evidence_bytes(fd, entry->size);
		if (fd >= 0 && !audit->count_commands)
			(void)unread_size(&stats->unread, entry);
		if (audit->count_commands && evidence)
			group->commands += count_commands(
				stats, entry, evidence);
	}
	free(name);
	evidence_free(evidence);
	if (fd >= 0)
		close(fd);
}

static void print_group(
	const struct audit *audit, const struct group *group, const char *by)
{
	char span[PRINT_SPAN_MAX], raw[PRINT_SIZE_MAX], size[PRINT_SIZE_MAX];
	double ratio = group->stored
			       ? (double)group->evidence / (double)group->stored
			       : 0;

	if (audit->json) {
		(void)printf("{\"%s\":", by);
		print_json(stdout, group->name);
		(void)printf(",\"sessions\":%llu,\"seconds\":%llu,"
			     "\"evidence\":%llu,\"stored\":%llu",
			(unsigned long long)group->sessions,
			(unsigned long long)group->seconds,
			(unsigned long long)group->evidence,
			(unsigned long long)group->stored);
		if (audit->count_commands)
			(void)printf(",\"commands\":%llu",
				(unsigned long long)group->commands);
		(void)printf("}\n");
		return;
	}
	(void)printf("%8llu %11s %9s %9s %5.1f ",
		(unsigned long long)group->sessions,
		print_span(group->seconds * 1000000, span),
		print_size(group->evidence, raw),
		print_size(group->stored, size), ratio);
	if (audit->count_commands)
		(void)printf("%8llu ", (unsigned long long)group->commands);
	print_cstring(stdout, group->name);
	(void)printf("\n");
}

static const char *checked_by(struct audit *audit)
{
	static const char *const names[] = {
		"user", "target", "login", "source", "day"};
	const char *by = audit->by ? audit->by : "user";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(by, names[i]))
			return names[i];
	audit_fatal(EX_USAGE,
		"--by \"%s\": expected user, target, login, source or day", by);
}

int cmd_stats(struct audit *audit, int argc, char **argv)
{
	const char *by = checked_by(audit);
	struct stats stats = {.unread = {.audit = audit}};
	struct filter filter;
	struct store *store;
	size_t i;

	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "stats takes filters, not names");
	audit_places(audit);
	audit_identities(audit, strcmp(by, "day") != 0);
	filter_init(audit, &filter);
	store = select_store(audit);
	if (audit->key_count)
		audit_viewed(audit, "", "stats");
	for (i = 0; i < store->count; i++)
		if (store->entries[i].present &&
			filter_entry(audit, &filter, &store->entries[i]))
			add_entry(audit, &stats, store, &store->entries[i], by);
	if (!audit->json)
		(void)printf("%8s %11s %9s %9s %5s %s%s\n", "SESSIONS", "TIME",
			"EVIDENCE", "STORED", "RATIO",
			audit->count_commands ? "COMMANDS " : "", by);
	for (i = 0; i < stats.count; i++) {
		print_group(audit, &stats.groups[i], by);
		free(stats.groups[i].name);
	}
	free(stats.groups);
	store_free(store);
	return unread_status(&stats.unread, stats.count ? 0 : AUDIT_EXIT_NONE);
}
