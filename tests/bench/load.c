/*
 * load: many SSH logins at once, held open, and what they felt like. For
 * tests/bench/bench.sh, and for an administrator who wants to know what his
 * own bastion carries. It asserts nothing, and asks no second factor: the
 * user must be one for whom the policy wants none.
 */
#include <getopt.h>
#include <libssh/libssh.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)
#define READY	    "load-ready"

struct options {
	const char *host, *user, *key, *fingerprint, *proxy, *command, *bind;
	int port, timeout;
	unsigned int sessions, parallel, echoes, hold;
	bool json;
};

struct connection {
	ssh_session ssh;
	ssh_channel channel;
	double ms; /* of the login; 0: it failed */
};

static struct options opt = {
	.port = 22,
	.timeout = 60,
	.sessions = 10,
	.parallel = 10,
	.command = "echo " READY "; exec cat",
};
static ssh_key key;
static struct connection *connections;
static atomic_uint next_one, failures;
static pthread_barrier_t logged_on;
static atomic_flag told = ATOMIC_FLAG_INIT;

static const char usage[] =
	"usage: load [options] HOST\n"
	"Logs on many times at once, holds the sessions, and says how long\n"
	"logins took and how fast a key came back.\n"
	"\n"
	"  -l, --user NAME         as on ssh's command line (alice+ops@web1)\n"
	"  -p, --port NUMBER       default 22\n"
	"  -i, --identity FILE     private key without a passphrase\n"
	"  -k, --host-key SHA256:  fingerprint of the host key; default:\n"
	"                          known_hosts decides, and there is no "
	"asking\n"
	"  -b, --bind ADDRESS      come from this one\n"
	"  -n, --sessions NUMBER   how many in all (default 10)\n"
	"  -c, --parallel NUMBER   logins under way at once (default 10)\n"
	"  -t, --hold SECONDS      keep all open for so long (default 0)\n"
	"  -e, --echo NUMBER       then send so many keys through one "
	"more\n"
	"  -x, --command COMMAND   what runs in each; must say " READY "\n"
	"  -P, --proxy-command C   as in ssh_config(5); %h and %p are known\n"
	"  -T, --timeout SECONDS   of one login (default 60)\n"
	"  -j, --json              one object for programs\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 all logged on, 1 some failed, 2 wrong use.\n"
	"\n"
	"200 logins at once through a bastion:\n"
	"  load -p 30022 -l robot+ops@web1 -i ~/.ssh/robot -n 200 -c 200 \\\n"
	"      bastion.example\n"
	"2,000 idle sessions for ten minutes, twenty logins at a time, and "
	"the\n"
	"latency of 1,000 keys meanwhile:\n"
	"  load -p 30022 -l robot+ops@web1 -i ~/.ssh/robot -n 2000 -c 20 \\\n"
	"      -t 600 -e 1000 bastion.example\n"
	"The bastion's limits (max-startups, max-startups-per-source,\n"
	"max-sessions) and the target's MaxStartups must allow for it; and a\n"
	"user whom the policy asks for a second factor cannot be used.\n";

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static bool right_host(ssh_session ssh)
{
	unsigned char *hash = NULL;
	ssh_key host = NULL;
	char *text = NULL;
	size_t len;
	bool right = false;

	if (!opt.fingerprint)
		return ssh_session_is_known_server(ssh) == SSH_KNOWN_HOSTS_OK;
	if (ssh_get_server_publickey(ssh, &host) == SSH_OK &&
		ssh_get_publickey_hash(
			host, SSH_PUBLICKEY_HASH_SHA256, &hash, &len) == 0) {
		text = ssh_get_fingerprint_hash(
			SSH_PUBLICKEY_HASH_SHA256, hash, len);
		right = text && !strcmp(text, opt.fingerprint);
	}
	ssh_string_free_char(text);
	ssh_clean_pubkey_hash(&hash);
	ssh_key_free(host);
	return right;
}

static bool set_options(ssh_session ssh)
{
	long timeout = opt.timeout;
	int no = 0, yes = 1;

	return !ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) &&
	       !ssh_options_set(ssh, SSH_OPTIONS_HOST, opt.host) &&
	       !ssh_options_set(ssh, SSH_OPTIONS_PORT, &opt.port) &&
	       !ssh_options_set(ssh, SSH_OPTIONS_NODELAY, &yes) &&
	       !ssh_options_set(ssh, SSH_OPTIONS_TIMEOUT, &timeout) &&
	       (!opt.user ||
		       !ssh_options_set(ssh, SSH_OPTIONS_USER, opt.user)) &&
	       (!opt.bind ||
		       !ssh_options_set(ssh, SSH_OPTIONS_BINDADDR, opt.bind)) &&
	       (!opt.proxy || !ssh_options_set(ssh, SSH_OPTIONS_PROXYCOMMAND,
				      opt.proxy));
}

/* Until the command has said that it is there. */
static bool await_ready(ssh_channel channel)
{
	char text[4096];
	size_t len = 0;

	while (len < sizeof(text) - 1) {
		int got = ssh_channel_read_timeout(channel, text + len,
			(uint32_t)(sizeof(text) - 1 - len), 0,
			opt.timeout * 1000);

		if (got <= 0)
			return false;
		len += (size_t)got;
		text[len] = '\0';
		if (strstr(text, READY) && strchr(strstr(text, READY), '\n'))
			return true;
	}
	return false;
}

static const char *log_on(struct connection *c)
{
	c->ssh = ssh_new();
	if (!c->ssh || !set_options(c->ssh))
		return "options";
	if (ssh_connect(c->ssh) != SSH_OK)
		return ssh_get_error(c->ssh);
	if (!right_host(c->ssh))
		return "the host key is not the one that is known";
	if (ssh_userauth_publickey(c->ssh, NULL, key) != SSH_AUTH_SUCCESS)
		return "the key alone is not let in";
	c->channel = ssh_channel_new(c->ssh);
	if (!c->channel || ssh_channel_open_session(c->channel) != SSH_OK ||
		ssh_channel_request_exec(c->channel, opt.command) != SSH_OK)
		return ssh_get_error(c->ssh);
	return await_ready(c->channel) ? NULL : "the command did not start";
}

static bool log_on_timed(struct connection *c)
{
	double start = now_ms();
	const char *why = log_on(c);

	if (!why) {
		c->ms = now_ms() - start;
		return true;
	}
	atomic_fetch_add(&failures, 1);
	if (!atomic_flag_test_and_set(&told))
		fprintf(stderr, "load: %s: %s\n", opt.host, why);
	return false;
}

/* Answers what the other side asks meanwhile, as a client does: whoever leaves
 * keepalives unanswered is disconnected. */
static void serve(ssh_event event, int ms)
{
	if (ssh_event_dopoll(event, ms) == SSH_ERROR && ms)
		usleep((useconds_t)ms * 1000);
}

/* Logs on until there is nobody left to log on, and then keeps those that it
 * did until the program ends. With one session main types in it. */
static void *work(void *arg)
{
	ssh_event event = ssh_event_new();
	unsigned int i, mine = 0;

	(void)arg;
	while (event && (i = atomic_fetch_add(&next_one, 1)) < opt.sessions) {
		if (log_on_timed(&connections[i]) && opt.sessions > 1 &&
			!ssh_event_add_session(event, connections[i].ssh))
			mine++;
		serve(event, 0);
	}
	pthread_barrier_wait(&logged_on);
	while (mine)
		serve(event, 200);
	return NULL;
}

static bool run_workers(void)
{
	unsigned int i;
	pthread_t thread;
	pthread_attr_t attr;

	pthread_barrier_init(&logged_on, NULL, opt.parallel + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (i = 0; i < opt.parallel; i++)
		if (pthread_create(&thread, &attr, work, NULL))
			return false;
	pthread_attr_destroy(&attr);
	pthread_barrier_wait(&logged_on);
	return true;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double at(const double *sorted, unsigned int count, unsigned int percent)
{
	unsigned int i = (unsigned int)((uint64_t)count * percent / 100);

	if (!count)
		return 0;
	return sorted[i < count ? i : count - 1];
}

static unsigned int logins(double *ret_times)
{
	unsigned int i, count = 0;

	for (i = 0; i < opt.sessions; i++)
		if (connections[i].ms > 0)
			ret_times[count++] = connections[i].ms;
	qsort(ret_times, count, sizeof(*ret_times), by_size);
	return count;
}

/* A key at a time, as a person types, but without the thinking, in the only
 * session or in one more. Returns how many came back. */
static unsigned int echo(double *ret_us)
{
	static struct connection extra;
	struct connection *c = opt.sessions > 1 ? &extra : connections;
	ssh_channel channel = NULL;
	unsigned int i;
	char byte;

	if (opt.echoes && (c->ms > 0 || log_on_timed(c)))
		channel = c->channel;
	for (i = 0; channel && i < opt.echoes; i++) {
		double start = now_ms();

		if (ssh_channel_write(channel, "x", 1) != 1 ||
			ssh_channel_read_timeout(
				channel, &byte, 1, 0, opt.timeout * 1000) != 1)
			break;
		ret_us[i] = (now_ms() - start) * 1e3;
	}
	qsort(ret_us, i, sizeof(*ret_us), by_size);
	return i;
}

/* That are still there. */
static unsigned int alive(void)
{
	unsigned int i, count = 0;

	for (i = 0; i < opt.sessions; i++)
		count += connections[i].ms > 0 &&
			 ssh_channel_is_open(connections[i].channel);
	return count;
}

static void print(double all_ms, const double *ms, unsigned int count,
	const double *us, unsigned int echoes)
{
	double p50 = at(ms, count, 50), p99 = at(ms, count, 99);
	double e50 = at(us, echoes, 50), e99 = at(us, echoes, 99);
	double ms_max = at(ms, count, 100), us_max = at(us, echoes, 100);
	unsigned int failed = atomic_load(&failures);

	if (opt.json)
		printf("{\"sessions\":%u,\"failed\":%u,\"alive\":%u,"
		       "\"all_ms\":%.0f,"
		       "\"login_ms\":{\"p50\":%.1f,\"p99\":%.1f,"
		       "\"max\":%.1f},\"echoes\":%u,\"echo_us\":"
		       "{\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f}}\n",
			count, failed, alive(), all_ms, p50, p99, ms_max,
			echoes, e50, e99, us_max);
	else
		printf("sessions  %u, %u failed, %u are open, all there after "
		       "%.0f ms\n"
		       "login     median %.1f ms, p99 %.1f, longest %.1f\n"
		       "keys      %u, median %.0f us, p99 %.0f, longest %.0f\n",
			count, failed, alive(), all_ms, p50, p99, ms_max,
			echoes, e50, e99, us_max);
	fflush(stdout);
}

static unsigned int number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value > 1000000) {
		fprintf(stderr, "load: \"%s\" is not a number up to 1000000\n",
			text);
		exit(2);
	}
	return (unsigned int)value;
}

static void read_options(int argc, char **argv)
{
	static const struct option names[] = {{"user", 1, NULL, 'l'},
		{"port", 1, NULL, 'p'}, {"identity", 1, NULL, 'i'},
		{"host-key", 1, NULL, 'k'}, {"bind", 1, NULL, 'b'},
		{"sessions", 1, NULL, 'n'}, {"parallel", 1, NULL, 'c'},
		{"hold", 1, NULL, 't'}, {"echo", 1, NULL, 'e'},
		{"command", 1, NULL, 'x'}, {"proxy-command", 1, NULL, 'P'},
		{"timeout", 1, NULL, 'T'}, {"json", 0, NULL, 'j'},
		{"help", 0, NULL, 'h'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "l:p:i:k:b:n:c:t:e:x:P:T:jh", names,
			NULL)) != -1) {
		switch (c) {
		case 'l': opt.user = optarg; break;
		case 'p': opt.port = (int)number(optarg); break;
		case 'i': opt.key = optarg; break;
		case 'k': opt.fingerprint = optarg; break;
		case 'b': opt.bind = optarg; break;
		case 'n': opt.sessions = number(optarg); break;
		case 'c': opt.parallel = number(optarg); break;
		case 't': opt.hold = number(optarg); break;
		case 'e': opt.echoes = number(optarg); break;
		case 'x': opt.command = optarg; break;
		case 'P': opt.proxy = optarg; break;
		case 'T': opt.timeout = (int)number(optarg); break;
		case 'j': opt.json = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (optind != argc - 1 || !opt.key || !opt.sessions || !opt.parallel) {
		fputs(usage, stderr);
		exit(2);
	}
	opt.host = argv[optind];
	if (opt.parallel > opt.sessions)
		opt.parallel = opt.sessions;
}

int main(int argc, char **argv)
{
	double *ms, *us, start;
	unsigned int count, echoes;

	read_options(argc, argv);
	if (ssh_pki_import_privkey_file(opt.key, NULL, NULL, NULL, &key) !=
		SSH_OK) {
		fprintf(stderr, "load: %s: no private key that can be used\n",
			opt.key);
		return 2;
	}
	connections = calloc(opt.sessions, sizeof(*connections));
	ms = calloc(opt.sessions, sizeof(*ms));
	us = calloc(opt.echoes + 1, sizeof(*us));
	start = now_ms();
	if (!connections || !ms || !us || !run_workers()) {
		fprintf(stderr, "load: no memory for that many\n");
		return 2;
	}
	start = now_ms() - start;
	count = logins(ms);
	echoes = echo(us);
	print(start, ms, count, us, echoes);
	/* Closing politely would take as long as opening did. */
	sleep(opt.hold);
	_exit(atomic_load(&failures) ? 1 : 0);
}
