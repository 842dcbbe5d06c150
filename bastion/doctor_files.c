/*
 * doctor: files and folders of sgbridge.conf, judged by the same functions as
 * the programs judge them (core/file.h); keys' age; recipients; disk space.
 */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "hostkey.h"

#define WHY_MAX	   (PATH_MAX + 300)
#define YEAR	   (366L * 24 * 3600)
#define ROTATION   (30L * 24 * 3600)
#define FIX_MAX	   (PATH_MAX + 200)
#define INODES_MIN 1000

/* How to make or renew a kind of file; the path is the last word. */
static const char make_host_key[] = "ssh-keygen -q -t ed25519 -N '' -f";
static const char make_otp_key[] = "sgbridge-otp master-key -o";
static const char make_recorder_key[] = "sgbridge-audit writer-keygen -o";
static const char make_folder[] = "systemd-tmpfiles --create; or: mkdir -p";
static const char make_recipient[] =
	"on the auditor's machine: sgbridge-audit keygen -o auditor.key; its "
	"line goes into";

/* file.h says what to do after "; "; that is the fix, and the rest the find. */
static void unsafe(struct doctor *doctor, enum sgb_err err, const char *path,
	char *why, const char *make)
{
	char fix[FIX_MAX];
	char *advice = strstr(why, "; ");

	if (err == SGB_ERR_NOTFOUND) {
		snprintf(fix, sizeof(fix), "%s %s", make, path);
		doctor_find(doctor, DOCTOR_FILE_MISSING, fix, "%s", why);
		return;
	}
	snprintf(fix, sizeof(fix), "chown root:root %s && chmod go-w %s", path,
		path);
	if (advice) {
		*advice = '\0';
		advice += 2;
		if (!strncmp(advice, "run: ", 5))
			snprintf(fix, sizeof(fix), "%s", advice + 5);
	}
	doctor_find(doctor, DOCTOR_FILE_UNSAFE, fix, "%s", why);
}

static void check_age(struct doctor *doctor, int fd, const char *path)
{
	const struct conf *conf = doctor->conf;
	const struct {
		const char *path, *name;
	} kinds[] = {{conf->user_ca, "user-ca"},
		{conf->signing_key, "recorder"}, {conf->master_key, "master"}};
	const char *name = "host-key";
	char fix[FIX_MAX];
	struct stat st;
	size_t i;
	long days;

	if (fstat(fd, &st) || time(NULL) - st.st_mtime < YEAR)
		return;
	days = (long)((time(NULL) - st.st_mtime) / (24 * 3600));
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(path, kinds[i].path))
			name = kinds[i].name;
	snprintf(fix, sizeof(fix), "sgbridge rotate %s", name);
	doctor_find(
		doctor, DOCTOR_KEY_OLD, fix, "%s is %ld days old", path, days);
}

static void check_file(struct doctor *doctor, const char *path,
	enum file_trust trust, const char *make)
{
	char why[WHY_MAX];
	enum sgb_err err;
	int fd;

	err = file_open(path, trust, &fd, why, sizeof(why));
	if (err) {
		unsafe(doctor, err, path, why, make);
		return;
	}
	if (trust == FILE_TRUST_SECRET)
		check_age(doctor, fd, path);
	close(fd);
}

static void check_folder(struct doctor *doctor, const char *path,
	enum file_trust trust, bool with_files)
{
	char why[WHY_MAX], name[PATH_MAX];
	const struct dirent *entry;
	enum sgb_err err;
	DIR *dir;
	int fd;

	err = file_open_dir(path, trust, &fd, why, sizeof(why));
	if (err) {
		unsafe(doctor, err, path, why, make_folder);
		return;
	}
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	while (with_files && (entry = readdir(dir))) {
		if (*entry->d_name == '.' ||
			(size_t)snprintf(name, sizeof(name), "%s/%s", path,
				entry->d_name) >= sizeof(name))
			continue;
		check_file(doctor, name, FILE_TRUST_ROOT, make_folder);
	}
	closedir(dir);
}

/* Evidence belongs to the recorder and to nobody else. */
static void check_evidence(struct doctor *doctor, const char *path)
{
	char fix[FIX_MAX];
	unsigned int uid, gid;
	struct stat st;

	if (conf_user(doctor->conf->recorder_user, &uid, &gid))
		return; /* doctor_users says so */
	snprintf(fix, sizeof(fix), "install -d -m 0700 -o %u -g %u %s", uid,
		gid, path);
	if (lstat(path, &st))
		doctor_find(doctor, DOCTOR_FILE_MISSING, fix, "%s: %s", path,
			strerror(errno));
	else if (!S_ISDIR(st.st_mode) || st.st_uid != uid ||
		 (st.st_mode & 0777 & ~0750U) || (st.st_mode & 0700) != 0700)
		doctor_find(doctor, DOCTOR_FILE_UNSAFE, fix,
			"%s: owner %u, mode %04o; expected the recorder (%u) "
			"and 0700, or 0750 for a group that copies",
			path, (unsigned int)st.st_uid,
			(unsigned int)(st.st_mode & 07777), uid);
}

static void check_empty_root(struct doctor *doctor)
{
	const char *path = doctor->conf->empty_root;
	const struct dirent *entry;
	char fix[FIX_MAX];
	DIR *dir;

	check_folder(doctor, path, FILE_TRUST_ROOT, false);
	dir = opendir(path);
	if (!dir)
		return;
	snprintf(fix, sizeof(fix), "ls -la %s, and take out what is there",
		path);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
			doctor_find(doctor, DOCTOR_FILE_UNSAFE, fix,
				"%s: the sessions' root is not empty (%s)",
				path, entry->d_name);
			break;
		}
	closedir(dir);
}

/* One that is wrong refuses every instance that the policy pins no key of. */
static void check_known_hosts(struct doctor *doctor)
{
	const struct conf_list *files = &doctor->conf->known_hosts;
	char why[WHY_MAX];
	size_t i;

	for (i = 0; i < files->count; i++)
		if (hostkey_check_file(files->items[i], why, sizeof(why)))
			doctor_find(doctor, DOCTOR_KNOWN_HOSTS,
				"mend the line, and ask: sgbridge host-keys",
				"%s", why);
}

/* Beside a key that is replaced lies another, `sgbridge rotate`. */
static void check_rotation(
	struct doctor *doctor, const char *path, const char *name)
{
	static const struct {
		const char *suffix, *step;
	} others[] = {{"new", "--switch"}, {"old", "--finish"}};
	char file[PATH_MAX], fix[FIX_MAX];
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if ((size_t)snprintf(file, sizeof(file), "%s.%s", path,
			    others[i].suffix) >= sizeof(file) ||
			lstat(file, &st) || time(NULL) - st.st_mtime < ROTATION)
			continue;
		snprintf(fix, sizeof(fix), "sgbridge rotate %s %s", name,
			others[i].step);
		doctor_find(doctor, DOCTOR_ROTATION_OPEN, fix,
			"%s lies there for %ld days", file,
			(long)((time(NULL) - st.st_mtime) / (24 * 3600)));
	}
}

void doctor_files(struct doctor *doctor)
{
	const struct conf *conf = doctor->conf;
	size_t i;

	for (i = 0; i < conf->host_keys.count; i++)
		check_file(doctor, conf->host_keys.items[i], FILE_TRUST_SECRET,
			make_host_key);
	check_file(doctor, conf->user_ca, FILE_TRUST_SECRET, make_host_key);
	check_file(doctor, conf->signing_key, FILE_TRUST_SECRET,
		make_recorder_key);
	check_file(doctor, conf->master_key, FILE_TRUST_SECRET, make_otp_key);
	if (conf->host_keys.count)
		check_rotation(doctor, conf->host_keys.items[0], "host-key");
	check_rotation(doctor, conf->user_ca, "user-ca");
	check_rotation(doctor, conf->signing_key, "recorder");
	check_folder(doctor, conf->authorized_keys, FILE_TRUST_ROOT, true);
	check_folder(doctor, conf->otp_directory, FILE_TRUST_SECRET, false);
	check_known_hosts(doctor);
	check_empty_root(doctor);
	check_evidence(doctor, conf->recordings);
	check_evidence(doctor, conf->events);
}

/* ---- recipients ---- */

static size_t count_recipients(struct doctor *doctor, char *text)
{
	char *line, *rest = text;
	size_t count = 0, number = 0;

	while ((line = strsep(&rest, "\n"))) {
		number++;
		line += strspn(line, " \t");
		if (!*line || *line == '#' || *line == '\r')
			continue;
		count++;
		if (strncmp(line, "x25519 ", 7) &&
			strncmp(line, "x25519/1 ", 9))
			doctor_find(doctor, DOCTOR_RECIPIENTS,
				"take the line that `sgbridge-audit keygen` "
				"prints",
				"%s:%zu: not \"x25519 KEY NAME\"",
				doctor->conf->recipients, number);
	}
	return count;
}

/* A recipient's private key beside the settings: keygen's files say so. */
static void find_private_keys(struct doctor *doctor)
{
	char folder[PATH_MAX], path[PATH_MAX], fix[FIX_MAX], why[WHY_MAX];
	const struct dirent *entry;
	char *slash;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s", doctor->conf->recipients);
	slash = strrchr(folder, '/');
	if (!slash)
		return;
	slash[slash == folder] = '\0';
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		struct buf text;

		if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder,
			    entry->d_name) >= sizeof(path) ||
			!strstr(entry->d_name, ".key") ||
			!strcmp(path, doctor->conf->master_key))
			continue;
		buf_init(&text, 4096);
		snprintf(fix, sizeof(fix),
			"move it to the auditor's machine, then: shred -u %s",
			path);
		if (!file_read(
			    path, FILE_TRUST_ROOT, &text, why, sizeof(why)) &&
			text.len > 30 &&
			!memcmp(text.data, "-----BEGIN PRIVATE KEY-----", 27))
			doctor_find(doctor, DOCTOR_RECIPIENT_KEY_HERE, fix,
				"%s looks like a reader's private key", path);
		buf_done(&text);
	}
	if (dir)
		closedir(dir);
}

void doctor_recipients(struct doctor *doctor)
{
	const char *path = doctor->conf->recipients;
	char why[WHY_MAX], fix[FIX_MAX];
	struct buf text;
	enum sgb_err err;
	size_t count;

	buf_init(&text, 65536);
	err = file_read(path, FILE_TRUST_ROOT, &text, why, sizeof(why));
	if (err) {
		unsafe(doctor, err, path, why, make_recipient);
		buf_done(&text);
		return;
	}
	buf_put_u8(&text, 0);
	snprintf(fix, sizeof(fix), "%s %s", make_recipient, path);
	count = buf_error(&text) ? 0
				 : count_recipients(doctor, (char *)text.data);
	if (!count)
		doctor_find(doctor, DOCTOR_RECIPIENTS, fix, "%s: no recipient",
			path);
	else if (count == 1)
		doctor_find(doctor, DOCTOR_RECIPIENT_ALONE, fix,
			"%s: one recipient only", path);
	buf_done(&text);
	find_private_keys(doctor);
}

/* ---- disk ---- */

void doctor_disk(struct doctor *doctor)
{
	static const char fix[] =
		"move old recordings away (ADMIN guide, \"The disk\"), or "
		"give recordings a larger disk";
	const char *path = doctor->conf->recordings;
	uint64_t reserve = doctor->conf->disk_reserve, left;
	enum doctor_code code = DOCTOR_DISK_LOW;
	struct statvfs st;

	if (statvfs(path, &st))
		return; /* doctor_files says why */
	left = (uint64_t)st.f_bavail * st.f_frsize;
	if (left < reserve || (st.f_files && !st.f_favail))
		code = DOCTOR_DISK_FULL;
	else if (left / 4 >= reserve &&
		 (!st.f_files || st.f_favail >= INODES_MIN))
		return;
	doctor_find(doctor, code, fix,
		"%s: %llu MiB and %llu files left; the reserve is %llu MiB",
		path, (unsigned long long)(left >> 20),
		(unsigned long long)st.f_favail,
		(unsigned long long)(reserve >> 20));
}
