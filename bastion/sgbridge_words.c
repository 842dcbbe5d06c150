/*
 * What people write on sgbridge's command line: times, targets, users' groups.
 */
#include "sgbridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool cli_time(const char *text, time_t *ret)
{
	struct tm tm = {.tm_isdst = -1};
	size_t len = strlen(text);
	bool utc = len && text[len - 1] == 'Z';
	const char *end = strptime(text,
		memchr(text, 'T', len) ? "%Y-%m-%dT%H:%M" : "%Y-%m-%d %H:%M",
		&tm);

	if (!end || strcmp(end, utc ? "Z" : ""))
		return false;
	*ret = utc ? timegm(&tm) : mktime(&tm);
	return *ret != (time_t)-1;
}

bool cli_target(char *text, char **login, char **target, uint16_t *port)
{
	char *at = strchr(text, '@');
	char *colon = strrchr(text, ':');
	char *bracket = strchr(text, ']');
	unsigned long number;
	char *end;

	*login = NULL;
	*target = text;
	*port = 0;
	if (at) {
		*at = '\0';
		*login = text;
		*target = at + 1;
	}
	if (**target == '[' && bracket) {
		(*target)++;
		*bracket = '\0';
		colon = bracket[1] == ':' ? bracket + 1 : NULL;
	} else if (colon && strchr(*target, ':') != colon) {
		colon = NULL; /* an IPv6 address */
	}
	if (!colon)
		return **target != '\0';
	*colon = '\0';
	number = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || number == 0 || number > 65535)
		return false;
	*port = (uint16_t)number;
	return **target != '\0';
}

static bool split_groups(const char *text, char ***ret)
{
	size_t count = 2;
	char *copy, *word, *rest;
	const char *c;

	for (c = text; *c; c++)
		count += *c == ',';
	*ret = calloc(count, sizeof(**ret));
	copy = strdup(text);
	if (!*ret || !copy) {
		free(copy);
		return false;
	}
	count = 0;
	rest = copy;
	while ((word = strsep(&rest, ",")))
		if (*word)
			(*ret)[count++] = strdup(word);
	free(copy);
	return true;
}

static bool has_name(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; *list; list += strcspn(list, " ") + 1)
		if (!strncmp(list, name, len) && list[len] == ' ')
			return true;
	return false;
}

bool cli_takes(struct cli *cli, const char *command, const char *takes)
{
	size_t i;

	for (i = 0; i < cli->given_count; i++)
		if (!has_name(takes, cli->given[i])) {
			cli_fail("%s does not take --%s: sgbridge %.*s --help",
				command, cli->given[i],
				(int)strcspn(command, " "), command);
			return false;
		}
	return true;
}

bool cli_groups(struct cli *cli, const char *user, char ***ret)
{
	if (cli->groups)
		return split_groups(cli->groups, ret);
	if (!policy_unix_groups(cli->policy, user, ret))
		return true;
	cli_fail("the system cannot say which Unix groups %s is in: %s", user,
		strerror(errno));
	return false;
}
