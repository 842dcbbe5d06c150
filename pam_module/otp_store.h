/*
 * The folder of one-time-code records (setting otp-directory, root's alone;
 * docs/OTP.md has the bytes):
 *
 *	NAME.token	the token, sealed under the master key
 *	NAME.pending	a token that waits for its first code
 *	NAME.invite	what an invited person is shown, sealed
 *	NAME.ID.state	two state slots; ID is the token's
 *	NAME.lock	locked while any of these is read or written
 *
 * A lock is held for a read, a check and a write, never across a prompt, and
 * signals wait meanwhile: sshd kills its PAM child at LoginGraceTime. The
 * kernel drops a dead process's lock; lock files are never removed.
 */
#ifndef SGB_OTP_STORE_H
#define SGB_OTP_STORE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/secret.h"
#include "otp_check.h"
#include "otp_state.h"
#include "otp_token.h"

#define OTP_WHY_MAX 5000 /* PATH_MAX and a sentence */

struct otp_store {
	int dir;
	struct secret_keys *keys;
	unsigned int window;
	unsigned int tries;
};

/* One person's records under their lock. */
struct otp_entry {
	const struct otp_store *store;
	const char *user; /* borrowed */
	int lock;
	sigset_t signals; /* mask to restore */
	bool enrolled;	  /* token and state are valid */
	struct otp_token token;
	struct otp_state state;
	unsigned int slot; /* the one that state came from */
};

/* What a remembered second factor is bound to beside the person. */
struct otp_grace_request {
	const char *subject; /* key, source and service as one text */
	uint64_t seconds;    /* 0: neither look nor remember */
};

/* Opens the folder and reads the master keys. why (OTP_WHY_MAX) tells an
 * administrator what is wrong. */
enum sgb_err otp_store_open(const struct conf *conf, struct otp_store *ret,
	char *why) SGB_MUST_CHECK;
/* Fine on a zeroed store whose dir is -1. */
void otp_store_close(struct otp_store *store);

/*
 * Locks user's records, waiting up to five seconds, and reads the active
 * token and its state. create makes the lock file (enrolment); without it a
 * person who was never enrolled is SGB_ERR_NOTFOUND. With a lock but no token
 * the entry is locked and not enrolled. SGB_ERR_BUSY: could not get the lock.
 * On failure nothing is locked and why is set.
 */
enum sgb_err otp_entry_lock(const struct otp_store *store, const char *user,
	bool create, struct otp_entry *ret, char *why) SGB_MUST_CHECK;
/* Writes the state into the older slot, on disk when this returns. */
enum sgb_err otp_entry_save(struct otp_entry *entry) SGB_MUST_CHECK;
/* Wipes, unlocks, lets signals through. */
void otp_entry_unlock(struct otp_entry *entry);

/* The following need a locked entry. */

/* Makes token the active one, with a fresh state. A crash in between leaves
 * the old one in force. */
enum sgb_err otp_entry_activate(
	struct otp_entry *entry, const struct otp_token *token) SGB_MUST_CHECK;
/* Rewrites the active token (scratch codes, master key); same id and state. */
enum sgb_err otp_entry_rewrite(struct otp_entry *entry) SGB_MUST_CHECK;
enum sgb_err otp_entry_put_pending(
	struct otp_entry *entry, const struct otp_token *token) SGB_MUST_CHECK;
/* SGB_ERR_NOTFOUND if there is none. */
enum sgb_err otp_entry_get_pending(
	struct otp_entry *entry, struct otp_token *ret) SGB_MUST_CHECK;
/* Also the text beside it. */
void otp_entry_drop_pending(struct otp_entry *entry);
/* Activates token, pending or new, if the answer is its code, and spends the
 * code. out says what it was. */
enum sgb_err otp_entry_confirm(struct otp_entry *entry,
	const struct otp_token *token, const struct otp_question *question,
	struct otp_outcome *out) SGB_MUST_CHECK;
/* What an invited person is shown (QR code, secret), sealed like a token. */
enum sgb_err otp_entry_put_text(
	struct otp_entry *entry, const struct buf *text) SGB_MUST_CHECK;
enum sgb_err otp_entry_get_text(
	struct otp_entry *entry, struct buf *out) SGB_MUST_CHECK;
/* Removes user's token, state and pending token, readable or not. */
enum sgb_err otp_store_remove(
	const struct otp_store *store, const char *user) SGB_MUST_CHECK;

/* Lock, check, write, unlock. Unless this is SGB_OK, out->result says no.
 * SGB_ERR_NOTFOUND: not enrolled (as much work was done all the same). */
enum sgb_err otp_store_check(const struct otp_store *store, const char *user,
	const struct otp_question *question, struct otp_outcome *out,
	const struct otp_grace_request *grace, char *why) SGB_MUST_CHECK;
/* Does a remembered second factor hold for this subject? On any error no. */
bool otp_store_remembers(const struct otp_store *store, const char *user,
	const struct otp_grace_request *grace, uint64_t now);

/* Calls each(user, pending, arg) for every person on file, in the order of
 * the alphabet, until it returns false. */
enum sgb_err otp_store_each(const struct otp_store *store,
	bool (*each)(const char *user, bool pending, void *arg),
	void *arg) SGB_MUST_CHECK;

#endif
