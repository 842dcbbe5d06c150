/*
 * What the files of `sgbridge topology` share: the topology of a cloud as its
 * export tells it, before it becomes policy language, and the readers of the
 * exports. Texts are borrowed from the JSON documents, which the topology
 * owns; only names are made here.
 */
#ifndef SGB_TOPOLOGY_H
#define SGB_TOPOLOGY_H

#include <jansson.h>

#include "sgbridge.h"

#define TOPOLOGY_MAX_FILE  (64u * 1024 * 1024)
#define TOPOLOGY_MAX_FILES 1000
#define TOPOLOGY_MAX_ITEMS 200000 /* of each kind, and of any list */
#define TOPOLOGY_MAX_TEXT  1024	  /* bytes of any text that counts */
#define TOPOLOGY_MAX_PATH  200

/* What a topology_list holds: growing, zeroed, limited. */
#define TOPOLOGY_LIST(type) \
	struct { \
		type *at; \
		size_t count, cap; \
	}
#define topology_add(topology, list) \
	((__typeof__((list)->at))topology_grow((topology), \
		(void **)&(list)->at, &(list)->count, &(list)->cap, \
		sizeof(*(list)->at)))

struct topology_tag {
	const char *key, *value;
};

/* One permission of the cloud with one source; names of groups are looked up
 * when everything has been read. */
struct topology_rule {
	bool drop;
	enum policy_proto proto;
	bool any_port;
	struct policy_ports ports;
	unsigned int priority;
	bool any_source;
	struct addr_net net; /* unless any_source or group */
	const char *group;   /* id of the source group, or NULL */
	const char *text;    /* what the cloud says about it, or NULL */
	char *where;	     /* file and JSON path, for reports */
};

/* May members of a group reach each other? */
enum topology_inner {
	INNER_UNSAID = 0,
	INNER_ACCEPT,
	INNER_DROP,
};

struct topology_group {
	const char *id, *label; /* as in the cloud */
	char *name;		/* as in the policy */
	const char *where;	/* the file that names it first */
	bool enterprise;	/* isolated, unless inner says not */
	enum topology_inner inner;
	bool rules_known; /* an export holds its rules */
	bool paged;	  /* and says that there are more */
	TOPOLOGY_LIST(struct topology_tag) tags;
	TOPOLOGY_LIST(struct topology_rule) rules;
	TOPOLOGY_LIST(size_t) members; /* topology.instances */
};

struct topology_instance {
	const char *id, *label;
	char *name;
	char *where;
	bool windows;
	bool written; /* with its address, in its first group */
	TOPOLOGY_LIST(struct topology_tag) tags;
	TOPOLOGY_LIST(struct addr) addrs;
	TOPOLOGY_LIST(const char *) publics;
	TOPOLOGY_LIST(const char *) groups; /* ids */
};

struct topology {
	bool failed;	  /* out of memory */
	bool quiet;	  /* count reports, print none (fuzzing) */
	size_t lost;	  /* things that could not be expressed */
	size_t errors;	  /* things that are not what an export holds */
	size_t notes;	  /* mapped names and the like */
	json_t *ids;	  /* id -> index of group */
	json_t *hosts;	  /* id -> index of instance */
	json_t *names;	  /* names that are taken */
	const char *file; /* that is being read */
	size_t total_groups, total_instances; /* as the exports say */
	TOPOLOGY_LIST(json_t *) documents;
	TOPOLOGY_LIST(char *) paths;
	TOPOLOGY_LIST(struct topology_group) groups;
	TOPOLOGY_LIST(struct topology_instance) instances;
};

/* Where in a document a reader stands: "$.Instances.Instance[3]". */
struct topology_at {
	char path[TOPOLOGY_MAX_PATH];
};

void topology_init(struct topology *topology);
void topology_done(struct topology *topology);
/* A new zeroed element; on failure one that nobody reads, and failed is set
 * for good. */
void *topology_grow(struct topology *topology, void **at, size_t *count,
	size_t *cap, size_t size);

/* ---- reports: one line to standard error each ---- */

/* Something the policy language has no words for. */
void topology_lost(struct topology *topology, const char *where,
	const char *fmt, ...) SGB_PRINTF(3, 4);
/* Something that no export holds: a wrong type, a number out of range. */
void topology_wrong(struct topology *topology, const char *where,
	const char *fmt, ...) SGB_PRINTF(3, 4);
void topology_note(struct topology *topology, const char *where,
	const char *fmt, ...) SGB_PRINTF(3, 4);

/* ---- reading JSON (topology_json.c); a wrong type is reported ---- */

/* The path of a member or an element of what at names. */
struct topology_at at_member(const struct topology_at *at, const char *name);
struct topology_at at_index(const struct topology_at *at, size_t index);
/* "file:path", good until the next call. */
const char *at_text(
	const struct topology *topology, const struct topology_at *at);

/* A text member: NULL if absent, null, empty, or reported. */
const char *export_text(struct topology *topology, const struct topology_at *at,
	const json_t *object, const char *name);
/* A number, also when it is written as a text; fallback where absent.
 * Returns false if reported. */
bool export_number(struct topology *topology, const struct topology_at *at,
	const json_t *object, const char *name, long low, long high,
	long fallback, long *ret);
/* A member that must be a list; NULL if absent or reported. An object with
 * the one member inner that is a list counts, too: Alibaba Cloud wraps lists
 * that way. */
const json_t *export_list(struct topology *topology, struct topology_at *at,
	const json_t *object, const char *name, const char *inner);
const json_t *export_object(struct topology *topology, struct topology_at *at,
	const json_t *object, const char *name);
/* Is this an object? Reported if not. */
bool export_is(struct topology *topology, const struct topology_at *at,
	const json_t *value);
/* Reports members that are not in words (NULL-terminated) and not empty. */
bool export_known(struct topology *topology, const struct topology_at *at,
	const json_t *object, const char *const *words);
/* Absent, null, "", [], {} or false. */
bool export_nothing(const json_t *value);

/* ---- filling (topology_model.c) ---- */

struct topology_group *topology_group(
	struct topology *topology, const char *id, const char *where);
/* NULL if it was there already: two pages may overlap. */
struct topology_instance *topology_instance(
	struct topology *topology, const char *id, const char *where);
struct topology_rule *topology_rule(struct topology *topology,
	struct topology_group *group, const struct topology_at *at);
void topology_addr(struct topology *topology,
	struct topology_instance *instance, const char *where,
	const char *text);
/* A list of addresses, or of objects that have one as a member. */
void topology_addrs(struct topology *topology, const struct topology_at *at,
	struct topology_instance *instance, const json_t *list,
	const char *member);
/* The groups of an instance: a list of ids, or of objects with a member. */
void topology_memberships(struct topology *topology,
	const struct topology_at *at, struct topology_instance *instance,
	const json_t *list, const char *member);
/* An interface in groups of its own would give its address rules that the
 * others do not have. */
bool topology_same_groups(const struct topology_instance *instance,
	const json_t *list, const char *member);
/* Host bits are cleared, which changes nothing, and noted. */
bool topology_net(struct topology *topology, const char *where,
	const char *text, struct topology_rule *rule);
/* Lists of {key, value} objects under either cloud's names. */
void topology_tags(struct topology *topology, const struct topology_at *at,
	const json_t *list, const char *const names[2],
	struct topology_tag **ret, size_t *ret_count);

/* ---- the clouds ---- */

void aliyun_read(struct topology *topology, const json_t *root);
void aws_read(struct topology *topology, const json_t *root);

/* Reads a document that is in memory, of a format ("aliyun", "aws", or NULL:
 * whichever it is); file is for messages and borrowed. */
bool topology_read_text(struct topology *topology, const char *format,
	const char *file, const void *data, size_t len);
bool topology_read_file(
	struct topology *topology, const char *format, const char *path);
/* Names, groups of rules and instances, when everything has been read. */
void topology_finish(struct topology *topology);
/* The topology in the policy's language. */
void topology_write(struct topology *topology, struct buf *out);

/* All of it: text in the policy's language, and what it compiles to. Reports
 * what goes wrong; the caller frees source and policy in either case. */
bool topology_compile(struct topology *topology, struct buf *text,
	struct policy_source **source, struct policy **policy);
bool topology_read_policy(struct topology *topology, const char *format,
	int count, char **paths, struct buf *text,
	struct policy_source **source, struct policy **policy);

/* ---- the declared topology (topology_reach.c) ---- */

/* Where a connection comes from: an address, and with it an instance. */
struct topology_flow {
	struct addr from, to;
	enum policy_proto proto;
	uint16_t port;
};

/* Would the security groups of node let this through? ret_rule: the rule of
 * policy.sg_rules that says so, or POLICY_NONE: the default. */
bool topology_accepts(const struct policy *policy,
	const struct policy_node *node, const struct topology_flow *flow,
	uint32_t *ret_rule);
bool topology_is_bastion(const struct policy *policy, uint32_t sg);
bool topology_in_group(const struct policy *policy,
	const struct policy_node *node, uint32_t sg);
/* Calls each for an address of every part of net that the groups of node may
 * judge differently: where net begins, and where what some rule drops, or the
 * bastion's own addresses, begin or end in it. True as soon as each is. */
bool topology_each_part(const struct policy *policy,
	const struct policy_node *node, const struct addr_net *net,
	bool (*each)(const struct policy *policy, const struct addr *addr,
		void *arg),
	void *arg);
/* The nodes of a group, by number, in order; good as long as the policy and
 * until another policy is asked about. */
const uint32_t *topology_members(
	const struct policy *policy, uint32_t sg, uint32_t *ret_count);
/* Does an element of a group rule's source cover this address? */
bool topology_elem_covers(const struct policy *policy,
	const struct policy_elem *elem, const struct addr *addr);

/* ---- words (topology_text.c), appended to out ---- */

void topology_text_ports(const struct policy *policy,
	const struct policy_sg_rule *rule, struct buf *out);
void topology_text_from(const struct policy *policy,
	const struct policy_sg_rule *rule, struct buf *out);
void topology_text_addrs(const struct policy *policy,
	const struct policy_node *node, struct buf *out);
/* The name of the jump host in front of it; "": the bastion connects itself. */
const char *topology_text_via(
	const struct policy *policy, const struct policy_node *node);

int topology_show(struct cli *cli);
int topology_svg(const struct policy *policy);
int topology_check(struct cli *cli);
int topology_drift(struct cli *cli);
int topology_reach(struct cli *cli);
int topology_nftables(struct cli *cli);
int topology_apply(struct cli *cli);
int topology_confirm(struct cli *cli);
int topology_restore(struct cli *cli);

#endif
