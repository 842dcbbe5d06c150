/*
 * sgbridge-forward: the event trail to others, as it grows. A user of its own
 * that may read the trail and nothing else of the bastion: no recordings, no
 * keys, no power. It writes none of the trail, so what it has to say about
 * itself goes to its log and cannot come back to it as an event.
 *
 * A parent (forward_parent.c) and a process for each receiver
 * (forward_child.c), so that one that is slow, gone or hostile holds up none of
 * the others, nor the recorder, which does not know that it is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/log.h"
#include "core/places.h"
#include "core/priv.h"

#include "forward.h"
#include "forward_link.h"
#include "forward_status.h"

#define WHY_LEN (FORWARD_TEXT_MAX + 500)

struct options {
	const char *conf_path;
	bool to_stderr, test, status, metrics, json;
};

static const char help[] =
	"usage: sgbridge-forward [-e] [-c CONFFILE]\n"
	"       sgbridge-forward -t [-c CONFFILE]\n"
	"       sgbridge-forward --status [--json] [-c CONFFILE]\n"
	"       sgbridge-forward --metrics [-c CONFFILE]\n"
	"\n"
	"Sends the event trail to syslog receivers and to the journal.\n"
	"\n"
	"  -c CONFFILE   settings, by default " CONF_DEFAULT_PATH "\n"
	"  -e            log to standard error\n"
	"  -t            check the settings and the files that they name\n"
	"  --status      what each receiver has: 0 all, 1 not all, 69 stopped\n"
	"  --json        the same for programs\n"
	"  --metrics     the same for Prometheus, as \"sgbridge metrics\"\n"
	"SIGHUP reads the settings again; nothing is lost.\n"
	"\n"
	"A line of the settings for each receiver:\n"
	"  syslog tls 10.0.0.9 6514 name logs.example.org ca "
	"/etc/sgbridge/log-ca.pem\n"
	"  syslog udp 10.0.0.8 514 facility audit\n"
	"  journald yes\n";

static void usage(void)
{
	(void)fputs(help, stderr);
	exit(EX_USAGE);
}

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"status", no_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"metrics", no_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:eth", names, NULL)) != -1) {
		switch (option) {
		case 'c': options->conf_path = optarg; break;
		case 'e': options->to_stderr = true; break;
		case 't': options->test = true; break;
		case 's': options->status = true; break;
		case 'j': options->json = true; break;
		case 'm': options->metrics = true; break;
		case 'h': (void)fputs(help, stdout); exit(0);
		default: usage();
		}
	}
	if (optind != argc || (options->json && !options->status) ||
		(options->status && options->metrics))
		usage();
}

/* NULL: why says what is wrong, in one line. */
static struct conf *read_settings(const char *path, char why[WHY_LEN])
{
	struct conf *conf = NULL;
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_load(path, &conf, &diag);
	if (err) {
		diag_first_line(&diag, why, WHY_LEN);
		if (!*why)
			(void)snprintf(why, WHY_LEN, "%s", sgb_err_text(err));
		conf = NULL;
	}
	diag_done(&diag);
	return conf;
}

/* Makes the last folder of a path, as tmpfiles.d would. */
static void make_folder(const char *path, uid_t uid, gid_t gid)
{
	if (mkdir(path, 0700)) {
		if (errno != EEXIST)
			log_fatal(EX_CANTCREAT, "forward-directory %s: %s",
				path, strerror(errno));
	} else if (chown(path, uid, gid)) {
		log_fatal(EX_CANTCREAT, "%s: %s", path, strerror(errno));
	}
}

/* For good, before anything is read but the settings: root reads no file that
 * they name, and no receiver ever talks to root. */
static void become_user(const struct conf *conf, bool make)
{
	enum sgb_err err = priv_harden();
	unsigned int uid, gid;

	if (!err && geteuid() == 0) {
		if (conf_user(conf->forward_user, &uid, &gid))
			log_fatal(EX_NOUSER,
				"forward-user \"%s\": no such user, or it is "
				"root; create it or name another",
				conf->forward_user);
		if (make)
			make_folder(conf->forward_directory, uid, gid);
		err = priv_become(uid, gid);
	} else if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		err = SGB_ERR_SYSTEM;
	}
	if (err)
		log_fatal(EX_OSERR, "cannot give up privileges: %s",
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
}

static int open_folder(const char *setting, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		log_fatal(EX_NOPERM,
			"%s %s: %s; it must be there for uid %u, gid %u "
			"(run: systemd-tmpfiles --create sgbridge.conf)",
			setting, path, strerror(errno), (unsigned int)geteuid(),
			(unsigned int)getegid());
	return fd;
}

static bool load_receivers(struct forward *forward, char why[WHY_LEN])
{
	const char *path = forward->conf_path;
	char what[FORWARD_TEXT_MAX + 200];
	size_t i;

	if (forward_dests(
		    forward->conf, path, forward->dests, &forward->count, why))
		return false;
	forward->retry_ms = forward->conf->forward_retry
				    ? forward->conf->forward_retry * 1000
				    : 1000;
	for (i = 0; i < forward->count; i++) {
		struct forward_dest *dest = &forward->dests[i];

		if (dest->kind != FORWARD_TLS || !tls_context(dest, what))
			continue;
		(void)snprintf(why, WHY_LEN, "%.200s:%u: syslog: %s", path,
			dest->line, what);
		return false;
	}
	return true;
}

static bool has_receiver(const struct forward *forward, char why[WHY_LEN])
{
	if (!forward->count)
		(void)snprintf(why, WHY_LEN,
			"%.200s: no receiver; expected lines such as \"syslog "
			"tls 10.0.0.9 6514 name logs.example.org ca FILE\" or "
			"\"journald yes\"",
			forward->conf_path);
	return forward->count > 0;
}

void forward_unload(struct forward *forward)
{
	while (forward->count)
		tls_context_free(&forward->dests[--forward->count]);
	conf_free((struct conf *)forward->conf);
	forward->conf = NULL;
}

static bool same_name(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

/* What is opened or asked once, before it was confined. */
static void compare(const struct conf *old, const struct conf *fresh)
{
	if (!same_name(old->writer_name, fresh->writer_name) ||
		strcmp(old->events, fresh->events) != 0 ||
		strcmp(old->forward_directory, fresh->forward_directory) != 0 ||
		strcmp(old->forward_user, fresh->forward_user) != 0)
		log_put(LOG_WARNING,
			"events, writer-name, forward-directory and "
			"forward-user stay as they are until it is started "
			"again");
}

bool forward_load(const struct forward *old, struct forward *ret)
{
	char why[WHY_LEN];

	*ret = *old;
	ret->count = 0;
	memset(ret->dests, 0, sizeof(ret->dests));
	ret->conf = read_settings(old->conf_path, why);
	if (!ret->conf) {
		log_put(LOG_ERR, "nothing changed: %s", why);
		return false;
	}
	if (!load_receivers(ret, why) || !has_receiver(ret, why)) {
		log_put(LOG_ERR, "nothing changed: %s", why);
		forward_unload(ret);
		return false;
	}
	compare(old->conf, ret->conf);
	return true;
}

static void choose_host(struct forward *forward)
{
	const char *name = forward->conf->writer_name;

	if (name && *name)
		(void)snprintf(
			forward->host, sizeof(forward->host), "%s", name);
	else if (gethostname(forward->host, sizeof(forward->host) - 1))
		strcpy(forward->host, "-");
}

/* Two would note their positions over one another. */
static void take_lock(struct forward *forward)
{
	forward->lock_fd = openat(forward->state_fd, "lock",
		O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (forward->lock_fd < 0)
		log_fatal(EX_CANTCREAT, "forward-directory %s: %s",
			forward->conf->forward_directory, strerror(errno));
	if (flock(forward->lock_fd, LOCK_EX | LOCK_NB))
		log_fatal(EX_UNAVAILABLE,
			"forward-directory %s: another sgbridge-forward runs "
			"there",
			forward->conf->forward_directory);
}

static int print_status(
	const struct forward *forward, const struct options *options)
{
	const struct conf *conf = forward->conf;
	int state_fd = open_folder(
		"forward-directory", conf->forward_directory);
	int trail_fd = open_folder("events", conf->events);

	if (options->metrics)
		return forward_metrics_print(state_fd, trail_fd);
	return forward_status_print(state_fd, trail_fd, options->json,
		isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
}

int main(int argc, char **argv)
{
	static struct forward forward;
	struct options options = {.conf_path = CONF_DEFAULT_PATH};
	char why[WHY_LEN];
	struct conf *conf;
	int status;

	/* Start-up errors belong to whoever starts it. */
	log_init("sgbridge-forward", true);
	parse_options(argc, argv, &options);
	if (tls_library())
		log_fatal(EX_SOFTWARE, "libcrypto cannot be set up");
	conf = read_settings(options.conf_path, why);
	if (!conf)
		log_fatal(EX_CONFIG, "%s", why);
	forward.conf = conf;
	forward.conf_path = options.conf_path;
	if (options.status || options.metrics) {
		status = print_status(&forward, &options);
		conf_free(conf);
		return status;
	}
	become_user(conf, !options.test);
	if (!load_receivers(&forward, why))
		log_fatal(EX_CONFIG, "%s", why);
	if (options.test)
		return 0;
	if (!has_receiver(&forward, why))
		log_fatal(EX_CONFIG, "%s", why);
	forward.trail_fd = open_folder("events", conf->events);
	forward.state_fd = open_folder(
		"forward-directory", conf->forward_directory);
	choose_host(&forward);
	take_lock(&forward);
	log_init("sgbridge-forward", options.to_stderr);
	log_put(LOG_NOTICE, "%zu receivers", forward.count);
	status = forward_run(&forward);
	forward_unload(&forward);
	return status;
}
