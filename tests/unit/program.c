/*
 * Programs that are opened once (core/program.h): what is started is what was
 * there, with the descriptors that it should have and no others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/program.h"

#define FIRST 4

static char folder[] = "/tmp/sgb-program-XXXXXX";

/* A copy under this name, as a package's: another file at the path. */
static void install(const char *source, const char *name)
{
	char command[256];

	snprintf(command, sizeof(command), "cp %s %s/new && mv -f %s/new %s/%s",
		source, folder, folder, folder, name);
	assert_int_equal(system(command), 0);
}

static int run(const struct program *program, char *const argv[])
{
	char *const envp[] = {NULL};
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		program_exec(program, FIRST, argv, envp);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int run_plain(const struct program *program)
{
	char *const argv[] = {"works", NULL};

	return run(program, argv);
}

static void test_replaced(void **state)
{
	struct program program = {0};

	(void)state;
	install("/usr/bin/true", "works");
	assert_int_equal(program_open(&program, folder, "works"), SGB_OK);
	assert_int_equal(run_plain(&program), 0);
	install("/usr/bin/false", "works");
	assert_int_equal(run_plain(&program), 0);
	/* Nor when it is asked for again. */
	assert_int_equal(program_open(&program, folder, "works"), SGB_OK);
	assert_int_equal(run_plain(&program), 0);
	/* But where it is to be taken from elsewhere. */
	install("/usr/bin/false", "other");
	assert_int_equal(program_open(&program, folder, "other"), SGB_OK);
	assert_int_equal(run_plain(&program), 1);
	program_done(&program);
	assert_int_equal(program_open(&program, folder, "works"), SGB_OK);
	assert_int_equal(run_plain(&program), 1);
	program_done(&program);
}

static void test_missing(void **state)
{
	struct program program = {0};
	char longest[5000];

	(void)state;
	assert_int_equal(
		program_open(&program, folder, "none"), SGB_ERR_SYSTEM);
	assert_int_equal(run_plain(&program), 127);
	install("/usr/bin/true", "works");
	assert_int_equal(program_open(&program, folder, "works"), SGB_OK);
	assert_int_equal(
		program_open(&program, folder, "none"), SGB_ERR_SYSTEM);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(
		program_open(&program, folder, longest), SGB_ERR_LIMIT);
	assert_int_equal(run_plain(&program), 0);
	program_done(&program);
	program_done(&program);
}

/* 3 is handed over; the program's own and one that was left open are not. */
static void test_descriptors(void **state)
{
	char *const argv[] = {"sh", "-c",
		"[ -e /dev/fd/3 ] && "
		"[ ! -e /dev/fd/4 ] && [ ! -e /dev/fd/5 ] && "
		"[ ! -e /dev/fd/16 ] && [ ! -e /dev/fd/17 ]",
		NULL};
	struct program program = {0};
	int one = dup2(0, 3), two = dup2(0, 5);

	(void)state;
	assert_int_equal(one, 3);
	assert_int_equal(two, 5);
	assert_int_equal(program_open(&program, "/bin", "sh"), SGB_OK);
	assert_true(program.fd >= PROGRAM_FD_MIN);
	assert_int_equal(run(&program, argv), 0);
	close(one);
	close(two);
	program_done(&program);
}

static void test_name(void **state)
{
	char old[16], name[16];

	(void)state;
	assert_int_equal(prctl(PR_GET_NAME, old), 0);
	program_name("sgbridge-session");
	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	assert_string_equal(name, "sgbridge-sessio");
	program_name(old);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
