/*
 * sgbridge-otp master-key and rotate-key. A master key file is never
 * overwritten by accident: it is created exclusively, and rotation keeps the
 * old keys until --prune has seen that no record needs them.
 */
#include "otp_tool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/file.h"

#define KEY_LINE   (2 * SECRET_KEY_LEN + 1)
#define KEYS_TEXT  4096
#define RECORD_MAX 65536 /* a stored key */

static enum sgb_err put_new_key(struct buf *out)
{
	uint8_t key[SECRET_KEY_LEN];
	enum sgb_err err = secret_random(key, sizeof(key));
	size_t i;

	for (i = 0; i < sizeof(key) && !err; i++)
		buf_printf(out, "%02x", key[i]);
	buf_printf(out, "\n");
	secret_wipe(key, sizeof(key));
	return err ? err : buf_error(out);
}

int command_master_key(struct tool *tool)
{
	const char *path = tool->output ? tool->output : tool->conf->master_key;
	enum sgb_err err;
	struct buf text;
	int fd, status = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0400);
	if (fd < 0)
		return tool_fail(EX_CANTCREAT, "%s: %s", path,
			errno == EEXIST ? "exists already, and is not "
					  "overwritten"
					: strerror(errno));
	buf_init(&text, 256);
	err = put_new_key(&text);
	if (!err)
		err = file_write_all(fd, text.data, text.len);
	if (err || fchmod(fd, 0400) || fsync(fd)) {
		status = tool_fail(EX_IOERR, "%s: %s", path, strerror(errno));
		(void)unlink(path);
	}
	close(fd);
	buf_done(&text);
	if (!status)
		fprintf(stderr,
			"%s: a new master key; keep a copy of it apart from "
			"copies of the records\n",
			path);
	return status;
}

/* A key made here would be lost with the memory, and everybody locked out. */
static int refuse_in_memory(struct tool *tool, int dir)
{
	if (!tool_in_memory(dir))
		return 0;
	return tool_fail(EX_CONFIG,
		"%s is in memory only and comes from elsewhere: put the new "
		"key in front there, fetch it (sgbridge-otp unseal), and then: "
		"sgbridge-otp rotate-key --reseal",
		tool->conf->master_key);
}

/* Replaces the master key file by text, and reads it again. */
static int replace_keys(struct tool *tool, const struct buf *text)
{
	char folder[PATH_MAX], name[PATH_MAX], why[OTP_WHY_MAX] = "";
	struct secret_keys *keys = NULL;
	enum sgb_err err;
	int dir = -1;

	snprintf(folder, sizeof(folder), "%s", tool->conf->master_key);
	snprintf(name, sizeof(name), "%s", tool->conf->master_key);
	err = file_open_dir(
		dirname(folder), FILE_TRUST_ROOT, &dir, why, sizeof(why));
	if (err)
		return tool_fail(EX_CONFIG, "%s", why);
	if (refuse_in_memory(tool, dir)) {
		close(dir);
		return EX_CONFIG;
	}
	err = file_replace(dir, basename(name), 0400, text->data, text->len);
	close(dir);
	if (err)
		return tool_fail(EX_IOERR, "%s: %s", tool->conf->master_key,
			sgb_err_text(err));
	if (secret_keys_load(tool->conf->master_key, &keys, why, sizeof(why)))
		return tool_fail(EX_CONFIG, "%s", why);
	secret_keys_free(tool->store.keys);
	tool->store.keys = keys;
	return 0;
}

static int read_keys(struct tool *tool, struct buf *text)
{
	char why[OTP_WHY_MAX] = "";

	if (file_read(tool->conf->master_key, FILE_TRUST_SECRET, text, why,
		    sizeof(why)))
		return tool_fail(EX_CONFIG, "%s", why);
	return 0;
}

/* A file with one key too many could not be read any more, by anybody. */
static int check_room(struct tool *tool, const struct buf *text)
{
	unsigned int keys = 0;
	size_t i;

	for (i = 0; i < text->len; i++)
		if (isxdigit(text->data[i]) &&
			(!i || text->data[i - 1] == '\n'))
			keys++;
	if (keys < SECRET_KEYS_MAX)
		return 0;
	return tool_fail(EX_CONFIG,
		"%s has %u keys, and holds no more: end the last rotation "
		"first, with sgbridge rotate master --finish",
		tool->conf->master_key, keys);
}

/* A new key becomes the first line. */
static int add_key(struct tool *tool)
{
	struct buf old, text;
	int status;

	buf_init(&old, KEYS_TEXT);
	buf_init(&text, KEYS_TEXT + KEY_LINE);
	status = read_keys(tool, &old);
	if (!status)
		status = check_room(tool, &old);
	if (!status && put_new_key(&text))
		status = tool_fail(EX_OSERR, "no random bytes");
	if (!status) {
		buf_put(&text, old.data, old.len);
		status = replace_keys(tool, &text);
	}
	buf_done(&old);
	buf_done(&text);
	return status;
}

static bool is_current(
	const struct secret_keys *keys, const char *dir, const char *name)
{
	char path[PATH_MAX], why[PATH_MAX + 200];
	struct buf record;
	bool current;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >=
		sizeof(path))
		return false;
	buf_init(&record, RECORD_MAX);
	current = !file_read(
			  path, FILE_TRUST_SECRET, &record, why, sizeof(why)) &&
		  secret_is_current(keys, record.data, record.len);
	buf_done(&record);
	return current;
}

/* The stored keys of targets (sgbridge key) are sealed under the master key as
 * well, and are not ours to seal anew. */
static int check_stored_keys(struct tool *tool)
{
	const char *dir = tool->conf->target_keys;
	int status = 0;
	struct dirent *entry;
	DIR *list = opendir(dir);

	if (!list)
		return errno == ENOENT ? 0
				       : tool_fail(EX_NOINPUT, "%s: %s", dir,
						 strerror(errno));
	while (!status && (entry = readdir(list))) {
		size_t len = strlen(entry->d_name);

		if (len < 5 || strcmp(entry->d_name + len - 4, ".key") ||
			is_current(tool->store.keys, dir, entry->d_name))
			continue;
		status = tool_fail(EX_DATAERR,
			"%s/%s is sealed under an older key; the old keys "
			"stay. \"sgbridge rotate master --finish\" seals it "
			"anew and drops them",
			dir, entry->d_name);
	}
	closedir(list);
	return status;
}

/* What was sealed and looked at is under the key that was first then. */
static int check_first(struct tool *tool)
{
	struct secret_keys *now = NULL;
	char why[OTP_WHY_MAX] = "";
	bool same;

	if (secret_keys_load(tool->conf->master_key, &now, why, sizeof(why)))
		return tool_fail(EX_CONFIG, "%s", why);
	same = !memcmp(secret_keys_id(now), secret_keys_id(tool->store.keys),
		SECRET_KEY_ID_LEN);
	secret_keys_free(now);
	if (same)
		return 0;
	return tool_fail(EX_TEMPFAIL,
		"%s was changed meanwhile; nothing is dropped",
		tool->conf->master_key);
}

/* Only the first key stays. */
static int prune_keys(struct tool *tool)
{
	struct buf old, text;
	size_t start = 0, len;
	int status;

	buf_init(&old, KEYS_TEXT);
	buf_init(&text, KEYS_TEXT);
	status = read_keys(tool, &old);
	buf_put_u8(&old, 0);
	if (!status && buf_error(&old))
		status = tool_fail(EX_OSERR, "out of memory");
	/* Comments and empty lines in front of it are not keys. */
	while (!status && (old.data[start] == '#' || old.data[start] == '\n'))
		start += strcspn((char *)old.data + start, "\n") + 1;
	if (!status) {
		len = strcspn((char *)old.data + start, "\n");
		buf_put(&text, old.data + start, len);
		buf_put_u8(&text, '\n');
		status = replace_keys(tool, &text);
	}
	buf_done(&old);
	buf_done(&text);
	return status;
}

struct rotation {
	struct tool *tool;
	size_t done;
	size_t failed;
};

static bool reseal_one(const char *user, bool pending, void *arg)
{
	struct rotation *rotation = arg;
	struct otp_entry entry;
	struct otp_token token;
	enum sgb_err err;

	if (tool_lock(rotation->tool, user, false, &entry)) {
		rotation->failed++;
		return true;
	}
	if (pending) {
		err = otp_entry_get_pending(&entry, &token);
		if (!err)
			err = otp_entry_put_pending(&entry, &token);
		otp_token_wipe(&token);
	} else {
		err = entry.enrolled ? otp_entry_rewrite(&entry) : SGB_OK;
	}
	otp_entry_unlock(&entry);
	if (err) {
		(void)tool_fail(0, "%s: %s", user, sgb_err_text(err));
		rotation->failed++;
	} else if (++rotation->done % 1000 == 0 && isatty(STDERR_FILENO)) {
		fprintf(stderr, "%zu records\r", rotation->done);
	}
	return true;
}

int command_rotate_key(struct tool *tool)
{
	struct rotation rotation = {.tool = tool};
	enum sgb_err err;
	int status;

	/* Until this process ends. */
	if (flock(tool->store.dir, LOCK_EX | LOCK_NB))
		return tool_fail(
			EX_TEMPFAIL, "another rotation runs; wait for its end");
	status = tool->prune || tool->reseal ? 0 : add_key(tool);
	if (status)
		return status;
	err = otp_store_each(&tool->store, reseal_one, &rotation);
	if (err)
		return tool_fail(EX_IOERR, "%s", sgb_err_text(err));
	if (rotation.failed)
		return tool_fail(EX_DATAERR,
			"%zu records could not be sealed anew; the old keys "
			"stay",
			rotation.failed);
	if (tool->prune && !tool->reseal) {
		status = check_stored_keys(tool);
		if (!status)
			status = check_first(tool);
		if (!status)
			status = prune_keys(tool);
	}
	if (!status)
		printf("%zu records sealed under the first key%s\n",
			rotation.done,
			tool->prune && !tool->reseal ? "; the others are gone"
						     : "");
	tool_note(tool, "sgbridge:rotate-key", "-", !status);
	return status;
}
