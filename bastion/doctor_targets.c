/*
 * doctor: the policy's instances. Each that people reach by SSH needs a known
 * host key; with --connect, each must answer at its port.
 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/conf.h"
#include "hostkey.h"
#include "sgbridge_key.h"

#define PATIENCE_MS 2000
#define PORT_RDP    3389
#define PIN_LEN	    (sizeof("SHA256:") - 1 + 43)

/* As `sgbridge check` sees it: anything but a desktop. */
static bool speaks_ssh(const struct policy_node *node)
{
	return node->port != PORT_RDP;
}

/* The bastion's own groups hold no targets. */
static bool is_bastion(
	const struct policy *policy, const struct policy_node *node)
{
	const uint32_t *own = &policy->ids.at[policy->bastion_sgs.first];
	uint32_t i, j;

	for (i = 0; i < node->sgs.count; i++) {
		for (j = 0; j < policy->bastion_sgs.count; j++)
			if (policy->ids.at[node->sgs.first + i] == own[j])
				break;
		if (j == policy->bastion_sgs.count)
			return false;
	}
	return node->sgs.count > 0;
}

/* Shortened fingerprints, as people write them in drafts, match no key. */
static bool is_known(
	const struct doctor *doctor, const struct policy_node *node)
{
	const struct policy *policy = doctor->cli->policy;
	struct hostkey_node host;
	uint32_t i;

	for (i = 0; i < node->pins.count; i++) {
		const char *pin = policy->texts.at[node->pins.first + i];

		if (pin && strlen(pin) == PIN_LEN)
			return true;
	}
	cli_hostkey_node(policy, node, doctor->conf, &host);
	return !node->pins.count && hostkey_any(&host);
}

/* 0, or an errno. */
static int try_connect(const struct addr *addr, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(addr, port, &ss);
	socklen_t size = sizeof(int);
	struct pollfd ready = {.events = POLLOUT};
	int error = 0;

	ready.fd = socket(
		addr->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ready.fd < 0)
		return errno;
	if (connect(ready.fd, (struct sockaddr *)&ss, len) &&
		errno != EINPROGRESS)
		error = errno;
	else if (poll(&ready, 1, PATIENCE_MS) != 1)
		error = ETIMEDOUT;
	else if (getsockopt(ready.fd, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	close(ready.fd);
	return error;
}

/* A key that cannot be had, or is for others, logs nobody on. */
static bool check_stored(struct doctor *doctor, const struct policy_node *node)
{
	const struct policy *policy = doctor->cli->policy;
	const struct conf *conf = doctor->conf;
	struct targetkey *key = NULL;
	char why[TARGETKEY_WHY];
	const char *name;
	bool good;

	if (node->logon.kind != POLICY_STORED_KEY)
		return true;
	name = policy_symbol_text(policy, node->logon.key);
	good = !targetkey_load(conf->target_keys, name, conf->master_key, &key,
		why, sizeof(why));
	if (!good)
		doctor_find(doctor, DOCTOR_STORED_KEY,
			"sgbridge key generate, or import; sgbridge(8)",
			"%s: %s", policy_symbol_text(policy, node->sym), why);
	else if (!(good = key_is_for(policy, node, key)))
		doctor_find(doctor, DOCTOR_STORED_KEY,
			"name the key that is for it; sgbridge key list",
			"%s: the stored key \"%s\" is not for it",
			policy_symbol_text(policy, node->sym), name);
	targetkey_free(key);
	return good;
}

bool doctor_node(struct doctor *doctor, const struct policy_node *node)
{
	const struct policy *policy = doctor->cli->policy;
	const char *name = policy->symbols.at[node->sym].text;
	uint16_t port = node->port ? node->port : 22;
	char address[ADDR_TEXT_MAX], fix[400];
	const struct addr *addr;
	bool good = true;
	int error;

	if (node->subnet || node->local || !node->nets.count ||
		is_bastion(policy, node))
		return false;
	addr = &policy->nets.at[node->nets.first].base;
	addr_text(addr, address);
	if (speaks_ssh(node) && !is_known(doctor, node)) {
		snprintf(fix, sizeof(fix),
			"ssh-keyscan -t ed25519 -p %u %s | ssh-keygen -lf -, "
			"compare on the instance's console, and write "
			"host-key SHA256:... into the policy; or a line into "
			"a file of known-hosts, sgbridge.conf(5)",
			port, address);
		doctor_find(doctor, DOCTOR_PIN_MISSING, fix,
			"%s (%s): no host key is known", name, address);
		good = false;
	}
	good &= check_stored(doctor, node);
	/* What is behind a jump host is reached from there alone. */
	if (!doctor->cli->connect || node->via != POLICY_NONE)
		return good;
	error = try_connect(addr, port);
	if (!error)
		return good;
	snprintf(fix, sizeof(fix),
		"does its security group admit this host on %u, and does its "
		"sshd run? ss -ltn on the instance",
		port);
	doctor_find(doctor, DOCTOR_UNREACHABLE, fix, "%s: %s port %u: %s", name,
		address, port, strerror(error));
	return false;
}

void doctor_targets(struct doctor *doctor)
{
	const struct policy *policy = doctor->cli->policy;
	uint32_t i;

	for (i = 0; i < policy->nodes.count; i++)
		(void)doctor_node(doctor, &policy->nodes.at[i]);
}
