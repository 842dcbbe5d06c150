/*
 * Requests for an access: a bounded list, and time. Trusts monitors for who
 * asks and who judges; decides nothing about rights.
 */
#include "daemon_requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "daemon.h"

static void drop(struct daemon *d, struct access_request *request)
{
	TAILQ_REMOVE(&d->requests, request, link);
	d->request_count--;
	free(request->user);
	free(request->access);
	free(request->group);
	free(request->reason);
	free(request->judge);
	free(request->word);
	free(request);
}

void requests_expire(struct daemon *d)
{
	struct access_request *request, *next;
	time_t now = time(NULL);

	for (request = TAILQ_FIRST(&d->requests); request; request = next) {
		next = TAILQ_NEXT(request, link);
		if (request->until <= now)
			drop(d, request);
	}
}

void requests_done(struct daemon *d)
{
	struct access_request *request;

	while ((request = TAILQ_FIRST(&d->requests)))
		drop(d, request);
}

/* Takes the texts on success. */
static struct access_request *add(struct daemon *d,
	const struct connection *conn, char *access, char *group, char *reason)
{
	struct access_request *request = calloc(1, sizeof(*request));
	char *user = strdup(conn->user);

	if (!request || !user || !access || !group || !reason ||
		connection_make_id(request->id)) {
		free(request);
		free(user);
		return NULL;
	}
	request->user = user;
	request->access = access;
	request->group = group;
	request->reason = reason;
	request->source = conn->source;
	request->since = time(NULL);
	request->until = request->since + REQUEST_PATIENCE;
	TAILQ_INSERT_TAIL(&d->requests, request, link);
	d->request_count++;
	return request;
}

static bool same(const struct access_request *request, const char *user,
	const char *access)
{
	return user && access && !strcmp(request->user, user) &&
	       !strcmp(request->access, access);
}

/* A person's new request for the same access replaces the old one, unless
 * that was granted. "" or why not. */
static const char *make_room(
	struct daemon *d, const char *user, const char *access)
{
	struct access_request *request, *next;
	size_t count = 0;

	requests_expire(d);
	for (request = TAILQ_FIRST(&d->requests); request; request = next) {
		next = TAILQ_NEXT(request, link);
		if (same(request, user, access)) {
			if (request->state == MONITOR_ROW_GRANTED)
				return "this access is granted already";
			drop(d, request);
		} else {
			count += !strcmp(request->user, user);
		}
	}
	if (count >= REQUESTS_PER_USER)
		return "too many requests of yours are open";
	if (d->request_count >= REQUESTS_MAX)
		return "too many requests are open";
	return "";
}

static enum sgb_err answer(
	struct connection *conn, const char *id, const char *text)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_MON_FILED);
	buf_put_cstring(&msg.body, id);
	buf_put_cstring(&msg.body, text);
	err = msg_send(conn->control, &msg);
	msg_done(&msg);
	return err;
}

enum sgb_err requests_file(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	char *group = reader_cstring(&msg->reader, 256);
	uint64_t seconds = reader_u64(&msg->reader);
	char *access = reader_cstring(&msg->reader, 512);
	char *reason = reader_cstring(&msg->reader, 512);
	enum sgb_err err = reader_end(&msg->reader);
	struct access_request *request = NULL;
	const char *why;

	if (!err && !conn->user)
		err = SGB_ERR_PHASE;
	if (err)
		goto out;
	why = make_room(d, conn->user, access);
	if (!*why) {
		request = add(d, conn, access, group, reason);
		if (!request)
			why = "out of memory";
	}
	if (request) {
		request->state = MONITOR_ROW_REQUEST;
		request->seconds = seconds;
		access = group = reason = NULL;
	}
	if (answer(conn, request ? request->id : "", why))
		log_put(LOG_WARNING, "%s: answer not delivered", conn->id);
out:
	free(group);
	free(access);
	free(reason);
	return err;
}

static void decide(struct access_request *request, enum monitor_row state,
	const char *judge, const char *word)
{
	uint64_t hold = request->seconds ? request->seconds : REQUEST_ONCE;

	request->state = state;
	free(request->judge);
	free(request->word);
	request->judge = strdup(judge);
	request->word = strdup(word);
	/* Without memory for who said it, nobody did. */
	if (!request->judge)
		request->state = MONITOR_ROW_REQUEST;
	request->until = time(NULL) + (state == MONITOR_ROW_GRANTED
						      ? (time_t)hold
						      : REQUEST_PATIENCE);
}

void requests_keep(struct daemon *d, const struct connection *conn,
	const char *judge, const char *word)
{
	struct access_request *request;
	char *access, *group, *reason;

	if (!conn->approval_seconds || !conn->access || !conn->approval ||
		!conn->user || *make_room(d, conn->user, conn->access))
		return;
	access = strdup(conn->access);
	group = strdup(conn->approval);
	reason = strdup("");
	request = add(d, conn, access, group, reason);
	if (!request) {
		free(access);
		free(group);
		free(reason);
		return;
	}
	request->seconds = conn->approval_seconds;
	decide(request, MONITOR_ROW_GRANTED, judge, word);
}

struct access_request *requests_granted(
	struct daemon *d, const struct connection *conn)
{
	struct access_request *request;

	requests_expire(d);
	TAILQ_FOREACH (request, &d->requests, link)
		if (request->state == MONITOR_ROW_GRANTED &&
			same(request, conn->user, conn->access) &&
			conn->approval &&
			!strcmp(request->group, conn->approval))
			return request;
	return NULL;
}

uint64_t requests_use(struct daemon *d, struct access_request *request)
{
	time_t left = request->until - time(NULL);

	if (!request->seconds) {
		drop(d, request);
		return 0;
	}
	return left > 0 ? (uint64_t)left : 1;
}

/* Sessions that a yes let in go when it is taken back. */
static void end_those_in(struct daemon *d, const struct access_request *request)
{
	struct connection *conn;

	TAILQ_FOREACH (conn, &d->connections, link)
		if (conn->user && !strcmp(conn->user, request->user) &&
			connection_is_in(conn, request->access) &&
			connection_end(conn, "The approval was taken back."))
			log_put(LOG_WARNING, "%s: end not delivered", conn->id);
}

enum sgb_err requests_judge(struct daemon *d, const char *id, const char *judge,
	bool yes, const char *word)
{
	struct access_request *request;

	requests_expire(d);
	TAILQ_FOREACH (request, &d->requests, link)
		if (!strcmp(request->id, id))
			break;
	if (!request || (yes && request->state != MONITOR_ROW_REQUEST))
		return SGB_ERR_NOTFOUND;
	if (!strcmp(judge, request->user) && yes)
		return SGB_ERR_DENIED;
	if (request->state == MONITOR_ROW_GRANTED)
		end_those_in(d, request);
	decide(request, yes ? MONITOR_ROW_GRANTED : MONITOR_ROW_DENIED, judge,
		word);
	return SGB_OK;
}
