/*
 * Accesses that wait for somebody's yes: which connection asks, what was said,
 * and what came in by it. Every request has a name of its own, and a word
 * about one never reaches another. Passes words on and decides nothing: the
 * monitor that asked judges who may say so.
 */
#include "daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

static enum sgb_err send_approval(struct connection *conn, const char *judge,
	bool yes, const char *word, uint64_t seconds)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_MON_APPROVAL);
	buf_put_cstring(&msg.body, conn->ask_id);
	buf_put_cstring(&msg.body, judge);
	buf_put_u32(&msg.body, yes);
	buf_put_cstring(&msg.body, word);
	buf_put_u64(&msg.body, seconds);
	err = msg_send(conn->control, &msg);
	msg_done(&msg);
	return err;
}

bool connection_is_in(const struct connection *conn, const char *access)
{
	size_t i;

	for (i = 0; i < conn->in_count; i++)
		if (!strcmp(conn->in[i], access))
			return true;
	return false;
}

/* By a yes that holds for a time, and may be taken back: what cannot be noted
 * is not let in. */
static enum sgb_err note_in(struct connection *conn)
{
	char *access;

	if (connection_is_in(conn, conn->access))
		return SGB_OK;
	if (conn->in_count == CONN_IN_MAX)
		return SGB_ERR_DENIED;
	access = strdup(conn->access);
	if (!access)
		return SGB_ERR_NOMEM;
	conn->in[conn->in_count++] = access;
	return SGB_OK;
}

/* A yes that was given before lets it in. */
static enum sgb_err let_in(struct daemon *d, struct connection *conn)
{
	struct access_request *request = requests_granted(d, conn);
	char word[400];
	char *judge;
	enum sgb_err err;

	if (!request || (request->seconds && note_in(conn)))
		return SGB_ERR_NOTFOUND;
	judge = strdup(request->judge);
	if (!judge)
		return SGB_ERR_NOMEM;
	snprintf(word, sizeof(word), "request %s: %s", request->id,
		*request->reason ? request->reason : request->word);
	err = send_approval(conn, judge, true, word, requests_use(d, request));
	free(judge);
	return err;
}

enum sgb_err connection_ask(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	char *id = reader_cstring(&msg->reader, 64);
	char *group = reader_cstring(&msg->reader, 256);
	uint64_t seconds = reader_u64(&msg->reader);
	char *access = reader_cstring(&msg->reader, 512);
	enum sgb_err err = reader_end(&msg->reader);
	struct msg out;

	free(conn->ask_id);
	conn->ask_id = id;
	if (group && !*group) {
		free(group);
		free(access);
		free(conn->approval);
		conn->approval = NULL;
		return err;
	}
	free(conn->approval);
	free(conn->access);
	conn->approval = group;
	conn->access = access;
	conn->approval_seconds = seconds;
	conn->asked = time(NULL);
	if (err || !let_in(d, conn))
		return err;
	msg_init(&out, MSG_MON_PENDING);
	err = msg_send(conn->control, &out);
	msg_done(&out);
	return err;
}

/* Those that wait for what was granted just now. */
static void wake_waiting(struct daemon *d)
{
	struct connection *conn;

	TAILQ_FOREACH (conn, &d->connections, link)
		if (conn->approval && conn->user && conn->access &&
			requests_granted(d, conn) && let_in(d, conn))
			log_put(LOG_WARNING, "%s: verdict not delivered",
				conn->id);
}

/* The one that waits for a word on this request. */
static struct connection *find_asking(struct daemon *d, const char *request)
{
	struct connection *conn;

	TAILQ_FOREACH (conn, &d->connections, link)
		if (conn->approval && conn->access && conn->ask_id &&
			!strcmp(conn->ask_id, request))
			return conn;
	return NULL;
}

bool connection_asks(struct daemon *d, const char *id, const char **ret_user,
	const char **ret_group)
{
	const struct connection *conn = find_asking(d, id);
	const struct access_request *request;

	if (conn) {
		*ret_user = conn->user;
		*ret_group = conn->approval;
		return conn->user;
	}
	TAILQ_FOREACH (request, &d->requests, link) {
		if (strcmp(request->id, id))
			continue;
		*ret_user = request->user;
		*ret_group = request->group;
		return true;
	}
	return false;
}

enum sgb_err connection_verdict(struct daemon *d, const char *id,
	const char *judge, bool yes, const char *word)
{
	struct connection *conn = find_asking(d, id);
	enum sgb_err err;

	if (conn) {
		/* Who will not wait any longer leaves. */
		if (conn->user && !strcmp(conn->user, judge))
			return SGB_ERR_DENIED;
		if (yes && conn->approval_seconds && note_in(conn))
			return SGB_ERR_DENIED;
		if (yes)
			requests_keep(d, conn, judge, word);
		return send_approval(
			conn, judge, yes, word, conn->approval_seconds);
	}
	err = requests_judge(d, id, judge, yes, word);
	if (!err && yes)
		wake_waiting(d);
	return err;
}
