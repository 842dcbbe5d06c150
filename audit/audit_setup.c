/* Settings, keys and pins of sgbridge-audit. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/diag.h"
#include "core/file.h"
#include "core/places.h"

#include "audit.h"
#include "disclosure.h"
#include "evidence.h"
#include "heads.h"
#include "identity.h"

#define HEADS_MAX_BYTES (256 << 20)
#define WHY_LEN		(PATH_MAX + 300)

void audit_fatal(int status, const char *fmt, ...)
{
	char line[2000];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	(void)fflush(stdout);
	(void)fprintf(stderr, "sgbridge-audit: ");
	print_cstring(stderr, line);
	(void)fprintf(stderr, "\n");
	exit(status);
}

static void load_settings(struct audit *audit)
{
	const char *path = audit->conf_path ? audit->conf_path
					    : CONF_DEFAULT_PATH;
	char line[1000];
	struct diag diag;

	/* An auditor's machine has no sgbridge.conf, and needs none. */
	if (!audit->conf_path && access(path, R_OK))
		return;
	diag_init(&diag);
	if (conf_load(path, &audit->conf, &diag)) {
		diag_first_line(&diag, line, sizeof(line));
		audit_fatal(EX_CONFIG, "%s", line);
	}
	diag_done(&diag);
}

const char *audit_errno(int error)
{
	switch (error) {
	case EACCES:
		return "Permission denied; read it as a member of its group, "
		       "or as root";
	case EEXIST: return "exists already, and is not replaced";
	default: return strerror(error);
	}
}

void audit_places(struct audit *audit)
{
	load_settings(audit);
	if (!audit->dir)
		audit->dir = audit->conf ? audit->conf->recordings
					 : "/var/lib/sgbridge/recordings";
	if (!audit->events && audit->conf)
		audit->events = audit->conf->events;
}

static void add_identity(struct audit *audit, const char *spec)
{
	char why[WHY_LEN];
	enum sgb_err err;

	err = identity_load(
		spec, &audit->identities[audit->key_count], why, sizeof(why));
	if (err)
		audit_fatal(err == SGB_ERR_FORMAT || err == SGB_ERR_UNSUPPORTED
				    ? EX_DATAERR
				    : EX_NOINPUT,
			"identity: %s", why);
	audit->key_count++;
}

static bool default_identity(char path[PATH_MAX])
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int len;

	if (base && *base == '/')
		len = snprintf(
			path, PATH_MAX, "%s/sgbridge/identity.pem", base);
	else if (home && *home == '/')
		len = snprintf(path, PATH_MAX,
			"%s/.config/sgbridge/identity.pem", home);
	else
		return false;
	return len < PATH_MAX && !access(path, F_OK);
}

static void load_disclosure(struct audit *audit)
{
	char why[WHY_LEN];
	struct buf file;

	buf_init(&file, DISCLOSURE_MAX_BYTES);
	if (file_read(audit->disclosed, FILE_TRUST_SECRET, &file, why,
		    sizeof(why)))
		audit_fatal(EX_NOINPUT, "%s", why);
	if (disclosure_read(
		    (const char *)file.data, file.len, &audit->disclosure))
		audit_fatal(
			EX_DATAERR, "%s: not a disclosure", audit->disclosed);
	buf_done(&file);
}

void audit_identities(struct audit *audit, bool need)
{
	char path[PATH_MAX];
	size_t i;

	if (audit->disclosed) {
		load_disclosure(audit);
		return;
	}
	for (i = 0; i < audit->identity_count; i++)
		add_identity(audit, audit->identity_paths[i]);
	if (!audit->identity_count && default_identity(path))
		add_identity(audit, path);
	if (need && !audit->key_count)
		audit_fatal(EX_NOINPUT,
			"%s needs a recipient's private key: give it with "
			"-i FILE",
			audit->command);
}

enum sgb_err audit_evidence(
	const struct audit *audit, int fd, struct evidence **ret)
{
	if (audit->disclosure)
		return evidence_open_disclosed(fd, audit->disclosure, ret);
	return evidence_open(fd, audit->identities, audit->key_count, ret);
}

struct suite_key *audit_signing_key(const char *path)
{
	char why[WHY_LEN];
	struct suite_key *key = NULL;
	struct buf pem;

	buf_init(&pem, 16384);
	if (file_read(path, FILE_TRUST_SECRET, &pem, why, sizeof(why)))
		audit_fatal(EX_NOINPUT, "%s", why);
	if (suite_key_from_pem(pem.data, pem.len, SUITE_KEY_ED25519, &key))
		audit_fatal(EX_DATAERR,
			"%s: not an Ed25519 private key; \"writer-keygen\" "
			"makes one",
			path);
	buf_done(&pem);
	return key;
}

static void take_pin(struct audit *audit, char *line, unsigned int number)
{
	char *save = NULL;
	const char *kind = strtok_r(line, " \t\r", &save);
	const char *key = strtok_r(NULL, " \t\r", &save);

	if (!kind || *kind == '#')
		return;
	if (audit->pin_count == AUDIT_PINS_MAX || strcmp(kind, "ed25519") ||
		!key ||
		suite_unbase64(key, strlen(key), audit->pins[audit->pin_count],
			SUITE_KEY_LEN))
		audit_fatal(EX_CONFIG,
			"%s:%u: expected \"ed25519 BASE64-KEY NAME\", as "
			"\"sgbridge-audit writer-keygen\" prints it",
			audit->writers, number);
	audit->pin_count++;
}

void audit_pins(struct audit *audit)
{
	char why[WHY_LEN], *line, *next;
	unsigned int number = 0;
	struct buf file;

	if (!audit->writers)
		return;
	buf_init(&file, 65536);
	if (file_read(audit->writers, FILE_TRUST_ROOT, &file, why, sizeof(why)))
		audit_fatal(EX_NOINPUT, "%s", why);
	buf_put_u8(&file, 0);
	if (buf_error(&file))
		audit_fatal(EX_DATAERR, "%s: too large", audit->writers);
	for (line = (char *)file.data; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		take_pin(audit, line, ++number);
	}
	buf_done(&file);
	if (!audit->pin_count)
		audit_fatal(EX_CONFIG, "%s: no writer in it", audit->writers);
}

void audit_heads(struct audit *audit)
{
	char why[WHY_LEN];
	unsigned int line = 0;
	struct buf file;
	enum sgb_err err;

	if (!audit->heads_path)
		return;
	buf_init(&file, HEADS_MAX_BYTES);
	if (file_read(audit->heads_path, FILE_TRUST_ROOT, &file, why,
		    sizeof(why)))
		audit_fatal(EX_NOINPUT, "heads: %s", why);
	err = heads_read(
		(const char *)file.data, file.len, &audit->heads, &line);
	buf_done(&file);
	if (err == SGB_ERR_NOTFOUND)
		audit_fatal(EX_DATAERR,
			"%s: no head in it; expected lines of the recorder "
			"from syslog or from the kernel audit log",
			audit->heads_path);
	if (err)
		audit_fatal(EX_DATAERR, "%s:%u: not a head: %s",
			audit->heads_path, line, sgb_err_text(err));
}

void audit_done(struct audit *audit)
{
	size_t i;

	for (i = 0; i < audit->key_count; i++)
		identity_free(audit->identities[i]);
	disclosure_free(audit->disclosure);
	heads_free(audit->heads);
	conf_free(audit->conf);
}
