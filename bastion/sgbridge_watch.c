/*
 * sgbridge watch ID: a session live, at the console. The recorder hands over
 * what the user sees, after the look is in the event trail; here it is made
 * safe for this terminal. Root only, by the recorder's socket.
 */
#include "sgbridge.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "core/conf.h"
#include "core/event.h"
#include "core/msg.h"
#include "core/record.h"
#include "core/termsafe.h"

#define ID_MAX 40

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

struct look {
	char recording[ID_MAX];
	char title[500]; /* "robot ops@web1" */
};

/* By a connection's or a recording's id. */
static bool find(struct cli *cli, const char *id, struct look *look)
{
	json_t *all = cli_list(cli), *row;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(all, "sessions"), i, row)
	{
		const char *recording = json_string_value(
			json_object_get(row, "recording"));
		const char *conn = json_string_value(
			json_object_get(row, "id"));

		if (!conn || !recording || !*recording ||
			(strcmp(conn, id) && strcmp(recording, id)))
			continue;
		found = true;
		snprintf(look->recording, sizeof(look->recording), "%s",
			recording);
		snprintf(look->title, sizeof(look->title), "%s %s@%s",
			json_string_value(json_object_get(row, "user")),
			json_string_value(json_object_get(row, "login")),
			json_string_value(json_object_get(row, "target")));
	}
	if (all && !found)
		cli_fail("%s: no session of that name is recorded now", id);
	json_decref(all);
	return found;
}

static enum sgb_err exchange(
	int sock, struct msg *question, enum msg_type type, struct msg *answer)
{
	enum sgb_err err = msg_send(sock, question);

	msg_done(question);
	if (!err)
		err = msg_recv_answer(sock, answer);
	if (!err && answer->type != type)
		err = SGB_ERR_DENIED;
	return err;
}

/* In the trail before the first byte is seen. */
static enum sgb_err note_look(int sock, const struct look *look)
{
	char what[600];
	struct event event = {.kind = EVENT_VIEW, .ok = true, .what = what};
	struct msg question, answer;
	struct buf json;
	enum sgb_err err;

	event.user = cli_operator();
	snprintf(what, sizeof(what), "watch %s %s", look->recording,
		look->title);
	buf_init(&json, EVENT_MAX_BYTES + 1);
	err = event_json(&event, &json);
	msg_init(&question, MSG_REC_EVENT);
	msg_init(&answer, MSG_NONE);
	buf_put_string(&question.body, json.data, json.len);
	if (!err)
		err = exchange(sock, &question, MSG_REC_EVENT_OK, &answer);
	msg_done(&question);
	msg_done(&answer);
	buf_done(&json);
	return err;
}

static enum sgb_err ask_view(int sock, const struct look *look, int *ret_fd)
{
	struct msg question, answer;
	enum sgb_err err;

	msg_init(&question, MSG_REC_WATCH);
	buf_put_cstring(&question.body, look->recording);
	msg_init(&answer, MSG_NONE);
	err = exchange(sock, &question, MSG_REC_WATCHING, &answer);
	if (!err)
		*ret_fd = msg_take_fd(&answer, 0);
	msg_done(&answer);
	return err;
}

static void show_items(
	struct termsafe *safe, const uint8_t *data, size_t len, struct buf *out)
{
	struct reader rd;

	reader_init(&rd, data, len);
	while (rd.left && !rd.err) {
		const uint8_t *item;
		size_t item_len;
		uint8_t kind;

		(void)reader_u32(&rd);
		kind = reader_u8(&rd);
		item = reader_string(&rd, &item_len);
		if (!rd.err && (kind == RECORD_OUT || kind == RECORD_ERR))
			termsafe_put(safe, item, item_len, out);
	}
}

static void show(int fd)
{
	static uint8_t bytes[RECORD_MESSAGE_MAX];
	struct termsafe safe = {0};
	struct buf out;
	ssize_t got;

	buf_init(&out, 4 * sizeof(bytes));
	while (!stop) {
		got = recv(fd, bytes, sizeof(bytes), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		buf_reset(&out);
		show_items(&safe, bytes, (size_t)got, &out);
		if (fwrite(out.data, 1, out.len, stdout) != out.len ||
			fflush(stdout))
			break;
	}
	buf_done(&out);
	if (isatty(STDOUT_FILENO))
		fputs(termsafe_reset, stdout);
}

static char *recorder_path(struct cli *cli)
{
	struct conf *conf = NULL;
	char *path = cli_conf(cli, &conf) ? strdup(conf->recorder_socket)
					  : NULL;

	conf_free(conf);
	return path;
}

int cmd_watch(struct cli *cli)
{
	struct sigaction action = {.sa_handler = on_signal};
	char *path = recorder_path(cli);
	int sock = -1, fd = -1;
	struct look look;
	enum sgb_err err;

	if (!path || !find(cli, cli->argv[0], &look)) {
		free(path);
		return CLI_ERROR;
	}
	err = msg_connect(path, &sock);
	if (!err)
		err = note_look(sock, &look);
	if (!err)
		err = ask_view(sock, &look, &fd);
	if (err) {
		cli_fail("%s: %s", path,
			err == SGB_ERR_DENIED ? "the recorder refuses"
					      : sgb_err_text(err));
	} else {
		/* Without SA_RESTART: recv comes back, and the terminal is
		 * given back below. */
		(void)sigaction(SIGINT, &action, NULL);
		(void)sigaction(SIGTERM, &action, NULL);
		(void)sigaction(SIGHUP, &action, NULL);
		printf("sgbridge: watching %s; Ctrl-C ends\n", look.title);
		fflush(stdout);
		show(fd);
		puts(stop ? "\r\nsgbridge: you have left"
			  : "\r\nsgbridge: it has ended, or you did not keep "
			    "up");
		close(fd);
	}
	if (sock >= 0)
		close(sock);
	free(path);
	return err ? CLI_ERROR : CLI_YES;
}
