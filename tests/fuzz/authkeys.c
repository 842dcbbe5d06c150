/*
 * Fuzzer: lines of authorized_keys and SSH user names. Whatever the line, it
 * grants only with the key in it; whatever the name, its parts are valid.
 */
#include <stdlib.h>
#include <string.h>

#include "../../bastion/authkeys.h"
#include "../../bastion/monitor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(const char *line)
{
	static const uint8_t blob[] = "\0\0\0\x0bssh-ed25519\0\0\0 "
				      "0123456789abcdef0123456789abcdef";
	struct addr source;
	const struct authkeys_query query = {
		.user = "alice",
		.blob = blob,
		.blob_len = sizeof(blob) - 1,
		.source = &source,
		.now = 1781524800,
	};
	struct authkeys_limits limits;
	char why[256];

	if (addr_parse("203.0.113.9", &source))
		abort();
	if (!authkeys_line(line, &query, &limits, why, sizeof(why)) &&
		!strstr(line, "AAAAC3NzaC1lZDI1NTE5AAAAIDAxMjM0NTY3ODlhYmNkZWYw"
			      "MTIzNDU2Nzg5YWJjZGVm"))
		abort();
}

static void try_name(const char *text)
{
	char *user = NULL, *login = NULL, *target = NULL;
	struct addr addr;
	uint16_t port;

	if (monitor_name_parse(text, &user, &login, &target, &port))
		return;
	if (!policy_name_valid(user) || (login && !policy_name_valid(login)) ||
		(target && !policy_name_valid(target) &&
			addr_parse(target, &addr)))
		abort();
	free(user);
	free(login);
	free(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	try_line(text);
	try_name(text);
	free(text);
	return 0;
}
