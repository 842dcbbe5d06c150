/*
 * sgbridge check --keys: the folder of authorized_keys, one file a user.
 * Looks for one key under two people, keys the policy does not accept, lines
 * that are not understood or let nobody in, options that widen access, old
 * keys, and people whom no rule names. Reads what users pasted, so nothing is
 * trusted.
 */
#include "sgbridge.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "authkeys.h"
#include "core/file.h"
#include "core/sshkey.h"
#include "sgbridge_usage.h"

#define FILE_MAX    (1024 * 1024)
#define KEYS_MAX    1000000
#define DAY_SECONDS 86400
#define DAYS_SOON   14

struct key {
	char fingerprint[SSHKEY_FP_MAX];
	char *user;
	unsigned int line;
};

struct keys {
	struct lint *lint;
	const char *folder;
	struct cli *cli;
	struct usage *usage; /* NULL: not asked for */
	struct key *list;
	size_t count, cap;
	/* of the file in hand */
	time_t changed;
	char path[4096];
	const char *user;
	unsigned int line;
	const char *text;
};

static void SGB_PRINTF(4, 5) tell(struct keys *keys, enum diag_level level,
	const char *code, const char *fmt, ...)
{
	char text[400];
	struct diag_item item = {.level = level,
		.code = (char *)code,
		.file = keys->path,
		.line = keys->line,
		.text = text,
		.source = (char *)keys->text};
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	diag_add(keys->lint->parser.diag, &item);
}

static void remember(struct keys *keys, const struct sshkey *key)
{
	struct key *added;

	if (keys->count == keys->cap) {
		size_t cap = keys->cap ? keys->cap * 2 : 64;
		struct key *list = cap > KEYS_MAX ? NULL
						  : reallocarray(keys->list,
							    cap, sizeof(*list));

		if (!list)
			return;
		keys->list = list;
		keys->cap = cap;
	}
	added = &keys->list[keys->count];
	added->user = strdup(keys->user);
	added->line = keys->line;
	memcpy(added->fingerprint, key->fingerprint,
		sizeof(added->fingerprint));
	if (added->user)
		keys->count++;
}

/* The parser of logins says what an option does, so that this is true. */
static void judge_option(
	void *arg, enum authkeys_effect effect, const char *option)
{
	static const struct {
		const char *code, *text;
	} says[] = {
		[AUTHKEYS_REFUSED] = {"key-refused",
			", or its value, is not supported: this line lets "
			"nobody in"},
		[AUTHKEYS_EXPIRED] = {"key-expired",
			" says that this key has expired"},
		[AUTHKEYS_GIVES_BACK] = {"key-option",
			" takes back a restriction of this line"},
		[AUTHKEYS_WIDENS] = {"key-option", " widens access"},
	};

	if (effect != AUTHKEYS_NARROWS)
		tell(arg, DIAG_WARNING, says[effect].code,
			"the option \"%s\"%s", option, says[effect].text);
}

/* The same question, asked of the day in two weeks. */
static void judge_soon(
	void *arg, enum authkeys_effect effect, const char *option)
{
	if (effect == AUTHKEYS_EXPIRED)
		tell(arg, DIAG_WARNING, "key-expires-soon",
			"the option \"%s\" ends this key within %d days",
			option, DAYS_SOON);
}

static void note_expired(
	void *arg, enum authkeys_effect effect, const char *option)
{
	bool *expired = arg;

	(void)option;
	*expired = *expired || effect == AUTHKEYS_EXPIRED;
}

static void judge_expiry(struct keys *keys, const char *line)
{
	bool expired = false;

	authkeys_options_judge(line, keys->lint->now, note_expired, &expired);
	if (!expired)
		authkeys_options_judge(line,
			keys->lint->now + (time_t)DAYS_SOON * DAY_SECONDS,
			judge_soon, keys);
}

/* A comment or a date in a file is anybody's claim. What is known: a key is
 * at least as old as its first login in the trail, and as the last change of
 * its file. */
static void judge_age(struct keys *keys, const struct sshkey *key)
{
	time_t limit = keys->lint->now -
		       (time_t)keys->cli->max_days * DAY_SECONDS;
	time_t first, last;
	char day[20];
	struct tm tm;

	if (!keys->cli->max_days)
		return;
	if (keys->usage &&
		usage_of(keys->usage, keys->user, key->fingerprint, &first,
			&last) &&
		first < limit && gmtime_r(&first, &tm) &&
		strftime(day, sizeof(day), "%Y-%m-%d", &tm))
		tell(keys, DIAG_WARNING, "key-old",
			"this key is older than %u days: it was in use on %s",
			keys->cli->max_days, day);
	else if (keys->changed && keys->changed < limit)
		tell(keys, DIAG_WARNING, "key-old",
			"this key is older than %u days: its file has not "
			"been changed since",
			keys->cli->max_days);
}

/* A key that may be new is not unused: its file has to be older, or the trail
 * to know it. That the trail is long enough was looked at before. */
static void judge_use(struct keys *keys, const struct sshkey *key)
{
	time_t limit = keys->lint->now -
		       (time_t)keys->cli->idle_days * DAY_SECONDS;
	time_t first, last;
	bool known = keys->usage && usage_of(keys->usage, keys->user,
					    key->fingerprint, &first, &last);

	if (!keys->cli->idle_days || usage_begins(keys->usage) > limit ||
		(known ? last >= limit
		       : !keys->changed || keys->changed >= limit))
		return;
	tell(keys, DIAG_WARNING, "key-unused",
		"nobody logged in through the bastion with this key for %u "
		"days",
		keys->cli->idle_days);
}

static void judge_key(struct keys *keys, const struct sshkey *key)
{
	const struct policy *policy = keys->lint->parser.policy;

	remember(keys, key);
	if (!policy_key_accepted(policy, key->name, key->bits))
		tell(keys, DIAG_WARNING, "key-weak",
			"the policy does not accept %s keys of %u bits",
			key->name, key->bits);
	judge_age(keys, key);
	judge_use(keys, key);
}

/* The key is the word of base64 after the name of its type. */
static bool find_key(const char *line, const char **ret_type, const char **ret,
	size_t *ret_len)
{
	static const char *const types[] = {
		"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"};
	bool quoted = false, start = true, escaped = false;
	size_t i;

	for (; *line; line++) {
		if (*line == '"' && !escaped)
			quoted = !quoted;
		escaped = *line == '\\' && !escaped;
		for (i = 0; start && !quoted && i < 4; i++)
			if (!strncmp(line, types[i], strlen(types[i]))) {
				*ret_type = line;
				line += strcspn(line, " \t");
				line += strspn(line, " \t");
				*ret = line;
				*ret_len = strcspn(line, " \t");
				return *ret_len > 0;
			}
		start = *line == ' ' || *line == '\t';
	}
	return false;
}

static void judge_line(struct keys *keys, const char *line)
{
	struct sshkey key;
	const char *type, *base64;
	uint8_t *blob = NULL;
	size_t len, blob_len;

	keys->text = line;
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return;
	if (!find_key(line, &type, &base64, &len) ||
		sshkey_base64_decode(base64, len, &blob, &blob_len) ||
		sshkey_parse(blob, blob_len, &key)) {
		tell(keys, DIAG_ERROR, "key-malformed",
			"this line holds no public key that can be read");
		free(blob);
		return;
	}
	if (type != line) {
		authkeys_options_judge(
			line, keys->lint->now, judge_option, keys);
		judge_expiry(keys, line);
	}
	judge_key(keys, &key);
	free(blob);
}

static bool permit_any(const struct policy_rule *rule, void *arg)
{
	bool *found = arg;

	(void)rule;
	*found = true;
	return false;
}

/* Does any permit speak of this user, by name, group or Unix group? */
static void judge_user(struct keys *keys)
{
	const struct policy *policy = keys->lint->parser.policy;
	struct policy_request request = {.via = POLICY_VIA_PROXY,
		.user = keys->user,
		.now = keys->lint->now};
	struct policy_query query;
	char **groups = NULL;
	bool found = false;

	(void)!addr_parse("192.0.2.1", &request.source);
	if (policy_unix_groups(policy, keys->user, &groups))
		return;
	request.groups = (const char *const *)groups;
	keys->line = 0;
	keys->text = NULL;
	if (policy_query_user(&query, policy, &request) == POLICY_GRANTED)
		policy_each_of_user(&query, RULE_PERMIT, permit_any, &found);
	if (!found)
		tell(keys, DIAG_WARNING, "key-useless",
			"no rule permits anything to %s, who has keys here",
			keys->user);
	policy_unix_groups_free(groups);
}

static void judge_file(struct keys *keys, const char *user)
{
	char why[4600] = "";
	char *line, *rest;
	struct buf text;
	struct stat st;

	buf_init(&text, FILE_MAX);
	keys->user = user;
	keys->line = 0;
	keys->text = NULL;
	snprintf(keys->path, sizeof(keys->path), "%s/%s", keys->folder, user);
	if (file_read(keys->path, FILE_TRUST_ROOT, &text, why, sizeof(why))) {
		tell(keys, DIAG_ERROR, "key-file", "%s", why);
		buf_done(&text);
		return;
	}
	keys->changed = stat(keys->path, &st) ? 0 : st.st_mtime;
	judge_user(keys);
	buf_put_u8(&text, 0);
	rest = buf_error(&text) ? NULL : (char *)text.data;
	keys->line = 0;
	while ((line = strsep(&rest, "\n"))) {
		keys->line++;
		judge_line(keys, line);
	}
	buf_done(&text);
}

static int key_order(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = strcmp(x->fingerprint, y->fingerprint);

	if (!order)
		order = strcmp(x->user, y->user);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static void judge_shared(struct keys *keys)
{
	size_t i;

	if (keys->count)
		qsort(keys->list, keys->count, sizeof(*keys->list), key_order);
	keys->text = NULL;
	for (i = 1; i < keys->count; i++) {
		const struct key *one = &keys->list[i - 1];
		const struct key *two = &keys->list[i];

		if (strcmp(one->fingerprint, two->fingerprint) ||
			!strcmp(one->user, two->user))
			continue;
		snprintf(keys->path, sizeof(keys->path), "%s/%s", keys->folder,
			two->user);
		keys->line = two->line;
		tell(keys, DIAG_WARNING, "key-shared",
			"%s has this key too (line %u): who used it cannot be "
			"told",
			one->user, one->line);
	}
}

/* How long the trail goes back is part of the answer. */
static bool read_usage(struct keys *keys)
{
	time_t limit = keys->lint->now -
		       (time_t)keys->cli->idle_days * DAY_SECONDS;

	if (!keys->cli->idle_days &&
		(!keys->cli->max_days || !keys->cli->events))
		return true;
	keys->usage = usage_read(keys->cli);
	if (!keys->usage)
		return false;
	snprintf(keys->path, sizeof(keys->path), "%s", keys->folder);
	if (keys->cli->idle_days && usage_begins(keys->usage) > limit)
		tell(keys, DIAG_WARNING, "trail-short",
			"the event trail does not go back %u days: which keys "
			"are unused cannot be told",
			keys->cli->idle_days);
	return true;
}

static void judge_folder(struct keys *keys)
{
	struct dirent **names = NULL;
	int count = scandir(keys->folder, &names, NULL, alphasort);
	int n;

	if (count < 0) {
		snprintf(keys->path, sizeof(keys->path), "%s", keys->folder);
		tell(keys, DIAG_ERROR, "key-file",
			"this folder of keys cannot be read");
	}
	for (n = 0; n < count; n++) {
		if (policy_name_valid(names[n]->d_name))
			judge_file(keys, names[n]->d_name);
		free(names[n]);
	}
	free(names);
}

bool lint_keys(struct lint *lint, struct cli *cli, const char *folder)
{
	struct keys keys = {.lint = lint, .cli = cli, .folder = folder};
	bool good = read_usage(&keys);
	size_t i;

	if (good) {
		judge_folder(&keys);
		judge_shared(&keys);
	}
	for (i = 0; i < keys.count; i++)
		free(keys.list[i].user);
	free(keys.list);
	usage_free(keys.usage);
	return good;
}
