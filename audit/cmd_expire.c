/*
 * Deleting recordings by rule, so that a file that is gone is explained and not
 * suspicious: a signed line in a journal of its own, recordings/retention, is
 * durable before the file goes. The recorder's index is not touched; it may be
 * running. A hold keeps a recording whatever its age.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/event.h"

#include "audit.h"
#include "journal.h"
#include "select.h"

struct expiry {
	struct audit *audit;
	struct store *store;
	struct journal *journal; /* NULL: a dry run */
	struct suite_key *signer;
	int dir; /* of the journal */
	uint64_t now_s;
	size_t due, held;
	uint64_t bytes;
};

static void put(struct buf *line, const char *name, const char *text)
{
	size_t len = strlen(text);

	buf_printf(line, ",\"%s\":", name);
	json_put_string(line, text, len < 500 ? len : 500);
}

/* Durable when it returns. */
static void add_line(struct expiry *expiry, const char *op,
	const struct store_entry *entry, const char *class)
{
	char stamp[40] = "", who[AUDIT_WHO_MAX], hex[2 * SUITE_HASH_LEN + 1];
	time_t now = (time_t)expiry->now_s;
	struct buf line;
	struct tm tm;
	enum sgb_err err;
	uint64_t seq;

	if (gmtime_r(&now, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	suite_hex(entry->head, SUITE_HASH_LEN, hex);
	buf_init(&line, JOURNAL_LINE_MAX);
	buf_printf(&line, "{\"op\":\"%s\",\"time\":\"%s\",\"rec\":\"%s\"", op,
		stamp, entry->id);
	put(&line, "head", hex);
	put(&line, "class", class);
	put(&line, "by", audit_who(who));
	put(&line, "why", expiry->audit->why);
	buf_put_u8(&line, '}');
	err = buf_error(&line);
	if (!err)
		err = journal_add(expiry->journal, (const char *)line.data,
			line.len, &seq);
	if (!err)
		err = journal_commit(
			expiry->journal, expiry->now_s * 1000000000);
	buf_done(&line);
	if (err)
		audit_fatal(EX_IOERR,
			"the retention journal cannot be written: %s; nothing "
			"more is deleted",
			sgb_err_text(err));
}

static void open_journal(struct expiry *expiry)
{
	struct audit *audit = expiry->audit;
	struct journal_params params = {.monthly = true};
	struct journal_torn torn;

	if (!audit->key_path || !audit->why)
		audit_fatal(EX_USAGE,
			"%s needs --key with a signing key and --why with the "
			"reason",
			audit->yes ? "--yes" : "a hold");
	(void)mkdirat(expiry->store->fd, "retention", 0750);
	params.dir_fd = openat(expiry->store->fd, "retention",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (params.dir_fd < 0 || flock(params.dir_fd, LOCK_EX))
		audit_fatal(EX_CANTCREAT, "%s/retention: %s", audit->dir,
			strerror(errno));
	expiry->dir = params.dir_fd;
	expiry->signer = audit_signing_key(audit->key_path);
	params.key = expiry->signer;
	if (journal_open(&params, &expiry->journal, &torn))
		audit_fatal(EX_DATAERR,
			"%s/retention: is not a journal to go on with; "
			"\"verify\" says why",
			audit->dir);
}

/* The class that its header says, which is signed, or "default"; "?" if it
 * can't be read. */
static void read_class(const struct expiry *expiry,
	const struct store_entry *entry, char ret[SGR_NAME_MAX])
{
	int fd = store_open_file(expiry->store, entry);
	struct sgr_source *source = NULL;
	struct sgr_scan scan;

	(void)snprintf(ret, SGR_NAME_MAX, "?");
	if (fd >= 0 && !sgr_source_file(fd, &source)) {
		if (!sgr_scan_begin(&scan, source))
			(void)snprintf(ret, SGR_NAME_MAX, "%s",
				*scan.header.retention ? scan.header.retention
						       : "default");
		sgr_scan_done(&scan);
		sgr_source_free(source);
	}
	if (fd >= 0)
		close(fd);
}

/* "standard=90d": how long a class is kept. 0: not named, so for ever. */
static uint64_t kept_seconds(const struct audit *audit, const char *class)
{
	size_t len = strlen(class), i;
	uint64_t seconds;

	for (i = 0; i < audit->keep_count; i++) {
		const char *rule = audit->keep[i];
		const char *sign = strrchr(rule, '=');

		if (!sign || conf_seconds(sign + 1, &seconds) || !seconds)
			audit_fatal(EX_USAGE,
				"--keep \"%s\": expected CLASS=AGE, such as "
				"standard=90d",
				rule);
		if ((size_t)(sign - rule) == len && !memcmp(rule, class, len))
			return seconds;
	}
	return 0;
}

static void print_one(const struct expiry *expiry,
	const struct store_entry *entry, const char *class, const char *what)
{
	char size[PRINT_SIZE_MAX], when[PRINT_TIME_MAX];

	if (expiry->audit->json) {
		(void)printf("{\"rec\":\"%s\",\"start\":\"%s\","
			     "\"size\":%llu,\"what\":\"%s\",\"class\":",
			entry->id, print_time(entry->start_ns, when),
			(unsigned long long)entry->size, what);
		print_json(stdout, class);
		(void)printf("}\n");
		return;
	}
	(void)printf("%s  %s  %8s  ", entry->id,
		print_time(entry->start_ns, when),
		print_size(entry->size, size));
	print_cstring(stdout, class);
	(void)printf("  %s\n", what);
}

static void expire_one(struct expiry *expiry, const struct store_entry *entry)
{
	char class[SGR_NAME_MAX], path[SGR_PATH_MAX];
	uint8_t id[SGR_ID_LEN];
	uint64_t keep;

	read_class(expiry, entry, class);
	keep = kept_seconds(expiry->audit, class);
	if (!entry->expired && (!keep || entry->end_s + keep >= expiry->now_s))
		return;
	print_one(expiry, entry, class,
		entry->held	  ? "kept: on hold"
		: expiry->journal ? "deleted"
				  : "due");
	if (entry->held) {
		expiry->held++;
		return;
	}
	expiry->due++;
	expiry->bytes += entry->size;
	if (!expiry->journal || sgr_id_parse(entry->id, id))
		return;
	/* A crash after the line leaves the file to the next run. */
	if (!entry->expired)
		add_line(expiry, "purged", entry, class);
	sgr_path(id, path);
	if (unlinkat(expiry->store->fd, path, 0))
		audit_fatal(EX_IOERR, "%s: %s", path, strerror(errno));
}

/* Only what is known to have ended: one that runs, or that nobody knows, is
 * never deleted by rule. */
static bool has_ended(const struct store_entry *entry)
{
	return entry->present && entry->end_s &&
	       (entry->state == STORE_CLOSED ||
		       entry->state == STORE_RECOVERED || entry->expired);
}

static void done(struct expiry *expiry)
{
	journal_free(expiry->journal);
	suite_key_free(expiry->signer);
	if (expiry->dir >= 0)
		close(expiry->dir);
	store_free(expiry->store);
}

static int hold(struct expiry *expiry, const char *op, const char *name)
{
	struct store_entry *entry;

	if (store_find(expiry->store, name, &entry))
		audit_fatal(EX_NOINPUT, "no such recording, or several: \"%s\"",
			name);
	open_journal(expiry);
	add_line(expiry, op, entry, "");
	(void)printf(expiry->audit->json ? "{\"rec\":\"%s\",\"what\":\"%s\"}\n"
					 : "%s  %s\n",
		entry->id, !strcmp(op, "hold") ? "on hold" : "released");
	done(expiry);
	return 0;
}

int cmd_expire(struct audit *audit, int argc, char **argv)
{
	struct expiry expiry = {
		.audit = audit, .dir = -1, .now_s = (uint64_t)time(NULL)};
	char size[PRINT_SIZE_MAX];
	size_t i;

	(void)argv;
	if (argc || (!audit->keep_count && !audit->hold && !audit->release))
		audit_fatal(EX_USAGE,
			"expire takes --keep CLASS=AGE, or --hold or --release "
			"with a recording");
	(void)kept_seconds(audit, "");
	audit_places(audit);
	expiry.store = select_store(audit);
	if (audit->hold || audit->release)
		return hold(&expiry, audit->hold ? "hold" : "release",
			audit->hold ? audit->hold : audit->release);
	if (audit->yes)
		open_journal(&expiry);
	for (i = 0; i < expiry.store->count; i++)
		if (has_ended(&expiry.store->entries[i]))
			expire_one(&expiry, &expiry.store->entries[i]);
	if (!audit->json)
		(void)printf("%zu %s, %s; %zu on hold%s\n", expiry.due,
			audit->yes ? "deleted" : "due",
			print_size(expiry.bytes, size), expiry.held,
			audit->yes ? "" : "; --yes deletes them");
	done(&expiry);
	return 0;
}
