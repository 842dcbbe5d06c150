/* The room of the tests of host keys: hostkey_room.h. */
#include "hostkey_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sshkey.h"

char folder[] = "/tmp/sgb-hostkey.XXXXXX";
char key_text[3][256];

void sh(const char *fmt, ...)
{
	char command[4096], whole[4200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	snprintf(whole, sizeof(whole), "cd %s && %s", folder, command);
	if (system(whole))
		fail_msg("%s", command);
}

char *path_of(const char *name)
{
	static char path[64][256];
	static unsigned int next;
	char *out = path[next++ % 64];

	snprintf(out, sizeof(path[0]), "%s/%s", folder, name);
	return out;
}

void put_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

char *get_file(const char *name, size_t *ret_len)
{
	char *text = calloc(1, 65536);
	FILE *file = fopen(path_of(name), "r");

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

int setup(void **state)
{
	static const char *const names[] = {"a.pub", "b.pub", "ca.pub"};
	size_t i, len;

	(void)state;
	assert_non_null(mkdtemp(folder));
	sh("for k in a b ca ca2; do ssh-keygen -q -t ed25519 -N '' -C '' "
	   "-f $k; done; ssh-keygen -q -t rsa -b 2048 -N '' -C '' -f r; "
	   "mkdir cache");
	for (i = 0; i < 3; i++) {
		char *text = get_file(names[i], &len);

		text[strcspn(text, "\n")] = '\0';
		while (*text && text[strlen(text) - 1] == ' ')
			text[strlen(text) - 1] = '\0';
		snprintf(key_text[i], sizeof(key_text[i]), "%s", text);
		free(text);
	}
	return 0;
}

int teardown(void **state)
{
	(void)state;
	sh("rm -rf %s", folder);
	return 0;
}
