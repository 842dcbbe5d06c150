/*
 * The SSH user name: who, and where to. One strict grammar; what is
 * authenticated, checked, logged and used as a file name is the same string.
 *
 *	name   = user [ "+" [ login "@" ] target [ ":" port ] ]
 *	target = instance name, IPv4 address, or "[" IPv6 address "]"
 */
#include "monitor.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 256

static enum sgb_err parse_port(const char *text, uint16_t *ret)
{
	unsigned int port = 0;
	const char *c;

	if (!*text || *text == '0' || strlen(text) > 5)
		return SGB_ERR_FORMAT;
	for (c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return SGB_ERR_FORMAT;
		port = port * 10 + (unsigned int)(*c - '0');
	}
	if (port > 65535)
		return SGB_ERR_FORMAT;
	*ret = (uint16_t)port;
	return SGB_OK;
}

static bool target_valid(const char *text)
{
	struct addr addr;

	return policy_name_valid(text) || !addr_parse(text, &addr);
}

/* Cuts "target[:port]" in place; "[v6]:port" loses its brackets. */
static enum sgb_err split_port(
	char *text, char **ret_target, uint16_t *ret_port)
{
	char *end;

	*ret_target = text;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end)
			return SGB_ERR_FORMAT;
		*ret_target = text + 1;
		*end++ = '\0';
		if (*end && *end != ':')
			return SGB_ERR_FORMAT;
	} else {
		end = text + strcspn(text, ":");
	}
	if (!*end)
		return SGB_OK;
	*end = '\0';
	return parse_port(end + 1, ret_port);
}

static enum sgb_err parse_target(
	char *text, char **ret_login, char **ret_target, uint16_t *ret_port)
{
	char *at = strchr(text, '@');
	char *login = NULL, *target;
	enum sgb_err err;

	if (at) {
		*at = '\0';
		login = text;
		text = at + 1;
		if (!policy_name_valid(login))
			return SGB_ERR_FORMAT;
	}
	err = split_port(text, &target, ret_port);
	if (err)
		return err;
	if (!target_valid(target))
		return SGB_ERR_FORMAT;
	*ret_target = strdup(target);
	*ret_login = login ? strdup(login) : NULL;
	return *ret_target && (!login || *ret_login) ? SGB_OK : SGB_ERR_NOMEM;
}

enum sgb_err monitor_name_parse(const char *text, char **ret_user,
	char **ret_login, char **ret_target, uint16_t *ret_port)
{
	char *user = NULL, *login = NULL, *target = NULL, *copy, *plus;
	uint16_t port = 0;
	enum sgb_err err = SGB_OK;

	if (strlen(text) > NAME_MAX_LEN)
		return SGB_ERR_LIMIT;
	copy = strdup(text);
	if (!copy)
		return SGB_ERR_NOMEM;
	plus = strchr(copy, '+');
	if (plus) {
		*plus = '\0';
		err = parse_target(plus + 1, &login, &target, &port);
	}
	if (!err && !policy_name_valid(copy))
		err = SGB_ERR_FORMAT;
	if (!err) {
		user = strdup(copy);
		err = user ? SGB_OK : SGB_ERR_NOMEM;
	}
	free(copy);
	if (err) {
		free(login);
		free(target);
		return err;
	}
	*ret_user = user;
	*ret_login = login;
	*ret_target = target;
	*ret_port = port;
	return SGB_OK;
}
