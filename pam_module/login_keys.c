/*
 * Key policy: what SSH_AUTH_INFO_0 names must be of a type and size that the
 * policy accepts, and a certificate must be signed by a CA that the policy
 * names, whatever sshd trusts (uber/pam-ussh#18 took any CA's).
 */
#include "login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/file.h"

#define CA_FILE_MAX 65536

/* "TYPE BASE64 [COMMENT]", as in TrustedUserCAKeys. */
static bool line_is_key(const char *line, size_t len, const char *fingerprint)
{
	const char *text = memchr(line, ' ', len);
	char found[SSHKEY_FP_MAX] = "";
	uint8_t *blob = NULL;
	size_t left, blob_len;
	bool same = false;

	if (!text || line[0] == '#')
		return false;
	text++;
	left = len - (size_t)(text - line);
	if (memchr(text, ' ', left))
		left = (size_t)((const char *)memchr(text, ' ', left) - text);
	if (!sshkey_base64_decode(text, left, &blob, &blob_len) &&
		!sshkey_fingerprint(blob, blob_len, found))
		same = !strcmp(found, fingerprint);
	free(blob);
	return same;
}

static bool file_has_key(const char *path, const char *fingerprint, char *why)
{
	struct buf text;
	const char *at;
	size_t left;
	bool found = false;

	buf_init(&text, CA_FILE_MAX);
	if (file_read(path, FILE_TRUST_ROOT, &text, why, LOGIN_WHY_MAX))
		text.len = 0;
	at = (const char *)text.data;
	for (left = text.len; left && !found;) {
		const char *end = memchr(at, '\n', left);
		size_t len = end ? (size_t)(end - at) : left;

		found = line_is_key(at, len, fingerprint);
		at += len + (end ? 1 : 0);
		left -= len + (end ? 1 : 0);
	}
	buf_done(&text);
	return found;
}

static bool ca_accepted(struct login *login, const struct sshkey *key)
{
	const char *const *path = policy_user_cas(login->policy);

	if (!policy_key_accepted(login->policy, key->ca_name, key->ca_bits))
		return false;
	for (; path && *path; path++)
		if (file_has_key(*path, key->ca_fingerprint, login->why))
			return true;
	return false;
}

static bool key_accepted(struct login *login, const struct sshkey *key)
{
	uint64_t now = (uint64_t)login->now;

	if (!policy_key_accepted(login->policy, key->name, key->bits))
		return false;
	if (!key->is_cert)
		return true;
	/* 1 is a user's certificate; a host's proves no person. */
	return key->cert_type == 1 && now >= key->valid_after &&
	       now < key->valid_before && ca_accepted(login, key);
}

enum reason login_keys(struct login *login)
{
	const char *text = pam_getenv(login->pamh, "SSH_AUTH_INFO_0");
	size_t i;

	if (authinfo_parse(text, &login->auth))
		return REASON_AUTH_INFO;
	for (i = 0; i < login->auth.key_count; i++) {
		const struct sshkey *key = &login->auth.keys[i];

		if (key_accepted(login, key))
			continue;
		/* What kept a CA's file from being read says more. */
		if (!login->why[0])
			snprintf(login->why, sizeof(login->why),
				"%s, %u bits%s%s", key->name, key->bits,
				key->is_cert ? ", certificate by " : "",
				key->ca_fingerprint);
		return REASON_KEY_POLICY;
	}
	/* In the account phase after a publickey-only login sshd has not
	 * written the line yet; the session phase looks again. */
	if (!login->auth.key_count && login->phase != PHASE_ACCOUNT)
		return REASON_NO_KEY;
	return REASON_GRANTED;
}
