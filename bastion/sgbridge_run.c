/*
 * Other programs, for the sgbridge command: started by absolute path, without
 * a shell, with an environment of our own and no descriptor but theirs.
 */
#include "core/places.h"
#include "sgbridge.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void child(const char *const argv[], int out)
{
	char *const envp[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
		dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
		close_range(3, ~0u, 0))
		_exit(126);
	execve(argv[0], (char *const *)argv, envp);
	_exit(127);
}

int cli_run(const char *const argv[], struct buf *out)
{
	int pipes[2], status = -1;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid)
		child(argv, pipes[1]);
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
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (pid < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void cli_beside(const char *name, char *ret, size_t size)
{
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len > 0) {
		self[len] = '\0';
		*strrchr(self, '/') = '\0';
		if (snprintf(ret, size, "%s/%s", self, name) < (int)size &&
			!access(ret, X_OK))
			return;
	}
	snprintf(ret, size, SBINDIR "/%s", name);
}
