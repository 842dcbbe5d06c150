/*
 * Before the recorder starts: settings, keys, recipients, folders. Everything
 * that can be wrong is found here, while nothing has been made that would have
 * to be undone; each mistake is one line that says what to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/diag.h"
#include "core/file.h"
#include "core/log.h"

#include "recorder.h"

#define WHY_LEN (PATH_MAX + 300)

static void load_settings(struct recorder *recorder, const char *path)
{
	char line[1000];
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_load(path, &recorder->conf, &diag);
	if (err) {
		diag_first_line(&diag, line, sizeof(line));
		log_fatal(EX_CONFIG, "%s", *line ? line : sgb_err_text(err));
	}
	diag_done(&diag);
}

static void choose_user(struct recorder *recorder)
{
	const char *name = recorder->conf->recorder_user;

	recorder->privileged = geteuid() == 0;
	recorder->uid = geteuid();
	recorder->gid = getegid();
	if (!recorder->privileged)
		return;
	if (conf_user(name, &recorder->uid, &recorder->gid))
		log_fatal(EX_NOUSER,
			"recorder-user \"%s\": no such user, or it is root; "
			"create it or name another",
			name);
}

static void load_key(struct recorder *recorder)
{
	const char *path = recorder->conf->signing_key;
	char why[WHY_LEN];
	uint8_t id[SUITE_HASH_LEN];
	struct buf pem;
	enum sgb_err err;

	buf_init(&pem, 16384);
	err = file_read(path, FILE_TRUST_SECRET, &pem, why, sizeof(why));
	if (err)
		log_fatal(EX_NOINPUT,
			"signing-key: %s; make one with "
			"\"sgbridge-audit writer-keygen -o %s\"",
			why, path);
	err = suite_key_from_pem(
		pem.data, pem.len, SUITE_KEY_ED25519, &recorder->key);
	buf_done(&pem);
	if (err)
		log_fatal(EX_DATAERR,
			"%s:1: not an Ed25519 private key in PEM without "
			"passphrase; make one with \"sgbridge-audit "
			"writer-keygen\"",
			path);
	if (suite_writer_id(suite_key_public(recorder->key), id))
		log_fatal(EX_SOFTWARE, "libcrypto does not do SHA-256");
	suite_hex(id, JOURNAL_WRITER_LEN / 2, recorder->writer_id);
}

static void load_recipients(struct recorder *recorder)
{
	char why[WHY_LEN];
	enum sgb_err err;

	err = recipients_load(recorder->conf->recipients, &recorder->recipients,
		why, sizeof(why));
	if (err == SGB_ERR_SYSTEM)
		log_fatal(EX_NOINPUT,
			"recipients: %s; auditors make keys with "
			"\"sgbridge-audit keygen\"",
			why);
	if (err)
		log_fatal(EX_CONFIG, "%s", why);
}

void recorder_reload(struct recorder *recorder)
{
	struct event event = {.kind = EVENT_CONFIG, .what = "recipients"};
	struct recipients fresh;
	char why[WHY_LEN];
	struct buf text;

	buf_init(&text, sizeof(why) - 1);
	if (!recipients_load(
		    recorder->conf->recipients, &fresh, why, sizeof(why))) {
		recorder->recipients = fresh;
		event.ok = true;
		recipients_describe(&fresh, &text);
		(void)snprintf(why, sizeof(why), "for new recordings: %.*s",
			(int)text.len, (const char *)text.data);
		log_put(LOG_NOTICE, "recipients %s", why);
	} else {
		/* Nothing is half in force; and who reads keeps reading. */
		log_put(LOG_ERR, "the recipients stay as they were: %s", why);
	}
	event.reason = why;
	recorder_event(recorder, &event);
	buf_done(&text);
}

/* Makes what is missing; only the last folder belongs to the recorder. */
static void make_folders(const struct recorder *recorder, const char *path)
{
	char part[PATH_MAX];
	char *slash;

	if (strlen(path) >= sizeof(part))
		log_fatal(EX_CONFIG, "%s: path too long", path);
	strcpy(part, path);
	for (slash = strchr(part + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(part, 0755);
		*slash = '/';
	}
	if (mkdir(path, 0700)) {
		if (errno != EEXIST)
			log_fatal(EX_CANTCREAT, "%s: %s; create it", path,
				strerror(errno));
	} else if (chown(path, recorder->uid, recorder->gid)) {
		log_fatal(EX_CANTCREAT, "%s: %s", path, strerror(errno));
	}
}

static int open_folder(const struct recorder *recorder, const char *path)
{
	struct stat st;
	int fd;

	make_folders(recorder, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		log_fatal(EX_CANTCREAT, "%s: %s", path, strerror(errno));
	if (st.st_uid != recorder->uid)
		log_fatal(EX_NOPERM,
			"%s: owner is uid %u, the recorder is uid %u; "
			"chown it",
			path, (unsigned int)st.st_uid,
			(unsigned int)recorder->uid);
	if ((st.st_mode & 0777 & ~0750U) || (st.st_mode & 0700) != 0700)
		log_fatal(EX_NOPERM,
			"%s: mode is %04o; make it 0700, or 0750 where a "
			"group may read the trail",
			path, (unsigned int)(st.st_mode & 07777));
	return fd;
}

static void open_folders(struct recorder *recorder)
{
	char path[PATH_MAX];

	recorder->recordings_fd = open_folder(
		recorder, recorder->conf->recordings);
	if (snprintf(path, sizeof(path), "%s/index",
		    recorder->conf->recordings) >= (int)sizeof(path))
		log_fatal(EX_CONFIG, "recordings: path too long");
	recorder->index_fd = open_folder(recorder, path);
	recorder->events_fd = open_folder(recorder, recorder->conf->events);
}

static void choose_name(struct recorder *recorder)
{
	const char *name = recorder->conf->writer_name;

	if (name && *name)
		(void)snprintf(recorder->writer_name,
			sizeof(recorder->writer_name), "%s", name);
	else if (gethostname(recorder->writer_name,
			 sizeof(recorder->writer_name) - 1))
		(void)snprintf(recorder->writer_name,
			sizeof(recorder->writer_name), "unnamed");
}

static void read_boot_id(struct recorder *recorder)
{
	char text[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) >= SGR_ID_TEXT - 1)
		text[SGR_ID_TEXT - 1] = '\0';
	close(fd);
	/* Zeros where a container hides it. */
	(void)!sgr_id_parse(text, recorder->boot_id);
}

void recorder_setup(struct recorder *recorder, const char *conf_path)
{
	load_settings(recorder, conf_path);
	choose_user(recorder);
	load_key(recorder);
	load_recipients(recorder);
	choose_name(recorder);
	read_boot_id(recorder);
	open_folders(recorder);
}

static struct journal *open_journal(struct recorder *recorder,
	const struct journal_params *params, const char *folder)
{
	struct event event = {.kind = EVENT_SERVICE_START,
		.ok = true,
		.what = "sgbridge-recorder"};
	char what[300], hash[2 * SUITE_HASH_LEN + 1];
	struct journal_torn torn;
	struct journal *journal;
	enum sgb_err err = journal_open(params, &journal, &torn);

	if (err == SGB_ERR_FORMAT)
		log_fatal(EX_DATAERR,
			"%s: the newest file does not end in a line of this "
			"journal; check it with \"sgbridge-audit verify\" and "
			"move it away",
			folder);
	if (err)
		log_fatal(EX_IOERR, "%s: %s", folder, strerror(errno));
	if (!recorder->trail)
		recorder->trail = journal; /* the first one that is opened */
	if (torn.bytes) {
		suite_hex(torn.hash, SUITE_HASH_LEN, hash);
		(void)snprintf(what, sizeof(what),
			"cut a torn line of %llu bytes off %s/%s, SHA-256 %s",
			(unsigned long long)torn.bytes, folder, torn.name,
			hash);
		log_put(LOG_WARNING, "%s", what);
		event.reason = what;
		recorder_event(recorder, &event);
	}
	return journal;
}

void recorder_open_journals(struct recorder *recorder)
{
	struct journal_params params = {
		.dir_fd = recorder->events_fd,
		.form = JOURNAL_EVENTS,
		.key = recorder->key,
	};

	recorder->trail = open_journal(
		recorder, &params, recorder->conf->events);
	params.dir_fd = recorder->index_fd;
	params.form = JOURNAL_PLAIN;
	params.monthly = true;
	recorder->index = open_journal(recorder, &params, "index");
}
