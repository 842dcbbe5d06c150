/*
 * setup: what it has to know, from a file of answers (for configuration
 * management) or from the terminal. Nothing is guessed that could lock
 * somebody out without being shown.
 */
#include "setup.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/addr.h"
#include "core/diag.h"
#include "core/file.h"

#define LINE_LEN 4096

static const struct question {
	const char *name;
	size_t offset;
	bool many;
	const char *fallback, *text;
} questions[] = {
#define X(field, name, many, fallback, question) \
	{name, offsetof(struct answers, field), many, fallback, question},
#include "setup_answers.def"
#undef X
};
#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

static struct answer *answer_of(struct setup *s, const struct question *row)
{
	return (struct answer *)(void *)((char *)&s->answers + row->offset);
}

void answer_add(struct setup *s, struct answer *answer, const char *text)
{
	const char **items = reallocarray(
		answer->items, answer->count + 1, sizeof(*items));

	if (!items)
		abort(); /* as good as any other end, see setup_text */
	items[answer->count++] = setup_text(s, "%s", text);
	answer->items = items;
}

const char *answer_one(const struct answer *answer)
{
	return answer->count ? answer->items[0] : "";
}

bool answer_yes(const struct answer *answer)
{
	return !strcmp(answer_one(answer), "yes");
}

static const struct question *find(const char *name, const char **ret_near)
{
	const char *names[QUESTIONS + 1] = {NULL};
	size_t i;

	for (i = 0; i < QUESTIONS; i++) {
		if (!strcmp(questions[i].name, name))
			return &questions[i];
		names[i] = questions[i].name;
	}
	*ret_near = diag_nearest(name, names);
	return NULL;
}

static bool read_line(struct setup *s, char *line, unsigned int number)
{
	const struct question *row;
	const char *near = NULL;
	char *name, *value, *end;

	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return true;
	name = strsep(&line, " \t");
	value = line ? line + strspn(line, " \t") : (char *)"";
	for (end = value + strlen(value);
		end > value && isspace((unsigned char)end[-1]);)
		*--end = '\0';
	row = find(name, &near);
	if (!row) {
		setup_fail("%s:%u: unknown answer \"%s\"%s%s%s; "
			   "sgbridge-setup(8) lists them",
			s->answers_path, number, name,
			near ? ", did you mean \"" : "", near ? near : "",
			near ? "\"?" : "");
		return false;
	}
	if (!*value || (!row->many && answer_of(s, row)->count)) {
		setup_fail("%s:%u: \"%s\" %s", s->answers_path, number, name,
			*value ? "is there twice" : "has no value");
		return false;
	}
	answer_add(s, answer_of(s, row), value);
	return true;
}

bool answers_read(struct setup *s)
{
	char why[LINE_LEN + 300], *line, *rest;
	unsigned int number = 0;
	bool good = true;
	struct buf text;

	if (!s->answers_path)
		return true;
	buf_init(&text, SETUP_FILE_MAX);
	if (file_read(s->answers_path, FILE_TRUST_ROOT, &text, why,
		    sizeof(why))) {
		setup_fail("%s", why);
		buf_done(&text);
		return false;
	}
	buf_put_u8(&text, 0);
	rest = buf_error(&text) ? NULL : (char *)text.data;
	while ((line = strsep(&rest, "\n")))
		good = read_line(s, line, ++number) && good;
	buf_done(&text);
	return good;
}

const char *ask_line(struct setup *s, const char *question)
{
	char line[LINE_LEN];

	if (!isatty(STDIN_FILENO))
		return NULL;
	printf("%s ", question);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return NULL;
	line[strcspn(line, "\r\n")] = '\0';
	return setup_text(s, "%s", line + strspn(line, " \t"));
}

bool ask_yes(struct setup *s, const char *question)
{
	const char *line;

	if (s->yes)
		return true;
	line = ask_line(s, question);
	if (!line) {
		setup_fail("there is no terminal to ask; --yes answers yes");
		return false;
	}
	return !strcmp(line, "yes");
}

/* Who is it, and from where, as the present login says. */
static void guess(struct setup *s)
{
	const char *user = getenv("SUDO_USER"),
		   *from = getenv("SSH_CONNECTION");
	char copy[ADDR_TEXT_MAX + 1];
	struct addr addr;

	if (!s->answers.admin.count && user && strcmp(user, "root") != 0)
		answer_add(s, &s->answers.admin, user);
	if (s->answers.admin_address.count || !from)
		return;
	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(from, " "), from);
	if (!addr_parse(copy, &addr))
		answer_add(s, &s->answers.admin_address, copy);
}

static void ask(struct setup *s, const struct question *row)
{
	struct answer *answer = answer_of(s, row);
	const char *line;

	if (answer->count)
		printf("%s: %s (as this login says)\n", row->name,
			answer->items[0]);
	while (!answer->count || row->many) {
		line = ask_line(s,
			setup_text(s, "%s%s%s%s%s:", row->text,
				*row->fallback ? " [" : "", row->fallback,
				*row->fallback ? "]" : "",
				row->many ? ", one a line, empty ends" : ""));
		if (!line || !*line)
			break;
		answer_add(s, answer, line);
	}
}

/* What nobody can do without. */
static bool complete(struct setup *s)
{
	const struct answers *a = &s->answers;
	const char *missing = NULL;

	if (!a->admin.count)
		missing = "admin";
	else if (!a->admin_address.count)
		missing = "admin-address";
	else if (!a->networks.count)
		missing = "network";
	else if (!a->recipients.count)
		missing = "recipient";
	if (missing)
		setup_fail("the answer \"%s\" is missing: with nobody to read "
			   "recordings, or nobody who may come in, the bastion "
			   "would refuse everybody. Nothing was changed.",
			missing);
	return !missing;
}

/* Where a person came in as another one, the home may have no key. */
static bool has_key(struct setup *s)
{
	struct buf keys;
	bool has;

	buf_init(&keys, SETUP_FILE_MAX);
	has = !setup_read(plan_home_keys(s), &keys) && keys.len;
	buf_done(&keys);
	return has;
}

/* The rest is for answers files. */
static bool is_asked(struct setup *s, const struct answer *answer)
{
	if (answer == &s->answers.key)
		return !has_key(s);
	return answer != &s->answers.enrol_output &&
	       answer != &s->answers.code_command;
}

bool answers_ask(struct setup *s)
{
	bool terminal = isatty(STDIN_FILENO) && !s->answers_path;
	size_t i;

	if (!s->answers_path)
		guess(s);
	for (i = 0; i < QUESTIONS; i++) {
		struct answer *answer = answer_of(s, &questions[i]);

		if (terminal && is_asked(s, answer))
			ask(s, &questions[i]);
		if (!answer->count && *questions[i].fallback)
			answer_add(s, answer, questions[i].fallback);
	}
	return complete(s);
}
