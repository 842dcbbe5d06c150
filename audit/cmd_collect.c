/*
 * Logons through the host's own sshd, sudo and su, into the trail: the PAM
 * module may tell the kernel's audit log and syslog only, so they are taken
 * from there. Each record goes in once: the trail names its stamp, and is read
 * before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "findings_run.h"
#include "kaudit_line.h"

#define LOG_PATH  "/var/log/audit/audit.log"
#define LOGS_MAX  100 /* audit.log.99: num_logs of auditd.conf */
#define LINE_ROOM 16384

struct collecting {
	struct baseline *baseline;
	struct telling telling;
	size_t taken;
	bool refused;
};

/* sshd, sudo, su; of an older record, what the program is called. */
static const char *service_of(const struct kaudit_line *record)
{
	const char *slash = strrchr(record->exe, '/');

	if (*record->service && strcmp(record->service, "-") != 0)
		return record->service;
	return slash ? slash + 1 : record->exe;
}

static const char *account_of(const char *reason)
{
	static const char *const rows[][2] = {
		{"unknown-user", "unknown"},
		{"bad-user-name", "unknown"},
		{"account-locked", "locked"},
		{"root", "root"},
		{"policy", "not-permitted"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(reason, rows[i][0]))
			return rows[i][1];
	return NULL;
}

/* auth is a proof; account lets in, over a connection as a logon, else (sudo,
 * su) as an access; session is the same logon once more, unless it refuses. */
static enum event_kind kind_of(const struct kaudit_line *record, bool local)
{
	if (!strcmp(record->op, "mfa"))
		return EVENT_AUTH_MFA;
	if (!strcmp(record->op, "policy"))
		return local ? EVENT_ACCESS : EVENT_LOGON;
	if (!strcmp(record->op, "session") && !record->ok)
		return local ? EVENT_ACCESS : EVENT_LOGON;
	return EVENT_NONE;
}

static const char *or_null(const char *text)
{
	return *text && strcmp(text, "-") != 0 ? text : NULL;
}

static bool tell(
	struct collecting *collecting, const struct kaudit_line *record)
{
	struct addr source = {0};
	bool local = addr_parse(record->addr, &source) != SGB_OK;
	char conn[64];
	struct event event = {.kind = kind_of(record, local),
		.ok = record->ok,
		.time_ns = (uint64_t)record->ms * 1000000,
		.conn = conn,
		.ref = record->ok ? NULL : or_null(record->ref),
		.user = or_null(record->acct),
		.source = source,
		.key_fp = or_null(record->fingerprint),
		.mfa = or_null(record->method),
		.target = "self",
		.login = or_null(record->acct),
		.rule = or_null(record->rule),
		.what = service_of(record),
		.reason = record->ok ? NULL : record->reason,
		.account = record->ok ? NULL : account_of(record->reason),
		.kernel_audit = record->stamp};

	if (local)
		memset(&event.source, 0, sizeof(event.source));
	/* The proxy's own logins are in the trail by their monitor. */
	if (event.kind == EVENT_NONE ||
		(or_null(record->conn) && strncmp(record->conn, "host-", 5)))
		return true;
	(void)snprintf(conn, sizeof(conn), "%s",
		or_null(record->conn) ? record->conn : record->stamp);
	if (!telling_event(&collecting->telling, &event))
		return false;
	collecting->taken++;
	baseline_do(collecting->baseline, BASELINE_TAKEN_SET, "ti",
		record->stamp, record->ms);
	return true;
}

static bool is_taken(struct collecting *collecting, const char *stamp)
{
	sqlite3_stmt *row = baseline_query(
		collecting->baseline, BASELINE_TAKEN_HAS, "t", stamp);
	bool taken = baseline_next(collecting->baseline, row);

	(void)sqlite3_reset(row);
	return taken;
}

static void collect_file(struct collecting *collecting, FILE *file)
{
	static char line[LINE_ROOM];
	static struct kaudit_line record;
	bool passing = false;

	while (!collecting->refused && fgets(line, sizeof(line), file)) {
		size_t len = strlen(line);
		bool whole = len && line[len - 1] == '\n';

		if (whole && !passing &&
			kaudit_line_read(line, len - 1, &record) &&
			!is_taken(collecting, record.stamp))
			collecting->refused = !tell(collecting, &record);
		passing = !whole;
	}
}

static FILE *open_log(const char *path)
{
	int fd = open(path,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *file = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)
			     ? fdopen(fd, "r")
			     : NULL;

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static bool collect_path(struct collecting *collecting, const char *path)
{
	FILE *file = strcmp(path, "-") != 0 ? open_log(path) : stdin;

	if (!file)
		return false;
	collect_file(collecting, file);
	if (file != stdin)
		(void)fclose(file);
	return true;
}

/* What was rotated away first: audit.log.4, ... audit.log.1, audit.log. */
static bool collect_logs(struct collecting *collecting)
{
	char path[sizeof(LOG_PATH) + 8];
	int i;

	for (i = LOGS_MAX - 1; i > 0; i--) {
		(void)snprintf(path, sizeof(path), "%s.%d", LOG_PATH, i);
		(void)collect_path(collecting, path);
	}
	return collect_path(collecting, LOG_PATH);
}

int cmd_collect(struct audit *audit, int argc, char **argv)
{
	struct collecting collecting = {0};
	struct caught_up caught_up;
	bool found = argc > 0;
	int i;

	audit_places(audit);
	collecting.baseline = findings_open(audit, true);
	findings_catch_up(audit, collecting.baseline, &caught_up);
	telling_open(&collecting.telling, audit);
	for (i = 0; i < argc; i++)
		if (!collect_path(&collecting, argv[i]))
			audit_fatal(EX_NOINPUT, "%s: %s", argv[i],
				errno ? strerror(errno) : "not a file");
	if (!argc)
		found = collect_logs(&collecting);
	telling_close(&collecting.telling);
	baseline_close(collecting.baseline);
	if (!found)
		audit_fatal(EX_NOINPUT,
			"%s: no kernel audit log to read; auditd writes it",
			LOG_PATH);
	if (collecting.refused)
		audit_fatal(EX_TEMPFAIL,
			"the recorder did not take a record; it is told the "
			"next time");
	if (collecting.taken)
		(void)printf(
			"%zu records are in the trail\n", collecting.taken);
	return collecting.taken ? 0 : AUDIT_EXIT_NONE;
}
