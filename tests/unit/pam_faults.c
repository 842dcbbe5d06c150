/*
 * pam_sgbridge.so when things go wrong: broken files, many logins at once,
 * kills and signals at any moment, every call of the module failing at every
 * place, and what a thousand logins leave behind.
 */
#include "pam_room.h"
#include "range.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t signals_seen;

static void count_signal(int number)
{
	(void)number;
	signals_seen++;
}

/* LoginGraceTime strikes while the state is being written. */
static bool strike(const char *call, const void *caller)
{
	(void)caller;
	if (!strcmp(call, "fdatasync")) {
		assert_int_equal(kill(getpid(), SIGTERM), 0);
		assert_int_equal(kill(getpid(), SIGALRM), 0);
		assert_int_equal(signals_seen, 0);
	}
	return false;
}

/* Whatever is broken denies, with the place in the log. */
static void test_broken_configuration(void **state)
{
	struct flow flow = sshd_flow("alice", "000000");
	char path[200];

	(void)state;
	flow.service = "strange";
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(flow.account, PAM_SYSTEM_ERR);
	assert_int_equal(flow.session, PAM_SESSION_ERR);
	assert_logged("reason=bad-module-argument");
	assert_logged("nullok");
	flow.service = "sshd";
	put_file("policy.conf", "permit everybody\n", 0644);
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(flow.account, PAM_SYSTEM_ERR);
	assert_logged("reason=configuration");
	assert_logged("policy.conf:1:");
	write_policy("");
	snprintf(path, sizeof(path), "%s/policy.conf", folder);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(chmod(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/otp", folder);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_logged("reason=code-store");
	assert_int_equal(chmod(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/master.key", folder);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_SUCCESS);
	write_policy("permit carol from office to self via sshd "
		     "{ mfa remember 10m }\n");
}

/* Many processes at once, started by closing a pipe. Returns how many got
 * in; the others must have been refused as `refusal`. */
static int race(struct flow *flow, int count, int refusal)
{
	int gate[2], i, status, good = 0;
	char byte;

	assert_int_equal(pipe(gate), 0);
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid)
			continue;
		close(gate[1]);
		(void)!read(gate[0], &byte, 1);
		attempt_and_exit(flow);
	}
	close(gate[0]);
	close(gate[1]);
	for (i = 0; i < count; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == PAM_SUCCESS)
			good++;
		else
			assert_int_equal(WEXITSTATUS(status), refusal);
	}
	return good;
}

static void test_one_code_many_logins(void **state)
{
	struct flow flow;
	int round;

	(void)state;
	for (round = 0; round < 5; round++) {
		flow = sshd_flow("alice", fresh_code("alice"));
		assert_int_equal(race(&flow, 24, PAM_AUTH_ERR), 1);
	}
	flow = sshd_flow("alice", fresh_code("alice"));
	assert_int_equal(race(&flow, 200, PAM_AUTH_ERR), 1);
	/* None of that counted as guessing. */
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_SUCCESS);
}

/* Killed at any moment: the next login works, the used code stays used. */
static void test_killed(void **state)
{
	struct flow flow = sshd_flow("alice", NULL);
	int round;

	(void)state;
	for (round = 0; round < 40; round++) {
		const struct timespec wait = {0, round * 100000L};
		int status;
		pid_t pid;

		flow.answer = fresh_code("alice");
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			attempt_and_exit(&flow);
		nanosleep(&wait, NULL);
		kill(pid, round % 2 ? SIGKILL : SIGTERM);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), PAM_SUCCESS);
			assert_int_equal(run(&flow), PAM_AUTH_ERR);
			assert_logged("reason=replayed-code");
		}
		flow.answer = fresh_code("alice");
		assert_int_equal(run(&flow), PAM_SUCCESS);
	}
}

static void test_signals_wait(void **state)
{
	struct sigaction count = {.sa_handler = count_signal}, term, alarm;
	struct flow flow = sshd_flow("alice", fresh_code("alice"));

	(void)state;
	assert_int_equal(sigaction(SIGTERM, &count, &term), 0);
	assert_int_equal(sigaction(SIGALRM, &count, &alarm), 0);
	room_fails = strike;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	room_fails = NULL;
	assert_int_equal(signals_seen, 2);
	assert_int_equal(sigaction(SIGTERM, &term, &count), 0);
	/* The module has left the handlers alone. */
	assert_ptr_equal(count.sa_handler, count_signal);
	assert_int_equal(sigaction(SIGALRM, &alarm, NULL), 0);
}

/* Everything of a process that a module could leave behind changed. */
struct trace {
	size_t files;
	sigset_t mask;
	uintptr_t handlers[65];
	struct rlimit limits[RLIM_NLIMITS];
	uid_t uids[3];
	gid_t gids[3];
	char cwd[4096];
	char locale[256];
	char environment[65536];
};

static void look(struct trace *trace)
{
	struct sigaction action;
	size_t used = 0;
	int i;

	memset(trace, 0, sizeof(*trace));
	for (i = 0; i < 256; i++)
		trace->files += fcntl(i, F_GETFD) >= 0;
	assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &trace->mask), 0);
	for (i = 1; i < 65; i++)
		if (!sigaction(i, NULL, &action))
			trace->handlers[i] = (uintptr_t)action.sa_handler;
	for (i = 0; i < RLIM_NLIMITS; i++)
		(void)getrlimit((__rlimit_resource_t)i, &trace->limits[i]);
	(void)getresuid(&trace->uids[0], &trace->uids[1], &trace->uids[2]);
	(void)getresgid(&trace->gids[0], &trace->gids[1], &trace->gids[2]);
	assert_non_null(getcwd(trace->cwd, sizeof(trace->cwd)));
	snprintf(trace->locale, sizeof(trace->locale), "%s",
		setlocale(LC_ALL, NULL));
	for (i = 0; environ[i] && used < sizeof(trace->environment); i++)
		used += (size_t)snprintf(trace->environment + used,
			sizeof(trace->environment) - used, "%s\n", environ[i]);
}

#ifdef __SANITIZE_ADDRESS__
static const bool under_asan = true;
#else
static const bool under_asan = false;
#endif

/* Resident memory in kilobytes. */
static unsigned long resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
	fclose(file);
	return pages * 4;
}

/* A thousand logins later the host finds itself as it was. */
static void test_leaves_no_trace(void **state)
{
	static struct trace before, after;
	struct flow flow = sshd_flow("alice", NULL);
	mode_t mask = umask(027);
	unsigned long memory = 0;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		flow.answer = fresh_code("alice");
		assert_int_equal(run(&flow), PAM_SUCCESS);
		if (i == 0)
			look(&before);
		if (i == 100)
			memory = resident();
	}
	flow.answer = "";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	look(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(umask(mask), 027);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	/* ASan's quarantine grows. */
	if (!under_asan)
		assert_number_in_range(resident(), 0, memory + 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken_configuration),
		cmocka_unit_test(test_one_code_many_logins),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_signals_wait),
		cmocka_unit_test(test_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
