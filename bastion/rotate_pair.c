/*
 * Rotation of an SSH key pair: the bastion's host key and the CA of users'
 * certificates. Three private keys at most stand beside each other: KEY, which
 * works, KEY.new and KEY.old. They alone say how far a rotation is; each step
 * is one rename or unlink of one of them. The .pub files follow, and until
 * they do there are too many of them, never too few: a kill at any place
 * leaves a bastion that works and a step that can be taken again.
 */
#include "rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cert.h"
#include "core/file.h"

#define WHY_MAX	 (PATH_MAX + 300)
#define KEY_MAX	 16384
#define PUB_MAX	 1024
#define NAME_LEN (NAME_MAX + 20)

struct pair {
	struct rotate *r;
	struct rotate_place place;
	const char *comment;
	bool next, last;
};

static void file_name(const struct pair *pair, const char *suffix,
	bool public_half, char ret[NAME_LEN])
{
	snprintf(ret, NAME_LEN, "%s%s%s", pair->place.name, suffix,
		public_half ? ".pub" : "");
}

static bool there(const struct pair *pair, const char *suffix)
{
	char name[NAME_LEN];
	struct stat st;

	file_name(pair, suffix, false, name);
	return !fstatat(pair->place.fd, name, &st, AT_SYMLINK_NOFOLLOW);
}

static bool failed(const struct pair *pair, const char *name)
{
	cli_fail("%s/%s: %s", pair->place.dir, name, strerror(errno));
	return false;
}

static bool load(const struct pair *pair, const char *suffix, EVP_PKEY **ret)
{
	char path[2 * PATH_MAX], why[2 * WHY_MAX];

	snprintf(path, sizeof(path), "%s/%s%s", pair->place.dir,
		pair->place.name, suffix);
	if (!cert_ca_load(path, ret, why, sizeof(why)))
		return true;
	cli_fail("%s", why);
	return false;
}

static bool fingerprint(
	const struct pair *pair, const char *suffix, char ret[SSHKEY_FP_MAX])
{
	EVP_PKEY *key = NULL;
	struct buf blob;
	bool good;

	buf_init(&blob, 256);
	good = load(pair, suffix, &key) && !cert_public_blob(key, &blob) &&
	       !sshkey_fingerprint(blob.data, blob.len, ret);
	buf_done(&blob);
	EVP_PKEY_free(key);
	return good;
}

static bool drop(const struct pair *pair, const char *suffix, bool public_half)
{
	char name[NAME_LEN];

	file_name(pair, suffix, public_half, name);
	if (unlinkat(pair->place.fd, name, 0) && errno != ENOENT)
		return failed(pair, name);
	return !fsync(pair->place.fd) || failed(pair, name);
}

/* The public half beside a private one, made of it. */
static bool put_public(const struct pair *pair, const char *suffix)
{
	char name[NAME_LEN];
	EVP_PKEY *key = NULL;
	struct buf line;
	bool good;

	file_name(pair, suffix, true, name);
	buf_init(&line, PUB_MAX);
	good = load(pair, suffix, &key);
	if (good && (cert_public_text(key, pair->comment, &line) ||
			    file_replace(pair->place.fd, name, 0644, line.data,
				    line.len)))
		good = failed(pair, name);
	EVP_PKEY_free(key);
	buf_done(&line);
	return good;
}

/* Copies a private key beside itself. */
static bool copy(const struct pair *pair, const char *suffix)
{
	char path[2 * PATH_MAX], name[NAME_LEN], why[2 * WHY_MAX];
	struct buf text;
	bool good = true;

	snprintf(
		path, sizeof(path), "%s/%s", pair->place.dir, pair->place.name);
	file_name(pair, suffix, false, name);
	buf_init(&text, KEY_MAX);
	if (file_read(path, FILE_TRUST_SECRET, &text, why, sizeof(why))) {
		cli_fail("%s", why);
		good = false;
	} else if (file_replace(
			   pair->place.fd, name, 0600, text.data, text.len)) {
		good = failed(pair, name);
	}
	buf_done(&text);
	return good;
}

static bool move(const struct pair *pair, const char *suffix)
{
	char name[NAME_LEN];

	file_name(pair, suffix, false, name);
	if (renameat(pair->place.fd, name, pair->place.fd, pair->place.name) ||
		fsync(pair->place.fd))
		return failed(pair, name);
	return true;
}

/* Both, and one of them is the present key: a switch or its undoing was
 * killed before its rename. Its copy goes, and it can be done again. */
static bool settle_both(struct pair *pair)
{
	struct rotate *r = pair->r;

	if (!fingerprint(pair, ".new", r->next) ||
		!fingerprint(pair, ".old", r->last))
		return false;
	if (!strcmp(r->last, r->now)) {
		pair->last = false;
		return drop(pair, ".old", false);
	}
	if (!strcmp(r->next, r->now)) {
		pair->next = false;
		return drop(pair, ".new", false);
	}
	cli_fail("%s/%s: beside it lie both .new and .old: move one of them "
		 "away",
		pair->place.dir, pair->place.name);
	return false;
}

/* Ends what a kill left half done; the public halves fit the private ones. */
static bool settle(struct pair *pair)
{
	rotate_sweep(&pair->place);
	if (pair->next && pair->last && !settle_both(pair))
		return false;
	return (!pair->last || put_public(pair, ".old")) &&
	       (!pair->next || put_public(pair, ".new")) &&
	       put_public(pair, "") &&
	       (pair->last || drop(pair, ".old", true)) &&
	       (pair->next || drop(pair, ".new", true));
}

static bool look(struct pair *pair)
{
	struct rotate *r = pair->r;

	pair->next = there(pair, ".new");
	pair->last = there(pair, ".old");
	*r->next = *r->last = '\0';
	if (!fingerprint(pair, "", r->now) ||
		(pair->next && !fingerprint(pair, ".new", r->next)) ||
		(pair->last && !fingerprint(pair, ".old", r->last)))
		return false;
	/* A copy of the present key is no key of its own (settle_both). */
	if (pair->next && pair->last)
		r->state = strcmp(r->last, r->now) ? ROTATE_SWITCHED
						   : ROTATE_ANNOUNCED;
	else
		r->state = pair->next	? ROTATE_ANNOUNCED
			   : pair->last ? ROTATE_SWITCHED
					: ROTATE_IDLE;
	return true;
}

static bool make_next(const struct pair *pair)
{
	char name[NAME_LEN];
	EVP_PKEY *key = NULL;
	struct buf text;
	bool good;

	file_name(pair, ".new", false, name);
	buf_init(&text, KEY_MAX);
	good = !cert_new_key(&key) &&
	       !cert_private_text(key, pair->comment, &text) &&
	       !file_replace(pair->place.fd, name, 0600, text.data, text.len);
	if (!good)
		failed(pair, name);
	EVP_PKEY_free(key);
	buf_done(&text);
	return good;
}

static bool start(struct pair *pair)
{
	if (pair->r->state == ROTATE_SWITCHED)
		pair->r->wrong = "the last rotation is not finished";
	if (pair->r->state != ROTATE_IDLE)
		return true;
	pair->r->changed = true;
	return make_next(pair);
}

static bool switch_over(struct pair *pair)
{
	if (pair->r->state == ROTATE_IDLE)
		pair->r->wrong = "no next key was made";
	if (pair->r->state != ROTATE_ANNOUNCED)
		return true;
	pair->r->changed = true;
	return copy(pair, ".old") && put_public(pair, ".old") &&
	       move(pair, ".new");
}

static bool finish(struct pair *pair)
{
	if (pair->r->state == ROTATE_ANNOUNCED)
		pair->r->wrong = "the next key is not in use";
	if (pair->r->state != ROTATE_SWITCHED)
		return true;
	pair->r->changed = true;
	return drop(pair, ".old", false);
}

static bool undo(struct pair *pair)
{
	if (pair->r->state == ROTATE_IDLE)
		pair->r->wrong = "nothing is under way";
	else
		pair->r->changed = true;
	if (pair->r->state == ROTATE_ANNOUNCED)
		return drop(pair, ".new", false);
	if (pair->r->state == ROTATE_SWITCHED)
		return copy(pair, ".new") && put_public(pair, ".new") &&
		       move(pair, ".old");
	return true;
}

static bool (*const steps[])(struct pair *pair) = {
	[ROTATE_START] = start,
	[ROTATE_SWITCH] = switch_over,
	[ROTATE_FINISH] = finish,
	[ROTATE_UNDO] = undo,
};

static int rotate_pair(
	struct rotate *r, int step, const char *path, const char *comment)
{
	struct pair pair = {.r = r, .comment = comment};
	bool good;

	if (!rotate_open(&pair.place, path))
		return CLI_ERROR;
	good = look(&pair);
	if (good && step != ROTATE_LOOK)
		good = settle(&pair) && look(&pair) && steps[step](&pair) &&
		       look(&pair) && settle(&pair) && look(&pair);
	close(pair.place.fd);
	return !good ? CLI_ERROR : r->wrong ? CLI_NO : CLI_YES;
}

/* What others have to know: the new public half while there is one. */
static void tell(struct rotate *r, const char *path, const char *before)
{
	char name[PATH_MAX + 20], why[2 * WHY_MAX];
	struct buf line;

	snprintf(name, sizeof(name), "%s%s.pub", path,
		r->state == ROTATE_ANNOUNCED ? ".new" : "");
	buf_init(&line, PUB_MAX);
	if (r->state != ROTATE_IDLE &&
		!file_read(name, FILE_TRUST_ROOT, &line, why, sizeof(why)))
		buf_printf(&r->lines, "%s%.*s", before, (int)line.len,
			(const char *)line.data);
	buf_done(&line);
}

int rotate_host_key(struct rotate *r, int step)
{
	const char *path = r->conf->host_keys.count
				   ? r->conf->host_keys.items[0]
				   : NULL;
	int status;

	if (!path)
		return cli_fail("no host-key in the settings");
	status = rotate_pair(r, step, path, "");
	if (status != CLI_ERROR)
		tell(r, path, "sgbridge ");
	return status;
}

int rotate_user_ca(struct rotate *r, int step)
{
	int status = rotate_pair(r, step, r->conf->user_ca, "sgbridge-user-ca");

	if (status != CLI_ERROR)
		tell(r, r->conf->user_ca, "");
	return status;
}
