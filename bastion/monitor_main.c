/*
 * sgbridge-monitor: between the session process that speaks SSH and everything
 * that has power. It runs as root with a handful of capabilities and holds no
 * SSH parser.
 *
 * sgbridged starts it once, as a nursery: it gives up what no monitor needs,
 * reads settings and policy, and then forks a monitor for each connection,
 * which so shares their memory and is there at once. A reload starts another
 * nursery. Monitors parse nothing a stranger wrote, so that they can share a
 * memory layout; session processes do not share one, each is exec'd.
 *
 * Descriptor 3 is the socket of sgbridged.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "core/forkmem.h"
#include "core/log.h"
#include "core/priv.h"
#include "core/program.h"
#include "core/sanitizer.h"

#define NURSERY_FD 3
#define STARTER_FD 4 /* without -s */

/* A PAM module that hangs takes its own login with it: seconds beyond the
 * login grace time. */
#define ALARM_SLACK 5

/* Kernel audit; and what sgbridged left for authorized-keys-command, which
 * runs as another user: nothing, where there is no such command. Files are
 * root's own and need no capability. */
static const int kept_caps[] = {
	CAP_AUDIT_WRITE, CAP_SETUID, CAP_SETGID, CAP_KILL};

static enum sgb_err take_nurse(struct monitor *m)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(NURSERY_FD, &msg);
	if (!err && msg.type != MSG_MON_NURSE)
		err = SGB_ERR_PHASE;
	if (!err)
		err = reader_end(&msg.reader);
	if (!err)
		err = monitor_take_sealed(m, &msg);
	msg_done(&msg);
	return err;
}

/* What libcrypto makes at first use is made here, once for all. */
static enum sgb_err warm_up(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE], sig[64];
	size_t len = sizeof(sig);
	int done;

	done = key && ctx &&
	       EVP_Digest("", 0, digest, NULL, EVP_sha256(), NULL) == 1 &&
	       EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	       EVP_DigestSign(ctx, sig, &len, digest, 32) == 1 &&
	       RAND_bytes(digest, 1) == 1 && RAND_priv_bytes(digest, 1) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return done ? SGB_OK : SGB_ERR_CRYPTO;
}

static enum sgb_err take_start(struct monitor *m, struct msg *msg)
{
	char *id = reader_cstring(&msg->reader, CONN_ID_MAX - 1);
	char *peer = reader_cstring(&msg->reader, ADDR_TEXT_MAX - 1);
	uint32_t port = reader_u32(&msg->reader);
	char *front = reader_cstring(&msg->reader, ADDR_TEXT_MAX - 1);
	char *local = reader_cstring(&msg->reader, ADDR_TEXT_MAX - 1);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err)
		err = addr_parse(peer, &m->source);
	if (!err) {
		m->source_port = (uint16_t)port;
		strcpy(m->conn_id, id);
		strcpy(m->local_addr, local);
		strcpy(m->front, front);
		m->client = msg_take_fd(msg, 0);
		m->control = msg_take_fd(msg, 1);
	}
	free(id);
	free(peer);
	free(local);
	free(front);
	return err;
}

/* In the forked child, until the connection is over. */
static int be_monitor(struct monitor *m, struct msg *msg)
{
	int status = EX_SOFTWARE;
	enum sgb_err err;

	close(NURSERY_FD);
	(void)signal(SIGCHLD, SIG_DFL);
	err = take_start(m, msg);
	msg_done(msg);
	if (!err) {
		m->deadline_ms = monitor_now_ms() + m->conf->login_grace * 1000;
		(void)alarm((unsigned int)m->conf->login_grace + ALARM_SLACK);
		err = monitor_spawn_session(m);
	}
	if (err)
		log_put(LOG_ERR, "%s: cannot start a session: %s", m->conn_id,
			sgb_err_text(err));
	else
		status = monitor_serve(m);
	return status;
}

/* Until sgbridged closes its end: it wants another nursery, or is gone. */
static int nurse(struct monitor *m)
{
	for (;;) {
		struct msg msg;
		enum sgb_err err;

		msg_init(&msg, MSG_NONE);
		err = msg_recv(NURSERY_FD, &msg);
		if (!err && msg.type == MSG_MON_START) {
			pid_t pid;

			monitor_cradle_keep(m);
			pid = fork();
			if (pid == 0)
				return be_monitor(m, &msg);
			if (pid < 0)
				log_put(LOG_ERR, "no process for a monitor: %s",
					strerror(errno));
		}
		msg_done(&msg);
		if (err == SGB_ERR_CLOSED)
			return 0;
		if (err) {
			log_put(LOG_ERR, "sgbridged: %s", sgb_err_text(err));
			return EX_SOFTWARE;
		}
	}
}

/* -e: log to standard error. -s: where sgbridge-starter listens. */
static bool parse_args(
	int argc, char **argv, struct monitor *m, bool *to_stderr)
{
	int c;

	while ((c = getopt(argc, argv, "es:")) != -1) {
		switch (c) {
		case 'e': *to_stderr = true; break;
		case 's': m->starter_path = optarg; break;
		default: return false;
		}
	}
	if (!m->starter_path)
		m->starter = STARTER_FD;
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct monitor m = {.control = -1,
		.conf_fd = -1,
		.policy_fd = -1,
		.client = -1,
		.session = -1,
		.session_pidfd = -1,
		.session_watch = -1,
		.cradle = -1,
		.starter = -1,
		.recorder = -1,
		.logon = {.agent = -1}};
	bool to_stderr = false, good = parse_args(argc, argv, &m, &to_stderr);
	enum sgb_err err;
	int status;

	program_name("sgbridge-monitor");
	log_init("sgbridge-monitor", to_stderr);
	if (!good)
		log_fatal(EX_USAGE, "started by sgbridged alone");
	if (priv_reset_signals() || priv_harden() ||
		priv_keep_some(
			kept_caps, sizeof(kept_caps) / sizeof(kept_caps[0])))
		log_fatal(EX_OSERR, "cannot give up capabilities: %s",
			strerror(errno));
	(void)fcntl(NURSERY_FD, F_SETFD, FD_CLOEXEC);
	if (m.starter >= 0)
		(void)fcntl(m.starter, F_SETFD, FD_CLOEXEC);
	LIST_INIT(&m.children);
	LIST_INIT(&m.forwards);
	LIST_INIT(&m.hops);
	m.mode = SESSION_MODE_DOOR;
	err = warm_up();
	if (!err)
		err = take_nurse(&m);
	if (err)
		log_fatal(EX_SOFTWARE, "settings or policy: %s",
			sgb_err_text(err));
	monitor_pam_preload(&m);
	forkmem_settle();
	/* Here in the nursery, and in each monitor that it forked. */
	status = nurse(&m);
	monitor_done(&m);
	/* OpenSSL would take its tables apart, and so first make copies of what
	 * monitors share; what is secret is wiped already. */
	if (!SGB_SANITIZER)
		_exit(status);
	return status;
}
