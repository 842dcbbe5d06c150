/*
 * May authorized-keys-command be run at all? Asked when settings are checked,
 * and by the monitor before each run: a file may have changed. Trusts nothing
 * but the kernel's word on owners and modes; runs nothing.
 */
#include "keys_command.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

#define COMMAND "authorized-keys-command"

static enum sgb_err folders_safe(const char *path, char *why, size_t why_len)
{
	char folder[PATH_MAX];
	struct stat st;
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	while ((slash = strrchr(folder, '/'))) {
		slash[slash == folder] = '\0';
		if (lstat(folder, &st) || st.st_uid != 0 ||
			(st.st_mode & 022 && !(st.st_mode & S_ISVTX))) {
			snprintf(why, why_len,
				"%s: " COMMAND ": the folder %s "
				"must be root's, and nobody else may write it",
				path, folder);
			return SGB_ERR_UNSAFE;
		}
		if (slash == folder)
			break;
	}
	return SGB_OK;
}

enum sgb_err keys_command_safe(const char *path, char *why, size_t why_len)
{
	struct stat st;
	enum sgb_err err;
	int fd = -1;

	if (*path != '/' || strlen(path) >= PATH_MAX || strstr(path, "/../")) {
		snprintf(why, why_len, COMMAND ": %s is not an absolute path",
			path);
		return SGB_ERR_FORMAT;
	}
	err = file_open(path, FILE_TRUST_ROOT, &fd, why, why_len);
	if (err)
		return err;
	if (fstat(fd, &st) || !(st.st_mode & S_IXOTH)) {
		snprintf(why, why_len,
			COMMAND ": %s cannot be run by everybody; try: "
				"chmod 0755 %s",
			path, path);
		err = SGB_ERR_UNSAFE;
	}
	close(fd);
	return err ? err : folders_safe(path, why, why_len);
}

/* %u, %f, %t and %% are all that a word may ask for. */
static bool word_valid(const char *word)
{
	while ((word = strchr(word, '%'))) {
		if (!word[1] || !strchr("uft%", word[1]))
			return false;
		word += 2;
	}
	return true;
}

enum sgb_err keys_command_check(
	const struct conf *conf, char *why, size_t why_len)
{
	const struct conf_list *words = &conf->keys_command;
	unsigned int uid, gid;
	enum sgb_err err;
	size_t i;

	if (!words->count)
		return SGB_OK;
	err = keys_command_safe(words->items[0], why, why_len);
	if (err)
		return err;
	for (i = 0; i < words->count; i++)
		if (!word_valid(words->items[i])) {
			snprintf(why, why_len,
				COMMAND ": \"%s\": expected %%u (user), %%f "
					"(fingerprint), %%t (type) or %%%%",
				words->items[i]);
			return SGB_ERR_FORMAT;
		}
	if (words->count > KEYS_COMMAND_WORDS) {
		snprintf(why, why_len, COMMAND ": expected at most %d words",
			KEYS_COMMAND_WORDS);
		return SGB_ERR_LIMIT;
	}
	err = conf_user(conf->keys_command_user, &uid, &gid);
	if (!err && (!uid || !gid))
		err = SGB_ERR_UNSAFE;
	if (err)
		snprintf(why, why_len,
			COMMAND "-user %s: expected a user other than root, by "
				"name or as uid:gid",
			conf->keys_command_user);
	return err;
}
