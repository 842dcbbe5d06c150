/*
 * What a name that is refused is: a locked person, nobody, or somebody whom no
 * rule permits. For the trail, where attempts on such accounts are findings;
 * what the peer hears is the same for all. A client that only asks whether a
 * key would do, and so never signs, leaves one event a connection.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/userlock.h"

/* Certificates and commands know names that have no file. */
static bool others_know_names(const struct monitor *m)
{
	const char *const *path = policy_user_cas(m->policy);

	return m->conf->keys_command.count > 0 || (path && *path);
}

static bool has_file(const struct monitor *m, const char *user)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", m->conf->authorized_keys,
		    user) >= (int)sizeof(path))
		return false;
	return !lstat(path, &st) || errno != ENOENT;
}

const char *monitor_account(
	const struct monitor *m, const char *user, bool permitted)
{
	char why[MONITOR_WHY_MAX];

	if (!user || !policy_name_valid(user))
		return "unknown";
	if (userlock_is(m->conf->locks, user, why, sizeof(why)))
		return "locked";
	if (!others_know_names(m) && !has_file(m, user))
		return "unknown";
	return permitted ? NULL : "not-permitted";
}

void monitor_account_refused(
	struct monitor *m, const char *name, const char *account)
{
	if (!account || m->refused_account)
		return;
	m->refused_account = account;
	snprintf(m->refused_name, sizeof(m->refused_name), "%s", name);
}

void monitor_account_tell(struct monitor *m)
{
	struct event event = {.kind = EVENT_AUTH_KEY,
		.user = m->refused_name,
		.account = m->refused_account,
		.reason = "no key of this name was offered"};

	if (m->user || !m->refused_account)
		return;
	m->refused_account = NULL;
	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: a refused name left no event",
			m->conn_id);
}
