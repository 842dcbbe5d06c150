/*
 * doctor: the PAM stacks that pam_sgbridge is in. Reads service files as
 * libpam does (@include, include, substack, continued lines) and looks at
 * where the module stands, under which control, and what stands before it.
 */
#include "doctor.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

#define LINES_MAX 256
#define DEPTH_MAX 8
#define FILE_MAX  65536
#define MODULE	  "pam_sgbridge.so"

/* One line of one phase, in the order in which libpam runs them. */
struct pam_line {
	char control[128];
	char module[64]; /* without its folder */
	char args[256];
};

struct stack {
	struct doctor *doctor;
	const char *service, *phase;
	struct pam_line lines[LINES_MAX];
	size_t count;
};

static void read_service(struct stack *stack, const char *name, int depth);

static char *word(char **rest)
{
	char *start = *rest + strspn(*rest, " \t"), *end;

	if (*start == '[')
		end = strchr(start, ']');
	else
		end = start + strcspn(start, " \t");
	if (!end)
		end = start + strlen(start);
	if (*end == ']')
		end++;
	*rest = end;
	if (*end) {
		*end = '\0';
		(*rest)++;
	}
	return start;
}

static void add_line(struct stack *stack, const char *control,
	const char *module, const char *args)
{
	struct pam_line *line;
	const char *slash = strrchr(module, '/');

	if (stack->count == LINES_MAX)
		return;
	line = &stack->lines[stack->count++];
	snprintf(line->control, sizeof(line->control), "%s", control);
	snprintf(line->module, sizeof(line->module), "%s",
		slash ? slash + 1 : module);
	snprintf(line->args, sizeof(line->args), " %s ", args);
}

static void parse_line(struct stack *stack, char *text, int depth)
{
	const char *type, *control, *module;

	text[strcspn(text, "#\r")] = '\0';
	type = word(&text);
	if (!*type)
		return;
	if (!strcmp(type, "@include")) {
		read_service(stack, word(&text), depth + 1);
		return;
	}
	type += *type == '-';
	if (strcasecmp(type, stack->phase) != 0)
		return;
	control = word(&text);
	module = word(&text);
	if (!strcasecmp(control, "include") || !strcasecmp(control, "substack"))
		read_service(stack, module, depth + 1);
	else
		add_line(stack, control, module, text);
}

/* Service files are named by service, or by path. */
static bool service_path(
	const struct stack *stack, const char *name, char path[PATH_MAX])
{
	if (*name == '/')
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
	return snprintf(path, PATH_MAX, "%s/%s",
		       stack->doctor->conf->pam_directory, name) < PATH_MAX;
}

static void read_service(struct stack *stack, const char *name, int depth)
{
	char path[PATH_MAX], why[PATH_MAX + 300], *line, *rest, *at;
	struct buf text;

	if (depth > DEPTH_MAX || !service_path(stack, name, path))
		return;
	buf_init(&text, FILE_MAX);
	if (file_read(path, FILE_TRUST_ROOT, &text, why, sizeof(why))) {
		if (!strcmp(stack->phase, "auth"))
			doctor_find(stack->doctor, DOCTOR_PAM_READ,
				"restore the file from the package or backup; "
				"it must be root's with mode 0644",
				"PAM service %s: %s", stack->service, why);
		buf_done(&text);
		return;
	}
	buf_put_u8(&text, 0);
	rest = buf_error(&text) ? NULL : (char *)text.data;
	for (at = rest; at && (at = strstr(at, "\\\n"));)
		at[0] = at[1] = ' ';
	while ((line = strsep(&rest, "\n")))
		parse_line(stack, line, depth);
	buf_done(&text);
}

static const struct pam_line *find_module(
	const struct stack *stack, const char *module, size_t *ret_at)
{
	size_t i;

	for (i = 0; i < stack->count; i++)
		if (!strcmp(stack->lines[i].module, module)) {
			*ret_at = i;
			return &stack->lines[i];
		}
	return NULL;
}

/* May this line, at place i, end the stack with success or jump over at? */
static bool goes_round(const char *control, size_t i, size_t at)
{
	const char *value;

	if (!strcasecmp(control, "sufficient"))
		return true;
	if (*control != '[')
		return false;
	if (strstr(control, "=done"))
		return true;
	for (value = strchr(control, '='); value;
		value = strchr(value + 1, '=')) {
		unsigned long jump = strtoul(value + 1, NULL, 10);

		if (jump && i + jump >= at)
			return true;
	}
	return false;
}

static void check_place(
	struct stack *stack, const struct pam_line *line, size_t at)
{
	struct doctor *doctor = stack->doctor;
	char fix[PATH_MAX];
	size_t i, env;

	snprintf(fix, sizeof(fix),
		"make it the first %s line of %s/%s: %s "
		"requisite " MODULE,
		stack->phase, doctor->conf->pam_directory, stack->service,
		stack->phase);
	if (strcasecmp(line->control, "requisite") &&
		strcasecmp(line->control, "required"))
		doctor_find(doctor, DOCTOR_PAM_CONTROL, fix,
			"PAM service %s: %s has " MODULE " as \"%s\"",
			stack->service, stack->phase, line->control);
	for (i = 0; i < at; i++)
		if (goes_round(stack->lines[i].control, i, at))
			doctor_find(doctor, DOCTOR_PAM_BYPASS, fix,
				"PAM service %s: %s has %s as \"%s\" "
				"before " MODULE,
				stack->service, stack->phase,
				stack->lines[i].module,
				stack->lines[i].control);
	if (!strcmp(stack->phase, "session") &&
		find_module(stack, "pam_env.so", &env) && env < at)
		doctor_find(doctor, DOCTOR_PAM_ORDER, fix,
			"PAM service %s: pam_env.so runs before " MODULE,
			stack->service);
}

static void check_proxy_word(
	struct stack *stack, const struct pam_line *line, bool proxy)
{
	bool has = strstr(line->args, " proxy ") != NULL;

	if (has == proxy)
		return;
	doctor_find(stack->doctor, DOCTOR_PAM_PROXY,
		proxy ? "cp /usr/share/doc/sgbridge/examples/pam.d/sgbridge "
			"/etc/pam.d/"
		      : "take the word `proxy` out of this line",
		"PAM service %s: %s line %s `proxy`", stack->service,
		stack->phase, has ? "has" : "lacks");
}

static void check_service(
	struct doctor *doctor, const char *service, bool proxy)
{
	static const char *const phases[] = {"auth", "account", "session"};
	static struct stack stack;
	bool missing[3] = {false};
	char fix[PATH_MAX];
	size_t i, at = 0, found = 0;

	for (i = 0; i < 3; i++) {
		const struct pam_line *line;

		stack = (struct stack){.doctor = doctor,
			.service = service,
			.phase = phases[i]};
		read_service(&stack, service, 0);
		line = find_module(&stack, MODULE, &at);
		missing[i] = !line;
		found += line != NULL;
		if (line) {
			check_place(&stack, line, at);
			check_proxy_word(&stack, line, proxy);
		}
	}
	snprintf(fix, sizeof(fix),
		"see /usr/share/doc/sgbridge/examples/pam.d/%s and "
		"pam_sgbridge(8); keep a root shell open",
		proxy ? "sgbridge" : service);
	if (!found && !proxy) {
		doctor_find(doctor, DOCTOR_PAM_UNGUARDED, fix,
			"PAM service %s does not use " MODULE, service);
		return;
	}
	for (i = 0; i < 3; i++)
		if (missing[i])
			doctor_find(doctor, DOCTOR_PAM_MISSING, fix,
				"PAM service %s: no " MODULE " in %s", service,
				phases[i]);
}

void doctor_pam(struct doctor *doctor)
{
	check_service(doctor, doctor->conf->pam_service, true);
	check_service(doctor, "sshd", false);
	check_service(doctor, "sudo", false);
}
