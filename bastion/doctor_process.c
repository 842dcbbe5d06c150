/*
 * doctor: the power that the running processes really have, as /proc says it:
 * user, capabilities, system call filter, and whether the program is still
 * the one that is installed. What they should have is a table here; what a
 * unit says is only a wish until a process runs.
 */
#include "doctor.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/msg.h"

#define CAP(name) (UINT64_C(1) << CAP_##name)
#define STARTER_CAPS \
	(CAP(SETPCAP) | CAP(SETUID) | CAP(SETGID) | CAP(SYS_CHROOT) | CAP(KILL))
/* Where there is an authorized-keys-command, which runs as another user. */
#define KEYS_CAPS	(CAP(SETUID) | CAP(SETGID) | CAP(KILL))
#define GONE		" (deleted)"
#define SECCOMP_FILTER	2
#define PROCESSES_TOLD	5 /* of a kind: the sixth says nothing new */
#define STATUS_MAX	8192
#define RESTART_SESSION "it ends with its session"

static const struct kind {
	const char *name;
	uint64_t caps;	 /* at most */
	bool own_user;	 /* never root */
	bool filter;	 /* a system call filter */
	bool runs_keys;	 /* may have KEYS_CAPS as well */
	const char *fix; /* when it is old or has too much */
} kinds[] = {
	{"sgbridged", CAP(AUDIT_WRITE), false, false, true,
		"systemctl restart sgbridged"},
	{"sgbridge-starter", STARTER_CAPS, false, false, false,
		"systemctl restart sgbridged"},
	{"sgbridge-monitor", CAP(AUDIT_WRITE), false, false, true,
		"systemctl restart sgbridged; " RESTART_SESSION},
	{"sgbridge-session", 0, true, true, false,
		"sgbridge sessions, then: sgbridge end ID; " RESTART_SESSION},
	{"sgbridge-recorder", CAP(AUDIT_WRITE), true, true, false,
		"at a quiet time: systemctl restart sgbridge-recorder"},
};

#define KIND_SESSION 3
static const struct kind cradle = {"sgbridge-session -c", STARTER_CAPS, false,
	false, false, "systemctl restart sgbridged"};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

struct state {
	uint64_t caps;
	unsigned long uid, filter, no_new_privs;
};

static bool field(const char *text, const char *name, int base, uint64_t *ret)
{
	const char *line = strstr(text, name);
	char *end;

	if (!line)
		return false;
	line += strlen(name);
	*ret = strtoull(line, &end, base);
	return end != line;
}

/* Two sets count: what it can use, and what it could get back. */
static bool read_state(long pid, struct state *ret)
{
	char path[64], text[STATUS_MAX];
	uint64_t effective, bounding, permitted, uid, filter, privs;
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	if (!field(text, "\nCapEff:", 16, &effective) ||
		!field(text, "\nCapPrm:", 16, &permitted) ||
		!field(text, "\nCapBnd:", 16, &bounding) ||
		!field(text, "\nUid:", 10, &uid) ||
		!field(text, "\nSeccomp:", 10, &filter) ||
		!field(text, "\nNoNewPrivs:", 10, &privs))
		return false;
	ret->caps = effective | permitted | bounding;
	ret->uid = uid;
	ret->filter = filter;
	ret->no_new_privs = privs;
	return true;
}

/* "sgbridge-session -c 16": what forks sessions, and is still root for it; or
 * one of those, which gave that up. */
static bool is_cradle(long pid)
{
	char path[64], text[64] = "";
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	len = fread(text, 1, sizeof(text), file);
	fclose(file);
	return memmem(text, len, "\0-c", sizeof("\0-c")) != NULL;
}

static uint64_t too_many(const struct doctor *doctor, const struct kind *kind,
	const struct state *state)
{
	uint64_t may = kind->caps;

	if (kind->runs_keys && doctor->conf->keys_command.count)
		may |= KEYS_CAPS;
	return state->caps & ~may;
}

static bool fits(const struct doctor *doctor, const struct kind *kind,
	const struct state *state)
{
	return !too_many(doctor, kind, state) &&
	       (!kind->own_user || state->uid) &&
	       (!kind->filter || state->filter == SECCOMP_FILTER) &&
	       state->no_new_privs == 1;
}

/* One that has just been started is given the time to confine itself. */
static bool settled(const struct doctor *doctor, const struct kind *kind,
	long pid, struct state *ret)
{
	static const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
	int tries;

	for (tries = 0; tries < 15; tries++) {
		if (!read_state(pid, ret))
			return false; /* it has ended */
		if (fits(doctor, kind, ret))
			break;
		(void)nanosleep(&moment, NULL);
	}
	return true;
}

static void judge(struct doctor *doctor, const struct kind *kind, long pid)
{
	struct state state;

	if (kind == &kinds[KIND_SESSION] && is_cradle(pid) &&
		read_state(pid, &state) && state.uid == 0)
		kind = &cradle;
	if (!settled(doctor, kind, pid, &state))
		return;
	if (too_many(doctor, kind, &state))
		doctor_find(doctor, DOCTOR_PROCESS_CAPS, kind->fix,
			"%s (%ld) has capabilities %016" PRIx64 ", %016" PRIx64
			" of them too many",
			kind->name, pid, state.caps,
			too_many(doctor, kind, &state));
	if (kind->own_user && state.uid == 0)
		doctor_find(doctor, DOCTOR_PROCESS_CAPS, kind->fix,
			"%s (%ld) runs as root", kind->name, pid);
	if ((kind->filter && state.filter != SECCOMP_FILTER) ||
		state.no_new_privs != 1)
		doctor_find(doctor, DOCTOR_PROCESS_FILTER, kind->fix,
			"%s (%ld): system call filter %s, no_new_privs %s",
			kind->name, pid,
			state.filter == SECCOMP_FILTER ? "on" : "off",
			state.no_new_privs == 1 ? "on" : "off");
}

/* "/usr/libexec/sgbridge/sgbridge-session (deleted)" after an upgrade. */
static const struct kind *kind_of(
	const struct doctor *doctor, char *exe, bool *ret_old)
{
	size_t len = strlen(exe), gone = strlen(GONE), i;
	const char *name;

	*ret_old = len > gone && !strcmp(exe + len - gone, GONE);
	if (*ret_old)
		exe[len - gone] = '\0';
	name = strrchr(exe, '/');
	if (!name ||
		strncmp(exe, doctor->conf->program_directory,
			(size_t)(name - exe)) ||
		strlen(doctor->conf->program_directory) != (size_t)(name - exe))
		return NULL;
	for (i = 0; i < KIND_COUNT; i++)
		if (!strcmp(kinds[i].name, name + 1))
			return &kinds[i];
	return NULL;
}

static bool exe_of(long pid, char ret[PATH_MAX])
{
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%ld/exe", pid);
	len = readlink(path, ret, PATH_MAX - 1);
	if (len > 0)
		ret[len] = '\0';
	return len > 0;
}

static void look_at(struct doctor *doctor, long pid, unsigned int *told)
{
	const struct kind *kind;
	char exe[PATH_MAX];
	bool old;

	if (!exe_of(pid, exe))
		return;
	kind = kind_of(doctor, exe, &old);
	if (!kind || told[kind - kinds]++ >= PROCESSES_TOLD)
		return;
	judge(doctor, kind, pid);
	if (old)
		doctor_find(doctor, DOCTOR_PROCESS_OLD, kind->fix,
			"%s (%ld) runs a program that was replaced since",
			kind->name, pid);
}

/* Who listens on a socket, wherever its program lies. */
static long listener(const char *path)
{
	struct ucred cred = {.pid = 0};
	socklen_t len = sizeof(cred);
	int sock;

	if (msg_connect(path, &sock))
		return 0; /* doctor_services says so */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		cred.pid = 0;
	close(sock);
	return cred.pid;
}

static void look_at_listener(
	struct doctor *doctor, const char *path, const struct kind *kind)
{
	char exe[PATH_MAX];
	bool old;
	long pid = listener(path);

	/* systemd may have opened it, and then is who "listens". */
	if (pid > 1 && exe_of(pid, exe) && !kind_of(doctor, exe, &old) &&
		strstr(exe, kind->name))
		judge(doctor, kind, pid);
}

void doctor_processes(struct doctor *doctor)
{
	unsigned int told[KIND_COUNT] = {0};
	const struct dirent *entry;
	DIR *dir = opendir("/proc");

	while (dir && (entry = readdir(dir))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);

		if (pid > 0 && !*end)
			look_at(doctor, pid, told);
	}
	if (dir)
		closedir(dir);
	look_at_listener(doctor, doctor->conf->control_socket, &kinds[0]);
	look_at_listener(
		doctor, doctor->conf->recorder_socket, &kinds[KIND_COUNT - 1]);
}
