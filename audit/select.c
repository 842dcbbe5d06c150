/* Choosing recordings: names, paths and filters. */
#include "select.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "evidence.h"
#include "unread.h"

struct store *select_folder(struct audit *audit)
{
	char why[PATH_MAX + 100];
	struct store *store;

	if (store_open(audit->dir, &store, why, sizeof(why)))
		audit_fatal(EX_NOINPUT, "%s; name the folder with -d", why);
	return store;
}

struct store *select_store(struct audit *audit)
{
	struct store *store = select_folder(audit);

	if (!store->has_index && !store->count)
		audit_fatal(EX_NOINPUT,
			"%s holds neither recordings nor their index: name "
			"the right folder with -d, or mount it",
			audit->dir);
	return store;
}

static bool is_path(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') ||
	       (len > 4 && !strcmp(name + len - 4, ".sgr"));
}

void select_one(struct audit *audit, const char *name, struct chosen *ret)
{
	struct stat st;
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	if (is_path(name)) {
		ret->path = name;
		ret->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (ret->fd < 0)
			audit_fatal(
				EX_NOINPUT, "%s: %s", name, audit_errno(errno));
		if (!fstat(ret->fd, &st) && S_ISDIR(st.st_mode))
			audit_fatal(EX_NOINPUT,
				"%s: a folder, where a recording was expected; "
				"-d names the folder",
				name);
		return;
	}
	ret->store = select_store(audit);
	err = store_find(ret->store, name, &ret->entry);
	if (err == SGB_ERR_BUSY)
		audit_fatal(EX_USAGE,
			"\"%s\" is the start of several recordings; give more "
			"of it",
			name);
	if (err)
		audit_fatal(EX_NOINPUT, "no recording \"%s\" in %s", name,
			audit->dir);
	ret->fd = store_open_file(ret->store, ret->entry);
	if (ret->fd < 0 && errno != ENOENT)
		audit_fatal(EX_NOINPUT, "%s: %s", ret->entry->id,
			audit_errno(errno));
}

void select_done(struct chosen *chosen)
{
	if (chosen->fd >= 0)
		close(chosen->fd);
	store_free(chosen->store);
}

struct evidence *select_evidence(
	struct audit *audit, const char *name, struct chosen *ret)
{
	struct evidence *evidence;
	char id[SGR_ID_TEXT], why[UNREAD_KEY_MAX];
	enum sgb_err err;

	audit_identities(audit, true);
	select_one(audit, name, ret);
	if (ret->fd < 0)
		audit_fatal(5,
			"%s is missing: the index knows it, the folder "
			"does not have it",
			name);
	err = audit_evidence(audit, ret->fd, &evidence);
	if (err == SGB_ERR_STALE)
		audit_fatal(EX_DATAERR,
			"%s: the disclosure is of another recording", name);
	if (err == SGB_ERR_NOTFOUND) {
		unread_key(why, &evidence_scan(evidence)->header);
		audit_fatal(EX_NOPERM, "%s: %s", name, why);
	}
	if (err && evidence && *evidence_scan(evidence)->fault)
		audit_fatal(sgr_verdict_exit(evidence_scan(evidence)->verdict),
			"%s: %s: %s", name,
			sgr_verdict_text(evidence_scan(evidence)->verdict),
			evidence_scan(evidence)->fault);
	if (err)
		audit_fatal(EX_DATAERR, "%s: %s", name,
			err == SGB_ERR_CRYPTO
				? "the header was changed: its MAC does not fit"
				: sgb_err_text(err));
	sgr_id_text(evidence_scan(evidence)->header.rec_id, id);
	audit_viewed(audit, id, audit->command);
	return evidence;
}

/* "2026-11-23", "2026-11-23 18:00", "2026-11-23T18:00:05", or an age. */
static uint64_t parse_time(const char *option, const char *text)
{
	static const char *const formats[] = {"%Y-%m-%d %H:%M:%S",
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
	uint64_t age;
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, formats[i], &tm);

		if (end && (!*end || !strcmp(end, "Z")))
			return (uint64_t)timegm(&tm) * 1000000000;
	}
	if (conf_seconds(text, &age))
		audit_fatal(EX_USAGE,
			"--%s \"%s\": expected 2026-11-23, \"2026-11-23 "
			"18:00\" or an age such as 7d",
			option, text);
	return ((uint64_t)time(NULL) - age) * 1000000000;
}

void filter_init(struct audit *audit, struct filter *ret)
{
	ret->since_ns = audit->since ? parse_time("since", audit->since) : 0;
	ret->until_ns = audit->until ? parse_time("until", audit->until)
				     : UINT64_MAX;
	if (audit->mfa && strcmp(audit->mfa, "yes") != 0 &&
		strcmp(audit->mfa, "no") != 0)
		audit_fatal(EX_USAGE, "--mfa \"%s\": expected yes or no",
			audit->mfa);
	if (filter_wants_meta(audit) && !audit->key_count && !audit->index)
		audit_fatal(EX_USAGE,
			"who, where and mfa are encrypted: give a key with "
			"-i");
}

bool filter_entry(const struct audit *audit, const struct filter *filter,
	const struct store_entry *entry)
{
	if (entry->start_ns < filter->since_ns ||
		entry->start_ns >= filter->until_ns)
		return false;
	return !audit->status ||
	       !strcmp(audit->status, store_state_text(entry->state));
}

bool filter_wants_meta(const struct audit *audit)
{
	return audit->user || audit->target || audit->login || audit->source ||
	       audit->mfa;
}

static bool matches(json_t *meta, const char *name, const char *glob)
{
	const char *text = json_string_value(json_object_get(meta, name));

	return !glob || !fnmatch(glob, text ? text : "", 0);
}

bool filter_is_mfa(const char *mfa)
{
	static const char *const yes[] = {
		"totp", "hotp", "scratch", "remembered"};
	size_t i;

	for (i = 0; mfa && i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!strcmp(mfa, yes[i]))
			return true;
	return false;
}

static bool used_mfa(json_t *meta)
{
	return filter_is_mfa(json_string_value(json_object_get(meta, "mfa")));
}

bool filter_meta(const struct audit *audit, const char *meta)
{
	json_t *root;
	bool fits;

	if (!filter_wants_meta(audit))
		return true;
	root = json_loads(meta, 0, NULL);
	fits = matches(root, "user", audit->user) &&
	       matches(root, "target", audit->target) &&
	       matches(root, "login", audit->login) &&
	       matches(root, "source", audit->source);
	if (fits && audit->mfa)
		fits = used_mfa(root) == !strcmp(audit->mfa, "yes");
	json_decref(root);
	return fits;
}
