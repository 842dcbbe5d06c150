/*
 * The policy: who may cross, from where, to what, as whom, when and under
 * which conditions. sgbridge-policy(5) is the specification. The PAM module,
 * the proxy and the tools use this parser and this one decision function.
 *
 * policy_decide() is pure: no clock, no DNS, no NSS, no files. Whatever it
 * does not know is denied; a zeroed decision is a denial.
 */
#ifndef SGB_POLICY_H
#define SGB_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/diag.h"
#include "core/err.h"

struct policy;
struct policy_node;

/*
 * The text of a policy with everything it includes, read once. sgbridged
 * hands it to each monitor (in a sealed memfd), so that a file that is broken
 * later cannot half-apply.
 */
struct policy_source;

/* Reads path and its includes; every file and folder must be root's alone to
 * write. Errors go to diag. */
enum sgb_err policy_source_read(const char *path, struct policy_source **ret,
	struct diag *diag) SGB_MUST_CHECK;
enum sgb_err policy_source_encode(
	const struct policy_source *source, struct buf *out) SGB_MUST_CHECK;
enum sgb_err policy_source_decode(const void *data, size_t len,
	struct policy_source **ret) SGB_MUST_CHECK;
void policy_source_free(struct policy_source *source);
/* A policy from memory; its includes are not read. path is for messages. */
enum sgb_err policy_source_text(const char *path, const void *text, size_t len,
	struct policy_source **ret) SGB_MUST_CHECK;

/* Parses and compiles. On any error *ret is untouched and diag says all. */
enum sgb_err policy_compile(const struct policy_source *source,
	struct policy **ret, struct diag *diag) SGB_MUST_CHECK;
/* policy_source_read and policy_compile in one. */
enum sgb_err policy_load(const char *path, struct policy **ret,
	struct diag *diag) SGB_MUST_CHECK;
#define POLICY_SEALED_MAX (64u * 1024 * 1024)
/* From a sealed memfd (file.h) that holds an encoded source. */
enum sgb_err policy_load_sealed(
	int fd, struct policy **ret, struct diag *diag) SGB_MUST_CHECK;
void policy_free(struct policy *policy);

enum policy_verdict {
	POLICY_DENY = 0,
	POLICY_PERMIT,
};

enum policy_via {
	POLICY_VIA_NOTHING = 0, /* denied */
	POLICY_VIA_PROXY,
	POLICY_VIA_PAM, /* target is this host itself ("self") */
};

enum policy_mfa {
	POLICY_MFA_ALWAYS = 0,
	POLICY_MFA_REMEMBER,
	POLICY_MFA_NEVER,
};

/* What a permitted connection may do; bits of policy_decision.allow. */
enum policy_action {
	POLICY_SHELL = 1 << 0,
	POLICY_EXEC = 1 << 1,	      /* any command */
	POLICY_EXEC_PATTERN = 1 << 2, /* those in exec_patterns */
	POLICY_SFTP_READ = 1 << 3,
	POLICY_SFTP_WRITE = 1 << 4,
	POLICY_SCP = 1 << 5,
	POLICY_RSYNC = 1 << 6,
	POLICY_FORWARD = 1 << 7, /* direct-tcpip, unrecorded bytes */
	POLICY_REMOTE_FORWARD = 1 << 8,
	POLICY_AGENT = 1 << 9,
	POLICY_X11 = 1 << 10,
	POLICY_DYNAMIC = 1 << 11, /* forwards to any number of places */
};

/* A rule for these alone needs no login. */
#define POLICY_FORWARDS \
	(POLICY_FORWARD | POLICY_REMOTE_FORWARD | POLICY_DYNAMIC)

/* What logs on to a target. */
enum policy_credential {
	POLICY_CERTIFICATE = 0, /* for minutes, of the bastion's CA */
	POLICY_STORED_KEY,	/* one that the bastion keeps */
	POLICY_OWN_AGENT,	/* the person's own, by his agent */
};

enum policy_record {
	POLICY_RECORD_OUTPUT = 0, /* always */
	POLICY_RECORD_INPUT = 1 << 0,
};

enum policy_on_record_failure {
	POLICY_RECORD_FAILURE_END = 0, /* end the session */
	POLICY_RECORD_FAILURE_REFUSE,  /* as END: never unrecorded, see the
					* manual */
	POLICY_RECORD_STALL,	       /* wait for room on the disk, so long */
	POLICY_RECORD_BREAK_GLASS,     /* may begin in the disk's reserve, and
					* each that begins is loud */
};

/* Why a request was denied: X-macro so that texts and tests agree. */
enum policy_reason {
	POLICY_NO_PERMIT = 0,	  /* no rule permits it */
	POLICY_BAD_REQUEST,	  /* malformed or incomplete request */
	POLICY_DENY_RULE,	  /* a deny rule matched */
	POLICY_NO_TARGET,	  /* unknown instance */
	POLICY_FORBIDDEN_ADDRESS, /* loopback, metadata: addr.h */
	POLICY_GROUP_CLOSED,	  /* security-group rules do not accept it */
	POLICY_ROOT,		  /* root login on self */
	POLICY_EXPIRED,		  /* only an expired rule would permit */
	POLICY_HOURS,		  /* only at other times */
	POLICY_SOURCE,		  /* only from other sources */
	POLICY_LOGIN,		  /* only as another login */
	POLICY_GRANTED,		  /* not a denial */
	POLICY_REASON_COUNT
};

/* Jump hosts in front of one target, at most. */
#define POLICY_HOPS_MAX 4

struct policy_request {
	enum policy_via via;
	const char *service; /* PAM: "sshd", "sudo", ...; else NULL */
	const char *user;
	const char *const *groups; /* Unix groups of user, NULL-terminated or
				    * NULL: see policy_unix_groups() */
	struct addr source;
	bool local;	    /* PAM without a connection (sudo, su): rules
			     * match whatever their source */
	const char *target; /* instance name or numeric address */
	uint16_t port;	    /* 0: the instance's own SSH port */
	const char *login;  /* NULL or "": the rule's first login */
	/* What it is for, as bits of enum policy_action: only permits that
	 * allow one of them count. 0: whatever comes first. A forward asks
	 * with POLICY_FORWARD, and needs no login. */
	unsigned int want;
	time_t now;
};

/* Pointers are borrowed from the policy and live as long as it does. */
struct policy_decision {
	enum policy_verdict verdict;
	enum policy_reason reason;
	const char *rule;	/* "policy.conf:31" of the rule that decided,
				 * or of the nearest permit; NULL: none */
	const char *group_rule; /* the security-group rule, likewise */
	const char *instance;	/* canonical name; "self" for PAM */
	const char *security_group;
	struct addr target_addr;
	const struct policy_node *via; /* its jump host: policy_hops; or NULL */
	/* For policy_next_address; NULL: an address was asked for. */
	const struct policy_node *node;
	uint32_t address;
	uint16_t target_port;
	const char *login; /* to use on the target; "" if none; may be the
			    * request's own login or user */
	const char *const
		*host_keys; /* pins of the instance, "SHA256:...",
			     * NULL-terminated; empty: none accepted */
	enum policy_credential credential;
	const char *credential_key; /* POLICY_STORED_KEY: its name */
	enum policy_mfa mfa;
	uint64_t mfa_seconds;		  /* POLICY_MFA_REMEMBER */
	unsigned int allow;		  /* bits of enum policy_action */
	const char *const *exec_patterns; /* NULL-terminated */
	unsigned int record;		  /* bits of enum policy_record */
	enum policy_on_record_failure on_record_failure;
	const char *approval;	   /* group that must approve, or NULL */
	uint64_t approval_seconds; /* how long a yes holds; 0: once */
	uint64_t max_session;	   /* seconds, 0: none */
	uint64_t stall;		   /* of POLICY_RECORD_STALL, seconds */
	uint64_t idle;		   /* seconds, 0: none */
	time_t expires;		   /* 0: never */
};

/* *ret is always filled; a failure inside is a denial. */
void policy_decide(const struct policy *policy,
	const struct policy_request *request, struct policy_decision *ret);
/* The next address of the instance that was permitted by name, in the order
 * of its declaration: target_addr and group_rule become that one's. Those
 * that its security groups do not accept are passed over; the first address
 * decides whether there is a permit at all. False, and nothing changed, when
 * there is no other. */
bool policy_next_address(
	const struct policy *policy, struct policy_decision *decision);
/*
 * The jump hosts on the way to what was permitted, in the order of
 * connecting: the bastion connects to the first, each opens the way to the
 * next, and the last to the target. Each is a decision of its own (instance,
 * address, port, login or "", pins; it allows forwards alone), for which
 * policy_next_address works. Returns how many: zero where the bastion connects
 * itself.
 */
unsigned int policy_hops(const struct policy *policy,
	const struct policy_decision *decision,
	struct policy_decision ret[POLICY_HOPS_MAX]);
/* The first moment after now, and no later than until, at which hours begin or
 * end or a rule expires, whomever that concerns; 0: there is none. until is
 * near: each minute up to it is looked at. */
time_t policy_next_change(
	const struct policy *policy, time_t now, time_t until);
/* May a permitted connection do this? command is the exact exec request or
 * subsystem name, NULL where there is none. For POLICY_EXEC both the bit and
 * the patterns count; scp and rsync server commands are told by their shape
 * (scp -t|-f, rsync --server) and need their own bits. */
bool policy_allows(const struct policy_decision *decision,
	enum policy_action action, const char *command);

/* What moves files, by the strict shape of the command; zero for anything
 * else, and for an scp that is told to do both. */
enum policy_transfer {
	POLICY_TRANSFER_NONE = 0,
	POLICY_TRANSFER_SCP_SINK,   /* scp -t: the user sends */
	POLICY_TRANSFER_SCP_SOURCE, /* scp -f: the target sends */
	POLICY_TRANSFER_RSYNC,
};
enum policy_transfer policy_transfer(const char *command);

/* Could anybody at all be permitted from here? The check before any
 * cryptography. */
bool policy_source_known(
	const struct policy *policy, const struct addr *source);
/* The strictest second factor that any permit for this user, source and time
 * asks for, for connections that choose their target later; remember_seconds
 * is the shortest. POLICY_DENY if no permit can match at all. */
enum policy_verdict policy_mfa_floor(const struct policy *policy,
	const struct policy_request *request, enum policy_mfa *ret_mfa,
	uint64_t *ret_seconds);

/* One instance the user may reach, for menus and generated configuration. */
struct policy_reach {
	const char *instance;
	const char *security_group;
	const char *zone; /* or NULL */
	const char *login;
	uint16_t port;
	unsigned int allow;
};
/* Calls each(reach, arg) for every permitted instance and login, in order of
 * declaration, until it returns false. */
void policy_each_reachable(const struct policy *policy,
	const struct policy_request *request,
	bool (*each)(const struct policy_reach *reach, void *arg), void *arg);

/* May the user do these as an auditor (`audit` rules)? */
enum policy_audit {
	POLICY_AUDIT_LIST = 1 << 0,
	POLICY_AUDIT_REPLAY = 1 << 1,
	POLICY_AUDIT_WATCH = 1 << 2,
	POLICY_AUDIT_EXPORT = 1 << 3,
};
unsigned int policy_audit_rights(
	const struct policy *policy, const struct policy_request *request);
/* Is user in the policy's group (for approvals)? */
bool policy_in_group(const struct policy *policy, const char *group,
	const char *user, const char *const *groups);

/* Key policy. type is the plain algorithm name ("ssh-ed25519", ...), bits the
 * modulus or curve size. */
bool policy_key_accepted(
	const struct policy *policy, const char *type, unsigned int bits);
bool policy_root_login(const struct policy *policy);
/* Paths of `user-ca`, NULL-terminated. */
const char *const *policy_user_cas(const struct policy *policy);

/* The user's Unix groups, as far as the policy mentions them (@name): NSS,
 * which may block, so call it outside any lock. A user who does not exist has
 * none. The caller frees with policy_unix_groups_free. An NSS error is an
 * error, and the caller denies. */
enum sgb_err policy_unix_groups(const struct policy *policy, const char *user,
	char ***ret) SGB_MUST_CHECK;
void policy_unix_groups_free(char **groups);

/* Is this the name of what was decided on, or of a group that it is in? */
bool policy_decided_on(const struct policy *policy,
	const struct policy_decision *decision, const char *name);

/* User and target names: [A-Za-z0-9_][A-Za-z0-9_.-]*, at most 64 bytes. */
bool policy_name_valid(const char *name);
const char *policy_reason_text(enum policy_reason reason);

#endif
