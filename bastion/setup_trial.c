/*
 * setup: the trial. In a host within the host (setup_namespace.c) this host's
 * own sshd, PAM, recorder and proxy are started with the new files, and the
 * stock client logs in to both with a key and a code, from the administrator's
 * address. The key is made for the trial and known there alone; the code is
 * the administrator's own, tried on copies of the store, so that it stays
 * good. Nothing of it remains.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/addr.h"
#include "core/conf.h"
#include "core/places.h"
#include "setup.h"

#define WORK	  "/run/sgbridge-trial"
#define SSHD_PORT 22
#define PATIENCE  100 /* times 0.1 s */

struct trial {
	struct setup *s;
	struct conf *conf;
	const char *from;   /* the administrator's address */
	const char *host;   /* where the daemons listen here */
	unsigned int proxy; /* its port */
	const char *otp;    /* the copy of the store */
	const char *otp_real;
	pid_t sshd, recorder, daemon;
};

/* ---- the code ---- */

static bool ask_code(struct setup *s, const char *file)
{
	const char *command = answer_one(&s->answers.code_command);
	const char *argv[] = {command, NULL};
	const char *line = NULL;
	struct buf code;
	bool good;

	buf_init(&code, 256);
	if (*command)
		(void)child_run(argv, NULL, &code);
	else if ((line = ask_line(s, setup_text(s,
					     "One-time code of %s (for the "
					     "trial; it stays "
					     "good):",
					     answer_one(&s->answers.admin)))))
		buf_printf(&code, "%s\n", line);
	good = !buf_error(&code) && code.len > 1 &&
	       !setup_put(file, &code, 0600, 0, 0, 0);
	if (!good)
		setup_fail("no one-time code for the trial; the answer "
			   "code-command names a program that prints it");
	buf_done(&code);
	return good;
}

/* ---- the views ---- */

static bool put_text(const char *path, unsigned int mode, const char *text)
{
	struct buf out;
	bool good;

	buf_init(&out, SETUP_FILE_MAX);
	buf_printf(&out, "%s", text);
	good = !setup_put(path, &out, mode, 0, 0, 0);
	buf_done(&out);
	return good;
}

/* New content of risky steps, over copies of the folders that they are in. */
static bool lay_over(struct trial *t)
{
	struct setup *s = t->s;
	struct buf content;
	bool good = true;
	size_t i;

	/* The outer folder first: the inner one is mounted into it. */
	good = namespace_copy(s, WORK, "/etc/ssh") &&
	       (!access("/etc/ssh/sshd_config.d", F_OK) ||
		       !mkdir("/etc/ssh/sshd_config.d", 0755)) &&
	       (access("/etc/ssh/sshd_config.d", F_OK) ||
		       namespace_copy(s, WORK, "/etc/ssh/sshd_config.d")) &&
	       namespace_copy(s, WORK, "/etc/pam.d");
	for (i = 0; good && i < s->step_count; i++) {
		const struct step *step = &s->steps[i];

		if (!step->risky || step->kind != STEP_FILE ||
			(strncmp(step->path, "/etc/ssh/", 9) &&
				strncmp(step->path, "/etc/pam.d/", 11)))
			continue;
		buf_init(&content, SETUP_FILE_MAX);
		good = !setup_read(plan_stage(s, i), &content) &&
		       !setup_put(step->path, &content, 0644, 0, 0, 0);
		buf_done(&content);
	}
	return good;
}

static bool empty_folder(const char *path, unsigned int uid, unsigned int gid)
{
	char data[80];

	snprintf(data, sizeof(data), "mode=0700,uid=%u,gid=%u", uid, gid);
	return !mount("none", path, "tmpfs", MS_NOSUID | MS_NODEV, data);
}

/* Evidence and sockets of the trial are its own. */
static bool own_folders(struct trial *t)
{
	unsigned int uid, gid;

	if (conf_user(t->conf->recorder_user, &uid, &gid)) {
		setup_fail("there is no user %s", t->conf->recorder_user);
		return false;
	}
	return !setup_mkdir("/run/sgbridge", 0755) &&
	       !mount("none", "/run/sgbridge", "tmpfs", 0, "mode=0755") &&
	       !setup_mkdir(t->conf->empty_root, 0755) &&
	       empty_folder(t->conf->recordings, uid, gid) &&
	       empty_folder(t->conf->events, uid, gid);
}

/* A key for the trial, for the proxy and, as trial.pub, for sshd. */
static bool make_key(struct trial *t)
{
	const char *argv[] = {child_find(t->s, "ssh-keygen"), "-q", "-t",
		"ed25519", "-N", "", "-C", "trial", "-f", WORK "/key", NULL};
	const char *admin = answer_one(&t->s->answers.admin);
	const char *copy;
	struct buf out, key;
	bool good;

	buf_init(&out, SETUP_FILE_MAX);
	buf_init(&key, SETUP_FILE_MAX);
	copy = namespace_copy(t->s, WORK, t->conf->authorized_keys);
	good = copy && child_run(argv, NULL, &out) == 0 &&
	       !setup_read(WORK "/key.pub", &key) &&
	       !setup_put(setup_text(t->s, "%s/%s", copy, admin), &key, 0644, 0,
		       0, 0) &&
	       !setup_put(WORK "/trial.pub", &key, 0644, 0, 0, 0);
	buf_done(&out);
	buf_done(&key);
	return good;
}

static bool put_known_hosts(struct trial *t)
{
	static const char *const files[] = {"/etc/ssh/ssh_host_ed25519_key.pub",
		"/etc/ssh/ssh_host_ecdsa_key.pub",
		"/etc/ssh/ssh_host_rsa_key.pub", NULL};
	struct buf out, key;
	bool good;
	size_t i;

	buf_init(&out, SETUP_FILE_MAX);
	for (i = 0; i <= 3; i++) {
		const char *file = files[i];

		if (!file)
			file = setup_text(
				t->s, "%s.pub", t->conf->host_keys.items[0]);
		buf_init(&key, SETUP_FILE_MAX);
		if (!setup_read(file, &key))
			buf_printf(&out, "%s %.*s\n",
				files[i] ? "sshd" : "proxy", (int)key.len,
				(const char *)key.data);
		buf_done(&key);
	}
	good = !setup_put(WORK "/known_hosts", &out, 0644, 0, 0, 0);
	buf_done(&out);
	return good;
}

/* ---- the daemons ---- */

static bool answers_at(const char *host, unsigned int port)
{
	struct sockaddr_storage ss;
	struct addr addr;
	bool open = false;
	socklen_t len;
	int sock;

	if (addr_parse(host, &addr))
		return false;
	len = addr_to_sockaddr(&addr, (uint16_t)port, &ss);
	sock = socket(addr.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock >= 0) {
		open = !connect(sock, (struct sockaddr *)&ss, len);
		close(sock);
	}
	return open;
}

static bool wait_for(
	struct trial *t, pid_t pid, unsigned int port, const char *socket_path)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	int i, status;

	for (i = 0; pid > 0 && i < PATIENCE; i++) {
		if (socket_path ? !access(socket_path, F_OK)
				: answers_at(t->host, port))
			return true;
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* What a program said, when it did not do what it should. */
static bool show(const char *log)
{
	struct buf text;

	buf_init(&text, SETUP_FILE_MAX);
	if (!setup_read(log, &text) && text.len)
		fprintf(stderr, "%.*s", (int)text.len, (const char *)text.data);
	buf_done(&text);
	return false;
}

/* Which files sshd would take keys from, plus the trial's. */
static const char *keys_option(struct trial *t)
{
	const char *argv[] = {"/usr/sbin/sshd", "-T", NULL};
	const char *value = ".ssh/authorized_keys", *at;
	struct buf out;

	buf_init(&out, SETUP_FILE_MAX);
	(void)child_run(argv, NULL, &out);
	buf_put_u8(&out, 0);
	at = buf_error(&out)
		     ? NULL
		     : strcasestr((char *)out.data, "\nauthorizedkeysfile ");
	if (at) {
		at += 20;
		value = setup_text(t->s, "%.*s", (int)strcspn(at, "\n"), at);
	}
	value = setup_text(
		t->s, "AuthorizedKeysFile=" WORK "/trial.pub %s", value);
	buf_done(&out);
	return value;
}

static bool start_sshd(struct trial *t)
{
	const char *argv[] = {"/usr/sbin/sshd", "-D", "-e", "-o",
		setup_text(t->s, "ListenAddress=%s",
			strchr(t->host, ':') ? setup_text(t->s, "[%s]:%d",
						       t->host, SSHD_PORT)
					     : setup_text(t->s, "%s:%d",
						       t->host, SSHD_PORT)),
		"-o", "PidFile=none", "-o", keys_option(t), NULL};

	if (setup_mkdir("/run/sshd", 0755))
		return false;
	t->sshd = child_start(argv, WORK "/sshd.log");
	if (wait_for(t, t->sshd, SSHD_PORT, NULL))
		return true;
	setup_fail("sshd does not start with the new settings:");
	return show(WORK "/sshd.log");
}

static bool start_proxy(struct trial *t)
{
	const char *recorder[] = {
		child_find(t->s, "sgbridge-recorder"), "-e", NULL};
	const char *daemon[] = {child_find(t->s, "sgbridged"), "-e", NULL};

	t->recorder = child_start(recorder, WORK "/recorder.log");
	if (!wait_for(t, t->recorder, 0, t->conf->recorder_socket)) {
		setup_fail("the recorder does not start:");
		return show(WORK "/recorder.log");
	}
	t->daemon = child_start(daemon, WORK "/sgbridged.log");
	if (wait_for(t, t->daemon, t->proxy, NULL))
		return true;
	setup_fail("the proxy does not start, or does not listen at %s:%u:",
		t->host, t->proxy);
	return show(WORK "/sgbridged.log");
}

/* ---- logins ---- */

static bool fresh_store(struct trial *t)
{
	if (t->otp && umount2(t->otp_real, MNT_DETACH))
		return false;
	t->otp = namespace_copy(t->s, WORK, t->otp_real);
	return t->otp != NULL;
}

static bool login(struct trial *t, const char *door, unsigned int port,
	const char *command, const char *log)
{
	const char *admin = answer_one(&t->s->answers.admin);
	const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C.UTF-8", "DISPLAY=:0", "SSH_ASKPASS=" WORK "/askpass",
		"SSH_ASKPASS_REQUIRE=force", NULL};
	const char *argv[] = {"/usr/bin/ssh", "-F", "none", "-p",
		setup_text(t->s, "%u", port), "-b", t->from, "-i", WORK "/key",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o",
		"UserKnownHostsFile=" WORK "/known_hosts", "-o",
		"StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR", "-o",
		setup_text(t->s, "HostKeyAlias=%s", door), "-o",
		"ConnectTimeout=20", "-o", "NumberOfPasswordPrompts=1", "-l",
		admin, t->host, command, NULL};
	struct buf out;
	int status;

	if (!fresh_store(t))
		return false;
	buf_init(&out, SETUP_FILE_MAX);
	status = child_run(argv, envp, &out);
	if (status) {
		setup_fail("%s would refuse %s from %s: %.*s", door, admin,
			t->from, (int)out.len,
			out.data ? (const char *)out.data : "");
		show(log);
	} else {
		printf("  tried %s: %s from %s with key and code is let in\n",
			door, admin, t->from);
	}
	buf_done(&out);
	return status == 0;
}

/* Without a code nobody may come in: else the trial showed nothing. */
static bool without_code(struct trial *t)
{
	const char *argv[] = {"/usr/bin/ssh", "-F", "none", "-b", t->from, "-i",
		WORK "/key", "-o", "IdentitiesOnly=yes", "-o",
		"UserKnownHostsFile=" WORK "/known_hosts", "-o",
		"StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o",
		"HostKeyAlias=sshd", "-o", "LogLevel=ERROR", "-l",
		answer_one(&t->s->answers.admin), t->host, "true", NULL};
	struct buf out;
	bool refused;

	buf_init(&out, SETUP_FILE_MAX);
	refused = child_run(argv, NULL, &out) != 0;
	buf_done(&out);
	if (refused)
		printf("  tried sshd: a key alone is refused\n");
	else
		setup_fail("sshd lets in with a key alone: another file of "
			   "/etc/ssh/sshd_config.d or a Match block is "
			   "stronger; sgbridge doctor names it");
	return refused;
}

static bool guards_sshd(const struct setup *s)
{
	return answer_yes(&s->answers.guard_sshd);
}

static bool doors(struct trial *t)
{
	struct setup *s = t->s;

	if (guards_sshd(s) &&
		!(start_sshd(t) && without_code(t) &&
			login(t, "sshd", SSHD_PORT, "true", WORK "/sshd.log")))
		return false;
	return start_proxy(t) &&
	       login(t, "proxy", t->proxy, "whoami", WORK "/sgbridged.log");
}

/* Where the first `listen` is, seen from here. */
static void endpoints(struct trial *t)
{
	const char *text = t->conf->listen.items[0];
	const char *colon = strrchr(text, ':');
	const char *host = setup_text(t->s, "%.*s",
		(int)(colon - text) - 2 * (*text == '['),
		text + (*text == '['));

	t->from = answer_one(&t->s->answers.admin_address);
	t->proxy = (unsigned int)strtoul(colon + 1, NULL, 10);
	t->host = !strcmp(host, "0.0.0.0") ? "127.0.0.1"
		  : !strcmp(host, "::")	   ? "::1"
					   : host;
}

static bool stage_set(struct trial *t)
{
	const char *addresses[] = {t->from, t->host};

	return namespace_enter(addresses, 2) &&
	       !mount("none", WORK, "tmpfs", MS_NOSUID | MS_NODEV,
		       "mode=0711") &&
	       put_text(WORK "/askpass", 0700,
		       "#!/bin/sh\nexec cat " WORK "/code\n") &&
	       ask_code(t->s, WORK "/code") && lay_over(t) && own_folders(t) &&
	       make_key(t) && put_known_hosts(t);
}

static int inside(struct setup *s)
{
	struct trial t = {.s = s};
	struct diag diag;
	bool good;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	diag_init(&diag);
	good = !conf_load(CONF_DEFAULT_PATH, &t.conf, &diag);
	if (!good)
		diag_print(&diag, stderr, false);
	diag_done(&diag);
	if (good) {
		endpoints(&t);
		t.otp_real = t.conf->otp_directory;
		good = stage_set(&t);
		if (!good)
			setup_fail("the trial could not be made");
	}
	good = good && doors(&t);
	child_stop(t.daemon);
	child_stop(t.recorder);
	child_stop(t.sshd);
	conf_free(t.conf);
	fflush(stdout);
	return good ? 0 : 1;
}

bool trial_run(struct setup *s)
{
	int status = 1;
	pid_t pid;

	printf("\nTrying the new login, from %s, before anything of the old "
	       "one is changed:\n",
		answer_one(&s->answers.admin_address));
	if (setup_mkdir(WORK, 0711)) {
		setup_fail(WORK ": %s", strerror(errno));
		return false;
	}
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(inside(s));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)rmdir(WORK);
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
