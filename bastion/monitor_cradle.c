/*
 * Session processes from a cradle (session_cradle.c): a session program that
 * was started once and forks some. Cradles are started by sgbridge-starter,
 * since nobody here has the power to. Ending and burying a session is asked of
 * its cradle, too. Trusts the cradle: it runs as root and reads what monitors
 * send, nothing else.
 */
#include "monitor.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"

/* ms: one that is just starting must link first */
#define BORN_PATIENCE 10000
#define DIED_PATIENCE 3000
/* A starter that is being replaced by a newer one is gone for a moment. */
#define STARTER_TRIES	 50
#define STARTER_PAUSE_NS 100000000

static bool cradle_open(const struct monitor *m)
{
	struct pollfd fd = {.fd = m->cradle, .events = POLLOUT};

	return m->cradle >= 0 && poll(&fd, 1, 0) >= 0 &&
	       !(fd.revents & (POLLHUP | POLLERR));
}

/* Asks for a cradle of so many sessions, with cradle as its descriptor. */
static enum sgb_err order(const struct monitor *m, uint32_t count, int cradle)
{
	int sock = m->starter;
	struct msg msg;
	enum sgb_err err = SGB_OK;

	if (m->starter_path)
		err = msg_connect(m->starter_path, &sock);
	if (err)
		return err;
	msg_init(&msg, MSG_STA_CRADLE);
	buf_put_u32(&msg.body, count);
	err = msg_put_fd(&msg, cradle);
	if (!err)
		err = msg_send(sock, &msg);
	msg_done(&msg);
	if (m->starter_path)
		close(sock);
	return err;
}

static enum sgb_err new_cradle(
	const struct monitor *m, uint64_t count, int *ret_cradle)
{
	enum sgb_err err;
	int pair[2];

	err = msg_pair(pair);
	if (err)
		return err;
	err = order(
		m, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX, pair[1]);
	close(pair[1]);
	if (err)
		close(pair[0]);
	else
		*ret_cradle = pair[0];
	return err;
}

/* Each connection takes a place, and where many come at once the cradle has
 * not taken its last one when the next asks: whoever came too late would wait
 * for a start of his own. */
void monitor_cradle_keep(struct monitor *m)
{
	uint64_t count = m->conf->sessions_per_start;

	if (count < 2)
		return;
	if (count > MSG_CRADLE_MAX)
		count = MSG_CRADLE_MAX;
	if (m->cradle_places && cradle_open(m)) {
		m->cradle_places--;
		return;
	}
	if (m->cradle >= 0)
		close(m->cradle);
	m->cradle = -1;
	if (new_cradle(m, count, &m->cradle))
		log_put(LOG_DEBUG, "sgbridge-starter does not answer");
	else
		m->cradle_places = count - 1;
}

static enum sgb_err ask(struct monitor *m, int cradle, int link, int watch)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_CRD_START);
	err = msg_put_fd(&msg, link);
	if (!err)
		err = msg_put_fd(&msg, m->client);
	if (!err)
		err = msg_put_fd(&msg, watch);
	if (!err)
		err = msg_send(cradle, &msg);
	msg_done(&msg);
	return err;
}

static enum sgb_err await_birth(struct monitor *m)
{
	struct pollfd fd = {.fd = m->session_watch, .events = POLLIN};
	struct msg msg;
	enum sgb_err err = SGB_ERR_SYSTEM;

	msg_init(&msg, MSG_NONE);
	if (poll(&fd, 1, BORN_PATIENCE) == 1)
		err = msg_recv(m->session_watch, &msg);
	if (!err && msg.type != MSG_CRD_BORN)
		err = SGB_ERR_PHASE;
	if (!err)
		err = reader_end(&msg.reader);
	if (!err)
		m->session_pidfd = msg_take_fd(&msg, 0);
	msg_done(&msg);
	return err;
}

/* SGB_ERR_CLOSED: it had its number, and the kernel dropped what lay in its
 * queue. */
static enum sgb_err from_cradle(struct monitor *m, int cradle, int link)
{
	enum sgb_err err;
	int watch[2];

	err = msg_pair(watch);
	if (err)
		return err;
	m->session_watch = watch[0];
	err = ask(m, cradle, link, watch[1]);
	close(watch[1]);
	if (!err)
		err = await_birth(m);
	if (!err)
		return SGB_OK;
	close(m->session_watch);
	m->session_watch = -1;
	return err;
}

/* In a monitor, where nobody else waits. */
static enum sgb_err own_cradle(const struct monitor *m, int *ret_cradle)
{
	static const struct timespec pause = {.tv_nsec = STARTER_PAUSE_NS};
	enum sgb_err err;
	int tries;

	for (tries = 0; tries < STARTER_TRIES; tries++) {
		err = new_cradle(m, 1, ret_cradle);
		if (!err || !m->starter_path)
			break;
		(void)nanosleep(&pause, NULL);
	}
	if (err)
		log_put(LOG_ERR, "%s: sgbridge-starter does not answer",
			m->conn_id);
	return err;
}

enum sgb_err monitor_cradle_session(struct monitor *m, int link)
{
	enum sgb_err err = SGB_ERR_CLOSED;
	int own;

	if (m->cradle >= 0)
		err = from_cradle(m, m->cradle, link);
	if (err != SGB_ERR_CLOSED)
		return err;
	err = own_cradle(m, &own);
	if (err)
		return err;
	err = from_cradle(m, own, link);
	close(own);
	return err;
}

void monitor_cradle_end(int watch)
{
	if (watch >= 0)
		(void)shutdown(watch, SHUT_WR);
}

void monitor_session_kill(struct monitor *m)
{
	m->session_killed = true;
	monitor_cradle_end(m->session_watch);
}

/* A session that closed its socket to us has no more to do; one that stays
 * around is helped. */
int monitor_session_wait(struct monitor *m)
{
	struct pollfd fd = {.fd = m->session_pidfd, .events = POLLIN};
	struct msg msg;
	int status = 0;

	if (m->session_watch < 0)
		return 0;
	if (fd.fd < 0 || poll(&fd, 1, DIED_PATIENCE) != 1)
		monitor_session_kill(m);
	fd.fd = m->session_watch;
	msg_init(&msg, MSG_NONE);
	if (poll(&fd, 1, DIED_PATIENCE) == 1 &&
		!msg_recv(m->session_watch, &msg) && msg.type == MSG_CRD_DIED)
		status = (int)reader_u32(&msg.reader);
	msg_done(&msg);
	close(m->session_watch);
	if (m->session_pidfd >= 0)
		close(m->session_pidfd);
	m->session_watch = m->session_pidfd = -1;
	return status;
}
