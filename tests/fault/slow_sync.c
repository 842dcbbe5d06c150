/*
 * Preloaded into the recorder by tests: a disk that takes as many milliseconds
 * for each fsync as the file says that SLOW_FSYNC names, as long as it is
 * there, and is quick with fdatasync. That of files on the same disk as the
 * one that FAIL_FDATASYNC names does not end while it begins with "hold", to
 * which it adds a byte, and fails when it begins with "fail".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* What the file says, after a byte is added if it says "hold". */
static int says(int fd, const char *word)
{
	const char *path = getenv("FAIL_FDATASYNC");
	int file = path ? open(path, O_RDWR | O_APPEND | O_CLOEXEC) : -1;
	struct stat mine, its;
	char text[4] = "";
	int yes;

	if (file < 0)
		return 0;
	yes = !fstat(file, &mine) && !fstat(fd, &its) &&
	      mine.st_dev == its.st_dev && pread(file, text, 4, 0) == 4 &&
	      !memcmp(text, word, 4);
	if (yes && !strcmp(word, "hold") && mine.st_size < 100 &&
		write(file, ".", 1) < 0)
		yes = 0;
	close(file);
	return yes;
}

int fdatasync(int fd)
{
	static const struct timespec wait = {0, 20 * 1000000};

	while (says(fd, "hold"))
		(void)nanosleep(&wait, NULL);
	if (!says(fd, "fail"))
		return (int)syscall(SYS_fdatasync, fd);
	errno = EIO;
	return -1;
}
