/*
 * Host keys of instances: pins, known_hosts files, host certificates. Trusts
 * the policy and root's files; what the target shows is foreign. Must not
 * accept anything that none of them names, nor what one of them revokes.
 */
#include "hostkey.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/sshkey.h"
#include "knownhosts.h"
#include "usercert.h"

#define SSH_PORT  22
#define PLACE_MAX (PATH_MAX + 16)

/* What the lines say that are about one form of the name. */
struct level {
	char same[PLACE_MAX];  /* this very key */
	char other[PLACE_MAX]; /* another one */
	char other_fp[SSHKEY_FP_MAX];
	char ca[PLACE_MAX]; /* the CA that was asked about */
	bool has_ca;
};

struct survey {
	const struct hostkey_node *node;
	const uint8_t *blob, *ca; /* or NULL */
	size_t len, ca_len;
	const char *path;	/* of the present file */
	struct level levels[2]; /* [name]:port, name */
	char revoked[PLACE_MAX];
	char wrong[PLACE_MAX + 200]; /* a file is not to be read */
	unsigned int types;	     /* 1 << enum sshkey_type */
	size_t count;
};

static bool same_bytes(
	const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a && b && a_len == b_len && !memcmp(a, b, a_len);
}

static void put_place(
	const struct survey *s, const struct knownhosts_line *line, char *out)
{
	if (!*out)
		snprintf(out, PLACE_MAX, "%s:%u", s->path, line->number);
}

static void note_line(const struct knownhosts_line *line, void *arg)
{
	struct survey *s = arg;
	bool named = line->with_port || s->node->port == SSH_PORT;
	struct level *level = &s->levels[named ? 0 : 1];
	bool same = same_bytes(s->blob, s->len, line->blob, line->blob_len);
	bool ca = same_bytes(s->ca, s->ca_len, line->blob, line->blob_len);

	s->count++;
	switch (line->marker) {
	case KNOWNHOSTS_REVOKED:
		if (same || ca)
			put_place(s, line, s->revoked);
		break;
	case KNOWNHOSTS_KEY:
		s->types |= 1u << line->key.type;
		put_place(s, line, same ? level->same : level->other);
		if (!same)
			memcpy(level->other_fp, line->key.fingerprint,
				sizeof(level->other_fp));
		break;
	case KNOWNHOSTS_CA:
		level->has_ca = true;
		if (ca)
			put_place(s, line, level->ca);
		break;
	}
}

static enum sgb_err read_lines(const char *path, const char *name,
	uint16_t port,
	void (*each)(const struct knownhosts_line *line, void *arg), void *arg,
	char *why, size_t why_len)
{
	struct knownhosts_mistake mistake = {0};
	struct buf text;
	enum sgb_err err;

	buf_init(&text, KNOWNHOSTS_MAX_BYTES);
	err = file_read(path, FILE_TRUST_ROOT, &text, why, why_len);
	if (!err) {
		err = knownhosts_each((const char *)text.data, text.len, name,
			port, each, arg, &mistake);
		if (err)
			snprintf(why, why_len, "%s:%u: %s", path, mistake.line,
				mistake.text ? mistake.text
					     : sgb_err_text(err));
	}
	buf_done(&text);
	return err;
}

static void survey(struct survey *s)
{
	const struct conf_list *files = s->node->files;
	size_t i;

	for (i = 0; i < files->count && !s->wrong[0]; i++) {
		s->path = files->items[i];
		if (read_lines(s->path, s->node->name, s->node->port, note_line,
			    s, s->wrong, sizeof(s->wrong)) &&
			!s->wrong[0])
			snprintf(s->wrong, sizeof(s->wrong), "%s: not readable",
				s->path);
	}
}

/* The plain name counts for another port where [name]:port is not known. */
static const struct level *deciding(const struct survey *s)
{
	const struct level *named = &s->levels[0];

	if (s->node->port == SSH_PORT || named->same[0] || named->other[0] ||
		named->has_ca)
		return named;
	return &s->levels[1];
}

static const char *pinned(
	const struct hostkey_node *node, const char *fingerprint)
{
	size_t i;

	for (i = 0; node->pins && node->pins[i]; i++)
		if (!strcmp(node->pins[i], fingerprint))
			return node->pins[i];
	return NULL;
}

static bool has_pins(const struct hostkey_node *node)
{
	return node->pins && node->pins[0];
}

static void SGB_PRINTF(3, 4) refuse(struct hostkey_result *ret,
	const char *public_text, const char *fmt, ...)
{
	va_list args;

	ret->verdict = HOSTKEY_REFUSED;
	ret->public_text = public_text;
	va_start(args, fmt);
	vsnprintf(ret->why, sizeof(ret->why), fmt, args);
	va_end(args);
}

static void SGB_PRINTF(2, 3)
	vouch(struct hostkey_result *ret, const char *fmt, ...)
{
	va_list args;

	ret->verdict = HOSTKEY_ACCEPTED;
	va_start(args, fmt);
	vsnprintf(ret->by, sizeof(ret->by), fmt, args);
	va_end(args);
}

static bool show_key(const uint8_t *blob, size_t len, struct sshkey *key,
	struct hostkey_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->shown, sizeof(ret->shown), "unreadable");
	if (sshkey_parse(blob, len, key) || key->is_cert) {
		refuse(ret, "cannot be read",
			"the target's host key is malformed");
		return false;
	}
	snprintf(ret->shown, sizeof(ret->shown), "%s (%s)", key->fingerprint,
		key->name);
	return true;
}

/* Refuses what needs no look at the key's sources. */
static bool usable(const struct survey *s, struct hostkey_result *ret)
{
	if (s->wrong[0]) {
		refuse(ret, "cannot be checked", "%s", s->wrong);
		return false;
	}
	if (s->revoked[0]) {
		refuse(ret, "is revoked",
			"the host key %s of %s is revoked (%s); give the "
			"instance a new one",
			ret->shown, s->node->name, s->revoked);
		return false;
	}
	return true;
}

static void refuse_changed(struct hostkey_result *ret,
	const struct hostkey_node *node, const char *known, const char *place)
{
	refuse(ret, "is not the one that is known",
		"the host key of %s is %s, and %s is known (%s); if the "
		"instance was made anew, read its key on its console "
		"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) and "
		"replace the known one; else somebody stands in between",
		node->name, ret->shown, known, place);
}

static void refuse_unknown(
	struct hostkey_result *ret, const struct hostkey_node *node)
{
	refuse(ret, "is not known",
		"the host key %s of %s is not known: the policy pins none, and "
		"no file of known-hosts names it; compare it on the console of "
		"the instance, and write host-key SHA256:... into the policy",
		ret->shown, node->name);
}

static void judge_known(const struct survey *s, struct hostkey_result *ret)
{
	const struct level *level = deciding(s);

	if (level->same[0])
		vouch(ret, "%s", level->same);
	else if (level->has_ca)
		ret->verdict = HOSTKEY_WANTED;
	else if (level->other[0])
		refuse_changed(ret, s->node, level->other_fp, level->other);
	else
		refuse_unknown(ret, s->node);
}

/* ---- certificates ---- */

static bool names_node(const struct usercert *cert, const char *name)
{
	struct reader rd;

	reader_init(&rd, cert->principals, cert->principals_len);
	while (rd.left && !rd.err) {
		size_t len;
		const uint8_t *one = reader_string(&rd, &len);

		if (!rd.err && knownhosts_match((const char *)one, len, name))
			return true;
	}
	return false;
}

/* Is it for this key and this node, and valid now? */
static bool certifies(const struct hostkey_node *node,
	const struct usercert *cert, const uint8_t *blob, size_t len,
	time_t now, char *why, size_t why_len)
{
	struct buf plain;
	bool same;

	buf_init(&plain, SSHKEY_MAX_BLOB);
	usercert_plain(cert, &plain);
	same = !buf_error(&plain) &&
	       same_bytes(plain.data, plain.len, blob, len);
	buf_done(&plain);
	if (!same) {
		snprintf(why, why_len, "it is for another key");
		return false;
	}
	if (!names_node(cert, node->name)) {
		snprintf(why, why_len, "it is not for %s", node->name);
		return false;
	}
	return !usercert_valid(cert, NULL, now, why, why_len);
}

static void judge_parsed(const struct hostkey_node *node,
	const struct usercert *cert, const uint8_t *blob, size_t len,
	time_t now, struct hostkey_result *ret)
{
	struct survey s = {
		.node = node,
		.blob = blob,
		.len = len,
		.ca = cert->ca,
		.ca_len = cert->ca_len,
	};
	char why[256] = "";
	const char *place;

	survey(&s);
	if (!usable(&s, ret))
		return;
	place = deciding(&s)->ca;
	if (!certifies(node, cert, blob, len, now, why, sizeof(why)))
		;
	else if (!place[0])
		snprintf(why, sizeof(why), "its CA, %s, is not one of %s's",
			cert->key.ca_fingerprint, node->name);
	else
		vouch(ret, "certificate \"%s\" of CA %s, %s", cert->key_id,
			cert->key.ca_fingerprint, place);
	if (ret->verdict != HOSTKEY_ACCEPTED)
		refuse(ret, "is not certified",
			"the certificate of the host key %s of %s does not "
			"count: %s; sign it anew (ssh-keygen -s CA -h -n %s)",
			ret->shown, node->name, why, node->name);
}

static void judge_certificate(const struct hostkey_node *node,
	const uint8_t *blob, size_t len, const uint8_t *cert, size_t cert_len,
	time_t now, struct hostkey_result *ret)
{
	struct usercert parsed;
	struct sshkey key;
	char why[256] = "";

	if (!show_key(blob, len, &key, ret))
		return;
	if (has_pins(node))
		refuse(ret, "is not the one that is known",
			"%s has pinned keys; certificates do not count",
			node->name);
	else if (!cert_len)
		refuse(ret, "is not known",
			"the host key %s of %s is not known, and the target "
			"has no certificate for it (HostCertificate in its "
			"sshd_config)",
			ret->shown, node->name);
	else if (usercert_parse_host(cert, cert_len, &parsed, why, sizeof(why)))
		refuse(ret, "is not certified",
			"the certificate of the host key %s of %s is refused: "
			"%s",
			ret->shown, node->name, why);
	else
		judge_parsed(node, &parsed, blob, len, now, ret);
}

/* What was seen once need not be fetched again while it is valid: a fetch is
 * a connection that leaves without logging on, and sshd counts those. */
static void judge_cached(const struct hostkey_node *node, const uint8_t *blob,
	size_t len, time_t now, struct hostkey_result *ret)
{
	char path[PATH_MAX], why[PATH_MAX + 200];
	struct hostkey_result with;
	struct buf cert;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", node->cache,
		    node->name) >= sizeof(path))
		return;
	buf_init(&cert, SSHKEY_MAX_BLOB);
	if (!file_read(path, FILE_TRUST_ROOT, &cert, why, sizeof(why))) {
		judge_certificate(
			node, blob, len, cert.data, cert.len, now, &with);
		if (with.verdict == HOSTKEY_ACCEPTED)
			*ret = with;
	}
	buf_done(&cert);
}

/* Best effort: without it the next connection fetches again. */
static void keep(
	const struct hostkey_node *node, const uint8_t *cert, size_t len)
{
	int dir = open(node->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return;
	if (file_replace(dir, node->name, 0600, cert, len))
		(void)unlinkat(dir, node->name, 0);
	close(dir);
}

/* ---- for the monitor ---- */

void hostkey_judge(const struct hostkey_node *node, const uint8_t *blob,
	size_t len, time_t now, struct hostkey_result *ret)
{
	struct survey s = {.node = node, .blob = blob, .len = len};
	struct sshkey key;
	const char *pin;

	if (!show_key(blob, len, &key, ret))
		return;
	survey(&s);
	if (!usable(&s, ret))
		return;
	pin = pinned(node, key.fingerprint);
	if (pin)
		vouch(ret, "pinned in the policy");
	else if (has_pins(node))
		refuse_changed(
			ret, node, node->pins[0], "pinned in the policy");
	else
		judge_known(&s, ret);
	if (ret->verdict == HOSTKEY_WANTED)
		judge_cached(node, blob, len, now, ret);
}

void hostkey_judge_certificate(const struct hostkey_node *node,
	const uint8_t *blob, size_t len, const uint8_t *cert, size_t cert_len,
	time_t now, struct hostkey_result *ret)
{
	judge_certificate(node, blob, len, cert, cert_len, now, ret);
	if (ret->verdict == HOSTKEY_ACCEPTED)
		keep(node, cert, cert_len);
}

bool hostkey_any(const struct hostkey_node *node)
{
	struct survey s = {.node = node};
	const struct level *level;

	if (has_pins(node))
		return true;
	survey(&s);
	level = deciding(&s);
	return !s.wrong[0] && (level->other[0] || level->has_ca);
}

void hostkey_algorithms(
	const struct hostkey_node *node, char *out, size_t out_len)
{
	static const struct {
		enum sshkey_type type;
		const char *names;
	} rows[] = {
		{SSHKEY_ED25519, "ssh-ed25519"},
		{SSHKEY_ECDSA, "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
			       "ecdsa-sha2-nistp521"},
		{SSHKEY_RSA, "rsa-sha2-512,rsa-sha2-256"},
	};
	struct survey s = {.node = node};
	size_t i, used = 0;
	int known;

	if (!has_pins(node))
		survey(&s);
	out[0] = '\0';
	for (known = 1; known >= 0; known--)
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (!(s.types & 1u << rows[i].type) == !known &&
				used < out_len)
				used += (size_t)snprintf(out + used,
					out_len - used, "%s%s", used ? "," : "",
					rows[i].names);
}

/* ---- for the tools ---- */

struct description {
	const char *path, *before;
	struct buf *out;
};

static void describe_line(const struct knownhosts_line *line, void *arg)
{
	static const char *const words[] = {
		[KNOWNHOSTS_REVOKED] = "revoked",
		[KNOWNHOSTS_KEY] = "key",
		[KNOWNHOSTS_CA] = "CA",
	};
	const struct description *d = arg;

	buf_printf(d->out, "%s%s:%u %s %s (%s)\n", d->before, d->path,
		line->number, words[line->marker], line->key.fingerprint,
		line->key.name);
}

enum sgb_err hostkey_describe(
	const struct hostkey_node *node, const char *before, struct buf *out)
{
	struct description d = {.before = before, .out = out};
	char why[PLACE_MAX + 200];
	size_t i;

	for (i = 0; node->pins && node->pins[i]; i++)
		buf_printf(out, "%spin %s\n", before, node->pins[i]);
	for (i = 0; i < node->files->count; i++) {
		d.path = node->files->items[i];
		if (read_lines(d.path, node->name, node->port, describe_line,
			    &d, why, sizeof(why)))
			buf_printf(out, "%s%s\n", before, why);
	}
	return buf_error(out);
}

static void ignore_line(const struct knownhosts_line *line, void *arg)
{
	(void)line;
	(void)arg;
}

enum sgb_err hostkey_check_file(const char *path, char *why, size_t why_len)
{
	return read_lines(path, NULL, 0, ignore_line, NULL, why, why_len);
}
