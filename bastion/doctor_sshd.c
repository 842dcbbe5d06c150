/*
 * doctor: what this host's own sshd really does, as `sshd -T` says it, for
 * several people and addresses, since Match blocks change it. sshd is started
 * by its absolute path, without a shell, with an empty environment; what it
 * prints is compared with a table.
 */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSHD	      "/usr/sbin/sshd"
#define OUTPUT_MAX    (256 * 1024)
#define USERS_MAX     40
#define ADDRESSES_MAX 8
#define SEEN_MAX      64
#define SEEN_LEN      200
#define ELSEWHERE     "192.0.2.1" /* TEST-NET: nobody's network */

enum sshd_test {
	SSHD_IS,    /* the value, word for word */
	SSHD_1_TO,  /* a number from 1 to this */
	SSHD_FROM,  /* a number from this on */
	SSHD_LEVEL, /* INFO, VERBOSE or DEBUG* */
};

static const struct sshd_row {
	const char *keyword; /* as sshd -T prints it */
	const char *name;    /* as people write it */
	enum sshd_test test;
	const char *value;
	enum doctor_code code;
} rows[] = {
	{"usepam", "UsePAM", SSHD_IS, "yes", DOCTOR_SSHD_ERROR},
	{"pubkeyauthentication", "PubkeyAuthentication", SSHD_IS, "yes",
		DOCTOR_SSHD_ERROR},
	{"kbdinteractiveauthentication", "KbdInteractiveAuthentication",
		SSHD_IS, "yes", DOCTOR_SSHD_ERROR},
	{"passwordauthentication", "PasswordAuthentication", SSHD_IS, "no",
		DOCTOR_SSHD_ERROR},
	{"permitemptypasswords", "PermitEmptyPasswords", SSHD_IS, "no",
		DOCTOR_SSHD_ERROR},
	{"permitrootlogin", "PermitRootLogin", SSHD_IS, "no",
		DOCTOR_SSHD_ERROR},
	{"hostbasedauthentication", "HostbasedAuthentication", SSHD_IS, "no",
		DOCTOR_SSHD_ERROR},
	{"permituserenvironment", "PermitUserEnvironment", SSHD_IS, "no",
		DOCTOR_SSHD_ERROR},
	{"strictmodes", "StrictModes", SSHD_IS, "yes", DOCTOR_SSHD_ERROR},
	{"logingracetime", "LoginGraceTime", SSHD_1_TO, "120",
		DOCTOR_SSHD_ERROR},
	/* From 9.9 on; before that it was the program's name. */
	{"pamservicename", "PAMServiceName", SSHD_IS, "sshd",
		DOCTOR_SSHD_ERROR},
	{"gssapiauthentication", "GSSAPIAuthentication", SSHD_IS, "no",
		DOCTOR_SSHD_WARNING},
	{"ignorerhosts", "IgnoreRhosts", SSHD_IS, "yes", DOCTOR_SSHD_WARNING},
	{"usedns", "UseDNS", SSHD_IS, "no", DOCTOR_SSHD_WARNING},
	{"permituserrc", "PermitUserRC", SSHD_IS, "no", DOCTOR_SSHD_WARNING},
	{"x11forwarding", "X11Forwarding", SSHD_IS, "no", DOCTOR_SSHD_WARNING},
	{"permittunnel", "PermitTunnel", SSHD_IS, "no", DOCTOR_SSHD_WARNING},
	{"gatewayports", "GatewayPorts", SSHD_IS, "no", DOCTOR_SSHD_WARNING},
	{"maxauthtries", "MaxAuthTries", SSHD_1_TO, "6", DOCTOR_SSHD_WARNING},
	{"requiredrsasize", "RequiredRSASize", SSHD_FROM, "3072",
		DOCTOR_SSHD_WARNING},
	{"loglevel", "LogLevel", SSHD_LEVEL, "VERBOSE", DOCTOR_SSHD_WARNING},
};

struct sshd_look {
	struct doctor *doctor;
	const char *user, *addr;
	char seen[SEEN_MAX][SEEN_LEN]; /* "keyword value": each is told once */
	size_t seen_count;
	bool failed;
};

static void child(int out, char *const argv[])
{
	char *const envp[] = {NULL};
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
		dup2(out, 2) < 0 || close_range(3, ~0u, 0))
		_exit(126);
	execve(SSHD, argv, envp);
	_exit(127);
}

/* Its output, or the error text of sshd in it and false. */
static bool run_sshd(const struct sshd_look *look, struct buf *out)
{
	char context[400];
	char *argv[] = {SSHD, "-T", "-C", context, NULL, NULL, NULL};
	const char *file = look->doctor->cli->sshd_config;
	int pipes[2], status = -1;
	pid_t pid;

	snprintf(context, sizeof(context),
		"user=%s,host=%s,addr=%s,laddr=0.0.0.0,lport=22", look->user,
		look->addr, look->addr);
	if (file) {
		argv[4] = "-f";
		argv[5] = (char *)file;
	}
	if (pipe2(pipes, O_CLOEXEC))
		return false;
	pid = fork();
	if (!pid)
		child(pipes[1], argv);
	close(pipes[1]);
	for (;;) {
		char chunk[4096];
		ssize_t got = read(pipes[0], chunk, sizeof(chunk));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		buf_put(out, chunk, (size_t)got);
	}
	close(pipes[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	buf_put_u8(out, 0);
	return pid > 0 && status == 0 && !buf_error(out);
}

/* The value of the last line with this keyword; sshd prints each once. */
static const char *value_of(
	const char *text, const char *keyword, char *value, size_t size)
{
	size_t len = strlen(keyword);
	const char *line = text;

	while (line) {
		if (!strncasecmp(line, keyword, len) && line[len] == ' ') {
			snprintf(value, size, "%.*s",
				(int)strcspn(line + len + 1, "\n"),
				line + len + 1);
			return value;
		}
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return NULL;
}

static bool fits(const struct sshd_row *row, const char *value)
{
	long number = strtol(value, NULL, 10);
	long limit = strtol(row->value, NULL, 10);

	switch (row->test) {
	case SSHD_IS: return !strcmp(value, row->value);
	case SSHD_1_TO: return number >= 1 && number <= limit;
	case SSHD_FROM: return number >= limit;
	case SSHD_LEVEL:
		return !strcmp(value, "INFO") || !strcmp(value, "VERBOSE") ||
		       !strncmp(value, "DEBUG", 5);
	}
	return false;
}

static bool seen_before(
	struct sshd_look *look, const char *keyword, const char *value)
{
	char text[SEEN_LEN];
	size_t i;

	snprintf(text, sizeof(text), "%s %s", keyword, value);
	for (i = 0; i < look->seen_count; i++)
		if (!strcmp(look->seen[i], text))
			return true;
	if (look->seen_count < SEEN_MAX)
		strcpy(look->seen[look->seen_count++], text);
	return false;
}

static void report(struct sshd_look *look, enum doctor_code code,
	const char *keyword, const char *name, const char *wanted,
	const char *value)
{
	char fix[400];

	if (seen_before(look, keyword, value))
		return;
	snprintf(fix, sizeof(fix),
		"put \"%s %s\" at the top of /etc/ssh/sshd_config.d/"
		"00-sgbridge.conf (the first value counts), or mend the Match "
		"block; then: sshd -t && systemctl reload ssh",
		name, wanted);
	doctor_find(look->doctor, code, fix,
		"sshd: %s is \"%s\" for %s from %s", name, value, look->user,
		look->addr);
}

/* Every list must begin with the key and go on with PAM's question. */
static void check_methods(struct sshd_look *look, const char *text)
{
	static const char wanted[] = "publickey,keyboard-interactive:pam";
	static const char name[] = "AuthenticationMethods";
	static const char keyword[] = "authenticationmethods";
	char value[512], copy[512], *list, *rest = copy;
	bool one = false, wrong = false;

	if (!value_of(text, keyword, value, sizeof(value)))
		snprintf(value, sizeof(value), "any");
	snprintf(copy, sizeof(copy), "%s", value);
	while ((list = strsep(&rest, " "))) {
		if (!strcmp(list, "publickey"))
			one = true;
		else if (strcmp(list, wanted) &&
			 strcmp(list, "publickey,keyboard-interactive"))
			wrong = true;
	}
	if (wrong)
		report(look, DOCTOR_SSHD_FACTORS, keyword, name, wanted, value);
	else if (one)
		report(look, DOCTOR_SSHD_ONE_FACTOR, keyword, name, wanted,
			value);
}

static void check_forwarding(struct sshd_look *look, const char *text)
{
	char all[64], tcp[64];

	if (value_of(text, "disableforwarding", all, sizeof(all)) &&
		!strcmp(all, "yes"))
		return;
	if (value_of(text, "allowtcpforwarding", tcp, sizeof(tcp)) &&
		strcmp(tcp, "no") != 0)
		report(look, DOCTOR_SSHD_FORWARD, "disableforwarding",
			"DisableForwarding", "yes", "no");
}

static void check_context(
	struct sshd_look *look, const char *user, const char *addr)
{
	char value[512];
	struct buf out;
	size_t i;

	if (look->failed)
		return;
	look->user = user;
	look->addr = addr;
	buf_init(&out, OUTPUT_MAX);
	if (!run_sshd(look, &out)) {
		look->failed = true;
		doctor_find(look->doctor, DOCTOR_SSHD_RUN, "sshd -t",
			"sshd -T for %s from %s: %.300s", user, addr,
			out.data ? (const char *)out.data : "cannot be run");
		buf_done(&out);
		return;
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = (const char *)out.data;

		if (value_of(text, rows[i].keyword, value, sizeof(value)) &&
			!fits(&rows[i], value))
			report(look, rows[i].code, rows[i].keyword,
				rows[i].name, rows[i].value, value);
	}
	check_methods(look, (const char *)out.data);
	check_forwarding(look, (const char *)out.data);
	buf_done(&out);
}

/* The people with keys on this bastion; each may have a Match block. */
static void check_people(struct sshd_look *look)
{
	const struct conf *conf = look->doctor->conf;
	const struct dirent *entry;
	unsigned int count = 0;
	DIR *dir;

	dir = conf ? opendir(conf->authorized_keys) : NULL;
	while (dir && count < USERS_MAX && (entry = readdir(dir)))
		if (policy_name_valid(entry->d_name)) {
			check_context(look, entry->d_name, ELSEWHERE);
			count++;
		}
	if (dir)
		closedir(dir);
}

/* The networks of the policy, which Match Address may favour. */
static void check_networks(struct sshd_look *look)
{
	const struct policy *policy = look->doctor->cli->policy;
	char address[ADDR_TEXT_MAX];
	uint32_t i, count = 0;

	for (i = 0;
		policy && i < policy->networks.count && count < ADDRESSES_MAX;
		i++) {
		const struct policy_network *network = &policy->networks.at[i];

		if (!network->nets.count)
			continue;
		count++;
		addr_text(&policy->nets.at[network->nets.first].base, address);
		check_context(look, "root", address);
		check_context(look, "somebody", address);
	}
}

void doctor_sshd(struct doctor *doctor)
{
	struct sshd_look look = {.doctor = doctor};

	if (access(SSHD, X_OK))
		return; /* no second door on this host */
	check_context(&look, "root", ELSEWHERE);
	check_people(&look);
	check_networks(&look);
}
