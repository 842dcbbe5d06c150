/*
 * sgbridge-session(8): start, sandbox, and the one loop of a connection's
 * process. Forked from a cradle, with its monitor's socket at descriptor 3 and
 * the client's at 4. After sandbox_enter() it can open nothing.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/forkmem.h"
#include "core/log.h"
#include "core/priv.h"
#include "core/program.h"
#include "core/sanitizer.h"
#include "session_borrow.h"
#include "session_channel.h"
#include "session_cradle.h"
#include "session_hop.h"
#include "session_io.h"

#define TICK_MS		 1000
#define READS_MAX	 128
#define TURN_SECONDS_MAX 5
#define ROUNDS_MAX	 64
#define UNANSWERED_MAX	 3
#define REFUSED_MS	 30000 /* to take in why, and close */
#define REKEY_MS	 90000 /* without keepalives */
#define KEPT_MEMORY	 (512 * 1024)
#define MAPPED_MEMORY	 (100 * 1024)

void session_end(struct session *s, const char *text)
{
	struct channel *ch;

	if (s->ending)
		return;
	s->ending = true;
	s->busy = true;
	s->end_text = text ? strdup(text) : NULL;
	s->end_deadline = s->now + LINGER_MS;
	if (text && s->record.fd >= 0)
		record_put_text(
			&s->record, RECORD_CONNECTION, RECORD_NOTE, text);
	TAILQ_FOREACH (ch, &s->channels, entry)
		channel_abandon(ch, text);
}

static void recorder_lost(struct session *s)
{
	char *text;

	if (s->ending)
		return;
	link_report(s, 0, SESSION_REPORT_RECORDER_LOST, 0, 0, "");
	text = session_with_reference(s, "recording failed, session ended");
	session_end(s, text ? text : "recording failed, session ended");
	free(text);
}

static void check_recorder(struct session *s)
{
	if (s->record.fd < 0)
		return;
	if (s->record_ready && record_receive(&s->record))
		channel_recorded(s);
	s->record_ready = false;
	record_tick(&s->record, s->now);
	/* The time to deliver what is left begins when it may be. */
	if (s->record.waits)
		s->linger_until = s->now + LINGER_MS;
	if (s->record.lost)
		recorder_lost(s);
}

/* Nothing to wait for any more: when may the process leave? */
static bool settled(struct session *s)
{
	struct channel *ch;

	if (s->client.state == LEG_GONE)
		return true;
	TAILQ_FOREACH (ch, &s->channels, entry)
		if (channel_undelivered(ch))
			return false;
	return true;
}

/* No target to be had: over once that was said, and no later for a client that
 * closes nothing. A connection that others go through is theirs. */
static bool refused_for_good(const struct session *s)
{
	if (s->target_leg.state != LEG_REFUSED)
		return false;
	if (TAILQ_EMPTY(&s->channels))
		return s->channel_seen || s->now >= s->linger_until;
	return !s->stream_seen && s->now >= s->linger_until + REFUSED_MS;
}

/* Ends that come by themselves: no target to be had, or the target gone. */
static void check_ends(struct session *s)
{
	char *text = NULL;

	if (s->ending) {
		if ((settled(s) && !io_unsent(s->client.fd)) ||
			s->now >= s->end_deadline)
			s->over = true;
		return;
	}
	if (refused_for_good(s))
		session_end(s, s->channel_seen ? NULL : s->refusal);
	if (s->target_lost && (settled(s) || s->now >= s->linger_until)) {
		if (asprintf(&text, "the connection to %s has ended",
			    s->target.name) < 0)
			text = NULL;
		session_end(s, text);
		free(text);
	}
}

static void check_leg(struct session *s, struct leg *leg)
{
	uint64_t received = io_received(leg->fd);
	uint64_t interval = (uint64_t)s->start.keepalive * 1000;

	if (leg->rekey_since &&
		s->now - leg->rekey_since >=
			(interval ? interval * UNANSWERED_MAX : REKEY_MS)) {
		link_report(s, 0, SESSION_REPORT_ANOMALY, 0, 0,
			"a key exchange that does not end");
		session_end(s, "the exchange of new keys took too long");
		return;
	}
	if (leg->state != LEG_READY)
		return;
	if (received != leg->received || !leg->heard) {
		leg->received = received;
		leg->heard = s->now;
		/* Called once more it takes the answer in, and sends nothing
		 * new while there is one to take. */
		if (leg->ping_open)
			ssh_send_keepalive(leg->ssh);
		leg->ping_open = false;
	}
	if (!interval || s->now - leg->heard < interval ||
		s->now - leg->pinged < interval)
		return;
	if (s->now - leg->heard >= interval * UNANSWERED_MAX) {
		session_end(s, "the other side does not answer any more");
		return;
	}
	leg->pinged = s->now;
	leg->ping_open = true;
	ssh_send_keepalive(leg->ssh);
}

static void check_memory(struct session *s)
{
	struct mallinfo2 info = mallinfo2();

	/* A peer that makes libssh hoard (an unfinished key exchange, 0.10.6)
	 * is told apart from an allocation failure in the middle of things. */
	if (!s->start.max_memory ||
		info.uordblks + info.hblkhd < s->start.max_memory / 2)
		return;
	link_report(s, 0, SESSION_REPORT_ANOMALY, info.uordblks, 0,
		"too much memory in use");
	session_end(s, "Too much memory in use.");
}

/* libssh 0.10.6 can be made to loop for ever (a channel whose largest packet
 * is 10 bytes): a turn that takes this much processor time is the last. */
static void wind_watchdog(void)
{
	static const struct itimerval timer = {
		.it_value = {.tv_sec = TURN_SECONDS_MAX}};

	setitimer(ITIMER_PROF, &timer, NULL);
}

/* A session that waits for its user gives back what the handshakes and the
 * last burst took: there may be thousands. */
static void rest(struct session *s)
{
	uint64_t received = io_received(s->client.fd) +
			    io_received(s->target_leg.fd);

	if (received != s->rested_at) {
		s->rested_at = received;
		s->rested = false;
	} else if (!s->rested && s->target_leg.state == LEG_READY) {
		s->rested = true;
		io_rest();
		channels_rest(s);
		malloc_trim(0);
	}
}

static void tick(struct session *s)
{
	uint64_t idle = (uint64_t)s->target.idle * 1000;

	if (s->now < s->next_tick)
		return;
	s->next_tick = s->now + TICK_MS;
	wind_watchdog();
	check_leg(s, &s->client);
	check_leg(s, &s->target_leg);
	check_memory(s);
	rest(s);
	if (idle && s->target_leg.state == LEG_READY &&
		s->now - s->user_active >= idle)
		session_end(s, "no input for too long");
}

/* Bytes that libssh has not read, or has not been able to write so far and may
 * write now: what a peer that does not read has to take first is nothing to do
 * until it reads. Nor is what a leg says that nobody listens to any more. */
static bool leg_has_work(const struct leg *leg)
{
	return leg->ssh && leg->state < LEG_REFUSED &&
	       (io_readable(leg->fd) ||
		       (io_takes(leg->fd) &&
			       (ssh_get_status(leg->ssh) & SSH_WRITE_PENDING)));
}

/* libssh reads 4 KiB a call; this goes on until it has all that came. What it
 * hands out meanwhile is bounded by the windows. */
static void read_legs(struct session *s)
{
	unsigned int i;

	for (i = 0; i < READS_MAX; i++) {
		s->held = legs_hold(s);
		if (!leg_has_work(&s->client) && !leg_has_work(&s->target_leg))
			return;
		ssh_event_dopoll(s->event, 0);
	}
}

/* One turn: everything that can be done without waiting. */
static bool turn(struct session *s)
{
	unsigned int round;
	bool progress = true;

	for (round = 0; progress && round < ROUNDS_MAX && !s->over; round++) {
		s->busy = false;
		if (s->from_monitor_count)
			link_receive(s);
		/* First: perhaps nothing may pass any more. */
		check_recorder(s);
		read_legs(s);
		progress = server_pump(s);
		progress |= target_pump(s);
		progress |= back_pump(s);
		progress |= channels_pump(s);
		progress |= s->busy;
		check_recorder(s);
		check_ends(s);
	}
	return progress || leg_has_work(&s->client) ||
	       leg_has_work(&s->target_leg);
}

/* Returns true if a leg that was full is not any more. */
static bool flush(struct session *s)
{
	struct channel *ch;
	bool relieved;

	if (s->record.fd >= 0)
		record_flush(&s->record);
	TAILQ_FOREACH (ch, &s->channels, entry)
		if (ch->forward)
			record_flush(&ch->forward_record);
	relieved = io_flush_all();
	link_flush(s);
	return relieved;
}

static bool accounts_settled(const struct session *s)
{
	return TAILQ_EMPTY(&s->to_monitor) &&
	       (s->record.fd < 0 || s->record.lost ||
		       !record_pending(&s->record));
}

/* The last of the books, to peers that may be slow but not for ever. */
static void settle_accounts(struct session *s)
{
	uint64_t deadline = session_now() + LINGER_MS;
	static const struct timespec step = {.tv_nsec = 100 * 1000000};

	s->record.closing = true;
	flush(s);
	while (!accounts_settled(s) && session_now() < deadline) {
		/* One that is negative is not waited for. */
		struct pollfd fds[] = {
			{.fd = TAILQ_EMPTY(&s->to_monitor) ? -1
							   : SESSION_MONITOR_FD,
				.events = POLLOUT},
			{.fd = s->record.lost ? -1 : s->record.fd,
				.events = record_blocked(&s->record)
						  ? POLLIN | POLLOUT
						  : POLLIN},
		};

		if (ppoll(fds, 2, &step, NULL) < 0 && errno != EINTR)
			return;
		if (s->record.fd >= 0)
			record_receive(&s->record);
		flush(s);
	}
	if (s->to_monitor_count)
		log_put(LOG_WARNING, "%s: %zu reports were not delivered",
			s->start.conn_id, s->to_monitor_count);
}

static void serve(struct session *s)
{
	s->now = session_now();
	while (!s->over) {
		bool more = turn(s);

		tick(s);
		more |= flush(s);
		if (!s->over)
			session_wait(s, more || s->busy);
	}
	channels_drop(s);
	back_done(s);
	borrow_done(s);
	settle_accounts(s);
	server_close(s, s->end_text);
	target_close(s);
	flush(s);
}

/* Packets are allocated and freed, some at once. What malloc gives back to the
 * kernel in between comes again as a page fault and a page to clear, a tenth
 * of what a byte costs; rest() gives it back when there is time. The buffers
 * that stay, or had to be large for once, are mapped each for itself, and so
 * leave no holes between packets. */
static void keep_memory(void)
{
	mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	mallopt(M_MMAP_THRESHOLD, MAPPED_MEMORY);
}

/* What needs no connection: once a process, or once a cradle. */
static enum sgb_err prepare_program(void)
{
	enum sgb_err err = priv_harden();

	keep_memory();
	if (!err)
		err = session_warm_up();
	if (!err)
		err = sandbox_prepare();
	return err;
}

/* What is left is the kernel's to give back. OpenSSL would take its tables
 * apart, and so first make copies of what a cradle's sessions share. */
__attribute__((noreturn)) static void leave(void)
{
	if (SGB_SANITIZER)
		exit(EX_OK);
	_exit(EX_OK);
}

static enum sgb_err prepare_process(struct session *s)
{
	enum sgb_err err = session_start_receive(s);
	int flags;

	flags = fcntl(SESSION_MONITOR_FD, F_GETFL);
	if (!err && (flags < 0 || fcntl(SESSION_MONITOR_FD, F_SETFL,
					  flags | O_NONBLOCK)))
		err = SGB_ERR_SYSTEM;
	return err;
}

static void session_init(struct session *s)
{
	TAILQ_INIT(&s->channels);
	TAILQ_INIT(&s->to_monitor);
	TAILQ_INIT(&s->from_monitor);
	TAILQ_INIT(&s->forwards);
	record_init(&s->record);
	s->client.fd = s->target_leg.fd = s->target.agent = -1;
	s->verify.fd = -1;
}

/* "-u uid:gid -r folder", and "-c count" for a cradle. */
static enum sgb_err parse_args(int argc, char **argv,
	struct session_place *place, unsigned int *ret_cradle)
{
	bool user = false;
	int c;

	while ((c = getopt(argc, argv, "c:r:u:")) != -1) {
		char more;

		switch (c) {
		case 'c':
			*ret_cradle = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'r': place->empty_root = optarg; break;
		case 'u':
			user = sscanf(optarg, "%u:%u%c", &place->uid,
				       &place->gid, &more) == 2;
			break;
		default: return SGB_ERR_FORMAT;
		}
	}
	return user && place->empty_root && optind == argc ? SGB_OK
							   : SGB_ERR_FORMAT;
}

int main(int argc, char **argv)
{
	static struct session s;
	struct session_place place = {0};
	unsigned int cradle = 0;
	enum sgb_err err;

	program_name("sgbridge-session");
	log_init("sgbridge-session", true);
	err = parse_args(argc, argv, &place, &cradle);
	if (!err)
		err = prepare_program();
	if (!err && cradle) {
		forkmem_settle();
		if (!session_cradle(cradle))
			return EX_OK;
		err = session_forked();
	}
	session_init(&s);
	if (!err)
		err = prepare_process(&s);
	if (err)
		log_fatal(EX_OSERR, "start: %s", sgb_err_text(err));
	err = sandbox_enter(&s.start, &place);
	if (err)
		log_fatal(EX_OSERR, "sandbox: %s (%s)", sgb_err_text(err),
			strerror(errno));
	if (s.start.mode == SESSION_MODE_HOP) {
		session_hop(&s);
		leave();
	}
	err = server_open(&s);
	if (err)
		log_fatal(EX_SOFTWARE, "ssh: %s", sgb_err_text(err));
	serve(&s);
	leave();
}
