/*
 * Preloaded into the recorder by tests: a disk that takes as many milliseconds
 * for each fsync as the file says that SLOW_FSYNC names, as long as it is
 * there, and is quick with fdatasync.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long wait_ms(void)
{
	const char *path = getenv("SLOW_FSYNC");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char text[16] = "";

	if (file < 0)
		return 0;
	if (read(file, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(file);
	return atol(text);
}

int fsync(int fd)
{
	long ms = wait_ms();
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000};

	(void)nanosleep(&wait, NULL);
	return (int)syscall(SYS_fsync, fd);
}
