/*
 * Rotation of the recorder's signing key. The recorder itself takes the next
 * key while it runs, from a descriptor that only root can hand it: it writes
 * into its trail, under the old key, which key comes next, and signs with that
 * from then on. So no session ends, and who trusts the old key finds the new
 * one named in what the old one signed. The old private key is not kept: it
 * could only forge.
 */
#include "rotate.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "core/file.h"
#include "core/msg.h"

#define WHY_MAX	  (2 * PATH_MAX + 300)
#define PEM_MAX	  16384
#define RAW_LEN	  32
#define ID_DIGITS 16 /* as in lines of the trail (docs/EVENTS.md) */

static bool load(const char *path, EVP_PKEY **ret)
{
	char why[WHY_MAX];
	struct buf text;
	BIO *bio = NULL;

	*ret = NULL;
	buf_init(&text, PEM_MAX);
	if (file_read(path, FILE_TRUST_SECRET, &text, why, sizeof(why))) {
		cli_fail("%s", why);
	} else {
		bio = BIO_new_mem_buf(text.data, (int)text.len);
		*ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, "")
			   : NULL;
		if (!*ret || EVP_PKEY_get_id(*ret) != EVP_PKEY_ED25519) {
			cli_fail("%s: expected an Ed25519 private key in PEM",
				path);
			EVP_PKEY_free(*ret);
			*ret = NULL;
		}
	}
	BIO_free(bio);
	buf_done(&text);
	return *ret != NULL;
}

/* The first digits of SHA-256 over the public key's SubjectPublicKeyInfo. */
static bool writer_id(EVP_PKEY *key, char ret[SSHKEY_FP_MAX])
{
	unsigned char hash[SHA256_DIGEST_LENGTH], *der = NULL;
	int len = i2d_PUBKEY(key, &der), i;

	if (len <= 0)
		return false;
	SHA256(der, (size_t)len, hash);
	OPENSSL_free(der);
	for (i = 0; i < ID_DIGITS / 2; i++)
		snprintf(ret + (ptrdiff_t)2 * i, 3, "%02x", hash[i]);
	return true;
}

static bool look_at(const char *path, char ret[SSHKEY_FP_MAX])
{
	EVP_PKEY *key;
	bool good = load(path, &key) && writer_id(key, ret);

	EVP_PKEY_free(key);
	return good;
}

/* The line of the auditors' file of writers. */
static bool put_line(struct rotate *r, const char *path)
{
	uint8_t raw[RAW_LEN];
	unsigned char text[4 * ((RAW_LEN + 2) / 3) + 1];
	char host[256] = "";
	size_t len = sizeof(raw);
	EVP_PKEY *key;
	bool good = load(path, &key) &&
		    EVP_PKEY_get_raw_public_key(key, raw, &len) == 1;

	EVP_PKEY_free(key);
	if (!good)
		return false;
	(void)EVP_EncodeBlock(text, raw, (int)sizeof(raw));
	(void)gethostname(host, sizeof(host) - 1);
	buf_printf(&r->lines, "ed25519 %s %s\n", (const char *)text,
		*r->conf->writer_name ? r->conf->writer_name : host);
	return true;
}

static bool make(const struct rotate_place *place, const char *name)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long len = 0;
	bool good;

	good = key && bio &&
	       PEM_write_bio_PKCS8PrivateKey(
		       bio, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (good)
		len = BIO_get_mem_data(bio, &text);
	good = good && len > 0 &&
	       !file_replace(place->fd, name, 0600, text, (size_t)len);
	if (!good)
		cli_fail("%s/%s: %s", place->dir, name, strerror(errno));
	if (len > 0)
		OPENSSL_cleanse((char *)text, (size_t)len);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return good;
}

/* Waits for the recorder's word that it signs with that key. */
static bool answered(int sock, const char *id)
{
	struct msg answer;
	enum sgb_err err;
	char *text = NULL;
	bool good;

	msg_init(&answer, MSG_NONE);
	err = msg_recv(sock, &answer);
	if (!err)
		text = reader_cstring(&answer.reader, 4096);
	good = !err && text && answer.type == MSG_REC_KEY_OK &&
	       !reader_end(&answer.reader) && !strcmp(text, id);
	if (!good)
		cli_fail("the recorder goes on with its key: %s",
			err    ? sgb_err_text(err)
			: text ? text
			       : "no answer");
	free(text);
	msg_done(&answer);
	return good;
}

static bool hand_over(const struct rotate *r, const char *path)
{
	char why[WHY_MAX];
	struct msg msg;
	int key = -1, sock = -1;
	bool good = false;

	if (file_open(path, FILE_TRUST_SECRET, &key, why, sizeof(why))) {
		cli_fail("%s", why);
		return false;
	}
	msg_init(&msg, MSG_REC_KEY);
	if (msg_connect(r->conf->recorder_socket, &sock)) {
		cli_fail("%s: no recorder answers here: systemctl start "
			 "sgbridge-recorder",
			r->conf->recorder_socket);
		sock = -1;
	} else if (msg_put_fd(&msg, key) || msg_send(sock, &msg)) {
		cli_fail("%s: %s", r->conf->recorder_socket, strerror(errno));
	} else {
		good = answered(sock, r->next);
	}
	msg_done(&msg);
	close(key);
	if (sock >= 0)
		close(sock);
	return good;
}

static bool switch_over(struct rotate *r, const struct rotate_place *place,
	const char *name, const char *path)
{
	if (r->state != ROTATE_ANNOUNCED) {
		r->wrong = "no next key was made";
		return true;
	}
	/* First the recorder: killed here, the same step ends it, and a
	 * recorder that starts meanwhile goes on with the old key. */
	if (!hand_over(r, path))
		return false;
	if (renameat(place->fd, name, place->fd, place->name) ||
		fsync(place->fd)) {
		cli_fail("%s: %s", path, strerror(errno));
		return false;
	}
	memcpy(r->now, r->next, sizeof(r->now));
	*r->next = '\0';
	r->state = ROTATE_IDLE;
	r->changed = true;
	return true;
}

static bool undo(struct rotate *r, const struct rotate_place *place,
	const char *name, const char *path)
{
	if (r->state != ROTATE_ANNOUNCED) {
		r->wrong = "nothing is under way";
		return true;
	}
	if (unlinkat(place->fd, name, 0) || fsync(place->fd)) {
		cli_fail("%s: %s", path, strerror(errno));
		return false;
	}
	*r->next = '\0';
	r->state = ROTATE_IDLE;
	r->changed = true;
	return true;
}

static bool take_step(struct rotate *r, int step,
	const struct rotate_place *place, const char *name, const char *path)
{
	rotate_sweep(place);
	if (step == ROTATE_UNDO)
		return undo(r, place, name, path);
	if (step == ROTATE_SWITCH)
		return switch_over(r, place, name, path);
	if (step == ROTATE_FINISH) {
		if (r->state == ROTATE_ANNOUNCED)
			r->wrong = "the next key is not in use";
		return true;
	}
	if (r->state == ROTATE_ANNOUNCED)
		return true;
	if (!make(place, name) || !look_at(path, r->next))
		return false;
	r->state = ROTATE_ANNOUNCED;
	r->changed = true;
	return true;
}

int rotate_recorder(struct rotate *r, int step)
{
	const char *now = r->conf->signing_key;
	char path[PATH_MAX], name[NAME_MAX + 1];
	struct rotate_place place;
	bool good;

	if (!rotate_open(&place, now))
		return CLI_ERROR;
	snprintf(name, sizeof(name), "%.240s.new", place.name);
	snprintf(path, sizeof(path), "%.*s.new", PATH_MAX - 10, now);
	good = look_at(now, r->now);
	if (good && !access(path, F_OK)) {
		r->state = ROTATE_ANNOUNCED;
		good = look_at(path, r->next);
	}
	if (good && step != ROTATE_LOOK)
		good = take_step(r, step, &place, name, path);
	if (good && (r->changed || r->state != ROTATE_IDLE))
		good = put_line(r, r->state == ROTATE_IDLE ? now : path);
	close(place.fd);
	return !good ? CLI_ERROR : r->wrong ? CLI_NO : CLI_YES;
}
