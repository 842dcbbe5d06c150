/*
 * Stored keys: they open as they were saved, under their own name and master
 * key alone, and not if a bit of them has changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "../../bastion/privkey.h"
#include "../../bastion/targetkey.h"
#include "../../bastion/usercert_sign.h"
#include "files.h"

static char keys[80], master[80], next[80];
static char why[TARGETKEY_WHY];

static void write_file(const char *path, const void *data, size_t len)
{
	FILE *file;

	(void)unlink(path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0400), 0);
}

static const char *file_of(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s.key", keys, name);
	return path;
}

static size_t read_record(const char *name, uint8_t *out, size_t len)
{
	FILE *file = fopen(file_of(name), "r");

	assert_non_null(file);
	len = fread(out, 1, len, file);
	fclose(file);
	return len;
}

/* With one version of each of these types, the last one newest. */
static struct targetkey *make(const char *name, const char *const *types)
{
	struct targetkey *key = calloc(1, sizeof(*key));
	EVP_PKEY *pkey = NULL;

	assert_non_null(key);
	snprintf(key->name, sizeof(key->name), "%s", name);
	key->purposes[key->purpose_count++] = strdup("web1");
	key->purposes[key->purpose_count++] = strdup("SG_Web");
	for (; *types; types++) {
		assert_int_equal(privkey_generate(*types, &pkey), SGB_OK);
		assert_int_equal(targetkey_add(key, pkey, 1700000000), SGB_OK);
	}
	return key;
}

static enum sgb_err load(const char *name, const char *with)
{
	struct targetkey *key = NULL;
	enum sgb_err err = targetkey_load(
		keys, name, with, &key, why, sizeof(why));

	assert_true(!err == !!key);
	targetkey_free(key);
	return err;
}

static void same_version(
	const struct targetkey_version *a, const struct targetkey_version *b)
{
	static const uint8_t data[] = "what is signed";
	const char *name = a->parsed.type == SSHKEY_RSA ? "rsa-sha2-512"
							: a->parsed.name;
	struct buf signature;

	assert_int_equal(a->blob_len, b->blob_len);
	assert_memory_equal(a->blob, b->blob, a->blob_len);
	assert_int_equal(a->made, b->made);
	buf_init(&signature, 4096);
	assert_int_equal(
		privkey_sign(b->key, name, data, sizeof(data), &signature),
		SGB_OK);
	assert_int_equal(usercert_verify(a->blob, a->blob_len, data,
				 sizeof(data), signature.data, signature.len),
		SGB_OK);
	buf_done(&signature);
}

static void test_saved(void **state)
{
	static const char *const pairs[][3] = {{"ed25519", NULL},
		{"ecdsa", "ed25519", NULL}, {"rsa", "ecdsa", NULL}};
	struct targetkey *key, *read = NULL;
	struct stat st;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		key = make("web", pairs[i]);
		assert_int_equal(
			targetkey_save(keys, key, master, why, sizeof(why)),
			SGB_OK);
		assert_int_equal(stat(file_of("web"), &st), 0);
		assert_int_equal(st.st_mode & 0777, 0400);
		assert_int_equal(targetkey_load(keys, "web", master, &read, why,
					 sizeof(why)),
			SGB_OK);
		assert_string_equal(read->name, "web");
		assert_int_equal(read->purpose_count, 2);
		assert_string_equal(read->purposes[0], "web1");
		assert_string_equal(read->purposes[1], "SG_Web");
		assert_int_equal(read->count, key->count);
		for (j = 0; j < key->count; j++)
			same_version(&key->versions[j], &read->versions[j]);
		targetkey_finish(read);
		assert_int_equal(read->count, 1);
		same_version(&key->versions[0], &read->versions[0]);
		targetkey_free(read);
		targetkey_free(key);
	}
}

static void test_two(void **state)
{
	static const char *const two[] = {"ed25519", "ed25519", NULL};
	struct targetkey *key = make("web", two);
	EVP_PKEY *pkey;

	(void)state;
	assert_int_equal(privkey_generate("ed25519", &pkey), SGB_OK);
	assert_int_equal(targetkey_add(key, pkey, 0), SGB_ERR_BUSY);
	assert_int_equal(key->count, 2);
	targetkey_free(key);
	targetkey_free(NULL);
}

/* Another name, another master key, a bit, less and more of it. */
static void test_bent(void **state)
{
	static const char *const one[] = {"ed25519", NULL};
	struct targetkey *key = make("web", one);
	uint8_t record[4096];
	size_t len, i;

	(void)state;
	assert_int_equal(
		targetkey_save(keys, key, master, why, sizeof(why)), SGB_OK);
	targetkey_free(key);
	len = read_record("web", record, sizeof(record) - 1);
	assert_true(len > 64 && len < sizeof(record) - 1);
	assert_int_not_equal(load("web", next), SGB_OK);
	assert_non_null(strstr(why, "a master key that is gone"));
	write_file(file_of("other"), record, len);
	assert_int_not_equal(load("other", master), SGB_OK);
	assert_non_null(strstr(why, "copied from another name"));
	for (i = 0; i < len; i++) {
		record[i] ^= 1;
		write_file(file_of("web"), record, len);
		assert_int_not_equal(load("web", master), SGB_OK);
		record[i] ^= 1;
		write_file(file_of("web"), record, i);
		assert_int_not_equal(load("web", master), SGB_OK);
	}
	write_file(file_of("web"), record, len + 1);
	assert_int_not_equal(load("web", master), SGB_OK);
	write_file(file_of("web"), record, len);
	assert_int_equal(load("web", master), SGB_OK);
}

static void collect(const char *name, void *arg)
{
	char *all = arg;

	strcat(all, name);
	strcat(all, " ");
}

static void test_folder(void **state)
{
	static const char *const one[] = {"ed25519", NULL};
	static const char *const names[] = {"web", "db.2", "apps"};
	static const char *const bad[] = {"", "../web", "a/b", ".", "..", "-x"};
	struct targetkey *key;
	char all[200] = "", path[200];
	size_t i;

	(void)state;
	(void)unlink(file_of("other"));
	for (i = 0; i < 3; i++) {
		key = make(names[i], one);
		assert_int_equal(
			targetkey_save(keys, key, master, why, sizeof(why)),
			SGB_OK);
		if (i < 2)
			targetkey_free(key);
	}
	snprintf(path, sizeof(path), "%s/README", keys);
	write_file(path, "x", 1);
	assert_int_equal(targetkey_each(keys, collect, all), SGB_OK);
	assert_string_equal(all, "apps db.2 web ");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_not_equal(load(bad[i], master), SGB_OK);
		assert_int_not_equal(
			targetkey_delete(keys, bad[i], why, sizeof(why)),
			SGB_OK);
	}
	assert_int_equal(load("nosuch", master), SGB_ERR_NOTFOUND);
	assert_int_equal(
		targetkey_each("/nonexistent", collect, all), SGB_ERR_NOTFOUND);
	assert_int_equal(targetkey_used(keys, "apps", &key->versions[0]), 0);
	targetkey_use(keys, "apps", &key->versions[0]);
	assert_true(targetkey_used(keys, "apps", &key->versions[0]) > 0);
	assert_int_equal(
		targetkey_delete(keys, "apps", why, sizeof(why)), SGB_OK);
	assert_int_equal(targetkey_used(keys, "apps", &key->versions[0]), 0);
	assert_int_equal(load("apps", master), SGB_ERR_NOTFOUND);
	assert_int_equal(load("web", master), SGB_OK);
	targetkey_free(key);
}

static int setup(void **state)
{
	char line[66];

	if (files_make(state))
		return -1;
	snprintf(keys, sizeof(keys), "%s/keys", folder);
	snprintf(master, sizeof(master), "%s/master", folder);
	snprintf(next, sizeof(next), "%s/next", folder);
	memset(line, 'a', 64);
	line[64] = '\n';
	write_file(master, line, 65);
	line[0] = 'b';
	write_file(next, line, 65);
	return mkdir(keys, 0700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_bent),
		cmocka_unit_test(test_folder),
	};

	return cmocka_run_group_tests(tests, setup, files_remove);
}
