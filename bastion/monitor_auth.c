/*
 * Authentication: a key that was proved, then PAM. The person's name is fixed
 * by the first proof; every refusal looks alike to the client and costs a
 * try. Nothing here tells an unknown user from a wrong key.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "monitor_proof.h"
#include "core/userlock.h"

/* What the session says about a key, as parsed from its request. */
struct offer {
	char *name; /* the SSH user name as typed */
	char *algorithm;
	const uint8_t *blob;
	size_t blob_len;
	bool signed_; /* so it says */
	struct proof evidence;
	unsigned int proof; /* SESSION_PROOF_*, verified */
	char *user, *login, *target;
	uint16_t port;
	struct sshkey key;
};

static enum sgb_err reply(
	struct monitor *m, enum session_auth result, const char *text)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_AUTH);
	buf_put_u32(&msg.body, result);
	buf_put_cstring(&msg.body, text);
	err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

/* A refusal that counts; too many end the connection. */
static enum sgb_err refuse(struct monitor *m)
{
	m->tries++;
	if (m->tries < m->conf->max_auth_tries)
		return reply(m, SESSION_AUTH_REFUSED, "");
	monitor_end(
		m, RECORDER_CLOSE_POLICY, "Too many authentication failures.");
	return SGB_OK;
}

static void offer_done(struct offer *offer)
{
	free(offer->name);
	free(offer->algorithm);
	free(offer->user);
	free(offer->login);
	free(offer->target);
}

static enum sgb_err offer_read(struct offer *offer, struct msg *msg)
{
	struct reader *rd = &msg->reader;
	struct proof *proof = &offer->evidence;

	memset(offer, 0, sizeof(*offer));
	offer->name = reader_cstring(rd, 1024);
	offer->algorithm = reader_cstring(rd, 128);
	offer->blob = reader_string(rd, &offer->blob_len);
	offer->signed_ = reader_u8(rd) == SESSION_PROOF_SIGNED;
	proof->data = reader_string(rd, &proof->data_len);
	proof->signature = reader_string(rd, &proof->signature_len);
	return reader_end(rd);
}

/* The session process says that the key was proved; here it is. */
static bool offer_proved(
	struct monitor *m, struct offer *offer, char *why, size_t why_len)
{
	offer->proof = 0;
	if (!offer->signed_)
		return true;
	if (sshkey_parse(offer->blob, offer->blob_len, &offer->key)) {
		snprintf(why, why_len, "malformed or unsupported key");
		return false;
	}
	offer->evidence.session_id = m->session_id;
	offer->evidence.session_id_len = m->session_id_len;
	if (m->session_key < m->host_key_count) {
		offer->evidence.host_key = m->host_keys[m->session_key].blob;
		offer->evidence.host_key_len =
			m->host_keys[m->session_key].blob_len;
	}
	return !proof_check(&offer->evidence, offer->name, offer->algorithm,
		offer->blob, offer->blob_len, &offer->key, &offer->proof, why,
		why_len);
}

/* Is this key, from this address, one that user may use at all? */
static bool offer_acceptable(struct monitor *m, struct offer *offer,
	struct authkeys_limits *limits, char *why, size_t why_len)
{
	struct monitor_key_offer key = {
		.blob = offer->blob,
		.blob_len = offer->blob_len,
	};

	if (monitor_name_parse(offer->name, &offer->user, &offer->login,
		    &offer->target, &offer->port)) {
		snprintf(why, why_len, "not a valid user name");
		return false;
	}
	if (!offer_proved(m, offer, why, why_len))
		return false;
	key.proved = offer->proof & SESSION_PROOF_SIGNED;
	key.flags = offer->proof;
	if (!monitor_key_acceptable(
		    m, offer->user, &key, &offer->key, limits, why, why_len))
		return false;
	if (sshkey_algorithm_fits(&offer->key, offer->algorithm))
		return true;
	snprintf(why, why_len, "the algorithm is not one of this key");
	return false;
}

/* Does any rule permit this person from here? Asked again in the account
 * phase by the PAM module, and for the target itself later. */
static bool person_permitted(struct monitor *m, const char *user, char **groups)
{
	struct policy_request request = {
		.via = POLICY_VIA_PROXY,
		.user = user,
		.groups = (const char *const *)groups,
		.source = m->source,
		.now = time(NULL),
	};
	enum policy_mfa mfa;
	uint64_t seconds;

	return policy_mfa_floor(m->policy, &request, &mfa, &seconds) ==
	       POLICY_PERMIT;
}

bool monitor_key_permitted(
	struct monitor *m, bool reload, const char **ret_reason)
{
	const struct monitor_key_offer offer = {
		.blob = m->key_blob,
		.blob_len = m->key_blob_len,
		.proved = true,
		.known = true,
		.reload = reload,
	};
	struct authkeys_limits limits;
	char why[MONITOR_WHY_MAX] = "";
	struct sshkey key;

	if (!m->user)
		return true;
	*ret_reason = "the person is locked";
	if (userlock_is(m->conf->locks, m->user, why, sizeof(why)))
		return false;
	*ret_reason = "no rule permits the person any more";
	if (!person_permitted(m, m->user, m->groups))
		return false;
	*ret_reason = "the key is revoked, expired or no longer the person's";
	if (monitor_key_acceptable(
		    m, m->user, &offer, &key, &limits, why, sizeof(why))) {
		m->key_until = limits.until;
		/* What the options take away is asked about at each use. */
		m->limits = limits;
		return true;
	}
	log_put(LOG_NOTICE, "%s: key no longer permitted: %s", m->conn_id, why);
	return false;
}

/* From here on these are constant but for the limits; see the struct. */
static enum sgb_err fix_identity(struct monitor *m, struct offer *offer,
	char **groups, const struct authkeys_limits *limits)
{
	m->key_blob = malloc(offer->blob_len);
	if (!m->key_blob)
		return SGB_ERR_NOMEM;
	memcpy(m->key_blob, offer->blob, offer->blob_len);
	m->key_blob_len = offer->blob_len;
	m->key = offer->key;
	m->limits = *limits;
	m->key_until = limits->until;
	m->groups = groups;
	m->user = offer->user;
	m->login = offer->login;
	m->target = offer->target;
	m->port = offer->port;
	offer->user = offer->login = offer->target = NULL;
	m->phase = MONITOR_PHASE_FACTOR;
	monitor_judge_later(m);
	monitor_report_state(m);
	return SGB_OK;
}

/*
 * The factor this connection needs: the target's own if it is known and
 * permitted, else the strictest of all that the person may reach. A denied
 * target is refused after logon, so that guessing names tells nothing.
 */
static enum policy_mfa needed_factor(struct monitor *m, uint64_t *seconds)
{
	struct policy_request request;
	struct policy_decision decision;
	enum policy_mfa mfa = POLICY_MFA_ALWAYS;

	*seconds = 0;
	monitor_policy_request(m, m->target, m->port, m->login, &request);
	if (m->target) {
		policy_decide(m->policy, &request, &decision);
		if (decision.verdict == POLICY_PERMIT) {
			*seconds = decision.mfa_seconds;
			return decision.mfa;
		}
	}
	request.target = NULL;
	request.want = 0;
	request.port = 0;
	request.login = NULL;
	if (policy_mfa_floor(m->policy, &request, &mfa, seconds) !=
		POLICY_PERMIT)
		return POLICY_MFA_ALWAYS;
	return mfa;
}

static void log_on_event(struct monitor *m, bool ok, const char *reason)
{
	struct event event = {
		.kind = EVENT_LOGON,
		.ok = ok,
		.reason = reason,
	};

	if (monitor_event(m, &event) && ok)
		monitor_end(m, RECORDER_CLOSE_FAILED,
			"The event of this logon cannot be recorded; access "
			"denied.");
}

enum sgb_err monitor_auth_done(struct monitor *m, const char *text)
{
	m->phase = MONITOR_PHASE_PROVED;
	m->deadline_ms = 0;
	(void)alarm(0);
	monitor_report_state(m);
	return reply(m, SESSION_AUTH_DONE, text);
}

/* Asked, not told: only sgbridged knows of all of a user's connections. An
 * answer that does not come is a no. */
static bool has_room(struct monitor *m)
{
	const char *text = "The bastion does not answer; please try again.";
	struct msg question, answer;
	bool yes = false;

	msg_init(&question, MSG_MON_ROOM);
	msg_init(&answer, MSG_NONE);
	if (!monitor_query(m, &question, MSG_MON_ADMIT, &answer)) {
		yes = reader_u32(&answer.reader) == 1 &&
		      !reader_end(&answer.reader);
		text = "You have too many connections.";
	}
	msg_done(&answer);
	if (yes || m->ending)
		return yes;
	log_on_event(m, false, "no room for one more of the user's");
	monitor_end(m, RECORDER_CLOSE_POLICY, text);
	return false;
}

/* Both factors are there; the target may still want four eyes. */
static enum sgb_err admit(struct monitor *m, const char *text)
{
	bool waiting = false;
	enum sgb_err err;

	if (m->mode == SESSION_MODE_DOOR && !has_room(m))
		return SGB_OK;
	err = monitor_approval_ask(m, &waiting);
	if (err || waiting || m->ending)
		return err;
	return monitor_auth_done(m, text);
}

static enum sgb_err run_pam(
	struct monitor *m, enum policy_mfa mfa, uint64_t seconds)
{
	char text[512] = "";

	if (!monitor_pam_login(m, mfa, seconds, text, sizeof(text))) {
		log_on_event(m, true, NULL);
		return m->ending ? SGB_OK : admit(m, text);
	}
	log_on_event(m, false, "second factor or account refused");
	monitor_report_penalty(m, MONITOR_PENALTY_AUTH);
	m->tries++;
	if (m->tries < m->conf->max_auth_tries && !m->ending)
		return reply(m, SESSION_AUTH_REFUSED, text);
	monitor_end(m, RECORDER_CLOSE_POLICY,
		*text ? text : "Too many authentication failures.");
	return SGB_OK;
}

static enum sgb_err key_proved(struct monitor *m, struct offer *offer,
	char **groups, const struct authkeys_limits *limits)
{
	char what[700];
	struct event event = {
		.kind = EVENT_AUTH_KEY,
		.ok = true,
		.what = what,
	};
	enum policy_mfa mfa;
	uint64_t seconds;
	enum sgb_err err;

	err = fix_identity(m, offer, groups, limits);
	if (err)
		return err;
	monitor_key_describe(m->key_blob, m->key_blob_len, what, sizeof(what));
	if (monitor_event(m, &event)) {
		monitor_end(m, RECORDER_CLOSE_FAILED,
			"This login cannot be recorded; access denied.");
		return SGB_OK;
	}
	mfa = needed_factor(m, &seconds);
	if (mfa == POLICY_MFA_NEVER)
		return run_pam(m, mfa, seconds);
	return reply(m, SESSION_AUTH_PARTIAL, "");
}

static void refused_key_event(struct monitor *m, const struct offer *offer,
	const char *account, const char *why)
{
	char what[700];
	struct event event = {
		.kind = EVENT_AUTH_KEY,
		.what = what,
		.user = offer->user,
		.key_fp = offer->key.fingerprint,
		.key_type = offer->key.name,
		.account = account,
		.reason = why,
	};

	/* A name that is none is told as it was typed. */
	if (!event.user)
		event.user = offer->name;

	monitor_key_describe(offer->blob, offer->blob_len, what, sizeof(what));
	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: a refused key left no event", m->conn_id);
	monitor_report_penalty(m, MONITOR_PENALTY_AUTH);
}

enum sgb_err monitor_auth_key(struct monitor *m, struct msg *msg)
{
	struct authkeys_limits limits = {0};
	char why[MONITOR_WHY_MAX] = "";
	char **groups = NULL;
	struct offer offer;
	enum sgb_err err;
	bool good, permitted = true;

	m->tried = true;
	err = offer_read(&offer, msg);
	if (err)
		goto out;
	good = offer_acceptable(m, &offer, &limits, why, sizeof(why));
	if (good && policy_unix_groups(m->policy, offer.user, &groups)) {
		snprintf(why, sizeof(why), "Unix groups cannot be looked up");
		good = false;
	}
	if (good && !person_permitted(m, offer.user, groups)) {
		snprintf(why, sizeof(why), "no rule permits %s from here",
			offer.user);
		good = permitted = false;
	}
	/* Asked after the proof alone, so that the trail has who tried. */
	if (good && (offer.proof & SESSION_PROOF_SIGNED) &&
		userlock_is(m->conf->locks, offer.user, why, sizeof(why)))
		good = false;
	if (!good) {
		const char *account = monitor_account(m, offer.user, permitted);

		if (offer.signed_)
			refused_key_event(m, &offer, account, why);
		else
			monitor_account_refused(m,
				offer.user ? offer.user : offer.name, account);

		log_put(LOG_INFO, "%s: key refused: %s", m->conn_id, why);
		err = refuse(m);
	} else if (!(offer.proof & SESSION_PROOF_SIGNED)) {
		err = reply(m, SESSION_AUTH_PROBE_OK, "");
	} else {
		err = key_proved(m, &offer, groups, &limits);
		groups = NULL;
	}
out:
	policy_unix_groups_free(groups);
	offer_done(&offer);
	return err;
}

enum sgb_err monitor_auth_kbd(struct monitor *m, struct msg *msg)
{
	char *name = reader_cstring(&msg->reader, 1024);
	char *user = NULL, *login = NULL, *target = NULL;
	enum sgb_err err = reader_end(&msg->reader);
	uint64_t seconds;
	uint16_t port;

	if (!err)
		err = monitor_name_parse(name, &user, &login, &target, &port);
	/* RFC 4252 section 5 lets a client change its name; we do not. */
	if (!err && strcmp(user, m->user))
		err = SGB_ERR_DENIED;
	if (!err) {
		enum policy_mfa mfa = needed_factor(m, &seconds);

		err = run_pam(m, mfa, seconds);
	}
	free(name);
	free(user);
	free(login);
	free(target);
	return err;
}

/* Inside a proved connection there is nothing left to prove: the name that
 * the client gives is the login on the target (ssh -J). */
enum sgb_err monitor_auth_none(struct monitor *m, struct msg *msg)
{
	char *login = reader_cstring(&msg->reader, 1024);
	enum sgb_err err = reader_end(&msg->reader);

	if (err) {
		free(login);
		return err;
	}
	if (m->mode != SESSION_MODE_INNER || !policy_name_valid(login)) {
		free(login);
		return refuse(m);
	}
	free(m->login);
	m->login = login;
	return admit(m, "");
}
