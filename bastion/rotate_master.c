/*
 * Rotation of the master key that secrets at rest are sealed under. The work
 * is sgbridge-otp's, which has the records and their locks: it puts a new key
 * in front, seals every record anew, and at the end forgets the others. Here
 * is the order, so that a step that was killed goes on instead of making one
 * more key.
 */
#include "rotate.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "core/secret.h"
#include "targetkey.h"

#define WHY_MAX	   (PATH_MAX + 300)
#define KEYS_MAX   4096
#define OUTPUT_MAX 65536

static bool is_key(const char *line, size_t len)
{
	size_t i;

	if (len != (size_t)2 * SECRET_KEY_LEN)
		return false;
	for (i = 0; i < len; i++)
		if (!isxdigit((unsigned char)line[i]))
			return false;
	return true;
}

static bool count_keys(const char *path, unsigned int *ret)
{
	char why[WHY_MAX];
	size_t at = 0, len;
	struct buf text;
	bool good;

	*ret = 0;
	buf_init(&text, KEYS_MAX);
	good = !file_read(path, FILE_TRUST_SECRET, &text, why, sizeof(why));
	if (!good)
		cli_fail("%s", why);
	for (; good && at < text.len; at += len + 1) {
		const char *line = (const char *)text.data + at;
		const char *end = memchr(line, '\n', text.len - at);

		len = end ? (size_t)(end - line) : text.len - at;
		*ret += is_key(line, len);
	}
	buf_done(&text);
	return good;
}

/* The id of the key that seals, as records have it. */
static bool look(struct rotate *r, unsigned int *ret_count)
{
	const char *path = r->conf->master_key;
	struct secret_keys *keys = NULL;
	char why[WHY_MAX];
	size_t i;

	if (!count_keys(path, ret_count))
		return false;
	if (secret_keys_load(path, &keys, why, sizeof(why))) {
		cli_fail("%s", why);
		return false;
	}
	for (i = 0; i < SECRET_KEY_ID_LEN; i++)
		snprintf(r->now + 2 * i, 3, "%02x", secret_keys_id(keys)[i]);
	secret_keys_free(keys);
	r->state = *ret_count > 1 ? ROTATE_SWITCHED : ROTATE_IDLE;
	return true;
}

/* sgbridge-otp says itself what went wrong. */
static bool run_otp(struct rotate *r, const char *how)
{
	char path[PATH_MAX];
	const char *argv[8] = {path};
	struct buf out;
	size_t count = 1;
	int status;

	cli_beside("sgbridge-otp", path, sizeof(path));
	if (r->cli->config) {
		argv[count++] = "-c";
		argv[count++] = r->cli->config;
	}
	argv[count++] = "rotate-key";
	argv[count] = how;
	buf_init(&out, OUTPUT_MAX);
	status = cli_run(argv, &out);
	if (status)
		cli_fail("%.*s", (int)out.len,
			out.data ? (const char *)out.data : "");
	else
		r->changed = true;
	buf_done(&out);
	return status == 0;
}

/* The stored keys for targets (sgbridge key) are sealed under it, too. */
struct resealing {
	const struct conf *conf;
	bool failed;
};

static void reseal_one(const char *name, void *arg)
{
	struct resealing *all = arg;
	const char *dir = all->conf->target_keys;
	const char *master = all->conf->master_key;
	struct targetkey *key = NULL;
	char why[TARGETKEY_WHY];

	if (targetkey_load(dir, name, master, &key, why, sizeof(why)) ||
		targetkey_save(dir, key, master, why, sizeof(why))) {
		cli_fail("%s", why);
		all->failed = true;
	}
	targetkey_free(key);
}

/* Before an old master key may go, nothing may need it. The lock is the one
 * of sgbridge key: what it changes meanwhile would be written over. */
static bool reseal_stored(struct rotate *r)
{
	struct resealing all = {.conf = r->conf};
	const char *dir = r->conf->target_keys;
	char why[WHY_MAX];
	enum sgb_err err;
	int fd;

	if (access(dir, F_OK) && errno == ENOENT)
		return true;
	if (file_open_dir(dir, FILE_TRUST_SECRET, &fd, why, sizeof(why)))
		return cli_fail("%s", why) == 0;
	if (flock(fd, LOCK_EX)) {
		cli_fail("%s: %s", dir, strerror(errno));
		close(fd);
		return false;
	}
	err = targetkey_each(dir, reseal_one, &all);
	if (err && err != SGB_ERR_NOTFOUND)
		cli_fail("%s: %s", dir, sgb_err_text(err));
	close(fd);
	return !all.failed && (!err || err == SGB_ERR_NOTFOUND);
}

int rotate_master(struct rotate *r, int step)
{
	struct rotate_place place;
	unsigned int count;
	bool good;

	if (!rotate_open(&place, r->conf->master_key))
		return CLI_ERROR;
	good = look(r, &count);
	if (good && step == ROTATE_START)
		good = run_otp(r, count > 1 ? "--reseal" : NULL) &&
		       reseal_stored(r);
	else if (good && step == ROTATE_FINISH && count > 1)
		good = reseal_stored(r) && run_otp(r, "--prune");
	else if (good && step == ROTATE_SWITCH && count <= 1)
		r->wrong = "no next key was made";
	else if (good && step == ROTATE_UNDO)
		r->wrong = "records may be sealed under the new key already: "
			   "rotate once more instead";
	if (good && step != ROTATE_LOOK)
		good = look(r, &count);
	close(place.fd);
	return !good ? CLI_ERROR : r->wrong ? CLI_NO : CLI_YES;
}
