/*
 * Any text as SSH_AUTH_INFO_0 and as SSH_CONNECTION. A key is only believed
 * when a line starts with "publickey ".
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../pam_module/authinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct authinfo info;
	struct addr source;
	uint16_t port;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!authinfo_parse(text, &info)) {
		if (info.key_count > AUTHINFO_MAX_KEYS)
			abort();
		if (info.key_count && strncmp(text, "publickey ", 10) &&
			!strstr(text, "\npublickey "))
			abort();
	} else if (info.key_count || info.kbdint_pam || info.password) {
		abort();
	}
	if (!authinfo_connection(text, &source, &port) &&
		(!source.family || !port))
		abort();
	free(text);
	return 0;
}
