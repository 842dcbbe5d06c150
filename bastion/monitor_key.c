/*
 * Is this key, or this certificate, one that this person may use from here
 * and now? Asked when it is offered, when it is proved, and for as long as
 * the connection lives. Whatever cannot be read or understood is a no.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authkeys_command.h"
#include "core/file.h"
#include "core/log.h"
#include "revoked.h"

#define CA_FILE_MAX 65536

/* One question, and what is found out on the way to its answer. */
struct check {
	struct monitor *m;
	const char *user;
	const struct monitor_key_offer *offer;
	struct sshkey key;
	struct usercert cert; /* if key.is_cert */
	struct authkeys_limits limits;
	char *why;
	size_t why_len;
};

/* "TYPE BASE64 [COMMENT]" of the CA, as in TrustedUserCAKeys. */
static bool line_is_ca(const char *line, const struct usercert *cert)
{
	size_t type_len = strcspn(line, " \t");
	const char *base64 = line + type_len + strspn(line + type_len, " \t");
	uint8_t *blob = NULL;
	size_t len;
	bool same;

	if (*line == '#' || !type_len ||
		sshkey_base64_decode(
			base64, strcspn(base64, " \t\r"), &blob, &len))
		return false;
	same = len == cert->ca_len && !memcmp(blob, cert->ca, len);
	free(blob);
	return same;
}

static bool file_has_ca(const char *path, struct check *check)
{
	struct buf text;
	char *at, *line;
	bool found = false;

	buf_init(&text, CA_FILE_MAX);
	if (file_read(
		    path, FILE_TRUST_ROOT, &text, check->why, check->why_len)) {
		log_put(LOG_ERR, "%s: %s", check->m->conn_id, check->why);
		buf_done(&text);
		return false;
	}
	buf_put_u8(&text, '\0');
	at = buf_error(&text) ? NULL : (char *)text.data;
	while (at && !found && (line = strsep(&at, "\n")))
		found = line_is_ca(line, &check->cert);
	buf_done(&text);
	return found;
}

/* One of the CAs that the policy names. */
static bool ca_of_policy(struct check *check)
{
	const char *const *path = policy_user_cas(check->m->policy);

	for (; path && *path; path++)
		if (file_has_ca(*path, check))
			return true;
	return false;
}

/* Which principals are this person: those of the file, or the name. */
static bool principal_fits(struct check *check)
{
	const char *folder = check->m->conf->authorized_principals;

	if (*folder)
		return !authkeys_principals(folder, check->user, &check->cert,
			check->why, check->why_len);
	if (usercert_names(&check->cert, check->user))
		return true;
	snprintf(check->why, check->why_len,
		"the certificate does not name %s as a principal", check->user);
	return false;
}

/* What the line of a CA and the certificate take away adds up. */
static bool add_certificate(struct check *check)
{
	struct authkeys_limits *limits = &check->limits;
	const struct usercert *cert = &check->cert;

	limits->no_pty |= !cert->pty;
	limits->no_forward |= !cert->forward;
	limits->no_agent |= !cert->agent;
	limits->no_x11 |= !cert->x11;
	limits->no_touch |= cert->no_touch;
	limits->verify_required |= cert->verify_required;
	if (cert->command[0] && limits->command[0] &&
		strcmp(cert->command, limits->command)) {
		snprintf(check->why, check->why_len,
			"the certificate and its CA's line force different "
			"commands");
		return false;
	}
	if (cert->command[0])
		strcpy(limits->command, cert->command);
	return true;
}

/* What the command said when it was asked, for as long as it said. */
static enum sgb_err as_before(struct check *check, time_t now)
{
	check->limits = check->m->limits;
	/* A reload asked it again, and may have heard another time. */
	check->limits.until = check->m->key_until;
	if (!check->limits.until || now < check->limits.until)
		return SGB_OK;
	snprintf(check->why, check->why_len,
		"the time of option expiry-time is over");
	return SGB_ERR_DENIED;
}

/* The user's file first, then the command. SGB_ERR_NOTFOUND: neither. */
static enum sgb_err look_up(struct check *check)
{
	const bool is_cert = check->key.is_cert;
	struct monitor *m = check->m;
	const struct authkeys_query query = {
		.user = check->user,
		.blob = is_cert ? check->cert.ca : check->offer->blob,
		.blob_len = is_cert ? check->cert.ca_len
				    : check->offer->blob_len,
		.cert = is_cert ? &check->cert : NULL,
		.source = &m->source,
		.now = time(NULL),
	};
	enum sgb_err err;
	bool known;

	err = authkeys_check(m->conf->authorized_keys, &query, &check->limits,
		check->why, check->why_len);
	if (err != SGB_ERR_NOTFOUND || !m->conf->keys_command.count)
		return err;
	known = check->offer->known && m->limits.by_command;
	/* Without a reason to, a session that lives is not asked for again. */
	if (known && !check->offer->reload)
		return as_before(check, query.now);
	err = authkeys_command(m->conf, &query, check->key.fingerprint,
		check->key.name, &check->limits, check->why, check->why_len);
	check->limits.by_command = true;
	if (err == SGB_OK || err == SGB_ERR_NOTFOUND || err == SGB_ERR_DENIED)
		return err;
	log_put(LOG_ERR, "%s: %s", m->conn_id, check->why);
	if (!known)
		return err;
	/* It does not answer: nobody is let in, and nobody is thrown out. */
	return as_before(check, query.now);
}

static bool check_certificate(struct check *check)
{
	const struct usercert *cert = &check->cert;

	if (usercert_parse(check->offer->blob, check->offer->blob_len,
		    &check->cert, check->why, check->why_len))
		return false;
	if (!policy_key_accepted(
		    check->m->policy, cert->key.ca_name, cert->key.ca_bits)) {
		snprintf(check->why, check->why_len,
			"the CA's key type %s (%u bits) is not accepted",
			cert->key.ca_name, cert->key.ca_bits);
		return false;
	}
	return !usercert_valid(cert, &check->m->source, time(NULL), check->why,
		check->why_len);
}

static bool not_revoked(struct check *check)
{
	const char *path = check->m->conf->revoked_keys;
	struct revoked_query query = {
		.blob = check->offer->blob,
		.blob_len = check->offer->blob_len,
		.fingerprint = check->key.fingerprint,
		.max_age = check->m->conf->revoked_keys_max_age,
		.now = time(NULL),
	};
	enum sgb_err err;
	struct buf plain;

	if (!*path)
		return true;
	buf_init(&plain, SSHKEY_MAX_BLOB);
	if (check->key.is_cert) {
		usercert_plain(&check->cert, &plain);
		query.cert = &check->cert;
		query.blob = plain.data;
		query.blob_len = plain.len;
	}
	err = buf_error(&plain);
	if (!err)
		err = revoked_check(path, &query, check->why, check->why_len);
	buf_done(&plain);
	return !err;
}

static bool authorized(struct check *check)
{
	bool trusted = check->key.is_cert && ca_of_policy(check);
	enum sgb_err err;

	/* A CA of the policy goes by principals; lines for other CAs are
	 * looked for only where it is not one of them. */
	if (trusted)
		return principal_fits(check) && add_certificate(check);
	err = look_up(check);
	if (err == SGB_ERR_NOTFOUND && check->key.is_cert)
		snprintf(check->why, check->why_len,
			"the certificate's CA %s is not one that is trusted",
			check->key.ca_fingerprint);
	if (err)
		return false;
	return !check->key.is_cert || add_certificate(check);
}

/* What a security key asserted. A plain key's owner was never asked. */
static bool presence_suffices(struct check *check)
{
	const struct monitor_key_offer *offer = check->offer;
	bool security_key = check->key.type == SSHKEY_SK_ED25519 ||
			    check->key.type == SSHKEY_SK_ECDSA;

	if (check->limits.verify_required && !security_key) {
		snprintf(check->why, check->why_len,
			"verify-required, and the key is no security key");
		return false;
	}
	/* A probe carries no signature, and so no flags. */
	if (!security_key || !offer->proved || offer->known)
		return true;
	if (!check->limits.no_touch &&
		!(offer->flags & SESSION_PROOF_TOUCHED)) {
		snprintf(check->why, check->why_len,
			"the security key was not touched, or the touch "
			"cannot be seen");
		return false;
	}
	if (check->limits.verify_required &&
		!(offer->flags & SESSION_PROOF_VERIFIED)) {
		snprintf(check->why, check->why_len,
			"verify-required, and the security key did not verify "
			"its user");
		return false;
	}
	return true;
}

bool monitor_key_acceptable(struct monitor *m, const char *user,
	const struct monitor_key_offer *offer, struct sshkey *ret_key,
	struct authkeys_limits *ret_limits, char *why, size_t why_len)
{
	struct check check = {
		.m = m,
		.user = user,
		.offer = offer,
		.why = why,
		.why_len = why_len,
	};

	if (sshkey_parse(offer->blob, offer->blob_len, &check.key)) {
		snprintf(why, why_len, "malformed or unsupported key");
		return false;
	}
	*ret_key = check.key;
	if (!policy_key_accepted(m->policy, check.key.name, check.key.bits)) {
		snprintf(why, why_len, "key type %s (%u bits) not accepted",
			check.key.name, check.key.bits);
		return false;
	}
	if (check.key.is_cert && !check_certificate(&check))
		return false;
	if (!not_revoked(&check) || !authorized(&check) ||
		!presence_suffices(&check))
		return false;
	*ret_limits = check.limits;
	return true;
}

enum sgb_err monitor_key_plain(const struct monitor *m, struct buf *out)
{
	char why[MONITOR_WHY_MAX];
	struct usercert cert;
	enum sgb_err err;

	if (!m->key.is_cert) {
		buf_put(out, m->key_blob, m->key_blob_len);
		return buf_error(out);
	}
	err = usercert_parse(
		m->key_blob, m->key_blob_len, &cert, why, sizeof(why));
	if (err)
		return err;
	usercert_plain(&cert, out);
	return buf_error(out);
}

void monitor_key_describe(
	const uint8_t *blob, size_t len, char *out, size_t out_len)
{
	char why[MONITOR_WHY_MAX];
	struct usercert cert;

	out[0] = '\0';
	if (usercert_parse(blob, len, &cert, why, sizeof(why)))
		return;
	snprintf(out, out_len, "certificate \"%s\" serial %llu by %s%s%s",
		cert.key_id, (unsigned long long)cert.serial,
		cert.key.ca_fingerprint,
		cert.unknown_extension[0] ? "; ignored extension " : "",
		cert.unknown_extension);
}
