/*
 * sgbridge doctor: looks at everything that a bastion depends on, and says
 * what is wrong, why it matters and which command mends it. Reads only; runs
 * nothing but `sshd -T`, nft and sgbridge-forward (-t, --status); connects to
 * nothing but its own sockets unless told to with --connect or an instance's
 * name.
 */
#include "core/places.h"
#include "doctor.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define OUT_MAX	 (8u * 1024 * 1024)
#define TEXT_MAX 2048

static const char *const columns[] = {
	"severity", "code", "found", "why", "fix", "standard", NULL};

static const char *const severities[] = {"error", "warning", "note"};

static const struct row {
	const char *name;
	enum doctor_severity severity;
	const char *standard, *why;
} rows[] = {
#define X(code, name, severity, standard, why) \
	[DOCTOR_##code] = {name, DOCTOR_##severity, standard, why},
#include "doctor.def"
#undef X
};

void doctor_find(struct doctor *doctor, enum doctor_code code, const char *fix,
	const char *fmt, ...)
{
	const struct row *row = &rows[code];
	char text[TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	table_put(&doctor->table, severities[row->severity]);
	table_put(&doctor->table, row->name);
	table_put(&doctor->table, text);
	table_put(&doctor->table, row->why);
	table_put(&doctor->table, fix);
	table_put(&doctor->table, row->standard);
	doctor->counts[row->severity]++;
}

static void load_conf(struct doctor *doctor)
{
	char line[TEXT_MAX], fix[TEXT_MAX];
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_load(doctor->conf_path, &doctor->conf, &diag);
	if (err) {
		diag_first_line(&diag, line, sizeof(line));
		snprintf(fix, sizeof(fix), "sgbridged -t -c %s",
			doctor->conf_path);
		doctor_find(doctor, DOCTOR_SETTINGS, fix, "%s",
			*line ? line : sgb_err_text(err));
	}
	diag_done(&diag);
}

/* What `sgbridge check` warns of; missing host keys are doctor_targets'. */
static void lint(struct doctor *doctor, struct diag *diag, const char *fix)
{
	struct cli *cli = doctor->cli;
	struct lint lint = {.now = time(NULL),
		.conf = doctor->conf,
		.parser = {.policy = cli->policy,
			.source = cli->source,
			.diag = diag}};
	size_t i;

	lint_all(&lint);
	if (!lint_keys(&lint, cli, doctor->conf->authorized_keys))
		doctor_find(doctor, DOCTOR_POLICY_WARNING, fix,
			"the keys were not checked: no event trail");
	for (i = 0; i < diag->count; i++) {
		const struct diag_item *item = &diag->items[i];

		if (!item->code || !strcmp(item->code, "no-host-key") ||
			!strcmp(item->code, "placeholder"))
			continue;
		doctor_find(doctor, DOCTOR_POLICY_WARNING, fix, "%s:%u: %s",
			item->file ? item->file : "policy", item->line,
			item->text);
	}
}

static void load_policy(struct doctor *doctor)
{
	struct cli *cli = doctor->cli;
	const char *path = cli->policy_path ? cli->policy_path
					    : doctor->conf->policy;
	char line[TEXT_MAX], fix[TEXT_MAX];
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	snprintf(fix, sizeof(fix), "sgbridge check --policy %s", path);
	err = policy_source_read(path, &cli->source, &diag);
	if (!err)
		err = policy_compile(cli->source, &cli->policy, &diag);
	if (err) {
		diag_first_line(&diag, line, sizeof(line));
		doctor_find(doctor, DOCTOR_POLICY, fix, "%s",
			*line ? line : sgb_err_text(err));
	} else {
		lint(doctor, &diag, fix);
	}
	diag_done(&diag);
}

static void look(struct doctor *doctor)
{
	load_conf(doctor);
	doctor_clock(doctor);
	doctor_audit(doctor);
	if (doctor->conf) {
		load_policy(doctor);
		doctor_files(doctor);
		doctor_recipients(doctor);
		doctor_disk(doctor);
		doctor_users(doctor);
		doctor_services(doctor);
		doctor_firewall(doctor);
		doctor_processes(doctor);
		doctor_pam(doctor);
		doctor_forward(doctor);
	}
	doctor_sshd(doctor);
	if (doctor->cli->policy)
		doctor_targets(doctor);
	if (doctor->cli->policy && doctor->conf)
		doctor_ruleset(doctor);
}

/* Instances alone: this host is looked at when none is named. */
static bool look_at_instances(struct doctor *doctor)
{
	struct cli *cli = doctor->cli;
	bool good;
	int i;

	cli->connect = true;
	good = cli_conf(cli, &doctor->conf) && cli_load(cli);
	for (i = 0; good && i < cli->argc; i++)
		good = doctor_instance(doctor, cli->argv[i]);
	return good;
}

static void print_text(const struct doctor *doctor)
{
	static const char *const colours[] = {
		"\033[1;31m", "\033[1;33m", "\033[1m"};
	const struct table *table = &doctor->table;
	size_t severity, i;

	for (severity = 0; severity <= DOCTOR_NOTE; severity++) {
		const char *name = severities[severity];

		for (i = 0; i + table->width <= table->count;
			i += table->width) {
			char **cell = &table->cells[i];

			if (strcmp(cell[0], name) != 0)
				continue;
			printf("%s%-8s%s%s: %s\n",
				doctor->cli->colour ? colours[severity] : "",
				cell[0], doctor->cli->colour ? "\033[0m" : "",
				cell[1], cell[2]);
			printf("        why: %s%s%s%s\n        fix: %s\n\n",
				cell[3], *cell[5] ? " (" : "", cell[5],
				*cell[5] ? ")" : "", cell[4]);
		}
	}
	printf("%u errors, %u warnings, %u notes\n",
		doctor->counts[DOCTOR_ERROR], doctor->counts[DOCTOR_WARNING],
		doctor->counts[DOCTOR_NOTE]);
}

static void print_json(const struct doctor *doctor)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	buf_printf(&out, "{\"errors\":%u,\"warnings\":%u,\"findings\":",
		doctor->counts[DOCTOR_ERROR], doctor->counts[DOCTOR_WARNING]);
	table_json(&doctor->table, &out);
	buf_printf(&out, "}\n");
	cli_print(&out);
	buf_done(&out);
}

int cmd_doctor(struct cli *cli)
{
	struct doctor doctor = {.cli = cli,
		.conf_path = cli->config ? cli->config : CONF_DEFAULT_PATH};
	int status;

	if (geteuid() != 0)
		return cli_fail("doctor looks at keys and settings that only "
				"root may read; run it as root");
	table_init(&doctor.table, columns);
	if (cli->argc && !look_at_instances(&doctor)) {
		table_done(&doctor.table);
		conf_free(doctor.conf);
		return CLI_ERROR;
	}
	if (!cli->argc)
		look(&doctor);
	status = doctor.counts[DOCTOR_ERROR]	 ? 2
		 : doctor.counts[DOCTOR_WARNING] ? 1
						 : 0;
	if (doctor.table.failed)
		status = cli_fail("out of memory");
	else if (cli->json)
		print_json(&doctor);
	else
		print_text(&doctor);
	table_done(&doctor.table);
	conf_free(doctor.conf);
	return status;
}
