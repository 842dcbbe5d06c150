/*
 * The inside of a policy: what core/policy_*.c share, and what the sgbridge
 * command reads to explain a policy. Nobody else includes this.
 *
 * Names become symbols (numbers) once, while parsing; everything after that
 * compares numbers. All lists are ranges of vectors in struct policy, so that
 * a policy of 100,000 networks is a few dozen allocations.
 */
#ifndef SGB_POLICY_INT_H
#define SGB_POLICY_INT_H

#include "core/policy.h"
#include "core/policy_file.h"
#include "core/policy_zone.h"
#include "core/policy_lex.h"

#define POLICY_MAX_FILES   1000
#define POLICY_MAX_BYTES   (64u * 1024 * 1024) /* all files together */
#define POLICY_MAX_DEPTH   8		       /* include in include */
#define POLICY_MAX_NAME	   64
#define POLICY_SSH_PORT	   22
#define POLICY_BASTION	   "SG_Bridge" /* our group unless `bastion` says */
#define POLICY_NONE	   UINT32_MAX
#define POLICY_LIST_LONG   16 /* lists longer than this are split by source */
#define POLICY_SOURCE_MANY UINT32_MAX

/* ---- vectors and strings ---- */

#define VEC(type) \
	struct { \
		type *at; \
		uint32_t count, cap; \
	}
/* A new zeroed element; out of memory, one that nobody reads, and
 * policy->failed is set. */
#define vec_add(policy, vec) \
	((__typeof__((vec)->at))policy_vec_grow((policy), (void **)&(vec)->at, \
		&(vec)->count, &(vec)->cap, sizeof(*(vec)->at)))

struct policy_range {
	uint32_t first, count;
};

/* Where a thing stands in the source. */
struct policy_place {
	uint32_t offset;
	uint16_t file;
	uint16_t len;
};

enum policy_name_kind {
	NAME_USER,
	NAME_GROUP,
	NAME_UNIX, /* @name */
	NAME_NETWORK,
	NAME_HOURS,
	NAME_SG,
	NAME_NODE, /* instances, and subnets under their CIDR */
	NAME_ZONE,
	NAME_KINDS,
};

struct policy_symbol {
	const char *text;
	uint32_t hash;
	uint32_t id[NAME_KINDS]; /* index + 1; 0: there is none */
};

/* The hash beside the number saves a look at the symbol. */
struct policy_symbol_slot {
	uint32_t hash;
	uint32_t sym; /* symbol + 1; 0: free */
};

/* ---- declarations ---- */

enum policy_elem_kind {
	ELEM_NAME = 0, /* symbol */
	ELEM_ANY,
	ELEM_UNIX, /* symbol without the @ */
	ELEM_NET,  /* symbol of its text; network of that name */
	ELEM_ZONE, /* symbol */
	ELEM_SELF,
};

struct policy_elem {
	enum policy_elem_kind kind;
	uint32_t sym;
	struct policy_place place;
};

/* A set of addresses; those written in rules are networks without a name. */
struct policy_network {
	uint32_t sym;
	struct policy_place place;
	bool anonymous;
	bool used;
	bool source;		   /* in a rule's "from" */
	struct policy_range nets;  /* policy.nets: its own CIDRs */
	struct policy_range elems; /* other networks it consists of */
};

struct policy_group {
	uint32_t sym; /* POLICY_NONE: the list of one rule */
	struct policy_place place;
	bool used;
	struct policy_range elems;
};

struct policy_hours_span {
	uint8_t days;	   /* bit 0: Sunday */
	uint16_t from, to; /* minutes; to <= from: until the next day */
};

struct policy_hours {
	uint32_t sym;
	struct policy_place place;
	bool used;
	struct policy_range spans;
	uint32_t zone; /* policy.zones */
};

struct policy_ports {
	uint16_t from, to;
};

enum policy_proto {
	PROTO_ALL = 0,
	PROTO_TCP,
	PROTO_UDP,
};

struct policy_sg_rule {
	struct policy_place place;
	const char *name; /* "policy.conf:20" */
	uint32_t sg;
	bool drop;
	enum policy_proto proto;
	unsigned int priority;	   /* 1 is highest */
	struct policy_range ports; /* none: all */
	struct policy_range from;  /* elems */
};

/* What a group's rules say to the bastion about a range of TCP ports. */
struct policy_sg_ports {
	uint16_t from;
	uint32_t rule; /* policy.sg_rules, or POLICY_NONE: no rule */
};

struct policy_logon {
	bool set; /* else what the groups say, or the first kind */
	enum policy_credential kind;
	uint32_t key; /* symbol */
};

struct policy_sg {
	uint32_t sym;
	struct policy_place place;
	uint32_t zone; /* symbol or POLICY_NONE */
	bool isolated;
	bool used;
	uint32_t via_sym; /* the jump host in front of its instances */
	uint32_t via;	  /* its node; both POLICY_NONE: none */
	struct policy_place via_place;
	struct policy_logon logon;
	struct policy_range rules;
	struct policy_range table[2]; /* policy.sg_ports; IPv4, IPv6 */
};

struct policy_node {
	uint32_t sym;
	struct policy_place place;
	bool subnet;
	bool local;
	uint16_t port;	  /* 0: 22 */
	uint32_t login;	  /* symbol or POLICY_NONE */
	uint32_t via_sym; /* the jump host in front of it, or POLICY_NONE */
	uint32_t via;	  /* its node */
	bool via_direct;  /* none, whatever its groups say */
	bool via_inside;  /* shares a group with it that is not isolated */
	struct policy_place via_place;
	struct policy_range via_table[2]; /* policy.sg_ports: what its groups
					   * say to the jump host */
	struct policy_logon logon;
	bool own_logon;
	struct policy_place local_place;
	struct policy_range nets;    /* policy.nets; of an instance: /32s */
	struct policy_range pins;    /* policy.texts, ends with NULL */
	struct policy_range sgs;     /* policy.ids */
	struct policy_range objects; /* policy.ids: what rules call it */
};

/* ---- rules ---- */

enum policy_rule_kind {
	RULE_DENY = 0,
	RULE_PERMIT,
	RULE_AUDIT,
	RULE_KINDS,
};

enum policy_login_kind {
	LOGIN_OWN = 0, /* nothing said: the instance's, or the user's name */
	LOGIN_LIST,
	LOGIN_ANY,
};

struct policy_rule {
	enum policy_rule_kind kind;
	struct policy_place place;
	const char *name;				/* "policy.conf:31" */
	struct policy_range who, from, to;		/* elems as written */
	struct policy_range subjects, sources, objects; /* ids */
	bool any_source;
	bool to_self;
	bool hours_not;
	enum policy_login_kind login_kind;
	struct policy_range logins; /* ids: symbols */
	struct policy_range ports;  /* none: the instance's own */
	struct policy_range hours;  /* ids: policy.hours */
	struct policy_range hour_elems;
	struct policy_range services; /* ids: symbols; none: all */
	/* conditions */
	enum policy_mfa mfa;
	struct policy_place mfa_place;
	uint64_t mfa_seconds;
	unsigned int allow;
	struct policy_range patterns; /* texts, ends with NULL */
	unsigned int record;
	enum policy_on_record_failure on_record_failure;
	uint32_t approval; /* symbol or POLICY_NONE */
	struct policy_place approval_place;
	uint64_t approval_seconds;
	uint64_t max_session, idle, stall;
	time_t expires; /* 0: never */
	struct policy_place expires_place;
	unsigned int audit;
};

/* ---- look-up structures ---- */

/* One CIDR and the sets that contain it. Entries are sorted by address, the
 * wider first, so that binary search and the parent links find everything
 * that covers an address. */
struct policy_prefix {
	uint64_t hi, lo;
	uint32_t parent;
	uint32_t first, count; /* into ids */
	uint8_t bits;
};

struct policy_prefixes {
	VEC(struct policy_prefix) entries[2]; /* IPv4, IPv6 */
	VEC(uint32_t) ids;
};

/* 64-bit keys to sorted lists of rules. */
struct policy_index_slot {
	uint64_t key;
	uint32_t first, count;
};

struct policy_index {
	struct policy_index_slot *slots;
	uint32_t mask;	 /* slots - 1 */
	uint32_t *rules; /* the lists, one after the other */
};

struct policy_pair {
	uint64_t key;
	uint32_t value;
};

#define POLICY_PAIRS VEC(struct policy_pair)

/* Subjects: any, users, groups, Unix groups. Objects: what rules name as a
 * target. One number space each, in this order. */
#define SUBJECT_ANY   0u
#define OBJECT_ALL    0u /* `any` of a deny: self too */
#define OBJECT_BEHIND 1u /* `any` of a permit: everything but self */
#define OBJECT_SELF   2u
#define OBJECT_FIRST  3u
#define SOURCE_ANY    0u /* sources: 1 + network */

struct policy_key_rule {
	const char *type; /* "ed25519", ... */
	unsigned int min_bits;
};

struct policy_pool;

struct policy {
	bool failed; /* out of memory */
	struct policy_pool *pool;
	_Alignas(16) char scratch[512];

	VEC(struct policy_symbol) symbols;
	struct policy_symbol_slot *symbol_slots;
	uint32_t symbol_mask;

	VEC(struct policy_elem) elems;
	VEC(struct addr_net) nets;
	VEC(struct policy_ports) ports;
	VEC(struct policy_hours_span) spans;
	VEC(uint32_t) ids;
	VEC(const char *) texts;

	VEC(uint32_t) users;	   /* symbols */
	uint32_t declared_users;   /* the first of them, by `user` */
	VEC(uint32_t) unix_groups; /* symbols */
	VEC(uint32_t) sg_zones;	   /* symbols */
	VEC(struct policy_network) networks;
	VEC(struct policy_group) groups;
	VEC(struct policy_hours) hours;
	VEC(struct policy_zone *) zones;
	VEC(struct policy_sg) sgs;
	VEC(struct policy_sg_rule) sg_rules;
	VEC(struct policy_sg_ports) sg_ports;
	VEC(struct policy_node) nodes;
	POLICY_PAIRS memberships;	      /* node -> security group */
	VEC(struct policy_range) target_sets; /* elems: long lists of rules */
	VEC(struct policy_rule) rules;

	uint32_t bastion; /* symbol of group or instance, or POLICY_NONE */
	struct policy_place bastion_place;
	struct policy_range bastion_sgs;  /* ids */
	struct policy_range bastion_nets; /* nets */

	bool has_keys;
	VEC(struct policy_key_rule) keys;
	VEC(const char *) user_cas; /* paths */
	bool root_login;

	/* compiled */
	struct policy_prefixes sources; /* ids: networks */
	struct policy_prefixes targets; /* ids: objects */
	uint32_t *leaf_first; /* users, then Unix groups: into leaf_subjects */
	uint32_t *leaf_subjects;
	struct policy_index pairs[RULE_KINDS];	   /* subject and object */
	struct policy_index by_source[RULE_KINDS]; /* of long lists */
	struct policy_index by_subject[RULE_KINDS];
	uint8_t *subject_kinds; /* 1 << kind: has rules of it */
	uint8_t *object_kinds;
	uint8_t *network_kinds;
	uint8_t source_any_kinds;
};

void *policy_vec_grow(struct policy *policy, void **at, uint32_t *count,
	uint32_t *cap, size_t size);
/* Strings that live as long as the policy; "" when out of memory. */
const char *policy_text(struct policy *policy, const char *text, size_t len);
/* The number of a name, made if need be. */
uint32_t policy_symbol(struct policy *policy, const char *text, size_t len);
/* The number of a name that is there already, or POLICY_NONE. */
uint32_t policy_symbol_find(const struct policy *policy, const char *text);
void policy_names_free(struct policy *policy);

static inline const char *policy_symbol_text(
	const struct policy *policy, uint32_t sym)
{
	return policy->symbols.at[sym].text;
}

/* The index of what sym names, or POLICY_NONE. */
static inline uint32_t policy_named(
	const struct policy *policy, uint32_t sym, enum policy_name_kind kind)
{
	if (sym == POLICY_NONE)
		return POLICY_NONE;
	return policy->symbols.at[sym].id[kind] - 1u;
}

/* ---- parsing (policy_parse*.c) ---- */

struct policy_parser {
	struct policy *policy;
	const struct policy_source *source;
	struct diag *diag;
	uint32_t file;
	unsigned int depth;
	struct policy_lexer lexer;
	struct policy_token token; /* the next one */
	const char *list_end;	   /* where a comma would have gone on */
	bool resumed; /* stands on a statement after a broken one */
	bool quiet;   /* this statement has been complained about */
	size_t errors;
};

/* An error about a place, with an optional hint. */
void policy_report(struct policy_parser *parser, enum diag_level level,
	const char *code, struct policy_place place, const char *hint,
	const char *fmt, ...) SGB_PRINTF(6, 7);

void policy_parse(struct policy_parser *parser);
/* Line and column of a place, from 1. */
void policy_locate(const struct policy_source *source,
	struct policy_place place, unsigned int *ret_line,
	unsigned int *ret_column);
/* "policy.conf:31": the line that the parser is in. */
const char *policy_here_name(struct policy_parser *parser);

/* Parser and policy are kept together for those who want both: check. */
enum sgb_err policy_build(const struct policy_source *source,
	struct policy **ret, struct diag *diag) SGB_MUST_CHECK;

/* ---- compiling (policy_resolve.c, policy_index.c, ...) ---- */

struct policy_net_id {
	struct addr_net net;
	uint32_t id;
};

struct policy_nets {
	VEC(struct policy_net_id) list;
};

/* Checks names and turns them into numbers; errors are reported. */
void policy_resolve(struct policy_parser *parser);
void policy_resolve_rules(struct policy_parser *parser);
/* The declared name of these kinds (bits of 1 << kind) nearest to text. */
const char *policy_nearest(
	const struct policy *policy, const char *text, unsigned int kinds);
/* Finds jump hosts, an instance's own or its groups', circles of them, and
 * chains that are too long. */
void policy_resolve_via(struct policy_parser *parser);
/* All CIDRs of a network and of those it consists of, labelled id. */
void policy_network_nets(struct policy *policy, uint32_t network, uint32_t id,
	struct policy_nets *nets);
enum sgb_err policy_index_all(struct policy *policy) SGB_MUST_CHECK;
void policy_index_free_all(struct policy *policy);
/* pairs are sorted in place. */
enum sgb_err policy_index_build(struct policy_index *index,
	struct policy_pair *pairs, uint32_t count) SGB_MUST_CHECK;
void policy_index_done(struct policy_index *index);
const uint32_t *policy_index_find(
	const struct policy_index *index, uint64_t key, uint32_t *ret_count);

/* nets are sorted in place. */
enum sgb_err policy_prefixes_build(struct policy *policy,
	struct policy_prefixes *prefixes, struct policy_net_id *nets,
	uint32_t count) SGB_MUST_CHECK;
void policy_prefixes_done(struct policy_prefixes *prefixes);
/* The narrowest entry that covers addr, or POLICY_NONE; its parents cover it
 * too. */
uint32_t policy_prefixes_find(
	const struct policy_prefixes *prefixes, const struct addr *addr);

static inline const struct policy_prefix *policy_prefix_at(
	const struct policy_prefixes *prefixes, int family, uint32_t i)
{
	return &prefixes->entries[family == AF_INET6].at[i];
}

enum sgb_err policy_sg_compile(struct policy *policy) SGB_MUST_CHECK;
/* The security-group rule that decides about TCP to this port, from the
 * bastion or from the node's jump host, which the bastion must reach in turn;
 * POLICY_NONE and false: the default is closed. */
bool policy_sg_accepts(const struct policy *policy,
	const struct policy_node *node, int family, uint16_t port,
	uint32_t *ret_rule);

/* The number spaces; valid once nothing is declared any more. */
static inline uint32_t policy_subject_group(uint32_t group)
{
	return 1 + group;
}

static inline uint32_t policy_subject_leaf(
	const struct policy *policy, uint32_t leaf)
{
	return 1 + policy->groups.count + leaf;
}

static inline uint32_t policy_leaf_unix(
	const struct policy *policy, uint32_t group)
{
	return policy->users.count + group;
}

static inline uint32_t policy_leaf_count(const struct policy *policy)
{
	return policy->users.count + policy->unix_groups.count;
}

static inline uint32_t policy_subject_count(const struct policy *policy)
{
	return policy_subject_leaf(policy, policy_leaf_count(policy));
}

static inline uint32_t policy_object_node(uint32_t node)
{
	return OBJECT_FIRST + node;
}

static inline uint32_t policy_object_sg(
	const struct policy *policy, uint32_t sg)
{
	return policy_object_node(policy->nodes.count) + sg;
}

static inline uint32_t policy_object_zone(
	const struct policy *policy, uint32_t zone)
{
	return policy_object_sg(policy, policy->sgs.count) + zone;
}

static inline uint32_t policy_object_network(
	const struct policy *policy, uint32_t network)
{
	return policy_object_zone(policy, policy->sg_zones.count) + network;
}

static inline uint32_t policy_object_set(
	const struct policy *policy, uint32_t set)
{
	return policy_object_network(policy, policy->networks.count) + set;
}

static inline uint32_t policy_object_count(const struct policy *policy)
{
	return policy_object_set(policy, policy->target_sets.count);
}

bool policy_hours_contain(
	const struct policy *policy, uint32_t hours, time_t now);

/* ---- deciding (policy_decide.c) ---- */

#define POLICY_MAX_LEAVES  256
#define POLICY_MAX_OBJECTS 256

/* A request with its names looked up. */
struct policy_query {
	const struct policy *policy;
	const struct policy_request *request;
	uint32_t leaves[POLICY_MAX_LEAVES]; /* the user and Unix groups */
	uint32_t leaf_count;
	uint32_t source; /* entry of policy.sources, or POLICY_NONE */
	const struct policy_node *node; /* NULL: self */
	bool by_name; /* node was asked for by its name, not an address */
	struct addr addr;
	const uint32_t *objects;
	uint32_t object_count;
	uint32_t own_objects[POLICY_MAX_OBJECTS];
	uint16_t port, node_port;
	uint32_t login;		/* symbol, or POLICY_NONE */
	const char *login_text; /* "" if none was asked for */
	uint32_t service;	/* symbol, or POLICY_NONE */
};

/* What keeps a rule from matching; 0: it matches. */
enum policy_differs {
	DIFFERS_EXPIRED = 1 << 0,
	DIFFERS_HOURS = 1 << 1,
	DIFFERS_SOURCE = 1 << 2,
	DIFFERS_LOGIN = 1 << 3,
	DIFFERS_PORT = 1 << 4,
	DIFFERS_SERVICE = 1 << 5,
	DIFFERS_WANT = 1 << 6,
};

/* Looks names up; POLICY_GRANTED if it can be decided on. */
enum policy_reason policy_query_init(struct policy_query *query,
	const struct policy *policy, const struct policy_request *request);
/* User and source only, for questions without a target. */
enum policy_reason policy_query_user(struct policy_query *query,
	const struct policy *policy, const struct policy_request *request);
/* Everything but user and target. */
unsigned int policy_rule_differs(
	const struct policy_query *query, const struct policy_rule *rule);
bool policy_rule_matches(
	const struct policy_query *query, const struct policy_rule *rule);
/* The login where nobody names one: the instance's, or the user's name. */
const char *policy_own_login(const struct policy_query *query);
bool policy_rule_source(
	const struct policy_query *query, const struct policy_rule *rule);
bool policy_rule_hours(const struct policy *policy,
	const struct policy_rule *rule, time_t now);
/* Calls each for every rule of a kind whose subject is the user, in no
 * order, until it returns false. */
void policy_each_of_user(const struct policy_query *query,
	enum policy_rule_kind kind,
	bool (*each)(const struct policy_rule *rule, void *arg), void *arg);
/* As above, for rules that name the target too. */
void policy_each_candidate(const struct policy_query *query,
	enum policy_rule_kind kind,
	bool (*each)(const struct policy_rule *rule, void *arg), void *arg);
/* Does a deny without port, login or service cover everything? */
bool policy_denied_outright(const struct policy_query *query);

#endif
