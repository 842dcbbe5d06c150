/*
 * setup: steps that are commands. Each may be run twice, and its undoing too;
 * in a folder (--root) only those that work on files are run.
 */
#include "core/places.h"
#include "setup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SSHD_PID "/run/sshd.pid"
#define TOPOLOGY "/var/lib/sgbridge/nftables/current.nft"

/* Runs a command; what it said is shown when it failed. */
static bool quiet(const char *const argv[])
{
	struct buf out;
	int status;

	buf_init(&out, SETUP_FILE_MAX);
	status = child_run(argv, NULL, &out);
	if (status)
		setup_fail("%s %s: %.*s", argv[0], argv[1] ? argv[1] : "",
			(int)out.len, out.data ? (const char *)out.data : "");
	buf_done(&out);
	return status == 0;
}

#define QUIET(...) quiet((const char *const[]){__VA_ARGS__, NULL})

static bool has_users(struct setup *s)
{
	const char *text;
	struct buf passwd;
	bool both;

	buf_init(&passwd, SETUP_FILE_MAX);
	if (setup_read(setup_path(s, "/etc/passwd"), &passwd))
		buf_reset(&passwd);
	buf_put_u8(&passwd, 0);
	text = buf_error(&passwd) ? "" : (const char *)passwd.data;
	both = strstr(text, "\n_sgb-session:") &&
	       strstr(text, "\n_sgb-recorder:");
	buf_done(&passwd);
	return both;
}

static bool do_users(struct setup *s)
{
	const char *file = SYSUSERSDIR "/sgbridge.conf";
	const char *beside = child_find(s, "sgbridge-setup");

	if (has_users(s))
		return true;
	if (access(file, R_OK))
		file = setup_text(s, "%.*s/../conf/sysusers.conf",
			(int)(strrchr(beside, '/') - beside), beside);
	if (*s->root)
		return QUIET(child_find(s, "systemd-sysusers"),
			setup_text(s, "--root=%s", s->root), file);
	return QUIET(child_find(s, "systemd-sysusers"), file);
}

/* ---- the administrator's second factor ---- */

static bool do_enrol(struct setup *s)
{
	const char *otp = child_find(s, "sgbridge-otp");
	const char *admin = answer_one(&s->answers.admin);
	const char *file = answer_one(&s->answers.enrol_output);
	const char *argv[] = {
		otp, "enrol", admin, "--json", "--no-confirm", NULL};
	struct buf out;
	bool good;

	if (!*file) {
		printf("\nThe second factor of %s, shown once:\n", admin);
		return child_run(
			       (const char *const[]){otp, "enrol", admin, NULL},
			       NULL, NULL) == 0;
	}
	buf_init(&out, SETUP_FILE_MAX);
	good = child_run(argv, NULL, &out) == 0;
	if (!good)
		setup_fail("sgbridge-otp enrol: %.*s", (int)out.len,
			out.data ? (const char *)out.data : "");
	else if (setup_put(file, &out, 0600, 0, 0, 0))
		good = setup_fail("%s: %s", file, strerror(errno)) == 0;
	buf_done(&out);
	return good;
}

static void undo_enrol(struct setup *s)
{
	const char *argv[] = {child_find(s, "sgbridge-otp"), "reset",
		answer_one(&s->answers.admin), NULL};
	struct buf out;

	/* After a crash the answers are gone; the key's file has the name. */
	if (!*argv[2]) {
		size_t i;

		for (i = 0; i < s->step_count; i++)
			if (!strncmp(s->steps[i].path,
				    "/etc/sgbridge/authorized_keys/", 30))
				argv[2] = s->steps[i].path + 30;
	}
	buf_init(&out, SETUP_FILE_MAX);
	if (*argv[2] && child_run(argv, NULL, &out) == 0)
		printf("  back  the second factor of %s\n", argv[2]);
	buf_done(&out);
}

/* ---- services ---- */

static const char *const services[] = {"sgbridge-recorder.service",
	"sgbridged.service", "sgbridge-findings.timer"};
#define SERVICES (sizeof(services) / sizeof(services[0]))

static bool do_units(struct setup *s)
{
	if (!child_systemd(s)) {
		printf("  note  systemd does not run here: start "
		       "sgbridge-recorder, then sgbridged\n");
		return true;
	}
	return QUIET("/bin/systemctl", "daemon-reload") &&
	       unit_enable(s, services, SERVICES);
}

/* A bastion that was one before goes on; without settings it cannot. */
static void undo_units(struct setup *s)
{
	if (!child_systemd(s))
		return;
	if (access("/etc/sgbridge/sgbridge.conf", F_OK))
		(void)QUIET("/bin/systemctl", "stop", "sgbridged.service",
			"sgbridge-recorder.service", "sgbridge-findings.timer");
	unit_disable(s, services, SERVICES);
}

/* ---- the firewall ---- */

#define FIREWALL "/etc/nftables.d/sgbridge.nft"

/* By a unit of our own. Debian's nftables.service is off unless somebody wants
 * it, and to enable it would load whatever its file says, which nobody tried.
 */
static const char *const firewall_unit = UNIT_FIREWALL;

static bool do_firewall(struct setup *s)
{
	const char *nft = child_find(s, "nft");

	if (*s->root)
		return true;
	if (!access(TOPOLOGY, F_OK))
		printf("  note  the ruleset of `sgbridge topology apply` is "
		       "loaded and says all of it\n");
	else if (!QUIET(nft, "-c", "-f", FIREWALL) ||
		 !QUIET(nft, "-f", FIREWALL))
		return false;
	if (child_systemd(s))
		return unit_enable(s, &firewall_unit, 1);
	printf("  note  systemd does not run here: let something load "
	       "/etc/nftables.conf at boot\n");
	return true;
}

static void undo_firewall(struct setup *s)
{
	if (child_systemd(s))
		unit_disable(s, &firewall_unit, 1);
	if (*s->root || !access(TOPOLOGY, F_OK))
		return;
	if (!access(FIREWALL, F_OK))
		(void)QUIET(child_find(s, "nft"), "-f", FIREWALL);
	else
		(void)QUIET(child_find(s, "nft"), "delete", "table", "inet",
			"sgbridge_host");
}

static const char *sshd_unit(void)
{
	return access("/lib/systemd/system/ssh.service", F_OK) ? "sshd.service"
							       : "ssh.service";
}

/* Connections that are open stay open; new ones see the new settings. */
static bool reload_sshd(struct setup *s, bool *ret_runs)
{
	struct buf text;
	long pid = 0;

	*ret_runs = true;
	if (child_systemd(s))
		return QUIET("/bin/systemctl", "reload", sshd_unit());
	buf_init(&text, 64);
	if (!setup_read(SSHD_PID, &text)) {
		buf_put_u8(&text, 0);
		pid = buf_error(&text) ? 0
				       : strtol((char *)text.data, NULL, 10);
	}
	buf_done(&text);
	*ret_runs = pid > 1 && !kill((pid_t)pid, SIGHUP);
	return true;
}

/* It failed, or systemd tries again and again. One that is started for each
 * connection is neither. */
static bool sshd_is_down(void)
{
	const char *argv[] = {"/bin/systemctl", "show", "-P", "ActiveState",
		sshd_unit(), NULL};
	struct buf out;
	bool down;

	buf_init(&out, SETUP_FILE_MAX);
	down = child_run(argv, NULL, &out) == 0;
	buf_put_u8(&out, 0);
	down = down && !buf_error(&out) &&
	       (!strcmp((char *)out.data, "failed\n") ||
		       !strcmp((char *)out.data, "activating\n"));
	buf_done(&out);
	return down;
}

/* An sshd that was told to read broken settings has ended itself: once they
 * are put back it has to be started, or nobody gets in. systemd, which saw it
 * fail too often, is told to forget that. */
static bool revive_sshd(struct setup *s)
{
	static const char script[] = "/etc/init.d/ssh";

	if (!child_systemd(s))
		return !access(script, X_OK) && QUIET(script, "start");
	if (!sshd_is_down())
		return false;
	(void)QUIET("/bin/systemctl", "reset-failed", sshd_unit());
	return QUIET("/bin/systemctl", "restart", sshd_unit());
}

static bool do_sshd(struct setup *s)
{
	bool runs;

	if (*s->root)
		return true;
	if (!QUIET("/usr/sbin/sshd", "-t") || !reload_sshd(s, &runs))
		return false;
	if (!runs)
		printf("  note  no sshd runs here\n");
	return true;
}

static void undo_sshd(struct setup *s)
{
	bool runs;

	if (*s->root)
		return;
	/* An sshd that ended took /run/sshd with it, which `sshd -t` wants:
	 * its unit makes that folder first, and then has the settings judged.
	 */
	if (child_systemd(s) && revive_sshd(s)) {
		printf("  back  sshd runs again\n");
		return;
	}
	/* Were they broken before we came, sshd would end itself on them. */
	if (!QUIET("/usr/sbin/sshd", "-t")) {
		printf("  note  sshd was not told to read its settings, which "
		       "are broken\n");
		return;
	}
	if (reload_sshd(s, &runs) && runs)
		return;
	if (revive_sshd(s))
		printf("  back  sshd runs again\n");
	else
		printf("  note  no sshd runs here\n");
}

static const struct action actions[] = {
	{"users", "systemd-sysusers: users of sessions and recorder", do_users,
		NULL, false},
	{"enrol", "sgbridge-otp enrol: the administrator's second factor",
		do_enrol, undo_enrol, true},
	{"units", "systemctl enable and start: recorder and proxy", do_units,
		undo_units, false},
	{"firewall",
		"nft -f " FIREWALL ", now and by " UNIT_FIREWALL " at boot",
		do_firewall, undo_firewall, false},
	{"sshd", "sshd -t, then let sshd read its settings again", do_sshd,
		undo_sshd, false},
};

const struct action *action_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(actions[i].name, name))
			return &actions[i];
	return NULL;
}
