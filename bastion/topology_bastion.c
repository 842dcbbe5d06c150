/*
 * The bastion's own ruleset. It is whole: what is not listed is dropped, in,
 * out and through. In: SSH from the networks that the policy lets people
 * come from. Out: the monitor, which is root and asks the policy first, to
 * the ports of the topology that some permit and the groups leave open; and
 * what `outgoing` of sgbridge.conf names. The clouds' metadata services never,
 * and services on the host's own addresses only by an instance that is
 * declared `local`, or by name. What a host needs to have an address at all
 * (neighbour discovery, DHCP, errors of ICMP) stays possible.
 */
#include "topology_ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topology.h"

#define PORTS_MAX 65536u

/* ---- outgoing: SERVICE:ADDRESS ---- */

struct service {
	const char *name;
	uint16_t port;
	bool tcp, udp;
	bool early; /* some clouds keep it at a metadata address */
};

static const struct service services[] = {
	{"dns", 53, true, true, true},
	{"ntp", 123, false, true, true},
	{"syslog", 514, true, true, false},
	{"smtp", 25, true, false, false},
	{"http", 80, true, false, false},
	{"https", 443, true, false, false},
	{"ldaps", 636, true, false, false},
};

struct outgoing {
	struct service service;
	bool any;
	struct addr_net net;
};

static bool parse_port(const char *text, uint16_t *ret)
{
	char *end;
	unsigned long number;

	if (*text < '1' || *text > '9')
		return false;
	errno = 0;
	number = strtoul(text, &end, 10);
	*ret = (uint16_t)number;
	return !errno && !*end && number <= 65535;
}

static bool parse_service(const char *text, struct service *ret)
{
	size_t i;

	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (!strcmp(services[i].name, text)) {
			*ret = services[i];
			return true;
		}
	memset(ret, 0, sizeof(*ret));
	ret->tcp = !strncmp(text, "tcp/", 4);
	ret->udp = !strncmp(text, "udp/", 4);
	return (ret->tcp || ret->udp) && parse_port(text + 4, &ret->port);
}

/* Metadata addresses, as in addr.c; link-local IPv6 is not among them. */
static const char *const metadata[] = {"169.254.0.0/16", "100.100.100.200",
	"168.63.129.16", "fd00:ec2::254", "fd20:ce::254"};

static bool is_metadata(const struct addr_net *net)
{
	struct addr_net never;
	size_t i;

	for (i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++)
		if (addr_net_parse(metadata[i], &never) ||
			addr_net_covers(&never, net))
			return true;
	return false;
}

/* What covers a metadata address is no harm: they are dropped before. */
static bool parse_outgoing(const char *text, struct outgoing *ret)
{
	const char *colon = strchr(text, ':');
	char name[16] = "";

	memset(ret, 0, sizeof(*ret));
	if (!colon || (size_t)(colon - text) >= sizeof(name))
		return false;
	memcpy(name, text, (size_t)(colon - text));
	if (!parse_service(name, &ret->service))
		return false;
	ret->any = !strcmp(colon + 1, "any");
	if (ret->any) {
		ret->service.early = false;
		return true;
	}
	if (addr_net_parse(colon + 1, &ret->net))
		return false;
	ret->service.early =
		ret->service.early && is_metadata(&ret->net) &&
		ret->net.bits == (ret->net.base.family == AF_INET ? 32 : 128);
	return ret->service.early || !is_metadata(&ret->net);
}

/* A service of this host itself is opened by its address alone. */
static void put_outgoing_line(
	struct ruleset *set, const struct outgoing *out, const char *proto)
{
	struct policy_nets nets = {0};
	char match[64];
	bool single;

	single = !out->any &&
		 out->net.bits == (out->net.base.family == AF_INET ? 32 : 128);
	snprintf(match, sizeof(match), "%s%s dport %u ",
		single ? "" : "oif != \"lo\" ", proto, out->service.port);
	if (out->any) {
		buf_printf(&set->out, "\t\t%s", match);
		ruleset_end_line(set, "accept", "outgoing");
		return;
	}
	ruleset_add_net(set, &out->net, &nets);
	ruleset_put_nets(set, &nets, "daddr", match, "accept", "outgoing");
	free(nets.list.at);
}

/* early: those that come before the metadata addresses are closed. */
static bool put_outgoing(
	struct ruleset *set, const struct conf *conf, bool early)
{
	struct outgoing out;
	size_t i;

	for (i = 0; i < conf->outgoing.count; i++) {
		if (!parse_outgoing(conf->outgoing.items[i], &out)) {
			cli_fail("outgoing %s: expected SERVICE:ADDRESS, such "
				 "as dns:10.0.0.2, ntp:any or "
				 "tcp/6514:10.0.0.9; at a metadata address "
				 "only dns and ntp",
				conf->outgoing.items[i]);
			return false;
		}
		if (out.service.early != early)
			continue;
		if (out.service.tcp)
			put_outgoing_line(set, &out, "tcp");
		if (out.service.udp)
			put_outgoing_line(set, &out, "udp");
	}
	return true;
}

/* ---- who may knock ---- */

static bool rule_networks(struct ruleset *set, const struct policy_rule *rule,
	struct policy_nets *nets)
{
	struct policy *policy = set->policy;
	uint32_t i;

	for (i = 0; i < rule->from.count; i++) {
		struct policy_elem elem =
			policy->elems.at[rule->from.first + i];
		uint32_t network = elem.kind == ELEM_ANY
					   ? POLICY_NONE
					   : policy_named(policy, elem.sym,
						     NAME_NETWORK);

		if (network == POLICY_NONE)
			return false;
		policy_network_nets(policy, network, 0, nets);
	}
	return true;
}

/* "{ 22, 30022 }": this host's sshd, and where sgbridged listens. */
static bool ssh_ports(const struct conf *conf, struct buf *out)
{
	bool some = conf->sshd_port > 0;
	size_t i;

	if (conf->sshd_port > 65535) {
		cli_fail("sshd-port %llu: no such port",
			(unsigned long long)conf->sshd_port);
		return false;
	}
	buf_printf(out, "{ ");
	if (some)
		buf_printf(out, "%u", (unsigned int)conf->sshd_port);
	for (i = 0; i < conf->listen.count; i++) {
		const char *colon = strrchr(conf->listen.items[i], ':');
		uint16_t port;

		if (!colon || !parse_port(colon + 1, &port)) {
			cli_fail("listen %s: no port in it",
				conf->listen.items[i]);
			return false;
		}
		buf_printf(out, "%s%u", some ? ", " : "", port);
		some = true;
	}
	buf_printf(out, " }");
	buf_put_u8(out, 0);
	return some && !buf_error(out);
}

static void put_knock(struct ruleset *set, const char *ports)
{
	const struct policy *policy = set->policy;
	struct policy_nets nets = {0};
	char match[2048];
	bool any = false;
	uint32_t i;

	for (i = 0; i < policy->rules.count && !any; i++)
		if (policy->rules.at[i].kind != RULE_DENY)
			any = !rule_networks(set, &policy->rules.at[i], &nets);
	snprintf(match, sizeof(match), "tcp dport %s ", ports);
	if (any) {
		buf_printf(&set->out, "\t\t%s", match);
		ruleset_end_line(set, "accept", "from any, as the policy says");
	} else {
		ruleset_put_nets(set, &nets, "saddr", match, "accept",
			"where the policy lets people come from");
	}
	free(nets.list.at);
}

/* ---- targets ---- */

/* A target's addresses of one family, and what matches its open ports. */
struct open {
	char *match;
	const struct policy_node *node;
	int family;
};

struct opens {
	VEC(struct open) list;
};

static bool rule_names(const struct policy *policy,
	const struct policy_rule *rule, const struct policy_node *node)
{
	uint32_t i, j;

	for (i = 0; i < rule->objects.count; i++)
		for (j = 0; j < node->objects.count; j++)
			if (policy->ids.at[rule->objects.first + i] ==
				policy->ids.at[node->objects.first + j])
				return true;
	return false;
}

static void mark(uint8_t *ports, unsigned int from, unsigned int to)
{
	memset(ports + from, 1, to - from + 1);
}

/* The ports that some permit, which has not expired, speaks of. Who, when and
 * as whom is the first wall's to know. */
static void mark_permitted(const struct policy *policy,
	const struct policy_node *node, time_t now, uint8_t *ports)
{
	uint16_t own = node->port ? node->port : POLICY_SSH_PORT;
	uint32_t i, j;

	for (i = 0; i < policy->rules.count; i++) {
		const struct policy_rule *rule = &policy->rules.at[i];

		if (rule->kind != RULE_PERMIT ||
			(rule->expires && rule->expires <= now) ||
			!rule_names(policy, rule, node))
			continue;
		if (!rule->ports.count)
			ports[own] = 1;
		for (j = 0; j < rule->ports.count; j++)
			mark(ports,
				policy->ports.at[rule->ports.first + j].from,
				policy->ports.at[rule->ports.first + j].to);
	}
}

static void put_from(
	struct buf *text, const struct policy_node *node, unsigned int from)
{
	if (text->len)
		buf_printf(text, ", %u", from);
	else
		buf_printf(text, "%smeta skuid 0 tcp dport { %u",
			node->local ? "" : "oif != \"lo\" ", from);
}

/* What matches the marked ports that the groups accept; NULL if there are
 * none. The groups' tables say where their answer changes, but to ask at each
 * marked port is cheap enough, and plain. The host's own addresses are reached
 * through lo, and no target unless the policy says `local`. */
static char *open_match(const struct policy *policy,
	const struct policy_node *node, int family, const uint8_t *ports)
{
	unsigned int port = 1, from;
	uint32_t ignored;
	struct buf text;
	char *copy = NULL;

	buf_init(&text, 1 << 20);
	while (port < PORTS_MAX) {
		from = port;
		while (port < PORTS_MAX && ports[port] &&
			policy_sg_accepts(
				policy, node, family, (uint16_t)port, &ignored))
			port++;
		if (port > from)
			put_from(&text, node, from);
		if (port > from + 1)
			buf_printf(&text, "-%u", port - 1);
		port += port == from;
	}
	if (text.len) {
		buf_printf(&text, " } ");
		buf_put_u8(&text, 0);
		copy = buf_error(&text) ? NULL : strdup((char *)text.data);
	}
	buf_done(&text);
	return copy;
}

static bool has_family(
	const struct policy *policy, const struct policy_node *node, int family)
{
	uint32_t i;

	for (i = 0; i < node->nets.count; i++)
		if (policy->nets.at[node->nets.first + i].base.family == family)
			return true;
	return false;
}

/* May anything of this node be reached? */
static bool any_open(
	const struct policy *policy, const struct policy_node *node, time_t now)
{
	static const int families[] = {AF_INET, AF_INET6};
	uint8_t *ports = calloc(PORTS_MAX, 1);
	char *match = NULL;
	bool open;
	size_t j;

	if (ports)
		mark_permitted(policy, node, now, ports);
	for (j = 0; ports && j < 2 && !match; j++)
		if (has_family(policy, node, families[j]))
			match = open_match(policy, node, families[j], ports);
	open = match;
	free(match);
	free(ports);
	return open;
}

/* What is behind a jump host the bastion itself never speaks to; the way
 * leads to SSH on the first of the jump hosts, for those alone that a permit
 * names something behind. */
static void mark_ways(const struct policy *policy, time_t now, uint8_t *ways)
{
	uint32_t i, at;

	for (i = 0; i < policy->nodes.count; i++) {
		at = policy->nodes.at[i].via;
		if (at == POLICY_NONE ||
			!any_open(policy, &policy->nodes.at[i], now))
			continue;
		while (policy->nodes.at[at].via != POLICY_NONE)
			at = policy->nodes.at[at].via;
		ways[at] = 1;
	}
}

static void find_open(struct ruleset *set, struct opens *opens)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct policy *policy = set->policy;
	uint8_t *ports = malloc(PORTS_MAX);
	uint8_t *ways = calloc(policy->nodes.count + 1, 1);
	time_t now = time(NULL);
	uint32_t i;
	size_t j;

	if (ways)
		mark_ways(policy, now, ways);
	for (i = 0; ports && ways && i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		if (node->via != POLICY_NONE)
			continue;
		memset(ports, 0, PORTS_MAX);
		mark_permitted(policy, node, now, ports);
		if (ways[i])
			ports[node->port ? node->port : POLICY_SSH_PORT] = 1;
		for (j = 0; j < 2; j++) {
			char *text = has_family(policy, node, families[j])
					     ? open_match(policy, node,
						       families[j], ports)
					     : NULL;

			if (text)
				*vec_add(policy, &opens->list) = (struct open){
					text, node, families[j]};
		}
	}
	policy->failed = policy->failed || !ports || !ways;
	free(ports);
	free(ways);
}

static int open_order(const void *a, const void *b)
{
	const struct open *x = a, *y = b;
	int order = strcmp(x->match, y->match);

	return order ? order : (x->node > y->node) - (x->node < y->node);
}

/* Those with the same ports share a line. */
static void put_same(
	struct ruleset *set, const struct open *same, uint32_t count)
{
	const struct policy *policy = set->policy;
	const char *name = policy_symbol_text(policy, same->node->sym);
	struct policy_nets nets = {0};
	char comment[128];
	uint32_t i, j;

	for (i = 0; i < count; i++)
		for (j = 0; j < same[i].node->nets.count; j++) {
			const struct addr_net *net =
				&policy->nets.at[same[i].node->nets.first + j];

			if (net->base.family == same[i].family)
				ruleset_add_net(set, net, &nets);
		}
	snprintf(comment, sizeof(comment), "%s%s", name,
		same[count - 1].node != same->node ? " and others" : "");
	ruleset_put_nets(set, &nets, "daddr", same->match, "accept", comment);
	free(nets.list.at);
}

static void put_targets(struct ruleset *set)
{
	struct opens opens = {0};
	uint32_t i = 0, end;

	find_open(set, &opens);
	if (opens.list.count)
		qsort(opens.list.at, opens.list.count, sizeof(*opens.list.at),
			open_order);
	for (; i < opens.list.count; i = end) {
		end = i + 1;
		while (end < opens.list.count &&
			!strcmp(opens.list.at[i].match,
				opens.list.at[end].match))
			end++;
		put_same(set, &opens.list.at[i], end - i);
	}
	for (i = 0; i < opens.list.count; i++)
		free(opens.list.at[i].match);
	free(opens.list.at);
}

/* ---- all of it ---- */

static void put_metadata(struct ruleset *set)
{
	struct policy_nets nets = {0};
	struct addr_net net;
	size_t i;

	for (i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++)
		if (!addr_net_parse(metadata[i], &net))
			ruleset_add_net(set, &net, &nets);
	ruleset_put_nets(
		set, &nets, "daddr", "", "counter drop", "metadata: never");
	free(nets.list.at);
}

/* Sessions and the recorder use sockets that they are handed, which belong
 * to root; they open none of their own. */
static void put_powerless(struct ruleset *set, const struct conf *conf)
{
	const char *const users[] = {conf->session_user, conf->recorder_user};
	unsigned int uid, gid;
	size_t i;

	for (i = 0; i < 2; i++) {
		if (conf_user(users[i], &uid, &gid))
			continue;
		buf_printf(&set->out, "\t\tmeta skuid %u ", uid);
		ruleset_end_line(set, "counter drop", users[i]);
	}
}

static void put_input(struct ruleset *set, const char *ports)
{
	buf_printf(&set->out,
		"\tchain input {\n"
		"\t\ttype filter hook input priority filter; policy drop;\n"
		"\t\tiif \"lo\" accept\n"
		"\t\tct state established,related accept\n"
		"\t\ticmp type echo-request limit rate 20/second accept\n"
		"\t\ticmpv6 type echo-request limit rate 20/second accept\n"
		"\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, "
		"nd-router-advert, mld-listener-query } accept\n"
		"\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n");
	put_knock(set, ports);
	buf_printf(&set->out,
		"\t\tlimit rate 10/minute log prefix \"sgbridge in: \"\n"
		"\t\tcounter drop\n"
		"\t}\n"
		"\tchain forward {\n"
		"\t\ttype filter hook forward priority filter; policy drop;\n"
		"\t}\n");
}

/* Answers from the SSH ports are let out whether the kernel has followed the
 * connection or not: who is logged in when the ruleset is loaded stays. A
 * refused SYN is answered, so that no program of this host waits for it. */
static bool put_output(
	struct ruleset *set, const struct conf *conf, const char *ports)
{
	buf_printf(&set->out,
		"\tchain output {\n"
		"\t\ttype filter hook output priority filter; policy drop;\n");
	if (!put_outgoing(set, conf, true))
		return false;
	put_metadata(set);
	buf_printf(&set->out,
		"\t\tct state established,related accept\n"
		"\t\ttcp sport %s tcp flags & (syn | ack) != syn accept\n"
		"\t\ticmp type echo-request accept\n"
		"\t\ticmpv6 type { echo-request, nd-router-solicit, "
		"nd-neighbor-solicit, nd-neighbor-advert, "
		"mld-listener-report, mld2-listener-report } accept\n"
		"\t\tudp sport 68 udp dport 67 accept\n"
		"\t\tudp sport 546 udp dport 547 accept\n",
		ports);
	put_powerless(set, conf);
	put_targets(set);
	if (!put_outgoing(set, conf, false))
		return false;
	buf_printf(&set->out,
		"\t\tlimit rate 10/minute log prefix \"sgbridge out: \"\n"
		"\t\ttcp flags & (fin | syn | rst | ack) == syn counter "
		"reject with tcp reset\n"
		"\t\tcounter drop\n"
		"\t}\n}\n");
	return true;
}

bool ruleset_bastion(struct ruleset *set, const struct conf *conf)
{
	struct buf ports;
	bool good;

	buf_init(&ports, 1024);
	good = ssh_ports(conf, &ports);
	if (good) {
		buf_printf(&set->out,
			"table inet " RULESET_BEFORE "\ndelete table "
			"inet " RULESET_BEFORE "\n");
		ruleset_begin(set);
		put_input(set, (const char *)ports.data);
		good = put_output(set, conf, (const char *)ports.data);
	}
	buf_done(&ports);
	return good;
}
