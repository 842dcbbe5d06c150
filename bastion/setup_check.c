/*
 * setup: what would lock somebody out is found before anything is changed:
 * by the policy's own decision function, from the address that the
 * administrator really comes from.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/addr.h"
#include "core/sshkey.h"
#include "setup.h"

/* Prints what a program said if its status is above limit. */
static bool passes(const char *const argv[], int limit)
{
	struct buf out;
	int status;

	buf_init(&out, SETUP_FILE_MAX);
	status = child_run(argv, NULL, &out);
	if (status > limit)
		fprintf(stderr, "%.*s", (int)out.len,
			out.data ? (const char *)out.data : "");
	buf_done(&out);
	return status <= limit;
}

static bool account_good(struct setup *s)
{
	const char *admin = answer_one(&s->answers.admin);
	const char *argv[] = {"/usr/bin/id", "-u", admin, NULL};
	struct buf out;
	bool exists, root;

	if (*s->root)
		return true;
	buf_init(&out, 64);
	exists = child_run(argv, NULL, &out) == 0;
	root = exists && out.len == 2 && out.data[0] == '0';
	buf_done(&out);
	if (!exists && answer_yes(&s->answers.guard_sshd))
		setup_fail("%s has no account on this host, so sshd would let "
			   "nobody in; run: adduser %s && adduser %s sudo",
			admin, admin, admin);
	else if (root)
		setup_fail("%s is root, and root does not log in any more; "
			   "name somebody who uses sudo",
			admin);
	return !root && (exists || !answer_yes(&s->answers.guard_sshd));
}

/* What setup writes for sshd and sudo includes Debian's files. */
static bool pam_good(struct setup *s)
{
	const char *common = setup_path(s, "/etc/pam.d/common-account");

	if (!answer_yes(&s->answers.guard_sshd) &&
		!answer_yes(&s->answers.guard_sudo))
		return true;
	if (access(common, F_OK) == 0)
		return true;
	setup_fail("%s: PAM of this host is not laid out as Debian's, whose "
		   "services setup writes for sshd and sudo; answer "
		   "`guard-sshd no` and `guard-sudo no`, and guard them by "
		   "hand: pam_sgbridge(8)",
		common);
	return false;
}

/* Somebody who has no key for sshd would be refused before the code. */
static bool key_good(struct setup *s)
{
	const char *path = "/etc/sgbridge/authorized_keys/";
	const char *admin = answer_one(&s->answers.admin);
	const char *file = setup_path(s, setup_text(s, "%s%s", path, admin));
	const char *argv[] = {child_find(s, "ssh-keygen"), "-lf", NULL, NULL};
	size_t i;

	for (i = 0; i < s->step_count; i++)
		if (s->steps[i].kind == STEP_FILE &&
			!strncmp(s->steps[i].path, path, strlen(path)))
			file = plan_stage(s, i);
	argv[2] = file;
	if (passes(argv, 0))
		return true;
	setup_fail("%s has no public key of %s", file, admin);
	return false;
}

static bool addresses_good(struct setup *s)
{
	const struct answers *a = &s->answers;
	struct addr_net net;
	struct addr addr;
	size_t i;

	if (addr_parse(answer_one(&a->admin_address), &addr)) {
		setup_fail("admin-address \"%s\": expected an address, as "
			   "203.0.113.9",
			answer_one(&a->admin_address));
		return false;
	}
	for (i = 0; i < a->networks.count; i++)
		if (addr_net_parse(a->networks.items[i], &net)) {
			setup_fail("network \"%s\": expected a network, as "
				   "203.0.113.0/24",
				a->networks.items[i]);
			return false;
		}
	return true;
}

static bool lists_good(struct setup *s)
{
	const struct answers *a = &s->answers;
	char name[65], address[65], login[65], pin[100];
	size_t i;
	int words;

	for (i = 0; i < a->instances.count; i++) {
		words = sscanf(a->instances.items[i], "%64s %64s %64s %99s",
			name, address, login, pin);
		if (words < 3 || (words == 4 && strncmp(pin, "SHA256:", 7))) {
			setup_fail("instance \"%s\": expected NAME ADDRESS "
				   "LOGIN and, best, SHA256:HOST-KEY",
				a->instances.items[i]);
			return false;
		}
	}
	for (i = 0; i < a->recipients.count; i++)
		if (strncmp(a->recipients.items[i], "x25519 ", 7) &&
			strncmp(a->recipients.items[i], "x25519/1 ", 9)) {
			setup_fail("recipient \"%s\": expected the line "
				   "\"x25519 KEY NAME\" that `sgbridge-audit "
				   "keygen` prints on the auditor's machine",
				a->recipients.items[i]);
			return false;
		}
	return true;
}

bool answers_good(struct setup *s)
{
	return addresses_good(s) && lists_good(s) && account_good(s) &&
	       pam_good(s);
}

bool plan_admits(struct setup *s)
{
	const char *admin = answer_one(&s->answers.admin);
	const char *from = answer_one(&s->answers.admin_address);
	const char *sgbridge = child_find(s, "sgbridge");
	const char *policy = setup_path(s, "/etc/sgbridge/policy.conf");
	size_t i;

	for (i = 0; i < s->step_count; i++)
		if (!strcmp(s->steps[i].path, "/etc/sgbridge/policy.conf"))
			policy = plan_stage(s, i);
	if (!passes((const char *[]){sgbridge, "check", "--policy", policy,
			    NULL},
		    1)) {
		setup_fail("the policy above is not good, so nothing was "
			   "changed");
		return false;
	}
	if (!passes((const char *[]){sgbridge, "explain", "--policy", policy,
			    admin, "from", from, "to", "self", "via", "sshd",
			    NULL},
		    0)) {
		setup_fail("with this policy %s, who comes from %s, would be "
			   "locked out. Nothing was changed; give a `network` "
			   "that %s is in",
			admin, from, from);
		return false;
	}
	return key_good(s);
}
