/*
 * The store of keys for targets. Trusts the folder's owner, root, and nothing
 * else in a file than what opens under the master key and this name. Must not
 * write a key anywhere in the clear.
 */
#include "targetkey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/file.h"
#include "core/policy.h"
#include "core/secret.h"
#include "privkey.h"

#define SUFFIX	   ".key"
#define RECORD_MAX 65536
#define FORM	   1
#define LABEL_MAX  96

static void label_of(const char *name, char label[LABEL_MAX])
{
	snprintf(label, LABEL_MAX, "target-key:%s", name);
}

static void version_done(struct targetkey_version *version)
{
	EVP_PKEY_free(version->key);
	free(version->blob);
	memset(version, 0, sizeof(*version));
}

void targetkey_free(struct targetkey *key)
{
	size_t i;

	if (!key)
		return;
	for (i = 0; i < key->count; i++)
		version_done(&key->versions[i]);
	for (i = 0; i < key->purpose_count; i++)
		free(key->purposes[i]);
	free(key);
}

static enum sgb_err version_init(
	struct targetkey_version *version, EVP_PKEY *pkey, time_t made)
{
	struct buf blob;
	enum sgb_err err;

	*version = (struct targetkey_version){.key = pkey, .made = made};
	buf_init(&blob, SSHKEY_MAX_BLOB);
	err = privkey_public(pkey, &blob);
	if (!err)
		err = sshkey_parse(blob.data, blob.len, &version->parsed);
	if (!err) {
		version->blob = malloc(blob.len);
		err = version->blob ? SGB_OK : SGB_ERR_NOMEM;
	}
	if (!err) {
		memcpy(version->blob, blob.data, blob.len);
		version->blob_len = blob.len;
	} else {
		version_done(version);
	}
	buf_done(&blob);
	return err;
}

enum sgb_err targetkey_add(struct targetkey *key, EVP_PKEY *pkey, time_t made)
{
	struct targetkey_version version;
	enum sgb_err err;

	if (key->count == TARGETKEY_VERSIONS) {
		EVP_PKEY_free(pkey);
		return SGB_ERR_BUSY;
	}
	err = version_init(&version, pkey, made);
	if (err)
		return err;
	memmove(key->versions + 1, key->versions,
		key->count * sizeof(key->versions[0]));
	key->versions[0] = version;
	key->count++;
	return SGB_OK;
}

void targetkey_finish(struct targetkey *key)
{
	while (key->count > 1)
		version_done(&key->versions[--key->count]);
}

/* ---- the record: u8 form, purposes, then versions, the newest first ---- */

static enum sgb_err encode(const struct targetkey *key, struct buf *out)
{
	enum sgb_err err = SGB_OK;
	size_t i;

	buf_put_u8(out, FORM);
	buf_put_u32(out, (uint32_t)key->purpose_count);
	for (i = 0; i < key->purpose_count; i++)
		buf_put_cstring(out, key->purposes[i]);
	buf_put_u32(out, (uint32_t)key->count);
	for (i = 0; i < key->count && !err; i++) {
		buf_put_u64(out, (uint64_t)key->versions[i].made);
		err = privkey_put(key->versions[i].key, out);
	}
	return err ? err : buf_error(out);
}

static enum sgb_err decode_versions(struct reader *rd, struct targetkey *key)
{
	uint32_t count = reader_u32(rd), i;

	if (rd->err || !count || count > TARGETKEY_VERSIONS)
		return SGB_ERR_FORMAT;
	for (i = 0; i < count; i++) {
		time_t made = (time_t)reader_u64(rd);
		EVP_PKEY *pkey = NULL;
		size_t len;
		const uint8_t *der = reader_string(rd, &len);
		enum sgb_err err;

		err = rd->err ? rd->err : privkey_get(der, len, &pkey);
		if (!err)
			err = version_init(&key->versions[i], pkey, made);
		if (err)
			return err;
		key->count++;
	}
	return reader_end(rd);
}

static enum sgb_err decode(const struct buf *plain, struct targetkey *key)
{
	struct reader rd;
	uint32_t count, i;

	reader_init(&rd, plain->data, plain->len);
	if (reader_u8(&rd) != FORM)
		return SGB_ERR_UNSUPPORTED;
	count = reader_u32(&rd);
	if (rd.err || !count || count > TARGETKEY_PURPOSES)
		return SGB_ERR_FORMAT;
	for (i = 0; i < count; i++) {
		char *purpose = reader_cstring(&rd, 64);

		if (!purpose)
			return SGB_ERR_FORMAT;
		key->purposes[key->purpose_count++] = purpose;
	}
	return decode_versions(&rd, key);
}

static enum sgb_err open_record(const char *name, const struct buf *record,
	const char *master, struct targetkey *key, char *why, size_t why_len)
{
	struct secret_keys *keys = NULL;
	char label[LABEL_MAX];
	struct buf plain;
	enum sgb_err err;

	label_of(name, label);
	err = secret_keys_load(master, &keys, why, why_len);
	if (err)
		return err;
	buf_init(&plain, RECORD_MAX);
	err = secret_open(keys, label, record->data, record->len, &plain);
	if (!err)
		err = decode(&plain, key);
	if (err)
		snprintf(why, why_len,
			"stored key \"%s\": %s; was it altered, copied from "
			"another name, or sealed under a master key that is "
			"gone?",
			name, sgb_err_text(err));
	buf_done(&plain);
	secret_keys_free(keys);
	return err;
}

static enum sgb_err path_of(
	const char *dir, const char *name, char path[PATH_MAX])
{
	if (!policy_name_valid(name) ||
		(size_t)snprintf(path, PATH_MAX, "%s/%s" SUFFIX, dir, name) >=
			PATH_MAX)
		return SGB_ERR_FORMAT;
	return SGB_OK;
}

enum sgb_err targetkey_load(const char *dir, const char *name,
	const char *master, struct targetkey **ret, char *why, size_t why_len)
{
	struct targetkey *key = NULL;
	char path[PATH_MAX];
	struct buf record;
	enum sgb_err err = path_of(dir, name, path);

	snprintf(why, why_len, "\"%.64s\" is no name of a key", name);
	if (err)
		return err;
	buf_init(&record, RECORD_MAX);
	if (access(path, F_OK) && errno == ENOENT) {
		err = SGB_ERR_NOTFOUND;
		snprintf(why, why_len,
			"there is no stored key \"%s\" in %s; sgbridge key "
			"list",
			name, dir);
	} else {
		err = file_read(path, FILE_TRUST_SECRET, &record, why, why_len);
	}
	if (!err) {
		key = calloc(1, sizeof(*key));
		err = key ? SGB_OK : SGB_ERR_NOMEM;
	}
	if (!err) {
		snprintf(key->name, sizeof(key->name), "%s", name);
		err = open_record(name, &record, master, key, why, why_len);
	}
	buf_done(&record);
	if (err)
		targetkey_free(key);
	else
		*ret = key;
	return err;
}

static enum sgb_err write_record(const char *dir, const char *name,
	const struct buf *record, char *why, size_t why_len)
{
	char file[80];
	enum sgb_err err;
	int fd;

	err = file_open_dir(dir, FILE_TRUST_SECRET, &fd, why, why_len);
	if (err)
		return err;
	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	err = file_replace(fd, file, 0400, record->data, record->len);
	if (err)
		snprintf(why, why_len, "%s/%s: %s", dir, file, strerror(errno));
	close(fd);
	return err;
}

enum sgb_err targetkey_save(const char *dir, const struct targetkey *key,
	const char *master, char *why, size_t why_len)
{
	struct secret_keys *keys = NULL;
	struct buf plain, record;
	char label[LABEL_MAX];
	enum sgb_err err = secret_keys_load(master, &keys, why, why_len);

	if (err)
		return err;
	label_of(key->name, label);
	buf_init(&plain, RECORD_MAX);
	buf_init(&record, RECORD_MAX);
	err = encode(key, &plain);
	if (!err)
		err = secret_seal(keys, label, plain.data, plain.len, &record);
	if (err)
		snprintf(why, why_len, "stored key \"%s\": %s", key->name,
			sgb_err_text(err));
	else
		err = write_record(dir, key->name, &record, why, why_len);
	buf_done(&plain);
	buf_done(&record);
	secret_keys_free(keys);
	return err;
}

/* ---- the folder ---- */

static int order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "web.key" is the key "web"; other files are not ours to speak of. */
static char *key_name(const char *file)
{
	size_t len = strlen(file), suffix = sizeof(SUFFIX) - 1;
	char *name;

	if (len <= suffix || strcmp(file + len - suffix, SUFFIX))
		return NULL;
	name = strndup(file, len - suffix);
	if (name && policy_name_valid(name))
		return name;
	free(name);
	return NULL;
}

enum sgb_err targetkey_each(
	const char *dir, void (*each)(const char *name, void *arg), void *arg)
{
	DIR *folder = opendir(dir);
	const struct dirent *entry;
	char **names = NULL;
	size_t count = 0, i;
	enum sgb_err err = SGB_OK;

	if (!folder)
		return errno == ENOENT ? SGB_ERR_NOTFOUND : SGB_ERR_SYSTEM;
	while (!err && (entry = readdir(folder))) {
		char *name = key_name(entry->d_name);
		char **more;

		if (!name)
			continue;
		more = reallocarray(names, count + 1, sizeof(*names));
		if (more) {
			names = more;
			names[count++] = name;
		} else {
			free(name);
			err = SGB_ERR_NOMEM;
		}
	}
	closedir(folder);
	if (count)
		qsort(names, count, sizeof(*names), order);
	for (i = 0; i < count; i++) {
		if (!err)
			each(names[i], arg);
		free(names[i]);
	}
	free(names);
	return err;
}

/* NAME.TTTTTTTT.used, by the fingerprint, whose letters may hold a slash. */
static bool stamp_of(const char *dir, const char *name,
	const struct targetkey_version *version, char path[PATH_MAX])
{
	const char *fp = version->parsed.fingerprint + sizeof("SHA256:") - 1;
	char tag[17];
	size_t i;

	for (i = 0; i + 1 < sizeof(tag); i++)
		tag[i] = fp[i] == '/' ? '_' : fp[i];
	tag[i] = '\0';
	return (size_t)snprintf(path, PATH_MAX, "%s/%s.%s.used", dir, name,
		       tag) < PATH_MAX;
}

time_t targetkey_used(const char *dir, const char *name,
	const struct targetkey_version *version)
{
	char path[PATH_MAX];
	struct stat st;

	if (!stamp_of(dir, name, version, path) || lstat(path, &st))
		return 0;
	return st.st_mtime;
}

void targetkey_use(const char *dir, const char *name,
	const struct targetkey_version *version)
{
	char path[PATH_MAX];
	int fd;

	if (!stamp_of(dir, name, version, path))
		return;
	fd = open(path,
		O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)futimens(fd, NULL);
	close(fd);
}

static void forget_stamps(const char *dir, const char *name)
{
	DIR *folder = opendir(dir);
	const struct dirent *entry;
	size_t len = strlen(name);

	while (folder && (entry = readdir(folder))) {
		const char *file = entry->d_name;
		size_t all = strlen(file);

		/* "." TAG ".used": 1 and 16 and 5 letters. */
		if (all == len + 22 && !strncmp(file, name, len) &&
			file[len] == '.' && !strcmp(file + all - 5, ".used"))
			(void)unlinkat(dirfd(folder), file, 0);
	}
	if (folder)
		closedir(folder);
}

enum sgb_err targetkey_delete(
	const char *dir, const char *name, char *why, size_t why_len)
{
	char path[PATH_MAX];
	enum sgb_err err = path_of(dir, name, path);

	if (!err && unlink(path))
		err = errno == ENOENT ? SGB_ERR_NOTFOUND : SGB_ERR_SYSTEM;
	if (err)
		snprintf(why, why_len, "stored key \"%.64s\": %s", name,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	else
		forget_stamps(dir, name);
	return err;
}
