/*
 * The monitor of one connection: its state and its modules. The session
 * process, which reads foreign bytes, asks; the monitor decides. What was
 * proved (user, key, factor) is written once, here, and never taken from the
 * session again.
 */
#ifndef SGB_MONITOR_H
#define SGB_MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include <openssl/types.h>

#include "authkeys.h"
#include "core/addr.h"
#include "core/conf.h"
#include "core/event.h"
#include "core/msg.h"
#include "core/policy.h"
#include "core/sshkey.h"
#include "hostkey.h"
#include "private_key.h"

/* What a session on a target may be for. */
#define MONITOR_SESSION_ACTIONS \
	(POLICY_SHELL | POLICY_EXEC | POLICY_EXEC_PATTERN | POLICY_SFTP_READ | \
		POLICY_SFTP_WRITE | POLICY_SCP | POLICY_RSYNC)
#define CONN_ID_MAX	   40
#define ASK_ID_MAX	   56
#define MONITOR_REF_MAX	   8
#define MONITOR_MFA_MAX	   16
#define MONITOR_ACCESS_MAX 420
/* Seconds; keeps sums of milliseconds small. */
#define MONITOR_APPROVED_MAX (366u * 86400)
/* Different places that forwards of a connection may go to. */
#define MONITOR_HOST_KEYS_MAX 8 /* as many as a session takes */
#define MONITOR_PLACES_MAX    8
/* A path and a sentence about it. */
#define MONITOR_WHY_MAX (4096 + 200)

struct pam_handle;

/* Another monitor, forked from this one, for a connection inside ours. */
struct monitor_child {
	LIST_ENTRY(monitor_child) link;
	pid_t pid;
};
LIST_HEAD(monitor_children, monitor_child);

/* What may log on to the target, in the order in which it is offered. */
struct monitor_identity {
	uint8_t *blob; /* a key or a certificate */
	size_t blob_len;
	struct sshkey parsed;
	EVP_PKEY *key;	/* which signs; NULL: the user's own agent does */
	char text[300]; /* for events: "stored key web, SHA256:..." */
	/* Of the user's own: */
	bool asked, refused; /* once each; refused ones are not offered */
	char algorithm[64];
	uint8_t *data; /* what it was asked to sign */
	size_t data_len;
	uint8_t *signature; /* NULL: none yet */
	size_t signature_len;
};
#define MONITOR_IDENTITIES_MAX 6

/* One login: whose host key is judged, and what is signed for it. At most one
 * at a time: that at a jump host is put in place of the target's, and taken
 * out again. */
struct monitor_logon {
	uint8_t *host_blob; /* NULL: not shown yet */
	size_t host_blob_len;
	bool host_cert_wanted;
	bool host_verified;		      /* else nothing is signed */
	char host_by[HOSTKEY_TEXT_MAX + 192]; /* the key, and who vouched */
	int agent;			      /* or -1 */
	struct buf agent_in; /* a request that is not complete */
	struct monitor_identity identities[MONITOR_IDENTITIES_MAX];
	size_t identity_count;
	/* By the user's agent, one of these in their place in the monitor; or
	 * NULL. */
	struct monitor_identity *asking;
	uint8_t *ssh_id; /* the SSH session's id: that key signed it */
	size_t ssh_id_len;
};

struct monitor_forward; /* monitor_forward.c */
LIST_HEAD(monitor_forwards, monitor_forward);
struct monitor_hop; /* monitor_hop.c */
LIST_HEAD(monitor_hops, monitor_hop);
/* "near1 (10.1.0.1:22), mid1 (...)": the jump hosts of a connection. */
#define MONITOR_VIA_MAX (POLICY_HOPS_MAX * (ADDR_TEXT_MAX + 80))
/* What went wrong on the way, for the user. */
#define MONITOR_LOST_MAX 400

/* A place that forwards may go to. */
struct monitor_approved {
	struct addr addr;
	uint16_t port;
	char *approver;
	uint64_t until_ms; /* 0: to the end */
};

struct monitor {
	/* from sgbridged */
	struct conf *conf;
	struct policy *policy;
	struct policy *spare_policy; /* what decisions may still point into */
	int conf_fd, policy_fd;	     /* sealed, what both were read from */
	int control;		     /* to sgbridged */
	int client;		     /* until the session has it; then -1 */
	char conn_id[CONN_ID_MAX];
	char parent_id[CONN_ID_MAX]; /* inner mode, else "" */
	struct addr source;
	uint16_t source_port;
	char front[ADDR_TEXT_MAX]; /* PROXY protocol: who passed it on */
	char local_addr[ADDR_TEXT_MAX];

	/* the session process */
	enum session_mode mode;
	enum monitor_phase phase;
	int session;
	int session_pidfd;	/* or -1 */
	int session_watch;	/* to its cradle, or -1 */
	bool session_killed;	/* by us: no crash of its own */
	int cradle;		/* where sessions are forked, or -1 */
	uint64_t cradle_places; /* for connections, in the nursery */
	int starter;		/* who starts cradles; -1: behind the path */
	const char *starter_path;
	char *client_banner;
	struct monitor_children children;
	struct monitor_forwards forwards;
	struct monitor_hops hops;
	char via[MONITOR_VIA_MAX];   /* of the target, "": none */
	char lost[MONITOR_LOST_MAX]; /* the last way that led nowhere */
	uint32_t forward_ids;
	struct {
		struct addr addr;
		uint16_t port;
	} places[MONITOR_PLACES_MAX]; /* where forwards went */
	unsigned int place_count;
	size_t child_count; /* of both: bounded by max-channels */
	struct {
		char *host; /* NULL: none */
		uint16_t port;
		uint64_t until_ms;
	} waiting;		 /* a forward, for an approval; one at a time */
	unsigned int asks;	 /* MON_ASKs so far */
	char ask_id[ASK_ID_MAX]; /* of the last: what a verdict must name */
	/* forwards that may go there */
	struct monitor_approved approved[MONITOR_PLACES_MAX];
	unsigned int approved_count;

	/* who: set when the key is proved, constant afterwards */
	char *user;
	char **groups;
	struct sshkey key;
	uint8_t *key_blob;
	size_t key_blob_len;
	struct private_key host_keys[MONITOR_HOST_KEYS_MAX];
	size_t host_key_count;
	uint8_t session_id[64]; /* of SSH: what the host key signed first */
	size_t session_id_len;
	size_t session_key;	       /* which of host_keys signed it */
	struct authkeys_limits limits; /* of that key, when last judged */
	char *approver;		       /* who approved this target, or NULL */
	uint64_t approved_until_ms;    /* monotonic; 0: to the end */
	char mfa[MONITOR_MFA_MAX];     /* factor used: "totp", ..., or "" */
	struct pam_handle *pam;
	bool pam_session;
	unsigned int tries;
	unsigned int events;  /* written so far */
	uint64_t deadline_ms; /* monotonic: login grace, then max-session */
	const char *deadline_text;
	uint64_t reattach_ms; /* when we last looked for a new sgbridged */
	uint64_t judge_ms;    /* when to ask again whether it may go on */
	uint64_t rest_ms;     /* when to give memory back, or 0 */
	time_t key_until;     /* of its line; 0: for ever */
	bool tried;
	/* A name that was offered and cannot log on, and why; told at the end
	 * if nothing was ever signed for it. */
	char refused_name[100];
	const char *refused_account;
	bool watching; /* has looked on: ends with the right to it */

	/* where to: the user's own words, then policy's decision */
	char *target;
	char *login;
	uint16_t port;
	bool chosen; /* from the menu, after logging on */
	struct policy_decision decision;
	uint64_t opened_ms;	  /* monotonic, 0: no target yet */
	uint64_t target_until_ms; /* monotonic: it must be logged on to */

	/* the recorder */
	int recorder;
	char rec_id[CONN_ID_MAX];
	bool recording;
	bool recorder_failed;

	/* at the target; while the way to it is opened, at a jump host */
	struct monitor_logon logon;

	/* how it ends */
	bool ending;
	enum recorder_close close_reason;
	char close_text[200];
};

/* monitor.c */
uint64_t monitor_now_ms(void);
/* Settings and policy from the sealed descriptors of a message, which m then
 * owns; on failure m is unchanged. */
enum sgb_err monitor_take_sealed(
	struct monitor *m, struct msg *msg) SGB_MUST_CHECK;
/* Tells the session to say text to the user and end; the first reason stays. */
void monitor_end(
	struct monitor *m, enum recorder_close reason, const char *text);
/* Tells sgbridged where we are. */
void monitor_report_state(struct monitor *m);
void monitor_report_penalty(struct monitor *m, enum monitor_penalty kind);
/* Serves the session process until it is gone. */
int monitor_serve(struct monitor *m);
/* Frees what m owns; closes descriptors. */
void monitor_done(struct monitor *m);

/* Handles one message of sgbridged. */
enum sgb_err monitor_control(struct monitor *m, struct msg *msg) SGB_MUST_CHECK;

/* monitor_judge.c: sets m->judge_ms to when something of what permits this
 * connection ends, or to half a minute from now. */
void monitor_judge_later(struct monitor *m);

/* monitor_requests.c: one message from the session, judged by the table of
 * requests and the phases that permit them. An error ends the session. */
enum sgb_err monitor_request(struct monitor *m, struct msg *msg) SGB_MUST_CHECK;

/* monitor_name.c: "alice", "alice+web1", "alice+ops@web1",
 * "alice+ops@web1:2222". The parts are checked by policy_name_valid (target
 * also: numeric address). ret_* are heap copies or NULL. */
enum sgb_err monitor_name_parse(const char *text, char **ret_user,
	char **ret_login, char **ret_target, uint16_t *ret_port) SGB_MUST_CHECK;

/* monitor_auth.c */
enum sgb_err monitor_auth_none(struct monitor *m, struct msg *msg);
enum sgb_err monitor_auth_key(struct monitor *m, struct msg *msg);
enum sgb_err monitor_auth_kbd(struct monitor *m, struct msg *msg);
/* May the key that was proved still be used? reload: something changed. */
bool monitor_key_permitted(
	struct monitor *m, bool reload, const char **ret_reason);

/* monitor_account.c: "locked", "unknown" (no file of keys, and nothing else
 * that could know the name; NULL is a name that cannot be one), "not-permitted"
 * (permitted false: the key is good and no rule permits it from here), or NULL.
 * For events alone; a peer learns none of it. */
const char *monitor_account(
	const struct monitor *m, const char *user, bool permitted);
/* Remembers a refusal that no signature went before. */
void monitor_account_refused(
	struct monitor *m, const char *name, const char *account);
/* At the end of a connection that proved nothing: one event for it. */
void monitor_account_tell(struct monitor *m);

/* monitor_key.c: a key or certificate, as offered or as proved before. */
struct monitor_key_offer {
	const uint8_t *blob;
	size_t blob_len;
	bool proved;	    /* there is a signature */
	unsigned int flags; /* SESSION_PROOF_* */
	bool known;	    /* proved before: m->limits are its limits */
	bool reload;	    /* ask also what is slow to ask */
};
/* May user use it from m's source now? Then ret_limits is what its options
 * take away. ret_key is set whenever the blob is a key at all; why is for the
 * log. */
bool monitor_key_acceptable(struct monitor *m, const char *user,
	const struct monitor_key_offer *offer, struct sshkey *ret_key,
	struct authkeys_limits *ret_limits, char *why, size_t why_len);
/* Appends the key that was proved as a plain blob, out of its certificate. */
enum sgb_err monitor_key_plain(
	const struct monitor *m, struct buf *out) SGB_MUST_CHECK;
/* For events: the certificate's key id, serial and CA; "" for a plain key. */
void monitor_key_describe(
	const uint8_t *blob, size_t len, char *out, size_t out_len);

/* The connection is logged on: tells the session, and the daemon. */
enum sgb_err monitor_auth_done(
	struct monitor *m, const char *text) SGB_MUST_CHECK;

/* monitor_approval.c: four eyes. Asks if the target wants an approval; then
 * *ret_waiting, and the login goes on in monitor_approval_verdict. */
enum sgb_err monitor_approval_ask(
	struct monitor *m, bool *ret_waiting) SGB_MUST_CHECK;
enum sgb_err monitor_approval_verdict(
	struct monitor *m, struct msg *msg) SGB_MUST_CHECK;
/* MON_PENDING: tells the user, who waits. */
enum sgb_err monitor_approval_pending(struct monitor *m) SGB_MUST_CHECK;
/* A forward waits; it goes on in monitor_forward_judged. */
enum sgb_err monitor_approval_ask_forward(struct monitor *m, const char *host,
	uint16_t port, const struct policy_decision *decision) SGB_MUST_CHECK;
/* It waits no longer, for this reason; nothing if none does. */
enum sgb_err monitor_approval_drop(
	struct monitor *m, const char *why) SGB_MUST_CHECK;
/* Who approved forwards to this place; NULL: nobody, or not any more. */
const struct monitor_approved *monitor_place_approved(
	const struct monitor *m, const struct policy_decision *decision);
bool monitor_approval_holds(const struct monitor_approved *approved);
/* Writes "login@instance:port", or "forward instance:port", into
 * out[MONITOR_ACCESS_MAX]. */
void monitor_access_name(
	const struct policy_decision *decision, bool forward, char *out);

/* monitor_list.c: what sgbridged knows of everybody, and words to others.
 * Commands of the bastion; the answer is appended to out; each returns its
 * exit status. */
struct monitor_order {
	const char *arg; /* "" if there is none */
	bool json;
	uint32_t channel;
};
/* Instead of an exit status: the answer is a stream. */
#define MONITOR_STREAMS UINT32_MAX
uint32_t monitor_cmd_sessions(
	struct monitor *m, const struct monitor_order *order, struct buf *out);
uint32_t monitor_cmd_requests(
	struct monitor *m, const struct monitor_order *order, struct buf *out);
uint32_t monitor_cmd_approve(
	struct monitor *m, const struct monitor_order *order, struct buf *out);
uint32_t monitor_cmd_deny(
	struct monitor *m, const struct monitor_order *order, struct buf *out);
uint32_t monitor_cmd_end(
	struct monitor *m, const struct monitor_order *order, struct buf *out);
/* Asks sgbridged; what else it says meanwhile is obeyed. Frees question;
 * answer, which msg_init made, is the caller's to free. */
enum sgb_err monitor_query(struct monitor *m, struct msg *question,
	enum msg_type type, struct msg *answer) SGB_MUST_CHECK;
/* A word, and a reason behind a blank, as copies; false if there is anything
 * in it that no terminal should see, or too much. */
#define MONITOR_REASON_MAX 250
#define MONITOR_REASON_HELP \
	"expected at most 250 bytes of plain text, in UTF-8, as a reason"
bool monitor_split(const char *arg, char *copy, size_t len, const char **word,
	const char **reason);

/* The open recording of a connection, by either's id, and "user login@target"
 * for people; false if there is none. */
bool monitor_find_recording(struct monitor *m, const char *id,
	char recording[CONN_ID_MAX], char *title, size_t title_len);

/* monitor_watch.c: does an audit rule let this person watch? */
bool monitor_may_watch(struct monitor *m);
uint32_t monitor_cmd_watch(
	struct monitor *m, const struct monitor_order *order, struct buf *out);

/* monitor_ask.c */
uint32_t monitor_cmd_request(
	struct monitor *m, const struct monitor_order *order, struct buf *out);
/* Appends the names of enum policy_action, with commas between. */
void monitor_put_actions(
	struct buf *out, unsigned int allow, const char *quote);
/* monitor_explain.c */
uint32_t monitor_cmd_explain(
	struct monitor *m, const struct monitor_order *order, struct buf *out);
/* "[LOGIN@]TARGET[:PORT]"; *ret_login may be NULL; the caller frees both. */
bool monitor_read_target(struct monitor *m, const char *text, char **ret_login,
	char **ret_target, uint16_t *ret_port);
/* Appends {"result":"..."} or the text and a newline. */
void monitor_put_result(
	const struct monitor_order *order, const char *text, struct buf *out);
/* Appends ,"name":"value". */
void monitor_put_member(struct buf *out, const char *name, const char *value);

/* monitor_pam.c: the second factor. One PAM transaction a connection.
 * Returns SGB_OK only if authenticate, acct_mgmt and open_session all did;
 * m->mfa then says which factor. text is what PAM wants the user to read. */
enum sgb_err monitor_pam_login(struct monitor *m, enum policy_mfa mfa,
	uint64_t mfa_seconds, char *text, size_t text_len) SGB_MUST_CHECK;
void monitor_pam_done(struct monitor *m);
/* In the nursery: has libpam load the modules of the service, which monitors
 * so share. They stay as they were then until the next reload; the service's
 * file is read anew at each login. */
void monitor_pam_preload(const struct monitor *m);

/* monitor_target.c */
enum sgb_err monitor_target(struct monitor *m, struct msg *msg);
/* Tells the user no more than a number; the log and the trail say why. */
enum sgb_err monitor_refuse(struct monitor *m, enum event_kind kind,
	const struct policy_decision *decision, const char *public_text,
	const char *reason) SGB_MUST_CHECK;
/* Fills a request for policy_decide from what is proved. */
void monitor_policy_request(const struct monitor *m, const char *target,
	uint16_t port, const char *login, struct policy_request *ret);
/* Is m's factor what this decision asks for? */
bool monitor_mfa_suffices(
	const struct monitor *m, const struct policy_decision *decision);
/* monitor_jump.c */
enum sgb_err monitor_jump(struct monitor *m, struct msg *msg);
void monitor_forward_request(const struct monitor *m, const char *host,
	uint16_t port, struct policy_request *ret);
/* The forward that waited is approved, or is not to be: why. */
enum sgb_err monitor_forward_judged(
	struct monitor *m, const char *why) SGB_MUST_CHECK;

/* monitor_connect.c: connects to what was decided, to the first address of
 * the instance that answers; decision then says which, and source which one
 * we connect from. Not beyond until_ms (monotonic; 0: for as long as the
 * settings say). SGB_ERR_DENIED for an address of the bastion's own; errno
 * says why else. */
enum sgb_err monitor_connect(struct monitor *m,
	struct policy_decision *decision, int *ret_fd,
	char source[ADDR_TEXT_MAX], char via[MONITOR_VIA_MAX],
	uint64_t until_ms) SGB_MUST_CHECK;
/* One more to m->decision, by the same way: to the address that answered, or
 * to the next that does. m->decision stays. */
enum sgb_err monitor_connect_again(
	struct monitor *m, int *ret_fd, uint64_t until_ms) SGB_MUST_CHECK;

/* monitor_hostkey.c: is it the instance's? */
#define MONITOR_NO_HOST_KEY "no host key is known for this instance"
/* REQ_HOSTKEY of whoever is at the other end of link: judges the key that is
 * shown for m->decision. HOSTKEY_WANTED: its certificate is being fetched, and
 * monitor_hostkey_cert will say; else ret is the word about it. */
enum sgb_err monitor_hostkey_shown(struct monitor *m, struct reader *rd,
	int link, uint64_t until_ms, struct hostkey_result *ret) SGB_MUST_CHECK;
/* REQ_HOSTCERT: judges it again. */
enum sgb_err monitor_hostkey_cert(struct monitor *m, struct reader *rd,
	struct hostkey_result *ret) SGB_MUST_CHECK;
/* SES_HOSTKEY: tells whoever showed it. */
enum sgb_err monitor_hostkey_answer(
	int link, bool yes, const char *text) SGB_MUST_CHECK;
enum sgb_err monitor_hostkey(struct monitor *m, struct msg *msg);
enum sgb_err monitor_hostcert(struct monitor *m, struct msg *msg);
bool monitor_hostkey_any(
	const struct monitor *m, const struct policy_decision *decision);
/* Borrows from all of its arguments; name is where the address of a subnet's
 * host is written. */
void monitor_hostkey_node(const struct monitor *m,
	const struct policy_decision *decision, char name[ADDR_TEXT_MAX],
	struct hostkey_node *ret);

/* monitor_hop.c: the same through the jump hosts in front of it, each with a
 * session process of its own. source is then every address: which of its own
 * a jump host goes on from is not known. On failure m->lost says which and
 * why. */
enum sgb_err monitor_connect_via(struct monitor *m,
	struct policy_decision *decision, int *ret_fd,
	char source[ADDR_TEXT_MAX], char via[MONITOR_VIA_MAX],
	uint64_t until_ms) SGB_MUST_CHECK;
/* Does the policy's way lead where via says? */
bool monitor_same_way(const struct monitor *m,
	const struct policy_decision *decision, const char *via);
/* Buries those that ended. */
void monitor_hops_reap(struct monitor *m);
/* Lets go of them all. Closed links are how they know; whoever does not look
 * is killed when the monitor exits: by the kernel (PDEATHSIG), or by the cradle
 * that it came from. After a fork they stay the other's. */
void monitor_hops_done(struct monitor *m);
/* The addresses that a certificate may be used from, where it is the bastion
 * that logs on: as set, or local, where it connects from. Returns local or
 * out; "" if they do not fit. */
#define MONITOR_SOURCES_MAX 1024
const char *monitor_certificate_source(
	const struct monitor *m, const char *local, char *out, size_t len);
/* Opens a recording for m->decision. */
enum sgb_err monitor_start_recording(struct monitor *m, int *ret_stream,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* Does the policy still permit what is open? reload: files changed, too. */
bool monitor_still_permitted(
	struct monitor *m, bool reload, const char **ret_reason);

/* monitor_forward.c: plain forwards, each with a recording of its own. On
 * failure *ret_why is a constant text. */
enum sgb_err monitor_forward_open(struct monitor *m, const char *host,
	const struct policy_decision *decision,
	const char **ret_why) SGB_MUST_CHECK;
void monitor_forward_closed(
	struct monitor *m, uint32_t id, uint64_t bytes_in, uint64_t bytes_out);
/* Counts where the forwards of this connection go: may this be one more? */
bool monitor_forward_place(
	struct monitor *m, const struct policy_decision *decision);
/* Judges the open ones by the present policy. */
bool monitor_forwards_permitted(struct monitor *m, const char **ret_reason);
/* Lets go of them without ending them: somebody else's, after a fork. */
void monitor_forwards_done(struct monitor *m);

/* monitor_gate.c */
enum sgb_err monitor_gate(struct monitor *m, struct msg *msg);
enum sgb_err monitor_report(struct monitor *m, struct msg *msg);
enum sgb_err monitor_command(struct monitor *m, struct msg *msg);

/* monitor_menu.c */
enum sgb_err monitor_hosts(struct monitor *m, struct msg *msg);
enum sgb_err monitor_choose(struct monitor *m, struct msg *msg);
/* What was chosen may be the target, approval included: tells the session. */
enum sgb_err monitor_choice_made(struct monitor *m) SGB_MUST_CHECK;

/* monitor_recorder.c */
enum sgb_err monitor_recorder_open(struct monitor *m, const char *retention,
	const char *meta, int *ret_stream, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* Writes an event to the trail and waits until it is there. */
enum sgb_err monitor_recorder_event(
	struct monitor *m, const struct buf *json) SGB_MUST_CHECK;
/* A live view of another's open recording; why is for the user. */
enum sgb_err monitor_recorder_watch(struct monitor *m, const char *rec_id,
	int *ret_fd, char *why, size_t why_len) SGB_MUST_CHECK;
void monitor_recorder_close(struct monitor *m);
/* Something arrived unasked; false if the recorder is gone or failed. */
bool monitor_recorder_poll(struct monitor *m);

/* Writes TUNNEL_CLOSE for those that are still open, at the end. */
void monitor_forwards_close(struct monitor *m);

/* monitor_event.c: fills in who, whence and which connection, and writes the
 * event to the trail, to the kernel and to the log. SGB_OK only if what the
 * settings require was done; a caller about to say yes must deny else. */
enum sgb_err monitor_event(struct monitor *m, struct event *event);
/* Counts one more thing that is written down, wherever that is, because the
 * session asked for it; false, and the connection ends, if it is too many. */
bool monitor_may_tell(struct monitor *m);
/* A fresh reference number, such as "7F3KQ". */
void monitor_reference(char ref[MONITOR_REF_MAX]);

/* No more signatures. */
void monitor_agent_close(struct monitor *m);
/* Nor anything of what they were for: another login may be prepared. */
void monitor_logon_done(struct monitor *m);
/* monitor_agent.c: the agent protocol (draft-ietf-sshm-ssh-agent) for the
 * identities of this login. */
enum sgb_err monitor_agent_open(
	struct monitor *m, int *ret_session_end) SGB_MUST_CHECK;
/* monitor_credential.c: what logs on, as the policy says: fills in
 * m->identities. source is what the target may see as the source of a
 * certificate's user. why is for the log. */
enum sgb_err monitor_credential_prepare(struct monitor *m, const char *source,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* "certificate", "key NAME", "agent key SHA256:..." */
void monitor_credential_name(const struct monitor *m, char *out, size_t len);
/* Appends key, which it takes also on failure, to m->identities; copies blob.
 */
enum sgb_err monitor_credential_add(struct monitor *m, EVP_PKEY *key,
	const uint8_t *blob, size_t len, const char *text) SGB_MUST_CHECK;
/* Writes the event of a signature that is about to be made, and the stamp of
 * a stored key's use. */
enum sgb_err monitor_credential_used(struct monitor *m,
	const struct monitor_identity *identity) SGB_MUST_CHECK;
/* Private keys are needed no longer. */
void monitor_credential_done(struct monitor *m);
/* Serves what is there; false when the agent connection is over. */
bool monitor_agent_poll(struct monitor *m);

/* monitor_borrow.c: the user's own key, by his agent (credential agent). */
enum sgb_err monitor_borrow_prepare(
	struct monitor *m, char *why, size_t why_len) SGB_MUST_CHECK;
/* Appends "u32 n, {str key}*n": what the session may look for there. */
void monitor_borrow_keys(const struct monitor *m, struct buf *out);
/* The signature of data, of which every field was checked, if the user's agent
 * has given it. Else SGB_ERR_AGAIN: it is asked now, and whoever wants the
 * signature asks once more; or what stands in the way. */
enum sgb_err monitor_borrow_sign(struct monitor *m,
	struct monitor_identity *identity, const char *algorithm,
	const uint8_t *data, size_t len, struct buf *answer) SGB_MUST_CHECK;
enum sgb_err monitor_borrowed(struct monitor *m, struct msg *msg);

/* monitor_sign.c: our host keys, which the session process never has */
/* Appends "u32 n, {str public-host-key}*n"; reads the keys, the first time. */
enum sgb_err monitor_sign_keys(
	struct monitor *m, struct buf *out) SGB_MUST_CHECK;
enum sgb_err monitor_sign(struct monitor *m, struct msg *msg) SGB_MUST_CHECK;
void monitor_sign_done(struct monitor *m);

/* monitor_cradle.c: sessions forked from one started program */
/* In the nursery, before it forks: is there one? Else another is asked for;
 * where that fails, each monitor asks for one of its own. */
void monitor_cradle_keep(struct monitor *m);
/* A session with link and m->client: from the cradle that there is, or else
 * from one for this session alone. */
enum sgb_err monitor_cradle_session(struct monitor *m, int link) SGB_MUST_CHECK;
/* Has the cradle end the session of this watch (or -1), which stays open for
 * its last word. */
void monitor_cradle_end(int watch);
void monitor_session_kill(struct monitor *m);
/* Waits for it to end, helps a little, and returns as waitpid(2) does. */
int monitor_session_wait(struct monitor *m);

/* monitor_spawn.c */
enum sgb_err monitor_spawn_session(struct monitor *m) SGB_MUST_CHECK;
/* Forks a monitor for a connection inside this one; ret_stream is our end of
 * it. The child never returns. */
enum sgb_err monitor_fork_inner(struct monitor *m, const char *target,
	uint16_t port, int *ret_stream) SGB_MUST_CHECK;

#endif
