/* A test program's folder: files.h. */
#include "files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/sshkey.h"

char folder[64];

int files_make(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/sgb-%s-XXXXXX",
		program_invocation_short_name);
	return mkdtemp(folder) ? 0 : -1;
}

int files_remove(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

char *path_of(const char *name)
{
	static char path[64][256];
	static unsigned int next;
	char *out = path[next++ % 64];

	snprintf(out, sizeof(path[0]), "%s/%s", folder, name);
	return out;
}

void put_file(const char *name, const char *text, mode_t mode)
{
	const char *path = path_of(name);
	FILE *file;

	(void)unlink(path);
	file = fopen(path, "wxe");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fchmod(fileno(file), mode), 0);
	assert_int_equal(fclose(file), 0);
}

char *get_file(const char *name, size_t *ret_len)
{
	char *text = calloc(1, 65536);
	FILE *file = fopen(path_of(name), "re");

	assert_non_null(text);
	assert_non_null(file);
	*ret_len = fread(text, 1, 65535, file);
	fclose(file);
	return text;
}

uint8_t *blob_of(const char *name, size_t *ret_len)
{
	size_t len;
	char *text = get_file(name, &len);
	char *base64 = strchr(text, ' ') + 1;
	uint8_t *blob;

	base64[strcspn(base64, " \n")] = '\0';
	assert_int_equal(
		sshkey_base64_decode(base64, strlen(base64), &blob, ret_len),
		SGB_OK);
	free(text);
	return blob;
}

void sh(const char *fmt, ...)
{
	char command[4096], whole[4200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	snprintf(whole, sizeof(whole), "cd %s && { %s; } >log 2>&1", folder,
		command);
	if (system(whole))
		fail_msg("failed: %s", command);
}

const char *built(const char *name)
{
	static char path[PATH_MAX + 40];
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int up;

	assert_true(len > 0);
	self[len] = '\0';
	for (up = 0; up < 3; up++)
		*strrchr(self, '/') = '\0';
	(void)snprintf(path, sizeof(path), "%s/%s", self, name);
	return path;
}
