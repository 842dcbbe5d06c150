/*
 * sgbridge-otp status, list, unlock, resync, reset: looking after records.
 * Nothing here shows a secret.
 */
#include "otp_tool.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define OUTPUT_MAX (64 * 1024 * 1024)

struct summary {
	const char *state; /* "active", "pending", "none", "locked", ... */
	bool enrolled;
	struct otp_token token;
	struct otp_state now;
	uint64_t wait;
	unsigned int scratch_left;
};

static unsigned int scratch_left(
	const struct otp_token *token, const struct otp_state *state)
{
	unsigned int used = 0;

	if (state->scratch_set == token->scratch_set)
		used = (unsigned int)__builtin_popcount(state->scratch_used);
	return token->scratch_count - used;
}

/* The longest waiting time that is in force for any source. */
static uint64_t longest_wait(
	const struct tool *tool, const struct otp_state *state)
{
	uint64_t longest = 0, now = (uint64_t)time(NULL);
	size_t i;

	for (i = 0; i < OTP_SOURCES; i++) {
		uint64_t wait = otp_wait(
			state, &state->sources[i].addr, now, tool->store.tries);

		if (wait > longest)
			longest = wait;
	}
	return longest;
}

static void summarise(
	struct tool *tool, struct otp_entry *entry, struct summary *ret)
{
	struct otp_token pending;

	memset(ret, 0, sizeof(*ret));
	ret->state = "none";
	if (entry->enrolled) {
		ret->enrolled = true;
		ret->token = entry->token;
		ret->now = entry->state;
		ret->wait = longest_wait(tool, &entry->state);
		ret->scratch_left = scratch_left(&ret->token, &ret->now);
		ret->state = ret->wait ? "locked" : "active";
	} else if (!otp_entry_get_pending(entry, &pending)) {
		ret->token = pending;
		ret->state = pending.invited ? "invited" : "pending";
		otp_token_wipe(&pending);
	}
}

static void put_wait(struct buf *out, uint64_t wait)
{
	if (wait == UINT64_MAX)
		buf_printf(out, "-1");
	else
		buf_printf(out, "%llu", (unsigned long long)wait);
}

static void put_json(struct buf *out, const char *user, const struct summary *s)
{
	buf_printf(out, "{");
	tool_json_text(out, true, "user", user);
	tool_json_text(out, false, "state", s->state);
	if (strcmp(s->state, "none")) {
		tool_json_text(
			out, false, "type", otp_kind_text(s->token.kind));
		tool_json_text(
			out, false, "hash", otp_hash_text(s->token.hash));
		buf_printf(out, ",\"digits\":%u,\"period\":%u,\"created\":%llu",
			s->token.digits, s->token.period,
			(unsigned long long)s->token.created);
	}
	if (s->enrolled) {
		buf_printf(out,
			",\"failures\":%u,\"last_failure\":%llu,"
			"\"last_success\":%llu,\"drift\":%d,"
			"\"scratch_left\":%u,\"wait\":",
			s->now.failures,
			(unsigned long long)s->now.last_failure,
			(unsigned long long)s->now.last_success, s->now.drift,
			s->scratch_left);
		put_wait(out, s->wait);
	}
	buf_printf(out, "}\n");
}

static void put_time(struct buf *out, const char *name, uint64_t when)
{
	time_t seconds = (time_t)when;
	char text[40] = "never";
	struct tm tm;

	if (when && gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	buf_printf(out, "  %-14s%s\n", name, text);
}

static void put_text(struct buf *out, const char *user, const struct summary *s)
{
	buf_printf(out, "%s: %s\n", user, s->state);
	if (!strcmp(s->state, "none"))
		return;
	buf_printf(out, "  %-14s%s, %s, %u digits, %u s\n", "token",
		otp_kind_text(s->token.kind), otp_hash_text(s->token.hash),
		s->token.digits, s->token.period);
	put_time(out, "created", s->token.created);
	if (!s->enrolled)
		return;
	put_time(out, "last success", s->now.last_success);
	put_time(out, "last failure", s->now.last_failure);
	buf_printf(out, "  %-14s%u\n", "failures", s->now.failures);
	buf_printf(out, "  %-14s%u\n", "scratch codes", s->scratch_left);
	if (s->now.drift)
		buf_printf(out, "  %-14s%d steps\n", "drift", s->now.drift);
	if (s->wait == UINT64_MAX)
		buf_printf(out, "  %-14suntil: sgbridge-otp unlock %s\n",
			"locked", user);
	else if (s->wait)
		buf_printf(out, "  %-14sfor %llu s\n", "locked",
			(unsigned long long)s->wait);
}

int command_status(struct tool *tool)
{
	const char *user = tool->words[0];
	struct otp_entry entry;
	struct summary summary;
	struct buf out;
	int status = tool_lock(tool, user, false, &entry);

	if (status)
		return status;
	summarise(tool, &entry, &summary);
	otp_entry_unlock(&entry);
	if (!strcmp(summary.state, "none"))
		return tool_fail(EX_NOUSER, "%s has no token", user);
	buf_init(&out, OUTPUT_MAX);
	if (tool->json)
		put_json(&out, user, &summary);
	else
		put_text(&out, user, &summary);
	secret_wipe(&summary, sizeof(summary));
	return tool_print(&out);
}

struct listing {
	struct tool *tool;
	struct buf out;
	char last[80]; /* a person may have an active and a pending token */
	int status;
};

static bool list_one(const char *user, bool pending, void *arg)
{
	struct listing *list = arg;
	struct otp_entry entry;
	struct summary summary;

	(void)pending;
	if (!strcmp(user, list->last))
		return true;
	snprintf(list->last, sizeof(list->last), "%s", user);
	if (tool_lock(list->tool, user, false, &entry)) {
		list->status = EX_DATAERR;
		return true;
	}
	summarise(list->tool, &entry, &summary);
	otp_entry_unlock(&entry);
	if (list->tool->json)
		put_json(&list->out, user, &summary);
	else
		buf_printf(&list->out, "%-24s %-8s %s %u scratch codes\n", user,
			summary.state, otp_kind_text(summary.token.kind),
			summary.scratch_left);
	secret_wipe(&summary, sizeof(summary));
	return true;
}

int command_list(struct tool *tool)
{
	struct listing list = {.tool = tool};
	enum sgb_err err;
	int status;

	buf_init(&list.out, OUTPUT_MAX);
	err = otp_store_each(&tool->store, list_one, &list);
	status = tool_print(&list.out);
	if (err)
		return tool_fail(EX_IOERR, "%s", sgb_err_text(err));
	return status ? status : list.status;
}

int command_unlock(struct tool *tool)
{
	struct otp_entry entry;
	enum sgb_err err;
	int status = tool_lock_enrolled(tool, tool->words[0], &entry);

	if (status)
		return status;
	otp_unlock(&entry.state);
	err = otp_entry_save(&entry);
	otp_entry_unlock(&entry);
	tool_note(tool, "sgbridge:unlock", tool->words[0], !err);
	if (err)
		return tool_fail(EX_IOERR, "%s", sgb_err_text(err));
	printf("%s: unlocked\n", tool->words[0]);
	return 0;
}

static int resync_with(struct tool *tool, const char *first, const char *second)
{
	enum otp_result result = OTP_WRONG;
	struct otp_entry entry;
	enum sgb_err err;
	int status = tool_lock_enrolled(tool, tool->words[0], &entry);

	if (status)
		return status;
	err = otp_resync(&entry.token, &entry.state, first, second,
		(uint64_t)time(NULL), &result);
	if (err == SGB_ERR_FORMAT)
		status = tool_fail(EX_USAGE, "a code of %s has %u digits",
			tool->words[0], entry.token.digits);
	else if (!err && result == OTP_REPLAYED)
		status = tool_fail(EX_NOPERM, "these codes have been used");
	else if (!err && result != OTP_RIGHT)
		status = tool_fail(EX_NOPERM,
			"these are not two consecutive codes of this token");
	else if (!err)
		err = otp_entry_save(&entry);
	if (err && !status)
		status = tool_fail(EX_IOERR, "%s", sgb_err_text(err));
	if (!status)
		printf("%s: adjusted, drift %d\n", tool->words[0],
			entry.state.drift);
	otp_entry_unlock(&entry);
	return status;
}

int command_resync(struct tool *tool)
{
	char *first, *second;
	int status;

	if (tool->word_count == 2)
		return tool_fail(EX_USAGE, "two consecutive codes are needed");
	if (tool->word_count == 3) {
		first = strdup(tool->words[1]);
		second = strdup(tool->words[2]);
	} else {
		first = tool_read_line("First code: ", true);
		second = tool_read_line("The next code: ", true);
	}
	if (!first || !second)
		status = tool_fail(EX_NOINPUT, "two codes are needed");
	else
		status = resync_with(tool, first, second);
	tool_note(tool, "sgbridge:resync", tool->words[0], !status);
	free(first);
	free(second);
	return status;
}

/* Works for a damaged record too: this is how to get rid of one. */
int command_reset(struct tool *tool)
{
	const char *user = tool->words[0];
	enum sgb_err err = otp_store_remove(&tool->store, user);

	if (err == SGB_ERR_NOTFOUND)
		return tool_fail(EX_NOUSER, "%s has no token", user);
	tool_note(tool, "sgbridge:reset", user, !err);
	if (err)
		return tool_fail(EX_IOERR, "%s: %s", user, sgb_err_text(err));
	printf("%s: removed\n", user);
	return 0;
}
