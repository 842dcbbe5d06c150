/*
 * The way to what is behind jump hosts: for each of them a session process
 * that logs on there and opens one channel onwards. The monitor judges their
 * host keys, signs for each exactly one login whose certificate allows
 * forwards alone, and gets a socket whose bytes come out at the target. What
 * these processes say is hearsay but for that socket: the target's own host
 * key is checked through it, like any other's.
 */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"

#define ADDRESSES_MAX 16
#define EVERYWHERE    "0.0.0.0/0,::/0"

struct monitor_hop {
	LIST_ENTRY(monitor_hop) link;
	int session, watch, pidfd; /* its link; as in struct monitor */
};

/* One jump host on the way, while it is being opened. */
struct passage {
	struct monitor *m;
	const struct policy_decision *hop;
	struct policy_decision *next; /* what is behind it */
	struct monitor_hop *process;
	uint64_t until_ms;
};

/* What a jump host's login must not change for the connection's own. */
struct kept {
	struct policy_decision decision;
	struct authkeys_limits limits;
	struct monitor_logon logon;
};

static void hop_free(struct monitor_hop *hop)
{
	if (hop->session >= 0)
		close(hop->session);
	if (hop->watch >= 0)
		close(hop->watch);
	if (hop->pidfd >= 0)
		close(hop->pidfd);
	free(hop);
}

/* It has no way to stay, and its cradle buries it. */
static void hop_end(struct monitor_hop *hop)
{
	monitor_cradle_end(hop->watch);
	if (hop->session >= 0)
		close(hop->session);
	hop->session = -1;
}

/* A session process of its own, for the descriptor fd, which it takes. */
static enum sgb_err spawn(struct monitor *m, int fd, struct monitor_hop **ret)
{
	struct monitor_hop *hop = calloc(1, sizeof(*hop));
	struct monitor *sub = hop ? malloc(sizeof(*sub)) : NULL;
	enum sgb_err err;

	if (!sub) {
		close(fd);
		free(hop);
		return SGB_ERR_NOMEM;
	}
	/* As much of a monitor as starting one needs; it owns nothing. */
	*sub = *m;
	sub->mode = SESSION_MODE_HOP;
	sub->client = fd;
	sub->session = sub->session_watch = sub->session_pidfd = -1;
	err = monitor_spawn_session(sub);
	if (sub->client >= 0)
		close(sub->client);
	hop->session = sub->session;
	hop->watch = sub->session_watch;
	hop->pidfd = sub->session_pidfd;
	free(sub);
	LIST_INSERT_HEAD(&m->hops, hop, link);
	*ret = hop;
	return err;
}

static enum sgb_err send_hop(struct passage *p, int stream, int agent)
{
	const struct policy_decision *hop = p->hop;
	struct policy_decision at = *p->next;
	struct buf addresses;
	uint32_t count = 0;
	char text[ADDR_TEXT_MAX], name[ADDR_TEXT_MAX], algorithms[256];
	struct hostkey_node node;
	struct msg msg;
	enum sgb_err err;

	buf_init(&addresses, 4096);
	do {
		buf_put_cstring(&addresses, addr_text(&at.target_addr, text));
		count++;
	} while (count < ADDRESSES_MAX &&
		 policy_next_address(p->m->policy, &at));
	monitor_hostkey_node(p->m, hop, name, &node);
	hostkey_algorithms(&node, algorithms, sizeof(algorithms));
	msg_init(&msg, MSG_SES_HOP);
	buf_put_cstring(&msg.body, hop->instance);
	buf_put_cstring(&msg.body, hop->login);
	buf_put_cstring(&msg.body, addr_text(&hop->target_addr, text));
	buf_put_u32(&msg.body, hop->target_port);
	buf_put_cstring(&msg.body, algorithms);
	buf_put_u32(&msg.body, p->next->target_port);
	buf_put_u32(&msg.body, count);
	buf_put(&msg.body, addresses.data, addresses.len);
	err = buf_error(&addresses);
	if (!err)
		err = msg_put_fd(&msg, stream);
	if (!err)
		err = msg_put_fd(&msg, agent);
	if (!err)
		err = msg_send(p->process->session, &msg);
	msg_done(&msg);
	buf_done(&addresses);
	return err;
}

static void lose(struct passage *p, const char *why)
{
	if (!*p->m->lost)
		snprintf(p->m->lost, sizeof(p->m->lost),
			"the jump host %.100s: %.250s", p->hop->instance, why);
}

static enum sgb_err refuse_key(
	struct passage *p, const struct hostkey_result *result)
{
	char why[160];
	struct event event = {.kind = EVENT_TARGET_HOSTKEY,
		.target = p->hop->instance,
		.target_addr = p->hop->target_addr,
		.target_port = p->hop->target_port,
		.what = result->shown,
		.reason = result->why};

	if (monitor_event(p->m, &event))
		log_put(LOG_ERR, "%s: event lost", p->m->conn_id);
	snprintf(why, sizeof(why), "its host key %.120s", result->public_text);
	lose(p, why);
	return SGB_ERR_DENIED;
}

/* The certificate was wanted and is not there yet: nothing to be said. */
static enum sgb_err judged(
	struct passage *p, const struct hostkey_result *result)
{
	struct monitor *m = p->m;

	if (result->verdict == HOSTKEY_WANTED)
		return SGB_OK;
	if (result->verdict != HOSTKEY_ACCEPTED)
		return refuse_key(p, result);
	m->logon.host_verified = true;
	snprintf(m->logon.host_by, sizeof(m->logon.host_by),
		"jump host %.63s, key %.128s, %.900s", p->hop->instance,
		result->shown, result->by);
	return monitor_hostkey_answer(p->process->session, true, "");
}

/* Looking for its certificate is another way to it, which may fail on its
 * own account. */
static enum sgb_err on_key(struct passage *p, struct reader *rd)
{
	struct hostkey_result result;
	enum sgb_err err;

	err = monitor_hostkey_shown(
		p->m, rd, p->process->session, p->until_ms, &result);
	p->m->lost[0] = '\0';
	return err ? err : judged(p, &result);
}

static enum sgb_err on_certificate(struct passage *p, struct reader *rd)
{
	struct hostkey_result result;
	enum sgb_err err = monitor_hostkey_cert(p->m, rd, &result);

	return err ? err : judged(p, &result);
}

/* The address that answered becomes the one of what is behind. */
static enum sgb_err on_open(struct passage *p, struct reader *rd)
{
	uint32_t index = reader_u32(rd);
	enum sgb_err err = reader_end(rd);

	if (!err && !p->m->logon.host_verified)
		err = SGB_ERR_PHASE;
	while (!err && index--)
		if (!policy_next_address(p->m->policy, p->next))
			err = SGB_ERR_FORMAT;
	return err;
}

static enum sgb_err on_fail(struct passage *p, struct reader *rd)
{
	char *why = reader_cstring(rd, 4096), safe[256];

	/* In part the jump host's own words, for a terminal. */
	log_escape(
		why && !reader_end(rd) ? why : "it failed", safe, sizeof(safe));
	lose(p, safe);
	free(why);
	errno = ECONNREFUSED;
	return SGB_ERR_SYSTEM;
}

/* One message; *ret_open: the way is. */
static enum sgb_err hear(struct passage *p, bool *ret_open)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(p->process->session, &msg);
	if (err == SGB_ERR_AGAIN) {
		err = SGB_OK;
	} else if (!err) {
		switch (msg.type) {
		case MSG_REQ_HOSTKEY: err = on_key(p, &msg.reader); break;
		case MSG_REQ_HOSTCERT:
			err = on_certificate(p, &msg.reader);
			break;
		case MSG_REQ_HOPFAIL: err = on_fail(p, &msg.reader); break;
		case MSG_REQ_HOPOPEN:
			err = on_open(p, &msg.reader);
			*ret_open = !err;
			break;
		default: err = SGB_ERR_PHASE;
		}
	}
	msg_done(&msg);
	return err;
}

/* Serves the process until the way is open, or will not be. Nothing is signed
 * before its host key is judged. */
static enum sgb_err await_open(struct passage *p)
{
	struct monitor *m = p->m;
	enum sgb_err err = SGB_OK;
	bool open = false;

	while (!err && !open) {
		uint64_t now = monitor_now_ms();
		struct pollfd fds[2] = {
			{.fd = p->process->session, .events = POLLIN},
			{.fd = m->logon.host_verified ? m->logon.agent : -1,
				.events = POLLIN},
		};

		if (now >= p->until_ms) {
			errno = ETIMEDOUT;
			lose(p, "it did not answer in time");
			return SGB_ERR_TIMEOUT;
		}
		if (poll(fds, 2, (int)(p->until_ms - now)) < 0)
			continue;
		if (fds[1].revents && !monitor_agent_poll(m))
			monitor_agent_close(m);
		if (fds[0].revents)
			err = hear(p, &open);
	}
	if (err)
		lose(p, "it, or its process, does not behave");
	return err;
}

/* The agent serves the jump host's login: its name, its certificate, and none
 * of the limits of the user's key, who does not log on there. */
static void lend(
	struct monitor *m, const struct policy_decision *hop, struct kept *kept)
{
	*kept = (struct kept){m->decision, m->limits, m->logon};
	m->decision = *hop;
	m->limits = (struct authkeys_limits){0};
	m->logon = (struct monitor_logon){.agent = -1};
}

static void take_back(struct monitor *m, const struct kept *kept)
{
	monitor_logon_done(m);
	m->decision = kept->decision;
	m->limits = kept->limits;
	m->logon = kept->logon;
}

/* Through one jump host: fd leads to it, and is taken. */
static enum sgb_err pass(
	struct passage *p, int fd, const char *source, int *ret_fd)
{
	int stream[2] = {-1, -1}, agent = -1;
	char why[512] = "";
	struct kept kept;
	enum sgb_err err;

	err = spawn(p->m, fd, &p->process);
	if (err) {
		lose(p, "no process for it");
		if (p->process)
			hop_end(p->process);
		return err;
	}
	lend(p->m, p->hop, &kept);
	err = monitor_credential_prepare(p->m, source, why, sizeof(why));
	if (err)
		lose(p, why);
	if (!err)
		err = monitor_agent_open(p->m, &agent);
	if (!err && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream))
		err = SGB_ERR_SYSTEM;
	if (!err)
		err = send_hop(p, stream[1], agent);
	if (agent >= 0)
		close(agent);
	if (stream[1] >= 0)
		close(stream[1]);
	if (!err)
		err = await_open(p);
	take_back(p->m, &kept);
	if (!err) {
		*ret_fd = stream[0];
		return SGB_OK;
	}
	if (stream[0] >= 0)
		close(stream[0]);
	hop_end(p->process);
	lose(p, "no way to log on there");
	return err;
}

static void put_hop(
	const struct policy_decision *hop, bool first, char *out, size_t len)
{
	char text[ADDR_TEXT_MAX];

	snprintf(out, len, "%s%.63s (%s:%u)", first ? "" : ", ", hop->instance,
		addr_text(&hop->target_addr, text), hop->target_port);
}

/* Where a jump host's settings name no login, it is the user's own name. */
static enum sgb_err judge_hop(struct monitor *m, struct policy_decision *hop)
{
	struct passage p = {.m = m, .hop = hop};

	if (!*hop->login)
		hop->login = m->user;
	if (hop->verdict != POLICY_PERMIT)
		lose(&p, "its security groups do not accept this");
	else if (hop->credential == POLICY_OWN_AGENT)
		lose(&p, "people's agents do not log on to jump hosts");
	else if (!monitor_hostkey_any(m, hop))
		lose(&p, "no host key is known for it");
	else
		return SGB_OK;
	errno = EACCES;
	return SGB_ERR_NOTFOUND;
}

/* Each forward behind a jump host holds some, for as long as it lasts. */
static enum sgb_err make_room(struct monitor *m, unsigned int count)
{
	size_t most = m->conf->max_channels, live = 0;
	struct monitor_hop *hop;

	if (most < POLICY_HOPS_MAX)
		most = POLICY_HOPS_MAX;
	/* A second way, to see a certificate. */
	if (m->logon.host_blob && !m->logon.host_verified)
		most += POLICY_HOPS_MAX;
	monitor_hops_reap(m);
	LIST_FOREACH (hop, &m->hops, link)
		live++;
	if (live + count <= most)
		return SGB_OK;
	snprintf(m->lost, sizeof(m->lost),
		"too many jump hosts in use by this connection");
	errno = EAGAIN;
	return SGB_ERR_LIMIT;
}

static enum sgb_err walk(struct monitor *m, struct policy_decision *hops,
	unsigned int count, struct policy_decision *decision, int *fd,
	const char *local, uint64_t until_ms)
{
	char sources[MONITOR_SOURCES_MAX];
	const char *source;
	enum sgb_err err = SGB_OK;
	unsigned int i;

	source = monitor_certificate_source(m, local, sources, sizeof(sources));
	for (i = 0; i < count && !err; i++) {
		struct passage p = {.m = m,
			.hop = &hops[i],
			.next = i + 1 < count ? &hops[i + 1] : decision,
			.until_ms = until_ms};
		int in = *fd;

		*fd = -1;
		err = pass(&p, in, i ? EVERYWHERE : source, fd);
	}
	return err;
}

enum sgb_err monitor_connect_via(struct monitor *m,
	struct policy_decision *decision, int *ret_fd,
	char source[ADDR_TEXT_MAX], char via[MONITOR_VIA_MAX],
	uint64_t until_ms)
{
	struct policy_decision hops[POLICY_HOPS_MAX];
	unsigned int count = policy_hops(m->policy, decision, hops), i;
	uint64_t end = monitor_now_ms() + m->conf->target_timeout * 1000;
	/* A copy: m's own is lent to each jump host's login. */
	struct policy_decision target = *decision;
	enum sgb_err err = SGB_OK;
	size_t used = 0;
	int fd = -1;

	/* One time for all of them. */
	if (until_ms && until_ms < end)
		end = until_ms;
	for (i = 0; i < count && !err; i++)
		err = judge_hop(m, &hops[i]);
	if (!err)
		err = make_room(m, count);
	if (!err)
		err = monitor_connect(m, &hops[0], &fd, source, via, end);
	if (err && !*m->lost)
		snprintf(m->lost, sizeof(m->lost), "the jump host %.100s: %s",
			hops[0].instance, strerror(errno));
	if (!err)
		err = walk(m, hops, count, &target, &fd, source, end);
	if (err) {
		log_put(LOG_NOTICE, "%s: %s", m->conn_id, m->lost);
		return err;
	}
	for (i = 0; i < count; i++) {
		put_hop(&hops[i], !i, via + used, MONITOR_VIA_MAX - used);
		used += strlen(via + used);
	}
	strcpy(source, EVERYWHERE);
	*decision = target;
	*ret_fd = fd;
	return SGB_OK;
}

bool monitor_same_way(const struct monitor *m,
	const struct policy_decision *decision, const char *via)
{
	struct policy_decision hops[POLICY_HOPS_MAX];
	unsigned int count = policy_hops(m->policy, decision, hops), i;
	char piece[MONITOR_VIA_MAX];
	size_t len;

	for (i = 0; i < count; i++) {
		do {
			put_hop(&hops[i], !i, piece, sizeof(piece));
			len = strlen(piece);
		} while (strncmp(via, piece, len) &&
			 policy_next_address(m->policy, &hops[i]));
		if (strncmp(via, piece, len))
			return false;
		via += len;
	}
	return !*via;
}

/* A process that ended closed its link. */
static bool is_gone(const struct monitor_hop *hop)
{
	struct pollfd fd = {.fd = hop->session, .events = 0};

	return hop->session < 0 ||
	       (poll(&fd, 1, 0) == 1 && fd.revents & (POLLHUP | POLLERR));
}

void monitor_hops_reap(struct monitor *m)
{
	struct monitor_hop *hop, *next;

	for (hop = LIST_FIRST(&m->hops); hop; hop = next) {
		next = LIST_NEXT(hop, link);
		if (!is_gone(hop))
			continue;
		/* Whoever closed its link has no more to do. */
		hop_end(hop);
		LIST_REMOVE(hop, link);
		hop_free(hop);
	}
}

void monitor_hops_done(struct monitor *m)
{
	struct monitor_hop *hop;

	while ((hop = LIST_FIRST(&m->hops))) {
		LIST_REMOVE(hop, link);
		hop_free(hop);
	}
}
