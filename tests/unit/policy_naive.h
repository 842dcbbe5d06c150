/*
 * What the parts of the naive policy share: the model, a policy as numbers, and
 * the answer of the second decision function. Names of users are u0, u1..., of
 * groups g0, of instances i0, and so on: policy_naive_text.c.
 */
#ifndef SGB_TEST_POLICY_NAIVE_H
#define SGB_TEST_POLICY_NAIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <time.h>

#include <cmocka.h>

#include "core/policy.h"

#define USERS	 8
#define UNIX	 3
#define GROUPS	 6
#define NETWORKS 7
#define HOURS	 3
#define SGS	 5
#define NODES	 8
#define SUBNETS	 4
#define RULES	 60
#define SG_RULES 10
#define LIST	 12
#define LOGINS	 4

enum kind { USER, UNIXGROUP, GROUP, NETWORK, NET, SG, NODE, ZONE, SELF, ANY };

struct item {
	enum kind kind;
	int index;
	struct addr_net net;
};

struct list {
	int count;
	struct item items[LIST];
};

struct span {
	unsigned int days;
	int from, to;
};

struct hours {
	int zone, count;
	struct span spans[3];
};

struct node {
	struct addr_net addrs[2];
	int addr_count;
	bool subnet;
	int port, login, via; /* 0, -1, -1: none */
	bool says_via;	      /* itself: that it has one, or has none */
	unsigned int sgs;
};

struct rule {
	bool deny;
	struct list who, from, to;
	bool to_self, not_hours;
	int ports[2][2], port_count;
	int login_kind; /* 0 own, 1 list, 2 any */
	int logins[3], login_count;
	int hours[2], hour_count;
	int services[2], service_count;
	int mfa;
	unsigned int allow;
	time_t expires;
	char name[32];
};

struct sg_rule {
	int sg;
	bool drop;
	int proto; /* 0 all, 1 tcp, 2 udp */
	int ports[2][2], port_count;
	struct list from;
	int priority;
	int line;
	char name[32];
};

struct model {
	struct list groups[GROUPS];
	struct list networks[NETWORKS];
	struct hours hours[HOURS];
	int sg_zone[SGS];
	bool sg_isolated[SGS];
	int sg_via[SGS]; /* -1: none */
	struct node nodes[NODES + SUBNETS];
	struct sg_rule sg_rules[SG_RULES];
	int sg_rule_count;
	struct rule rules[RULES];
	int rule_count;
	int bastion_sg, bastion_node; /* one of them is -1 */
	bool root_login;
};

struct naive {
	const struct model *model;
	const struct policy_request *request;
	const struct node *node; /* NULL: self */
	struct addr addr;
	unsigned int sgs;
	int port, node_port;
	const char *login;
};

struct answer {
	enum policy_reason reason;
	const struct rule *rule;
	const struct sg_rule *sg_rule;
	const char *login;
};

extern const char *const login_names[LOGINS];
extern const char *const zone_names[];
extern const char *const service_names[];
/* Of chance(); not 0. */
extern uint64_t chance_state;
/* A number below this one. */
uint32_t chance(uint32_t below);
/* Where somebody might come from. */
struct addr random_source(void);
/* What stands behind the bastion: 172.16.0.0/24 to 172.16.3.0/24. */
struct addr behind(unsigned int third, unsigned int last);
/* The same in fd12::/112. */
struct addr behind6(unsigned int last);
/* Is it the bastion, or of its group? */
bool is_bastion(const struct model *model, int node);
/* Sets all of it. */
void random_model(struct model *model);
/* The model as a policy; sets the names of its rules. The caller frees. */
char *print_model(struct model *model);
/* Answers n->request; n is otherwise zero but for the model. */
void naive_decide(struct naive *n, struct answer *ret);

#endif
