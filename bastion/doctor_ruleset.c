/*
 * doctor: are the rulesets loaded, and will they be at boot? And the table that
 * is loaded against the one that settings and policy ask for, once somebody has
 * applied one. Loads nothing: the other one is
 * tried in a network namespace of its own, so that both are in nft's words.
 */
#include "doctor.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "topology.h"
#include "topology_ruleset.h"
#include "topology_run.h"

/* What setup writes, and what its package's unit loads at boot. */
#define FIREWALL "/etc/nftables.d/sgbridge.nft"
#define UNIT	 "sgbridge-nftables.service"
#define MAIN	 "/etc/nftables.conf"

static bool is_applied(const struct doctor *doctor)
{
	char applied[4096];

	snprintf(applied, sizeof(applied), "%s/current.nft",
		doctor->conf->nftables_directory);
	return !access(applied, F_OK);
}

static bool is_loaded(void)
{
	static const char table[] = "table inet " RULESET_BEFORE " ";
	struct buf live;
	bool loaded;

	buf_init(&live, RULESET_MAX);
	loaded = run_list(&live) && live.len &&
		 memmem(live.data, live.len, table, sizeof(table) - 1);
	buf_done(&live);
	return loaded;
}

/* By Debian's unit, whose file names ours or its folder. */
static bool is_included(void)
{
	static const char folder[] = "/etc/nftables.d/";
	struct buf text;
	bool included = false;
	int fd = -1;

	buf_init(&text, RULESET_MAX);
	if (doctor_enabled("sysinit", "nftables.service"))
		fd = open(MAIN, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		included = !file_read_fd(fd, &text) && text.len &&
			   memmem(text.data, text.len, folder,
				   sizeof(folder) - 1);
		close(fd);
	}
	buf_done(&text);
	return included;
}

void doctor_firewall(struct doctor *doctor)
{
	bool applied = is_applied(doctor);

	if (!applied && access(FIREWALL, F_OK))
		return; /* nobody asked for one */
	if (!applied && !is_loaded())
		doctor_find(doctor, DOCTOR_FIREWALL, "nft -f " FIREWALL,
			"the table inet " RULESET_BEFORE " of " FIREWALL
			" is not loaded");
	if (doctor_systemd() && !doctor_enabled("sysinit", UNIT) &&
		(applied || !is_included()))
		doctor_find(doctor, DOCTOR_FIREWALL,
			"systemctl enable --now " UNIT,
			"nothing loads %s at boot",
			applied ? "the ruleset of `sgbridge topology apply`"
				: FIREWALL);
}

void doctor_ruleset(struct doctor *doctor)
{
	struct ruleset set = {.policy = doctor->cli->policy};
	struct buf live, fresh;
	bool same;

	if (!is_applied(doctor))
		return; /* nobody asked for one */
	buf_init(&set.out, RULESET_MAX);
	buf_init(&live, RULESET_MAX);
	buf_init(&fresh, RULESET_MAX);
	if (ruleset_bastion(&set, doctor->conf) && !buf_error(&set.out) &&
		run_list(&live) &&
		run_normal(set.out.data, set.out.len, &fresh)) {
		same = live.len == fresh.len &&
		       (!live.len || !memcmp(live.data, fresh.data, live.len));
		if (!same)
			doctor_find(doctor, DOCTOR_RULESET_DRIFT,
				"sgbridge topology nftables --diff, then: "
				"sgbridge topology apply --confirm-within 2m",
				"the table inet " RULESET_TABLE " %s",
				live.len ? "is not as the policy asks"
					 : "is not loaded");
	}
	buf_done(&set.out);
	buf_done(&live);
	buf_done(&fresh);
}
