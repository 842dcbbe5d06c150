/*
 * Listening and accepting. What is refused here costs the bastion one system
 * call and no cryptography: too many connections, a source under penalty, an
 * address that no rule of the policy names.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/event.h"
#include "core/log.h"

#define REST_MS 200

static enum sgb_err parse_endpoint(
	const char *text, struct addr *ret_addr, uint16_t *ret_port)
{
	char copy[ADDR_TEXT_MAX + 16], *host = copy, *colon, *end;
	unsigned long port;

	if (strlen(text) >= sizeof(copy))
		return SGB_ERR_FORMAT;
	strcpy(copy, text);
	colon = strrchr(copy, ':');
	if (!colon || colon == copy || colon[1] < '1' || colon[1] > '9')
		return SGB_ERR_FORMAT;
	*colon = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return SGB_ERR_FORMAT;
	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		if (!end || end[1])
			return SGB_ERR_FORMAT;
		*end = '\0';
	} else if (strchr(host, ':')) {
		return SGB_ERR_FORMAT;
	}
	*ret_port = (uint16_t)port;
	return addr_parse(host, ret_addr);
}

enum sgb_err daemon_check_listen(const struct conf *conf)
{
	const struct conf_list *list = &conf->listen;
	enum sgb_err err = SGB_OK;
	struct addr addr;
	uint16_t port;
	size_t i;

	if (list->count > LISTEN_MAX) {
		fprintf(stderr, "sgbridged: listen: at most %d addresses\n",
			LISTEN_MAX);
		err = SGB_ERR_LIMIT;
	}
	for (i = 0; i < list->count; i++) {
		if (!parse_endpoint(list->items[i], &addr, &port))
			continue;
		fprintf(stderr,
			"sgbridged: listen \"%s\": expected address:port, "
			"such as 192.0.2.1:30022 or [::]:30022\n",
			list->items[i]);
		err = SGB_ERR_FORMAT;
	}
	return err;
}

static const char *advice(int error)
{
	if (error == EADDRINUSE)
		return "; another program has this port, see: ss -ltnp";
	if (error == EACCES)
		return "; a port below 1024: systemctl enable --now "
		       "sgbridged.socket with ListenStream= of that port";
	return "";
}

static enum sgb_err listen_on(struct daemon *d, const char *text)
{
	struct sockaddr_storage ss;
	struct addr addr;
	uint16_t port;
	socklen_t len;
	int fd, one = 1;

	if (parse_endpoint(text, &addr, &port))
		return SGB_ERR_FORMAT;
	len = addr_to_sockaddr(&addr, port, &ss);
	fd = socket(addr.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return SGB_ERR_SYSTEM;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (addr.family == AF_INET6)
		(void)setsockopt(
			fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) || listen(fd, 256)) {
		fprintf(stderr, "sgbridged: listen %s: %s%s\n", text,
			strerror(errno), advice(errno));
		close(fd);
		return SGB_ERR_BUSY;
	}
	d->listeners[d->listener_count++] = fd;
	return SGB_OK;
}

enum sgb_err daemon_listen(struct daemon *d)
{
	enum sgb_err err = systemd_sockets(d);
	size_t i;

	daemon_keep_spare(d);
	if (err != SGB_ERR_NOTFOUND)
		return err;
	err = SGB_OK;
	/* What was checked is no more than there is room for. */
	for (i = 0; i < d->conf->listen.count && !err; i++)
		err = i == LISTEN_MAX ? SGB_ERR_LIMIT
				      : listen_on(d, d->conf->listen.items[i]);
	return err;
}

/* A flood of refusals must not become a flood of events. */
void daemon_refused(
	struct daemon *d, const struct addr *source, const char *why)
{
	uint64_t others;
	uint64_t own = refusals_count(
		&d->refusals, source, daemon_now_ms(), &others);
	char text[200];

	if (!own)
		return;
	snprintf(text, sizeof(text),
		"%s (%llu refused from there since its last report, %llu from "
		"others that have none)",
		why, (unsigned long long)own, (unsigned long long)others);
	daemon_event(d, source, false, EVENT_CONNECT_REFUSED, NULL, text);
}

/* NULL if the connection may come in; then it is counted. Only who may come
 * in makes room for himself. */
static const char *judge(struct daemon *d, const struct addr *source)
{
	if (!policy_source_known(d->policy, source)) {
		d->counters.refused_source++;
		return "no rule permits anybody from this address";
	}
	switch (sources_admit(d->sources, source, daemon_now_ms(),
		d->conf->max_startups_source)) {
	case SOURCES_ADMIT: break;
	case SOURCES_REFUSE_PENALTY:
		d->counters.refused_penalty++;
		return "the source is under a penalty";
	case SOURCES_REFUSE_LIMIT:
		d->counters.refused_limit++;
		return "max-startups-per-source reached";
	}
	if (d->total - d->pending < d->conf->max_sessions &&
		(d->pending < d->conf->max_startups || connection_evict(d))) {
		d->counters.accepted++;
		return NULL;
	}
	d->counters.refused_limit++;
	sources_release(d->sources, source);
	return "max-sessions or max-startups reached";
}

void daemon_admit(struct daemon *d, int fd, const struct addr *source,
	uint16_t port, const struct addr *front, const char *local)
{
	const char *why = judge(d, source);
	int one = 1;

	if (why) {
		daemon_refused(d, source, why);
		close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (connection_start(d, fd, source, port, front, local)) {
		log_put(LOG_ERR, "no monitor can be started: %s",
			strerror(errno));
		daemon_refused(d, source, "no monitor can be started");
		sources_release(d->sources, source);
	}
	close(fd);
}

/* Whether errno of accept(2) says that there is no room for one more. */
static bool no_room(void)
{
	return errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
	       errno == ENOMEM;
}

int daemon_take_spare(struct daemon *d, int listener, struct addr *ret_source)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	if (!no_room())
		return -1;
	if (d->spare >= 0)
		close(d->spare);
	d->spare = -1;
	fd = accept4(listener, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC);
	if (fd < 0)
		d->rest_ms = daemon_now_ms() + REST_MS;
	else if (ret_source && addr_from_sockaddr(&ss, ret_source, NULL))
		memset(ret_source, 0, sizeof(*ret_source));
	return fd;
}

void daemon_keep_spare(struct daemon *d)
{
	if (d->spare < 0)
		d->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/*
 * Without a descriptor for it, a connection would wait where nobody sees it,
 * and poll() would call its listener ready without end. The spare one is for
 * taking it and closing it; where even that fails, listeners rest.
 */
static void refuse_unseen(struct daemon *d, int listener)
{
	struct addr source;
	int fd = daemon_take_spare(d, listener, &source);

	if (fd >= 0) {
		d->counters.refused_limit++;
		daemon_refused(d, &source, "no descriptor is left");
		close(fd);
	}
	daemon_keep_spare(d);
}

int daemon_rest(const struct daemon *d)
{
	uint64_t now = daemon_now_ms();

	return now < d->rest_ms ? (int)(d->rest_ms - now) : -1;
}

void daemon_accept(struct daemon *d, int listener)
{
	struct sockaddr_storage ss, local_ss;
	socklen_t len = sizeof(ss), local_len = sizeof(local_ss);
	char local_text[ADDR_TEXT_MAX];
	struct addr source, local;
	uint16_t port;
	int fd;

	fd = accept4(listener, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC);
	if (fd < 0) {
		refuse_unseen(d, listener);
		return;
	}
	if (addr_from_sockaddr(&ss, &source, &port) ||
		getsockname(fd, (struct sockaddr *)&local_ss, &local_len) ||
		addr_from_sockaddr(&local_ss, &local, NULL)) {
		close(fd);
		return;
	}
	addr_text(&local, local_text);
	if (daemon_proxy_is_front(d, &source))
		daemon_proxy_wait(d, fd, &source, port, local_text);
	else
		daemon_admit(d, fd, &source, port, NULL, local_text);
}
