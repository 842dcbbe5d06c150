/*
 * One receiver's process. It parses what the receiver says (TLS), so it can do
 * nothing but read the file and use the socket that the parent hands it, and
 * tell how far it got. It holds one chunk of the trail and one of what waits to
 * be sent, however long the receiver is away: the trail is the spool.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/event.h"

#include "forward.h"
#include "forward_line.h"
#include "forward_link.h"
#include "forward_source.h"

#define REPORT_MS  1000
#define HEART_MS   10000
#define PAUSE_MS   500 /* the first, after a failure */
#define QUIT_MS	   1000
#define SETTLE_MS  300
#define LINE_BYTES (4 * JOURNAL_LINE_MAX)
#define AT_ONCE	   256 /* lines, before it looks at its messages */

struct child {
	const struct forward_dest *dest;
	const char *host;
	int sock;
	struct source source;
	struct link link;
	struct forward_report report;
	struct forward_report told; /* as the parent has it */
	uint64_t told_ms;
	bool asked_link;
	bool active;	   /* the link was handed over and has not gone down */
	uint64_t retry_ms; /* when to try again */
	uint64_t pause_ms, pause_max_ms;
	uint64_t quit_ms; /* 0: not asked to */
	bool broken;	  /* the source cannot be read at present */
	bool more;	  /* there is more to send at once */
	struct buf message, framed, json;
};

static void send_msg(struct child *child, const struct forward_msg *msg)
{
	enum sgb_err err = forward_msg_send(child->sock, msg, -1);

	/* A parent that does not read for so long is gone or stuck. */
	if (err)
		_exit(1);
}

static void report(struct child *child)
{
	struct forward_msg msg = {.kind = FORWARD_REPORT};

	msg.report = child->told = child->report;
	child->told_ms = forward_now_ms();
	send_msg(child, &msg);
}

static void set_state(
	struct child *child, enum forward_state state, const char *text)
{
	child->report.state = state;
	(void)snprintf(
		child->report.text, sizeof(child->report.text), "%s", text);
}

static void ask_link(struct child *child)
{
	struct forward_msg msg = {.kind = FORWARD_ASK_LINK};

	child->asked_link = true;
	send_msg(child, &msg);
}

static void ask_trail(struct child *child)
{
	struct forward_msg msg = {
		.kind = FORWARD_ASK_TRAIL, .exact = child->source.ask_exact};

	memcpy(msg.name, child->source.ask_name, sizeof(msg.name));
	send_msg(child, &msg);
}

/* Whatever was not delivered for good is sent again. */
static void went_down(struct child *child, const char *why)
{
	if (child->report.sent_seq > child->report.final.seq)
		child->report.again += child->report.sent_seq -
				       child->report.final.seq;
	child->report.sent_seq = child->report.final.seq;
	source_resume(&child->source, &child->report.final);
	child->retry_ms = forward_now_ms() + forward_jitter(child->pause_ms);
	child->pause_ms *= 2;
	if (child->pause_ms > child->pause_max_ms)
		child->pause_ms = child->pause_max_ms;
	set_state(child, FORWARD_AWAY, why);
}

/* That a datagram was refused, or our certificate was missed (TLS 1.3), shows
 * only a moment after all seemed well. */
static bool holds(const struct link *link)
{
	return forward_now_ms() - link->since_ms >= SETTLE_MS;
}

/* After anything that may have moved the link. */
static void follow_link(struct child *child)
{
	const struct link *link = &child->link;

	if (link->phase == LINK_DOWN && child->active) {
		child->active = false;
		went_down(child, link->text);
	} else if (link->phase == LINK_UP &&
		   child->report.state != FORWARD_UP && holds(link)) {
		child->report.expires = link->expires;
		set_state(child, FORWARD_UP, link->text);
	} else if (link->phase == LINK_UP && child->pause_ms > PAUSE_MS &&
		   forward_now_ms() - link->since_ms > child->pause_ms) {
		child->pause_ms = PAUSE_MS; /* it holds */
	}
}

/* The message, framed where the transport needs it, into the link. */
static void put(struct child *child, const struct forward_line *line,
	const struct forward_place *place)
{
	const struct forward_dest *dest = child->dest;
	bool framed = dest->kind == FORWARD_TCP || dest->kind == FORWARD_TLS;
	enum sgb_err err;
	size_t cut = 0;

	buf_reset(&child->message);
	buf_reset(&child->framed);
	if (dest->kind == FORWARD_JOURNALD)
		err = forward_journald(dest, line, &child->message);
	else
		err = forward_syslog(
			dest, child->host, line, &child->message, &cut);
	if (!err && framed)
		err = forward_frame(&child->message, &child->framed);
	if (err) {
		link_down(&child->link, "a line cannot be made a message: %s",
			sgb_err_text(err));
		return;
	}
	child->report.cut += cut > 0;
	link_put(
		&child->link, framed ? &child->framed : &child->message, place);
	if (child->link.phase == LINK_UP && place) {
		child->report.sent_seq = place->seq;
		child->report.lines++;
	}
}

static void put_gap(struct child *child, struct forward_line *line)
{
	char what[64];
	struct event event = {.kind = EVENT_FORWARD_GAP,
		.what = what,
		.reason = child->source.why};

	(void)snprintf(what, sizeof(what), "%llu-%llu",
		(unsigned long long)line->gap_first,
		(unsigned long long)line->gap_last);
	buf_reset(&child->json);
	if (event_json(&event, &child->json)) {
		link_down(&child->link, "a gap cannot be stated");
		return;
	}
	(void)!forward_line_read(
		line, (const char *)child->json.data, child->json.len);
	child->report.gaps++;
	put(child, line, NULL);
}

/* Sends what there is, as long as the link takes it. */
static void pump(struct child *child)
{
	struct forward_line line;
	int i;

	child->more = false;
	for (i = 0; i < AT_ONCE; i++) {
		if (!link_room(&child->link, forward_now_ms()))
			return;
		memset(&line, 0, sizeof(line));
		switch (source_next(&child->source, &line)) {
		case SOURCE_LINE: put(child, &line, &child->source.at); break;
		case SOURCE_GAP: put_gap(child, &line); break;
		case SOURCE_ASK: ask_trail(child); return;
		case SOURCE_BROKEN:
			child->broken = true;
			set_state(child, FORWARD_UP, child->source.why);
			return;
		case SOURCE_BUSY: child->more = true; return;
		case SOURCE_NOTHING: return;
		}
		if (child->link.phase != LINK_UP)
			return;
	}
	child->more = true;
}

static void take_trail(
	struct child *child, const struct forward_msg *msg, int fd)
{
	source_wake(&child->source, msg->newest, msg->newest_inode);
	if (fd < 0 && msg->error) {
		char why[FORWARD_TEXT_MAX];

		(void)snprintf(why, sizeof(why), "events/%s: %s", msg->name,
			strerror(msg->error));
		link_down(&child->link, "%s", why);
		child->source.asked = false;
		return;
	}
	source_file(&child->source, fd, msg->name);
	/* Its age, now that it is open. */
	source_wake(&child->source, msg->newest, msg->newest_inode);
}

static void take_link(
	struct child *child, const struct forward_msg *msg, int fd)
{
	child->asked_link = false;
	if (fd >= 0) {
		link_open(&child->link, fd);
		child->active = true;
		return;
	}
	link_down(&child->link, "connecting: %s", strerror(msg->error));
	went_down(child, child->link.text);
}

static void take_msg(struct child *child, const struct forward_msg *msg, int fd)
{
	switch (msg->kind) {
	case FORWARD_WAKE:
		if (child->broken)
			set_state(child, FORWARD_UP, child->link.text);
		child->broken = false;
		source_wake(&child->source, msg->newest, msg->newest_inode);
		break;
	case FORWARD_TRAIL: take_trail(child, msg, fd); return;
	case FORWARD_LINK: take_link(child, msg, fd); return;
	case FORWARD_STOP:
		child->quit_ms = forward_now_ms() + QUIT_MS;
		link_quit(&child->link);
		break;
	default: _exit(1);
	}
	if (fd >= 0)
		close(fd);
}

static void read_msgs(struct child *child)
{
	struct forward_msg msg;
	enum sgb_err err;
	int fd, i;

	for (i = 0; i < 64; i++) {
		err = forward_msg_receive(child->sock, &msg, &fd);
		if (err == SGB_ERR_AGAIN)
			return;
		if (err)
			_exit(0); /* the parent is gone */
		take_msg(child, &msg, fd);
	}
}

static void tick(struct child *child)
{
	uint64_t now = forward_now_ms();

	if (link_delivered(&child->link, &child->report.final))
		source_anchor(&child->source, &child->report.final);
	follow_link(child);
	if (!child->active && !child->asked_link && now >= child->retry_ms &&
		!child->quit_ms)
		ask_link(child);
	if (child->report.state != child->told.state ||
		strcmp(child->report.text, child->told.text) != 0 ||
		now - child->told_ms >= HEART_MS ||
		(now - child->told_ms >= REPORT_MS &&
			memcmp(&child->report, &child->told,
				sizeof(child->report)) != 0))
		report(child);
	if (child->quit_ms &&
		(now >= child->quit_ms || child->link.phase != LINK_UP ||
			!child->link.out.len)) {
		report(child);
		_exit(0);
	}
}

static int sooner(int a, int b)
{
	return b >= 0 && b < a ? b : a;
}

static int wait_ms(const struct child *child)
{
	uint64_t now = forward_now_ms();
	int wait = REPORT_MS;

	if (child->more)
		return 0;
	wait = sooner(wait, link_wait_ms(&child->link, now));
	if (!child->active && !child->asked_link)
		wait = sooner(wait, child->retry_ms > now
					    ? (int)(child->retry_ms - now)
					    : 0);
	return wait;
}

static void loop(struct child *child)
{
	struct pollfd polls[2] = {{.fd = child->sock, .events = POLLIN}};

	for (;;) {
		polls[1].fd = child->link.fd;
		polls[1].events = link_wants(&child->link);
		polls[0].revents = polls[1].revents = 0;
		if (poll(polls, 2, wait_ms(child)) < 0 && errno != EINTR)
			_exit(1);
		if (polls[1].revents)
			link_ready(&child->link, polls[1].revents);
		follow_link(child);
		if (polls[0].revents)
			read_msgs(child);
		link_tick(&child->link, forward_now_ms());
		if (!child->broken)
			pump(child);
		tick(child);
	}
}

void forward_child(const struct forward_dest *dest, const char *host,
	const struct forward_place *from, int sock, uint64_t retry_ms)
{
	static struct child child;

	/* A parent that was killed takes its children along. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		_exit(1);
	child.dest = dest;
	child.host = host;
	child.sock = sock;
	child.pause_ms = PAUSE_MS;
	child.pause_max_ms = retry_ms;
	if (child.pause_ms > retry_ms)
		child.pause_ms = retry_ms;
	child.report.final = *from;
	child.report.sent_seq = from->seq;
	buf_init(&child.message, LINE_BYTES);
	buf_init(&child.framed, LINE_BYTES);
	buf_init(&child.json, JOURNAL_LINE_MAX);
	link_init(&child.link, dest);
	source_init(&child.source, from);
	/* Dates of certificates are UTC, and no file says so later. */
	if (setenv("TZ", "UTC0", 1))
		_exit(1);
	tzset();
	if (forward_confine_child())
		_exit(1);
	report(&child);
	loop(&child);
	_exit(0);
}
