/*
 * Connections that come through a front end of the settings and still owe the
 * header that says whose they are. Nothing waits for one: each takes what has
 * arrived, never a byte beyond its header, and is closed after a few seconds.
 */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy_header.h"

#define NEWCOMERS_MAX 512
#define PATIENCE_MS   5000

struct newcomer {
	TAILQ_ENTRY(newcomer) link;
	int fd;
	struct addr front;
	uint16_t front_port;
	char local[ADDR_TEXT_MAX];
	uint64_t deadline;
	size_t have;
	uint8_t bytes[PROXY_MAX];
};

enum sgb_err daemon_proxy_set(
	struct daemon *d, const struct conf_list *nets, const char **ret_bad)
{
	struct addr_net parsed[PROXY_NETS_MAX];
	size_t i;

	for (i = 0; i < nets->count; i++) {
		*ret_bad = nets->items[i];
		if (i == PROXY_NETS_MAX)
			return SGB_ERR_LIMIT;
		/* The whole Internet is no front end. */
		if (addr_net_parse(nets->items[i], &parsed[i]) ||
			!parsed[i].bits)
			return SGB_ERR_FORMAT;
	}
	memcpy(d->proxy_nets, parsed, i * sizeof(parsed[0]));
	d->proxy_net_count = i;
	return SGB_OK;
}

bool daemon_proxy_is_front(const struct daemon *d, const struct addr *peer)
{
	size_t i;

	for (i = 0; i < d->proxy_net_count; i++)
		if (addr_in_net(peer, &d->proxy_nets[i]))
			return true;
	return false;
}

static void leave(struct daemon *d, struct newcomer *new, bool keep_fd)
{
	TAILQ_REMOVE(&d->newcomers, new, link);
	d->newcomer_count--;
	if (!keep_fd)
		close(new->fd);
	free(new);
}

void daemon_proxy_wait(struct daemon *d, int fd, const struct addr *front,
	uint16_t port, const char *local)
{
	struct newcomer *new = calloc(1, sizeof(*new));

	if (!new) {
		close(fd);
		return;
	}
	/* The oldest has had its time; a silent front end pushes out itself. */
	if (d->newcomer_count >= NEWCOMERS_MAX)
		leave(d, TAILQ_FIRST(&d->newcomers), false);
	new->fd = fd;
	new->front = *front;
	new->front_port = port;
	strncpy(new->local, local, sizeof(new->local) - 1);
	new->deadline = daemon_now_ms() + PATIENCE_MS;
	TAILQ_INSERT_TAIL(&d->newcomers, new, link);
	d->newcomer_count++;
}

static void admit(struct daemon *d, struct newcomer *new)
{
	struct addr front = new->front, source;
	struct proxy_header header;
	char local[ADDR_TEXT_MAX];
	uint16_t port;
	int fd = new->fd;

	if (proxy_header_parse(new->bytes, new->have, &header)) {
		daemon_refused(d, &front, "not a PROXY header");
		leave(d, new, false);
		return;
	}
	source = header.local ? front : header.source;
	port = header.local ? new->front_port : header.port;
	memcpy(local, new->local, sizeof(local));
	leave(d, new, true);
	daemon_admit(d, fd, &source, port, header.local ? NULL : &front, local);
}

/* What has come, up to the end of the header and no further. */
static void take(struct daemon *d, struct newcomer *new)
{
	size_t size = 0;

	for (;;) {
		ssize_t got;

		if (proxy_header_size(new->bytes, new->have, &size)) {
			daemon_refused(d, &new->front, "not a PROXY header");
			leave(d, new, false);
			return;
		}
		if (new->have >= PROXY_FIXED_LEN &&new->have == size) {
			admit(d, new);
			return;
		}
		got = recv(new->fd, new->bytes + new->have, size - new->have,
			MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			leave(d, new, false);
			return;
		}
		new->have += (size_t)got;
	}
}

void daemon_proxy_poll(struct daemon *d)
{
	struct newcomer *new, *next;
	uint64_t now = daemon_now_ms();

	for (new = TAILQ_FIRST(&d->newcomers); new; new = next) {
		next = TAILQ_NEXT(new, link);
		if (now >= new->deadline) {
			daemon_refused(
				d, &new->front, "no PROXY header in time");
			leave(d, new, false);
		} else {
			take(d, new);
		}
	}
}

enum sgb_err daemon_proxy_each(
	struct daemon *d, enum sgb_err (*each)(void *arg, int fd), void *arg)
{
	const struct newcomer *new;
	enum sgb_err err = SGB_OK;

	TAILQ_FOREACH (new, &d->newcomers, link)
		if (!err)
			err = each(arg, new->fd);
	return err;
}

int daemon_proxy_patience(const struct daemon *d)
{
	const struct newcomer *first = TAILQ_FIRST(&d->newcomers);
	uint64_t now = daemon_now_ms();

	if (!first)
		return -1;
	return first->deadline > now ? (int)(first->deadline - now) : 0;
}

void daemon_proxy_done(struct daemon *d)
{
	while (!TAILQ_EMPTY(&d->newcomers))
		leave(d, TAILQ_FIRST(&d->newcomers), false);
}
