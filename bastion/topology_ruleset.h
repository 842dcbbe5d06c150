/*
 * What the rulesets for nftables are put together from: lists of addresses
 * and ports, and comments that no name can break out of. Everything is
 * appended to ruleset.out; an overflow or lack of memory shows there or in
 * policy.failed, and then nothing is used.
 */
#ifndef SGB_TOPOLOGY_RULESET_H
#define SGB_TOPOLOGY_RULESET_H

#include "core/conf.h"
#include "sgbridge.h"

/* Our own; no other but the next one is ever touched. */
#define RULESET_TABLE "sgbridge"
/* What sgbridge setup loads before there is a topology: the bastion's own
 * ruleset says all of it and more, and takes its place. */
#define RULESET_BEFORE "sgbridge_host"
#define RULESET_MAX    (64u * 1024 * 1024)

struct ruleset {
	struct policy *policy;
	struct buf out;
};

/* Replaces the table in the same transaction, whether it is there or not. */
void ruleset_begin(struct ruleset *set);
/* The rest of a line: verdict, comment. */
void ruleset_end_line(
	struct ruleset *set, const char *verdict, const char *comment);
void ruleset_add_net(struct ruleset *set, const struct addr_net *net,
	struct policy_nets *nets);
void ruleset_add_node(struct ruleset *set, const struct policy_node *node,
	struct policy_nets *nets);
/* The addresses of a group's members. */
void ruleset_add_group(
	struct ruleset *set, uint32_t sg, struct policy_nets *nets);
/* Without loopback addresses: those are a bastion's `local` instances, and of
 * no use to any other host. */
void ruleset_drop_loopback(struct policy_nets *nets);
/* "10.0.0.1,10.0.8.0/24,2001:db8::1": appends nets, sorted and without what
 * others contain. */
void ruleset_put_list(struct ruleset *set, struct policy_nets *nets);
/* A line for each address family that nets has: "ip SIDE { ... } MATCH
 * VERDICT". Sorts nets, and drops what others contain, for a set of nft's
 * must not overlap. */
void ruleset_put_nets(struct ruleset *set, struct policy_nets *nets,
	const char *side, const char *match, const char *verdict,
	const char *comment);

/* ---- whole rulesets; what goes wrong is in set ---- */

/* What the security groups of an instance let in. */
void ruleset_instance(struct ruleset *set, const struct policy_node *node);
/* The bastion's own. False after a message: a setting is wrong. */
bool ruleset_bastion(struct ruleset *set, const struct conf *conf);

/* The ruleset that the command line asks for, in set->out, which the caller
 * frees; false after a message. */
bool ruleset_make(struct cli *cli, const struct conf *conf, const char *name,
	struct ruleset *set);

#endif
