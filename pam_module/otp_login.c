/*
 * A login's use of the store: one lock, one check, one write, and only then
 * an answer. Trusts nothing that is not on disk yet.
 */
#include "otp_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum sgb_err grace_id(const struct otp_token *token,
	const struct otp_grace_request *grace, uint8_t id[OTP_GRACE_ID])
{
	uint8_t mac[OTP_MAC_LEN];
	enum sgb_err err = otp_token_mac(
		token, "grace", grace->subject, strlen(grace->subject), mac);

	if (!err)
		memcpy(id, mac, OTP_GRACE_ID);
	return err;
}

static void remember(struct otp_entry *entry,
	const struct otp_grace_request *grace, uint64_t now)
{
	uint8_t id[OTP_GRACE_ID];

	if (grace && grace->seconds && !grace_id(&entry->token, grace, id))
		otp_grace_add(&entry->state, id, now, grace->seconds);
}

static enum sgb_err check_locked(struct otp_entry *entry,
	const struct otp_question *question, struct otp_outcome *out,
	const struct otp_grace_request *grace, char *why)
{
	enum sgb_err err;

	err = otp_check(&entry->token, &entry->state, question, out);
	if (!err && out->result == OTP_RIGHT)
		remember(entry, grace, question->now);
	if (!err && out->changed)
		err = otp_entry_save(entry);
	if (err)
		snprintf(why, OTP_WHY_MAX, "%s: state not written: %s",
			entry->user,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	return err;
}

enum sgb_err otp_store_check(const struct otp_store *store, const char *user,
	const struct otp_question *question, struct otp_outcome *out,
	const struct otp_grace_request *grace, char *why)
{
	struct otp_entry entry;
	enum sgb_err err;

	memset(out, 0, sizeof(*out));
	err = otp_entry_lock(store, user, false, &entry, why);
	if (!err && !entry.enrolled) {
		otp_entry_unlock(&entry);
		snprintf(why, OTP_WHY_MAX, "%s: no active token", user);
		err = SGB_ERR_NOTFOUND;
	}
	if (err) {
		otp_check_dummy(question);
		return err;
	}
	err = check_locked(&entry, question, out, grace, why);
	if (err)
		memset(out, 0, sizeof(*out));
	otp_entry_unlock(&entry);
	return err;
}

bool otp_store_remembers(const struct otp_store *store, const char *user,
	const struct otp_grace_request *grace, uint64_t now)
{
	uint8_t id[OTP_GRACE_ID];
	struct otp_entry entry;
	char why[OTP_WHY_MAX];
	bool holds = false;

	if (!grace->seconds || otp_entry_lock(store, user, false, &entry, why))
		return false;
	if (entry.enrolled && entry.state.failures < OTP_HARD_STOP &&
		!grace_id(&entry.token, grace, id))
		holds = otp_grace_holds(&entry.state, id, now, grace->seconds);
	otp_entry_unlock(&entry);
	return holds;
}

/* The length of NAME in "NAME.token" or "NAME.pending", or 0. */
static size_t base_length(const char *name, bool *ret_pending)
{
	static const struct {
		const char *suffix;
		bool pending;
	} kinds[] = {{".token", false}, {".pending", true}};
	size_t i, len = strlen(name);

	for (i = 0; i < 2; i++) {
		size_t cut = strlen(kinds[i].suffix);

		if (len > cut && name[0] != '.' &&
			!strcmp(name + len - cut, kinds[i].suffix)) {
			*ret_pending = kinds[i].pending;
			return len - cut;
		}
	}
	return 0;
}

static int is_record(const struct dirent *entry)
{
	bool pending = false;

	return base_length(entry->d_name, &pending) != 0;
}

enum sgb_err otp_store_each(const struct otp_store *store,
	bool (*each)(const char *user, bool pending, void *arg), void *arg)
{
	struct dirent **names;
	bool pending = false, go_on = true;
	int i, count;

	count = scandirat(store->dir, ".", &names, is_record, alphasort);
	if (count < 0)
		return errno == ENOMEM ? SGB_ERR_NOMEM : SGB_ERR_SYSTEM;
	for (i = 0; i < count; i++) {
		size_t len = base_length(names[i]->d_name, &pending);

		names[i]->d_name[len] = '\0';
		if (go_on)
			go_on = each(names[i]->d_name, pending, arg);
		free(names[i]);
	}
	free(names);
	return SGB_OK;
}
