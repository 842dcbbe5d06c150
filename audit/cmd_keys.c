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

static void write_key(const char *path, const struct suite_key *key)
{
	struct buf pem;
	int fd;

	buf_init(&pem, 4096);
	if (suite_key_to_pem(key, &pem))
		audit_fatal(EX_SOFTWARE, "the key cannot be written as PEM");
	/* Never over another key: recordings may depend on it. */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd < 0)
		audit_fatal(EX_CANTCREAT, "%s: %s", path,
			errno == EEXIST ? "exists already, and is not replaced"
					: strerror(errno));
	if (file_write_all(fd, pem.data, pem.len) || fsync(fd)) {
		int saved = errno;

		(void)unlink(path);
		audit_fatal(EX_IOERR, "%s: %s", path, strerror(saved));
	}
	close(fd);
	buf_done(&pem);
}

static int make_key(struct audit *audit, enum suite_key_kind kind,
	const char *fallback, const char *word, const char *advice)
{
	const char *path = audit->output ? audit->output : fallback;
	struct suite_key *key;
	char text[48], host[256] = "unnamed";

	(void)gethostname(host, sizeof(host) - 1);
	if (suite_key_generate(kind, &key))
		audit_fatal(EX_SOFTWARE, "libcrypto makes no key");
	write_key(path, key);
	suite_base64(suite_key_public(key), SUITE_KEY_LEN, text);
	(void)printf("%s %s %s\n", word, text,
		getenv("USER") ? getenv("USER") : host);
	(void)fprintf(stderr, "private key: %s\n%s\n", path, advice);
	suite_key_free(key);
	return 0;
}

int cmd_keygen(struct audit *audit, int argc, char **argv)
{
	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "keygen takes no arguments");
	return make_key(audit, SUITE_KEY_X25519, "sgbridge-identity.pem",
		"x25519",
		"Add the line above to the recipients file of the bastion. "
		"Keep the private key away\nfrom it, and a copy where it "
		"cannot be lost: nothing else opens the recordings.");
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
