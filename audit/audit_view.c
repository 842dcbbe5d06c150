/*
 * Looking is an event too. It is written into the auditor's own chained journal
 * before anything is shown, and, on the bastion itself, into the trail. Which
 * of them binds: docs/EVENTS.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/event.h"
#include "core/msg.h"

#include "audit.h"
#include "journal.h"

/* The person who logged in, also behind sudo. */
static uid_t login_uid(void)
{
	int fd = open("/proc/self/loginuid", O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	unsigned long uid;

	if (fd < 0)
		return getuid();
	uid = read(fd, text, sizeof(text) - 1) > 0 ? strtoul(text, NULL, 10)
						   : UINT32_MAX;
	close(fd);
	return uid < UINT32_MAX ? (uid_t)uid : getuid();
}

const char *audit_who(char text[AUDIT_WHO_MAX])
{
	const struct passwd *pw = getpwuid(login_uid());

	(void)snprintf(text, AUDIT_WHO_MAX, "%s", pw ? pw->pw_name : "?");
	return text;
}

void audit_journal_place(const struct audit *audit, char *path)
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int len;

	if (audit->journal)
		len = snprintf(path, PATH_MAX, "%s", audit->journal);
	else if (base && *base == '/')
		len = snprintf(path, PATH_MAX, "%s/sgbridge/views", base);
	else
		len = snprintf(path, PATH_MAX, "%s/.local/state/sgbridge/views",
			home && *home == '/' ? home : "");
	if (len >= PATH_MAX)
		audit_fatal(EX_USAGE, "--journal: path too long");
}

static int open_place(char path[PATH_MAX])
{
	char *slash;

	for (slash = strchr(path + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	(void)mkdir(path, 0700);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void put_member(struct buf *out, const char *name, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!len)
		return;
	buf_printf(out, ",\"%s\":", name);
	json_put_string(out, text, len < 1000 ? len : 1000);
}

static enum sgb_err add_line(struct journal *journal, const struct audit *audit,
	const char *rec_id, const char *what, time_t now)
{
	char stamp[40] = "", name[AUDIT_WHO_MAX];
	struct buf line;
	enum sgb_err err;
	uint64_t seq;
	struct tm tm;

	if (gmtime_r(&now, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_init(&line, JOURNAL_LINE_MAX);
	buf_printf(&line, "{\"time\":\"%s\"", stamp);
	put_member(&line, "who", audit_who(name));
	put_member(&line, "what", what);
	put_member(&line, "rec", rec_id);
	put_member(&line, "why", audit->why);
	buf_put_u8(&line, '}');
	err = buf_error(&line);
	if (!err)
		err = journal_add(
			journal, (const char *)line.data, line.len, &seq);
	buf_done(&line);
	return err;
}

static enum sgb_err add_lines(
	struct journal *journal, const struct audit_views *views)
{
	time_t now = time(NULL);
	enum sgb_err err = SGB_OK;
	size_t i;

	for (i = 0; i < views->count && !err; i++)
		err = add_line(
			journal, views->audit, views->ids[i], views->what, now);
	return err ? err : journal_commit(journal, (uint64_t)now * 1000000000);
}

/* On the bastion: the recorder's trail, which this user cannot rewrite. One
 * that does not answer is waited for once. */
static void tell_recorder(const struct audit *audit, const char *rec_id,
	const char *what, int *patience_ms)
{
	char name[AUDIT_WHO_MAX];
	struct event event = {.kind = EVENT_VIEW,
		.ok = true,
		.user = audit_who(name),
		.rec_id = rec_id,
		.what = what,
		.reason = audit->why};
	struct pollfd answer = {.events = POLLIN};
	struct buf json;
	struct msg msg;

	if (!audit->conf ||
		msg_connect(audit->conf->recorder_socket, &answer.fd))
		return;
	buf_init(&json, 2 * EVENT_MAX_BYTES);
	msg_init(&msg, MSG_REC_EVENT);
	if (!event_json(&event, &json)) {
		buf_put_string(&msg.body, json.data, json.len);
		if (!msg_send(answer.fd, &msg) &&
			poll(&answer, 1, *patience_ms) == 0)
			*patience_ms = 0;
	}
	msg_done(&msg);
	buf_done(&json);
	close(answer.fd);
}

bool audit_views_add(struct audit_views *views, const char *rec_id)
{
	if (views->count && !strcmp(views->ids[views->count - 1], rec_id))
		return true;
	if (views->count == AUDIT_VIEWS_MAX)
		return false;
	(void)snprintf(views->ids[views->count++], sizeof(views->ids[0]),
		"%.39s", rec_id);
	return true;
}

void audit_views_write(struct audit_views *views)
{
	struct journal_params params = {.monthly = true};
	struct journal_torn torn;
	struct journal *journal;
	char path[PATH_MAX];
	int patience_ms = 2000;
	enum sgb_err err;
	size_t i;

	audit_journal_place(views->audit, path);
	params.dir_fd = open_place(path);
	if (params.dir_fd < 0 || flock(params.dir_fd, LOCK_EX))
		audit_fatal(EX_CANTCREAT,
			"%s: %s; viewing is written down there first "
			"(--journal)",
			path, strerror(errno));
	err = journal_open(&params, &journal, &torn);
	if (!err) {
		err = add_lines(journal, views);
		journal_free(journal);
	}
	close(params.dir_fd);
	if (err)
		audit_fatal(EX_CANTCREAT,
			"%s: viewing cannot be written "
			"down: %s",
			path,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	for (i = 0; i < views->count; i++)
		tell_recorder(
			views->audit, views->ids[i], views->what, &patience_ms);
	views->count = 0;
}

void audit_viewed(struct audit *audit, const char *rec_id, const char *what)
{
	struct audit_views views = {.audit = audit, .what = what};

	(void)audit_views_add(&views, rec_id);
	audit_views_write(&views);
}
