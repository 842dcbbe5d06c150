/*
 * A policy from text to something that decides, and its end. A policy is
 * whole or it is not there: on any error the caller keeps what it had.
 */
#include "core/policy_int.h"

#include <stdlib.h>
#include <string.h>

static void default_keys(struct policy *policy)
{
	static const struct policy_key_rule keys[] = {{"ed25519", 0},
		{"ecdsa", 0}, {"sk-ed25519", 0}, {"sk-ecdsa", 0},
		{"rsa", 3072}};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		*vec_add(policy, &policy->keys) = keys[i];
}

enum sgb_err policy_compile(const struct policy_source *source,
	struct policy **ret, struct diag *diag)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	struct policy_parser parser = {
		.policy = policy, .source = source, .diag = diag};
	enum sgb_err err = SGB_OK;

	if (!policy)
		return SGB_ERR_NOMEM;
	policy->bastion = POLICY_NONE;
	/* Number 0 is no name, so that what names nothing finds nothing. */
	(void)policy_symbol(policy, "", 0);
	if (!policy->failed)
		policy_parse(&parser);
	policy->declared_users = policy->users.count;
	if (!policy->failed)
		policy_resolve(&parser);
	if (!policy->keys.count)
		default_keys(policy);
	vec_add(policy, &policy->user_cas); /* ends with NULL */
	if (policy->failed)
		err = SGB_ERR_NOMEM;
	else if (parser.errors)
		err = SGB_ERR_FORMAT;
	else
		err = policy_index_all(policy);
	if (err) {
		if (err == SGB_ERR_NOMEM)
			diag_error(diag, source->files[0].path, 0, "%s",
				sgb_err_text(err));
		policy_free(policy);
		return err;
	}
	*ret = policy;
	return SGB_OK;
}

enum sgb_err policy_load(
	const char *path, struct policy **ret, struct diag *diag)
{
	struct policy_source *source;
	enum sgb_err err = policy_source_read(path, &source, diag);

	if (err)
		return err;
	err = policy_compile(source, ret, diag);
	policy_source_free(source);
	return err;
}

void policy_free(struct policy *policy)
{
	unsigned int i;

	if (!policy)
		return;
	for (i = 0; i < policy->zones.count; i++)
		policy_zone_free(policy->zones.at[i]);
	for (i = 0; i < RULE_KINDS; i++) {
		policy_index_done(&policy->pairs[i]);
		policy_index_done(&policy->by_source[i]);
		policy_index_done(&policy->by_subject[i]);
	}
	policy_prefixes_done(&policy->sources);
	policy_prefixes_done(&policy->targets);
	policy_names_free(policy);
	free(policy->elems.at);
	free(policy->nets.at);
	free(policy->ports.at);
	free(policy->spans.at);
	free(policy->ids.at);
	free(policy->texts.at);
	free(policy->users.at);
	free(policy->unix_groups.at);
	free(policy->sg_zones.at);
	free(policy->networks.at);
	free(policy->groups.at);
	free(policy->hours.at);
	free(policy->zones.at);
	free(policy->sgs.at);
	free(policy->sg_rules.at);
	free(policy->sg_ports.at);
	free(policy->nodes.at);
	free(policy->memberships.at);
	free(policy->target_sets.at);
	free(policy->rules.at);
	free(policy->keys.at);
	free(policy->user_cas.at);
	free(policy->leaf_first);
	free(policy->leaf_subjects);
	free(policy->subject_kinds);
	free(policy->object_kinds);
	free(policy->network_kinds);
	free(policy);
}
