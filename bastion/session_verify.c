/*
 * Whether the target is who it says: its host key, and the signature by which
 * libssh has verified that the target holds it, go to the monitor, which
 * verifies that again and whose word counts. Where the monitor
 * wants the key's certificate too, it hands over a second connection to fetch
 * it. Must not let the login begin before there is a yes.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/sshkey.h"
#include "session_proof.h"

/* libssh gives the blob out as base64 only. Both are the caller's to free;
 * NULL and NULL if there is no key. */
static char *read_key(ssh_session ssh, uint8_t **ret_blob, size_t *ret_len)
{
	ssh_key key = NULL;
	const char *name = NULL;
	char *base64 = NULL, *type = NULL;

	*ret_blob = NULL;
	if (ssh_get_server_publickey(ssh, &key) == SSH_OK &&
		ssh_pki_export_pubkey_base64(key, &base64) == SSH_OK &&
		!sshkey_base64_decode(
			base64, strlen(base64), ret_blob, ret_len))
		name = ssh_key_type_to_char(ssh_key_type(key));
	if (name)
		type = strdup(name);
	ssh_string_free_char(base64);
	ssh_key_free(key);
	return type;
}

bool verify_begin(struct session *s)
{
	struct session_verify *v = &s->verify;
	struct session_proof proof;
	struct msg msg;

	free(v->key_type);
	free(v->blob);
	v->key_type = read_key(s->target_leg.ssh, &v->blob, &v->blob_len);
	if (!v->key_type || !v->blob)
		return false;
	msg_init(&msg, MSG_REQ_HOSTKEY);
	buf_put_string(&msg.body, v->blob, v->blob_len);
	proof_take_host(&proof);
	buf_put_string(&msg.body, proof.data, proof.len);
	buf_put_string(&msg.body, proof.signature, proof.signature_len);
	proof_free(&proof);
	link_send(s, &msg);
	return true;
}

bool verify_same(const struct session *s)
{
	uint8_t *blob;
	size_t len;
	char *type = read_key(s->target_leg.ssh, &blob, &len);
	bool same = type && blob && s->verify.blob &&
		    len == s->verify.blob_len &&
		    !memcmp(blob, s->verify.blob, len);

	free(type);
	free(blob);
	return same;
}

static void fetch_end(struct session *s)
{
	if (s->verify.fd >= 0)
		close(s->verify.fd);
	s->verify.fd = -1;
	hostcert_done(&s->verify.fetch);
}

void verify_done(struct session *s)
{
	fetch_end(s);
	free(s->verify.key_type);
	s->verify.key_type = NULL;
	free(s->verify.blob);
	s->verify.blob = NULL;
}

/* Whatever was to be had: nothing, if there is no certificate. */
static void tell_certificate(struct session *s)
{
	const struct buf *blob = &s->verify.fetch.blob;
	struct msg msg;

	msg_init(&msg, MSG_REQ_HOSTCERT);
	if (s->verify.fetch.state == HOSTCERT_DONE)
		buf_put_string(&msg.body, blob->data, blob->len);
	else
		buf_put_string(&msg.body, "", 0);
	link_send(s, &msg);
	fetch_end(s);
}

enum sgb_err verify_fetch(struct session *s, struct msg *msg)
{
	enum sgb_err err = reader_end(&msg->reader);

	if (err)
		return err;
	if (s->verify.fd >= 0)
		return SGB_ERR_PHASE;
	/* The time may have been over meanwhile; msg closes what came. */
	if (s->target_leg.state != LEG_VERIFY)
		return SGB_OK;
	s->verify.fd = msg_take_fd(msg, 0);
	hostcert_init(&s->verify.fetch, s->verify.key_type);
	s->busy = true;
	return SGB_OK;
}

enum sgb_err verify_answer(struct session *s, struct msg *msg)
{
	uint32_t yes = reader_u32(&msg->reader);
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);

	/* The time may have been over meanwhile. */
	if (!err && s->target_leg.state == LEG_VERIFY) {
		if (yes == 1)
			target_verified(s);
		else
			target_refuse(s, text);
		s->busy = true;
	}
	free(text);
	return err;
}

int verify_events(const struct session *s)
{
	if (s->verify.fd < 0 || s->target_leg.state != LEG_VERIFY)
		return 0;
	return s->verify.fetch.out.len ? POLLIN | POLLOUT : POLLIN;
}

static bool send_some(struct session *s)
{
	struct buf *out = &s->verify.fetch.out;
	ssize_t sent;

	if (!out->len)
		return true;
	sent = sendto(s->verify.fd, out->data, out->len,
		MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	if (sent > 0)
		buf_consume(out, (size_t)sent);
	return sent >= 0 || errno == EAGAIN || errno == EINTR;
}

void verify_pump(struct session *s)
{
	uint8_t bytes[4096];
	ssize_t got;

	if (s->verify.fd < 0 || s->target_leg.state != LEG_VERIFY)
		return;
	got = recvfrom(
		s->verify.fd, bytes, sizeof(bytes), MSG_DONTWAIT, NULL, NULL);
	if (got >= 0 || (errno != EAGAIN && errno != EINTR))
		(void)hostcert_feed(
			&s->verify.fetch, bytes, got > 0 ? (size_t)got : 0);
	if (s->verify.fetch.state != HOSTCERT_FAILED && !send_some(s))
		(void)hostcert_feed(&s->verify.fetch, NULL, 0);
	if (s->verify.fetch.state == HOSTCERT_DONE ||
		s->verify.fetch.state == HOSTCERT_FAILED)
		tell_certificate(s);
}
