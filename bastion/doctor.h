/* What the files of `sgbridge doctor` share: findings, and who looks where. */
#ifndef SGB_DOCTOR_H
#define SGB_DOCTOR_H

#include "core/conf.h"
#include "sgbridge.h"

enum doctor_severity {
	DOCTOR_ERROR = 0,
	DOCTOR_WARNING,
	DOCTOR_NOTE,
};

enum doctor_code {
#define X(code, name, severity, standard, why) DOCTOR_##code,
#include "doctor.def"
#undef X
	DOCTOR_CODES
};

struct doctor {
	struct cli *cli;
	const char *conf_path;
	struct conf *conf; /* NULL: could not be read */
	struct table table;
	unsigned int counts[DOCTOR_NOTE + 1];
};

/* One finding: fix is a command or what to do, then what was found. */
void doctor_find(struct doctor *doctor, enum doctor_code code, const char *fix,
	const char *fmt, ...) SGB_PRINTF(4, 5);

/* Each looks at one thing; none changes anything. */
void doctor_files(struct doctor *doctor);
void doctor_recipients(struct doctor *doctor);
void doctor_disk(struct doctor *doctor);
void doctor_users(struct doctor *doctor);
void doctor_services(struct doctor *doctor);
void doctor_audit(struct doctor *doctor);
void doctor_clock(struct doctor *doctor);
void doctor_sshd(struct doctor *doctor);
void doctor_pam(struct doctor *doctor);
void doctor_targets(struct doctor *doctor);
void doctor_processes(struct doctor *doctor);
void doctor_ruleset(struct doctor *doctor);
void doctor_firewall(struct doctor *doctor);
void doctor_forward(struct doctor *doctor); /* sgbridge_forward.c */

/* Does systemd run this host? */
bool doctor_systemd(void);
/* Is the unit enabled for a target, "multi-user"? */
bool doctor_enabled(const char *target, const char *unit);

struct policy_node;
/* An instance's pin and port. True if it has the one and answers at the
 * other. */
bool doctor_node(struct doctor *doctor, const struct policy_node *node);
/* "[LOGIN@]NAME", looked at over the network. False after a message. */
bool doctor_instance(struct doctor *doctor, char *word);

#endif
