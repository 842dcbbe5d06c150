/*
 * A user's certificate, verified completely. Foreign bytes from the network,
 * before anybody is known: bounded, strict, no allocation that they decide;
 * a fuzz target. Must not say yes to anything it has not read.
 */
#include "usercert.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "usercert_sign.h"

#define USER_CERT	 1
#define HOST_CERT	 2
#define PRINCIPALS_MAX	 256
#define PRINCIPAL_LENGTH 255

static bool bytes_are(const uint8_t *data, size_t len, const char *text)
{
	return data && len == strlen(text) && !memcmp(data, text, len);
}

/* Fields of the key inside, after the nonce. */
static void skip_key(struct reader *rd, enum sshkey_type type)
{
	static const unsigned int fields[] = {
		[SSHKEY_ED25519] = 1,
		[SSHKEY_ECDSA] = 2,
		[SSHKEY_RSA] = 2,
		[SSHKEY_SK_ED25519] = 2,
		[SSHKEY_SK_ECDSA] = 3,
	};
	unsigned int i;
	size_t len;

	for (i = 0; i < fields[type]; i++)
		reader_string(rd, &len);
}

/* Text of an option: one string inside the value, printable. */
static enum sgb_err copy_text(
	const uint8_t *data, size_t len, char *out, size_t out_len)
{
	size_t i;

	if (!data || !len || len >= out_len)
		return SGB_ERR_FORMAT;
	for (i = 0; i < len; i++)
		if (data[i] < 0x20 || data[i] == 0x7f)
			return SGB_ERR_FORMAT;
	memcpy(out, data, len);
	out[len] = '\0';
	return SGB_OK;
}

static enum sgb_err take_string(
	const uint8_t *value, size_t len, char *out, size_t out_len)
{
	struct reader rd;
	const uint8_t *text;
	size_t text_len;
	enum sgb_err err;

	reader_init(&rd, value, len);
	text = reader_string(&rd, &text_len);
	err = reader_end(&rd);
	return err ? err : copy_text(text, text_len, out, out_len);
}

static enum sgb_err critical_option(struct usercert *cert, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len)
{
	if (bytes_are(name, name_len, "force-command"))
		return take_string(
			value, len, cert->command, sizeof(cert->command));
	if (bytes_are(name, name_len, "source-address"))
		return take_string(value, len, cert->source_address,
			sizeof(cert->source_address));
	if (bytes_are(name, name_len, "verify-required")) {
		cert->verify_required = true;
		return len ? SGB_ERR_FORMAT : SGB_OK;
	}
	return SGB_ERR_UNSUPPORTED;
}

static enum sgb_err extension(struct usercert *cert, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len)
{
	const struct {
		const char *name;
		bool *flag;
	} known[] = {
		{"permit-pty", &cert->pty},
		{"permit-port-forwarding", &cert->forward},
		{"permit-agent-forwarding", &cert->agent},
		{"permit-X11-forwarding", &cert->x11},
		{"no-touch-required", &cert->no_touch},
		/* There is no user's rc file on the way. */
		{"permit-user-rc", NULL},
	};
	size_t i;

	(void)value;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!bytes_are(name, name_len, known[i].name))
			continue;
		if (known[i].flag)
			*known[i].flag = true;
		return len ? SGB_ERR_FORMAT : SGB_OK;
	}
	if (!cert->unknown_extension[0] &&
		copy_text(name, name_len, cert->unknown_extension,
			sizeof(cert->unknown_extension)))
		strcpy(cert->unknown_extension, "(unreadable)");
	return SGB_OK;
}

/* None is defined for hosts, so none is understood. */
static enum sgb_err host_critical(struct usercert *cert, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len)
{
	(void)cert;
	(void)name;
	(void)name_len;
	(void)value;
	(void)len;
	return SGB_ERR_UNSUPPORTED;
}

static enum sgb_err host_extension(struct usercert *cert, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len)
{
	(void)cert;
	(void)name;
	(void)name_len;
	(void)value;
	(void)len;
	return SGB_OK;
}

/* Ascending order is what the format demands; it leaves no room for two of a
 * name. */
static bool follows(const uint8_t *before, size_t before_len,
	const uint8_t *name, size_t name_len)
{
	size_t least = before_len < name_len ? before_len : name_len;
	int order = least ? memcmp(before, name, least) : 0;

	return !before || order < 0 || (!order && before_len < name_len);
}

static enum sgb_err take_options(struct usercert *cert, const uint8_t *data,
	size_t data_len,
	enum sgb_err (*take)(struct usercert *, const uint8_t *, size_t,
		const uint8_t *, size_t),
	char *why, size_t why_len)
{
	const uint8_t *before = NULL, *name, *value;
	size_t before_len = 0, name_len, len;
	enum sgb_err err = SGB_OK;
	struct reader rd;

	reader_init(&rd, data, data_len);
	while (rd.left && !err) {
		name = reader_string(&rd, &name_len);
		value = reader_string(&rd, &len);
		err = rd.err;
		if (!err && (!name_len || !follows(before, before_len, name,
						  name_len)))
			err = SGB_ERR_FORMAT;
		if (!err)
			err = take(cert, name, name_len, value, len);
		if (err)
			snprintf(why, why_len,
				err == SGB_ERR_UNSUPPORTED
					? "critical option %.*s of the "
					  "certificate is not known here"
					: "option %.*s of the certificate is "
					  "malformed, doubled or out of order",
				rd.err || name_len > 64 ? 0 : (int)name_len,
				(const char *)name);
		before = name;
		before_len = name_len;
	}
	return err;
}

/* A certificate without a principal would be anybody's (CVE-2024-7594). */
static enum sgb_err check_principals(const struct usercert *cert)
{
	unsigned int count = 0;
	struct reader rd;

	reader_init(&rd, cert->principals, cert->principals_len);
	while (rd.left && !rd.err) {
		size_t len;
		const uint8_t *name = reader_string(&rd, &len);

		if (!rd.err && (!len || len > PRINCIPAL_LENGTH ||
				       memchr(name, 0, len)))
			return SGB_ERR_FORMAT;
		if (++count > PRINCIPALS_MAX)
			return SGB_ERR_LIMIT;
	}
	if (!count)
		return SGB_ERR_FORMAT;
	return reader_end(&rd);
}

/* Where the parts are that need more than a look. */
struct parts {
	const uint8_t *critical, *extensions, *key_id, *signature;
	size_t critical_len, extensions_len, key_id_len, signature_len;
	size_t signed_len;
};

static enum sgb_err find_parts(const uint8_t *blob, size_t blob_len,
	struct usercert *cert, struct parts *parts)
{
	struct reader rd;
	size_t len;

	reader_init(&rd, blob, blob_len);
	reader_string(&rd, &len); /* type */
	reader_string(&rd, &len); /* nonce */
	cert->fields = rd.data;
	skip_key(&rd, cert->key.type);
	cert->fields_len = (size_t)(rd.data - cert->fields);
	cert->serial = reader_u64(&rd);
	reader_u32(&rd); /* whose: in key.cert_type */
	parts->key_id = reader_string(&rd, &parts->key_id_len);
	cert->principals = reader_string(&rd, &cert->principals_len);
	reader_u64(&rd); /* from and until: in key */
	reader_u64(&rd);
	parts->critical = reader_string(&rd, &parts->critical_len);
	parts->extensions = reader_string(&rd, &parts->extensions_len);
	reader_string(&rd, &len); /* reserved */
	cert->ca = reader_string(&rd, &cert->ca_len);
	parts->signed_len = (size_t)(rd.data - blob);
	parts->signature = reader_string(&rd, &parts->signature_len);
	return reader_end(&rd);
}

static enum sgb_err read_parts(struct usercert *cert, const struct parts *parts,
	char *why, size_t why_len)
{
	bool host = cert->key.cert_type == HOST_CERT;
	enum sgb_err err;

	snprintf(why, why_len, "the certificate names no principal");
	err = check_principals(cert);
	if (err)
		return err;
	snprintf(why, why_len, "the certificate's key id is not a short text");
	if (parts->key_id_len && copy_text(parts->key_id, parts->key_id_len,
					 cert->key_id, sizeof(cert->key_id)))
		return SGB_ERR_FORMAT;
	err = take_options(cert, parts->critical, parts->critical_len,
		host ? host_critical : critical_option, why, why_len);
	if (err)
		return err;
	return take_options(cert, parts->extensions, parts->extensions_len,
		host ? host_extension : extension, why, why_len);
}

static enum sgb_err parse(const uint8_t *blob, size_t len, unsigned int type,
	struct usercert *ret, char *why, size_t why_len)
{
	struct usercert cert = {0};
	struct parts parts = {0};
	enum sgb_err err;

	snprintf(why, why_len, "malformed certificate");
	err = sshkey_parse(blob, len, &cert.key);
	if (!err && !cert.key.is_cert)
		err = SGB_ERR_FORMAT;
	if (!err)
		err = find_parts(blob, len, &cert, &parts);
	if (err)
		return err;
	if (cert.key.cert_type != type) {
		snprintf(why, why_len, "a certificate for a %s, not a %s",
			type == USER_CERT ? "host" : "user",
			type == USER_CERT ? "user" : "host");
		return SGB_ERR_DENIED;
	}
	err = read_parts(&cert, &parts, why, why_len);
	if (err)
		return err;
	err = usercert_verify(cert.ca, cert.ca_len, blob, parts.signed_len,
		parts.signature, parts.signature_len);
	if (err) {
		snprintf(why, why_len,
			err == SGB_ERR_UNSUPPORTED
				? "the certificate is signed in a way that is "
				  "not accepted (%s by a CA of type %s)"
				: "the CA's signature of the certificate is "
				  "not valid (%s%s)",
			sgb_err_text(err),
			err == SGB_ERR_UNSUPPORTED ? cert.key.ca_name : "");
		return err;
	}
	*ret = cert;
	return SGB_OK;
}

enum sgb_err usercert_parse(const uint8_t *blob, size_t len,
	struct usercert *ret, char *why, size_t why_len)
{
	return parse(blob, len, USER_CERT, ret, why, why_len);
}

enum sgb_err usercert_parse_host(const uint8_t *blob, size_t len,
	struct usercert *ret, char *why, size_t why_len)
{
	return parse(blob, len, HOST_CERT, ret, why, why_len);
}

/* Networks alone, as ssh-keygen -O source-address writes them. One that is
 * not understood refuses, also behind one that fits. */
static bool source_permitted(const char *list, const struct addr *source)
{
	char copy[USERCERT_TEXT_MAX];
	char *at = copy, *item;
	bool inside = false;

	snprintf(copy, sizeof(copy), "%s", list);
	while ((item = strsep(&at, ","))) {
		struct addr_net net;

		if (addr_net_parse(item, &net))
			return false;
		inside |= addr_in_net(source, &net);
	}
	return inside;
}

enum sgb_err usercert_valid(const struct usercert *cert,
	const struct addr *source, time_t now, char *why, size_t why_len)
{
	const struct sshkey *key = &cert->key;

	if (now < 0 || key->valid_after >= key->valid_before) {
		snprintf(why, why_len, "the certificate is never valid");
		return SGB_ERR_DENIED;
	}
	if ((uint64_t)now < key->valid_after) {
		snprintf(why, why_len, "the certificate is not valid yet");
		return SGB_ERR_DENIED;
	}
	if ((uint64_t)now >= key->valid_before) {
		snprintf(why, why_len, "the certificate has expired");
		return SGB_ERR_DENIED;
	}
	if (cert->source_address[0] &&
		!source_permitted(cert->source_address, source)) {
		snprintf(why, why_len,
			"the certificate is not for this address");
		return SGB_ERR_DENIED;
	}
	return SGB_OK;
}

bool usercert_names(const struct usercert *cert, const char *principal)
{
	struct reader rd;

	reader_init(&rd, cert->principals, cert->principals_len);
	while (rd.left && !rd.err) {
		size_t len;
		const uint8_t *name = reader_string(&rd, &len);

		if (!rd.err && bytes_are(name, len, principal))
			return true;
	}
	return false;
}

void usercert_plain(const struct usercert *cert, struct buf *out)
{
	buf_put_cstring(out, cert->key.name);
	buf_put(out, cert->fields, cert->fields_len);
}
