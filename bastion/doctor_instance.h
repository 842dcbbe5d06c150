/* What the two files of `sgbridge doctor INSTANCE` share. */
#ifndef SGB_DOCTOR_INSTANCE_H
#define SGB_DOCTOR_INSTANCE_H

#include "doctor.h"

#define INSTANCE_ALIAS	"sgbridge-doctor" /* its name in known_hosts */
#define INSTANCE_OUTPUT (512u * 1024)
#define INSTANCE_MARK	"sgbridge-doctor-is-in"

struct instance {
	struct doctor *doctor;
	const struct policy_node *node;
	const char *name;
	const struct addr *addr; /* the policy's */
	char address[ADDR_TEXT_MAX], port[8], login[64];
	struct addr source;  /* ours, as it sees us, once a login was tried */
	bool by_certificate; /* its key is known so, if at all */
	char dir[32];	     /* known_hosts, leaf, leaf-cert.pub */
	struct buf out;	     /* of the last ssh, with a NUL */
};

/* doctor_ssh.c. Runs stock ssh against the key in known_hosts: with the
 * certificate, or with no way to prove anything and every detail. */
void instance_ssh(
	struct instance *look, bool with_certificate, const char *command);
/* What ssh said at the end of the last run, printable. */
const char *instance_last_line(struct instance *look);
/* The algorithms and ways to log on that it offers to anybody. */
void instance_offers(struct instance *look);
/* The output of `sshd -T` that is in look->out, if it is. */
void instance_settings(struct instance *look, const char *fix);

#endif
