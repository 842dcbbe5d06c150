/*
 * Making keys: a recipient's, which reads recordings and never goes near the
 * bastion, and the recorder's, which signs and never leaves it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/file.h"

#include "audit.h"
#include "identity.h"
#include "recipients.h"

static void write_key(const char *path, const struct buf *pem)
{
	int fd;

	/* Never over another key: recordings may depend on it. */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd < 0)
		audit_fatal(EX_CANTCREAT, "%s: %s", path, audit_errno(errno));
	if (file_write_all(fd, pem->data, pem->len) || fsync(fd)) {
		int saved = errno;

		(void)unlink(path);
		audit_fatal(EX_IOERR, "%s: %s", path, strerror(saved));
	}
	close(fd);
}

static const char *key_name(char host[256])
{
	(void)snprintf(host, 256, "unnamed");
	(void)gethostname(host, 255);
	return getenv("USER") ? getenv("USER") : host;
}

static int make_key(struct audit *audit, enum suite_key_kind kind,
	const char *fallback, const char *word, const char *advice)
{
	const char *path = audit->output ? audit->output : fallback;
	struct suite_key *key;
	char text[48], host[256];
	struct buf pem;

	buf_init(&pem, 4096);
	if (suite_key_generate(kind, &key) || suite_key_to_pem(key, &pem))
		audit_fatal(EX_SOFTWARE, "libcrypto makes no key");
	write_key(path, &pem);
	buf_done(&pem);
	suite_base64(suite_key_public(key), SUITE_KEY_LEN, text);
	(void)printf("%s %s %s\n", word, text, key_name(host));
	(void)fprintf(stderr, "private key: %s\n%s\n", path, advice);
	suite_key_free(key);
	return 0;
}

static const char *const reader_advice =
	"Add the line above to the recipients file of the bastion. "
	"Keep the private key away\nfrom it, and a copy where it "
	"cannot be lost: nothing else opens the recordings.";

static void print_line(const struct sgr_recipient *half)
{
	char host[256];
	struct buf line;

	buf_init(&line, 2048);
	recipient_print(half, &line);
	(void)printf("%.*s %s\n", (int)line.len, (const char *)line.data,
		key_name(host));
	buf_done(&line);
}

static int make_p256(struct audit *audit)
{
	const char *path = audit->output ? audit->output
					 : "sgbridge-identity.pem";
	struct identity *identity;
	struct suite_p256 *key;
	struct buf pem;

	buf_init(&pem, 4096);
	if (suite_p256_generate(&key) || suite_p256_to_pem(key, &pem) ||
		identity_from_p256(key, &identity))
		audit_fatal(EX_SOFTWARE, "libcrypto makes no key");
	write_key(path, &pem);
	buf_done(&pem);
	print_line(&identity->public_half);
	(void)fprintf(stderr, "private key: %s\n%s\n", path, reader_advice);
	identity_free(identity);
	return 0;
}

/* The public half that a key service or a token's tool has exported. */
static bool print_public(const char *path)
{
	struct sgr_recipient half = {.group = 0};
	char why[1000];
	struct buf pem;
	bool good;

	buf_init(&pem, 16384);
	good = !file_read(path, FILE_TRUST_ROOT, &pem, why, sizeof(why)) &&
	       !suite_public_from_pem(
		       pem.data, pem.len, half.key, &half.key_len);
	buf_done(&pem);
	if (!good)
		return false;
	half.kind = half.key_len == SUITE_POINT_LEN ? SGR_KIND_P256
						    : SGR_KIND_RSA;
	print_line(&half);
	return true;
}

int cmd_keygen(struct audit *audit, int argc, char **argv)
{
	size_t i;

	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "keygen takes no arguments");
	if (audit->identity_count == 1 &&
		print_public(audit->identity_paths[0]))
		return 0;
	if (audit->identity_count) {
		audit_identities(audit, true);
		for (i = 0; i < audit->key_count; i++)
			print_line(&audit->identities[i]->public_half);
		return 0;
	}
	if (audit->format && !strcmp(audit->format, "p256"))
		return make_p256(audit);
	if (audit->format && strcmp(audit->format, "x25519") != 0)
		audit_fatal(EX_USAGE, "--format \"%s\": x25519 or p256",
			audit->format);
	return make_key(audit, SUITE_KEY_X25519, "sgbridge-identity.pem",
		"x25519", reader_advice);
}

int cmd_writer_keygen(struct audit *audit, int argc, char **argv)
{
	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "writer-keygen takes no arguments");
	return make_key(audit, SUITE_KEY_ED25519, "recorder_key", "ed25519",
		"Install the private key as signing-key of the bastion (root, "
		"0400). Give the line\nabove to the auditors: with \"verify "
		"--writer FILE\" they accept no other writer.");
}
