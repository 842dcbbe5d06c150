/*
 * doctor: the table that is loaded against the one that settings and policy
 * ask for, once somebody has applied one. Loads nothing: the other one is
 * tried in a network namespace of its own, so that both are in nft's words.
 */
#include "doctor.h"

#include <string.h>
#include <unistd.h>

#include "topology.h"
#include "topology_ruleset.h"
#include "topology_run.h"

void doctor_ruleset(struct doctor *doctor)
{
	struct ruleset set = {.policy = doctor->cli->policy};
	struct buf live, fresh;
	char applied[4096];
	bool same;

	snprintf(applied, sizeof(applied), "%s/current.nft",
		doctor->conf->nftables_directory);
	if (access(applied, F_OK))
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
