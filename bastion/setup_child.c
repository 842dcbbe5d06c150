/*
 * setup: other programs. They are started by absolute path, without a shell,
 * with an environment of their own and no descriptor of ours; nothing secret
 * is in their arguments.
 */
#include "core/places.h"
#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const plain[] = {
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};

const char *child_find(struct setup *s, const char *name)
{
	static const char *const folders[] = {
		SBINDIR, BINDIR, LIBEXECDIR, "/usr/sbin", "/usr/bin", "/bin"};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *path;
	size_t i;

	if (len > 0) {
		self[len] = '\0';
		*strrchr(self, '/') = '\0';
		path = setup_text(s, "%s/%s", self, name);
		if (!access(path, X_OK))
			return path;
	}
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		path = setup_text(s, "%s/%s", folders[i], name);
		if (!access(path, X_OK))
			return path;
	}
	return setup_text(s, "%s/%s", SBINDIR, name);
}

static _Noreturn void child(const char *const argv[], const char *const envp[],
	int out, bool quiet_input)
{
	int null = open("/dev/null", O_RDONLY);

	if ((quiet_input && (null < 0 || dup2(null, 0) < 0)) ||
		(out >= 0 && (dup2(out, 1) < 0 || dup2(out, 2) < 0)) ||
		close_range(3, ~0u, 0))
		_exit(126);
	execve(argv[0], (char *const *)argv,
		(char *const *)(envp ? envp : plain));
	_exit(127);
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void collect(int fd, struct buf *out)
{
	char chunk[4096];
	ssize_t got;

	for (;;) {
		got = read(fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		buf_put(out, chunk, (size_t)got);
	}
}

int child_run(
	const char *const argv[], const char *const envp[], struct buf *out)
{
	int pipes[2] = {-1, -1};
	pid_t pid;

	fflush(stdout);
	if (out && pipe2(pipes, O_CLOEXEC))
		return 127;
	pid = fork();
	if (!pid)
		child(argv, envp, pipes[1], out != NULL);
	if (out) {
		close(pipes[1]);
		if (pid > 0)
			collect(pipes[0], out);
		close(pipes[0]);
	}
	return pid > 0 ? wait_for(pid) : 127;
}

pid_t child_start(const char *const argv[], const char *log)
{
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	pid_t pid = out < 0 ? -1 : fork();

	if (!pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL))
			_exit(126);
		child(argv, NULL, out, true);
	}
	if (out >= 0)
		close(out);
	return pid < 0 ? 0 : pid;
}

void child_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	wait_for(pid);
}

bool child_systemd(const struct setup *s)
{
	struct stat st;

	return !*s->root && !lstat("/run/systemd/system", &st);
}
