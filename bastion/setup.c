/*
 * sgbridge-setup: makes a host a bastion, and a bastion the host that it was.
 * `sgbridge` itself only looks, and starts this program for it. Root; trusts
 * the person who started it; changes nothing that was not shown, nothing that
 * cannot be put back, and does not leave the old login before the new one has
 * worked.
 */
#include "setup.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct setup_text {
	SLIST_ENTRY(setup_text) link;
	char text[];
};

int setup_fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("sgbridge setup: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return SETUP_FAILED;
}

const char *setup_text(struct setup *s, const char *fmt, ...)
{
	struct setup_text *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len >= 0)
		text = malloc(sizeof(*text) + (size_t)len + 1);
	if (!text)
		abort();
	va_start(args, fmt);
	vsnprintf(text->text, (size_t)len + 1, fmt, args);
	va_end(args);
	SLIST_INSERT_HEAD(&s->texts, text, link);
	return text->text;
}

const char *setup_path(struct setup *s, const char *path)
{
	return setup_text(s, "%s%s", s->root, path);
}

static void done(struct setup *s)
{
	struct setup_text *text;

#define X(field, name, many, fallback, question) free(s->answers.field.items);
#include "setup_answers.def"
#undef X
	while ((text = SLIST_FIRST(&s->texts))) {
		SLIST_REMOVE_HEAD(&s->texts, link);
		free(text);
	}
	free(s->steps);
	free(s->run);
	if (s->journal >= 0)
		close(s->journal);
	if (s->lock >= 0)
		close(s->lock);
}

int main(int argc, char **argv)
{
	struct setup s = {.root = "", .journal = -1, .lock = -1};
	int status;

	SLIST_INIT(&s.texts);
	umask(022);
	if (argc > 1 && !strcmp(argv[1], "setup"))
		status = setup_main(&s, argc - 1, argv + 1);
	else
		status = setup_fail("start it by `sgbridge setup`");
	done(&s);
	if (fflush(stdout) || ferror(stdout))
		return setup_fail("standard output: %s", strerror(errno));
	return status;
}
