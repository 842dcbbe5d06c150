/*
 * The mark that a policy was found good: the digest of every byte of it, in a
 * file of root's. Its age says nothing and need not: a policy that was edited
 * has another digest.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/file.h"
#include "core/places.h"
#include "core/policy_int.h"
#include "core/policy_reduce.h"

#define MARK_MAX 256

static bool put(EVP_MD_CTX *ctx, const void *data, size_t len)
{
	uint64_t length = len;

	/* The lengths keep one part from passing for another. */
	return EVP_DigestUpdate(ctx, &length, sizeof(length)) == 1 &&
	       EVP_DigestUpdate(ctx, data, len) == 1;
}

enum sgb_err policy_source_digest(
	const struct policy_source *source, uint8_t ret[POLICY_DIGEST_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	uint32_t i;

	for (i = 0; good && i < source->count; i++) {
		const struct policy_file *file = &source->files[i];

		good = put(ctx, file->path, strlen(file->path)) &&
		       put(ctx, &file->parent, sizeof(file->parent)) &&
		       put(ctx, &file->line, sizeof(file->line)) &&
		       put(ctx, file->text, file->len);
	}
	good = good && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return good ? SGB_OK : SGB_ERR_CRYPTO;
}

/* One line: the version that parsed it, and the digest. */
static enum sgb_err mark_text(
	const struct policy_source *source, char out[MARK_MAX])
{
	uint8_t digest[POLICY_DIGEST_LEN];
	enum sgb_err err = policy_source_digest(source, digest);
	size_t i, at;

	if (err)
		return err;
	at = (size_t)snprintf(
		out, MARK_MAX, "sgbridge %s policy good ", SGB_VERSION);
	for (i = 0; i < sizeof(digest) && at + 3 < MARK_MAX; i++)
		at += (size_t)snprintf(
			out + at, MARK_MAX - at, "%02x", digest[i]);
	snprintf(out + at, MARK_MAX - at, "\n");
	return SGB_OK;
}

enum sgb_err policy_mark_write(
	const char *path, const struct policy_source *source)
{
	char text[MARK_MAX], folder[PATH_MAX], why[PATH_MAX + 200];
	const char *slash = strrchr(path, '/');
	enum sgb_err err;
	int fd = -1;

	if (!slash || (size_t)(slash - path) >= sizeof(folder))
		return SGB_ERR_FORMAT;
	snprintf(folder, sizeof(folder), "%.*s",
		slash == path ? 1 : (int)(slash - path), path);
	err = mark_text(source, text);
	if (!err)
		err = file_open_dir(
			folder, FILE_TRUST_ROOT, &fd, why, sizeof(why));
	if (!err)
		err = file_replace(fd, slash + 1, 0644, text, strlen(text));
	if (fd >= 0)
		close(fd);
	return err;
}

bool policy_mark_holds(const char *path, const struct policy_source *source)
{
	char want[MARK_MAX], why[PATH_MAX + 200];
	struct buf have;
	bool same;

	buf_init(&have, MARK_MAX);
	same = !file_read(path, FILE_TRUST_ROOT, &have, why, sizeof(why)) &&
	       !mark_text(source, want) && have.len == strlen(want) &&
	       !memcmp(have.data, want, have.len);
	buf_done(&have);
	return same;
}

enum sgb_err policy_load_for(const char *policy_path, const char *mark_path,
	const char *user, struct policy **ret, struct diag *diag)
{
	struct policy_source *source = NULL, *less = NULL;
	struct diag ignored;
	enum sgb_err err;

	err = policy_source_read(policy_path, &source, diag);
	if (err)
		return err;
	err = SGB_ERR_STALE;
	if (policy_mark_holds(mark_path, source) &&
		!policy_source_reduce(source, user, &less)) {
		/* What cannot stand without the rest is parsed with it. */
		diag_init(&ignored);
		err = policy_compile(less, ret, &ignored);
		diag_done(&ignored);
		policy_source_free(less);
	}
	if (err)
		err = policy_compile(source, ret, diag);
	policy_source_free(source);
	return err;
}
