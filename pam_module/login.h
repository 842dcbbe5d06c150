/*
 * One call of the module: what is known about the person and the connection,
 * and what was decided. Lives on the stack of a pam_sm_* function.
 */
#ifndef SGB_LOGIN_H
#define SGB_LOGIN_H

#include <security/pam_modules.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "authinfo.h"
#include "core/addr.h"
#include "core/conf.h"
#include "core/policy.h"

#define LOGIN_WHY_MAX 5000
#define LOGIN_REF_LEN 5

enum reason {
#define X(name, slug, auth, account, session) REASON_##name,
#include "reason.def"
#undef X
	REASON_COUNT
};

enum phase {
	PHASE_AUTH = 0,
	PHASE_ACCOUNT,
	PHASE_SESSION,
};

struct args {
	const char *conf_path;
	bool proxy;
	bool debug;
	const char *unknown; /* first argument nobody knows, or NULL */
};

struct login {
	pam_handle_t *pamh;
	enum phase phase;
	int flags;
	struct args args;
	struct conf *conf;
	struct policy *policy;
	struct policy_decision decision; /* mfa is set for the proxy too */
	const char *service;
	const char *user; /* who must prove it: for su the invoking one */
	const char *tty;
	const char *conn;   /* connection id, or NULL */
	char conn_text[24]; /* one that login_conn made */
	bool local;	    /* no connection: sudo, su */
	bool invoked;	    /* local, and PAM_RUSER says by whom */
	bool root_already;  /* local, and the invoking user is root */
	struct addr source;
	uint16_t port;
	struct authinfo auth;
	time_t now;
	/* the outcome */
	const char *method; /* "totp", ..., "exempt", "remembered", "none" */
	char passed[16];    /* account: what the auth phase passed by */
	bool lock_begins;
	unsigned int scratch_left;
	bool scratch_spent;
	char ref[LOGIN_REF_LEN + 1];
	char why[LOGIN_WHY_MAX]; /* one sentence for the log, or "" */
};

/* Fills in everything that can be known without asking the person, and says
 * whether a second factor may be asked for at all: REASON_GRANTED or the
 * reason why this login is refused whatever is answered. */
enum reason login_begin(struct login *login, pam_handle_t *pamh,
	enum phase phase, int flags, int argc, const char **argv);
void login_end(struct login *login);

/* Reads SSH_AUTH_INFO_0 and applies the key policy. */
enum reason login_keys(struct login *login);

/* What a remembered factor is bound to, as text. False: nothing to bind to. */
bool login_subject(const struct login *login, char *out, size_t len);

/* login_conn.c: the id that joins this login's lines and records. */
void login_conn(struct login *login);

/* Transaction data: the auth phase passed for this person and source. */
enum reason login_pass_set(struct login *login);
void login_pass_clear(pam_handle_t *pamh);
/* Then login->passed is the method that it passed by. */
bool login_pass_there(struct login *login);

/* Logs and audits the decision and tells the person the reference number.
 * Returns the PAM code; audit that is required and fails denies. */
int login_finish(struct login *login, enum reason reason);
const char *reason_slug(enum reason reason);

/* Asks for a code without echo. The caller wipes and frees the answer
 * (secret_free_cstring). */
enum reason login_ask(
	struct login *login, const char *prompt, char **ret_answer);
/* Shows text, unless PAM_SILENT; failures do not matter. */
void login_tell(struct login *login, int style, const char *text);

#endif
