/*
 * What stands where sgbridge-session should, for hostile.sh: a program that
 * the kernel loads by itself, as sgbridge-starter wants it. It becomes the
 * script beside it.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[PATH_MAX], script[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *args[16] = {"python3", "-I", script};
	int i;

	if (len <= 0 || argc > 12)
		return 127;
	path[len] = '\0';
	*strrchr(path, '/') = '\0';
	snprintf(script, sizeof(script), "%s/hostile_session.py", path);
	for (i = 1; i < argc; i++)
		args[2 + i] = argv[i];
	execv("/usr/bin/python3", args);
	return 127;
}
