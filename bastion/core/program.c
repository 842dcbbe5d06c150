/*
 * Programs that are opened once and started by their descriptor. Trusts the
 * folder that its caller names; it must not start anything by a path.
 */
#include "core/program.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Above what is handed over, whose numbers are fixed. */
static int open_above(const char *path)
{
	int low = open(path, O_PATH | O_CLOEXEC), fd;

	if (low < 0)
		return -1;
	fd = fcntl(low, F_DUPFD_CLOEXEC, PROGRAM_FD_MIN);
	close(low);
	return fd;
}

enum sgb_err program_open(
	struct program *program, const char *folder, const char *name)
{
	char path[PATH_MAX], *copy;
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >=
		sizeof(path))
		return SGB_ERR_LIMIT;
	if (program->path && !strcmp(program->path, path))
		return SGB_OK;
	copy = strdup(path);
	if (!copy)
		return SGB_ERR_NOMEM;
	fd = open_above(path);
	if (fd < 0) {
		free(copy);
		return SGB_ERR_SYSTEM;
	}
	program_done(program);
	*program = (struct program){.path = copy, .fd = fd};
	return SGB_OK;
}

void program_exec(const struct program *program, unsigned int first,
	char *const argv[], char *const envp[])
{
	/* Not closed: it is among them until it runs. */
	if (program->path && !close_range(first, ~0u, CLOSE_RANGE_CLOEXEC))
		(void)fexecve(program->fd, argv, envp);
}

void program_name(const char *name)
{
	(void)prctl(PR_SET_NAME, name);
}

void program_done(struct program *program)
{
	if (program->path)
		close(program->fd);
	free(program->path);
	*program = (struct program){0};
}
