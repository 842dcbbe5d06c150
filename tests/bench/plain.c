/*
 * plain: the simplest relay that libssh allows, for tests/bench/bench.sh to
 * compare with: one process a connection, libssh's own event loop, each piece
 * copied from one leg to the other. It lets everybody in, checks no host key,
 * records nothing, and is never installed.
 *
 *	plain PORT HOSTKEY USER KEY TARGET
 */
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct relay {
	const char *user, *target;
	ssh_key key;
	ssh_session up, down; /* to the client, to the target */
	ssh_channel client, far;
	bool authenticated, over;
};

static int on_auth(ssh_session session, const char *user,
	struct ssh_key_struct *key, char state, void *data)
{
	struct relay *relay = data;

	(void)session;
	(void)user;
	(void)key;
	if (state == SSH_PUBLICKEY_STATE_VALID)
		relay->authenticated = true;
	return SSH_AUTH_SUCCESS;
}

static int on_data(ssh_session session, ssh_channel channel, void *data,
	uint32_t len, int is_stderr, void *arg)
{
	struct relay *relay = arg;
	ssh_channel to = channel == relay->client ? relay->far : relay->client;

	(void)session;
	if (!to)
		return 0;
	if (is_stderr)
		(void)ssh_channel_write_stderr(to, data, len);
	else
		(void)ssh_channel_write(to, data, len);
	return (int)len;
}

static void on_eof(ssh_session session, ssh_channel channel, void *arg)
{
	struct relay *relay = arg;
	ssh_channel to = channel == relay->client ? relay->far : relay->client;

	(void)session;
	if (to)
		(void)ssh_channel_send_eof(to);
}

static void on_exit_status(
	ssh_session session, ssh_channel channel, int status, void *arg)
{
	struct relay *relay = arg;

	(void)session;
	(void)channel;
	(void)ssh_channel_request_send_exit_status(relay->client, status);
}

static void on_close(ssh_session session, ssh_channel channel, void *arg)
{
	struct relay *relay = arg;

	(void)session;
	(void)channel;
	if (relay->client)
		(void)ssh_channel_close(relay->client);
	relay->over = true;
}

static int on_exec(ssh_session session, ssh_channel channel,
	const char *command, void *arg)
{
	struct relay *relay = arg;

	(void)session;
	(void)channel;
	return ssh_channel_request_exec(relay->far, command) == SSH_OK ? 0 : 1;
}

static int on_subsystem(
	ssh_session session, ssh_channel channel, const char *name, void *arg)
{
	struct relay *relay = arg;

	(void)session;
	(void)channel;
	return ssh_channel_request_subsystem(relay->far, name) == SSH_OK ? 0
									 : 1;
}

static bool connect_target(struct relay *relay)
{
	int no = 0, yes = 1;

	relay->down = ssh_new();
	return relay->down &&
	       !ssh_options_set(relay->down, SSH_OPTIONS_PROCESS_CONFIG, &no) &&
	       !ssh_options_set(relay->down, SSH_OPTIONS_HOST, relay->target) &&
	       !ssh_options_set(relay->down, SSH_OPTIONS_USER, relay->user) &&
	       !ssh_options_set(relay->down, SSH_OPTIONS_NODELAY, &yes) &&
	       ssh_connect(relay->down) == SSH_OK &&
	       ssh_userauth_publickey(relay->down, NULL, relay->key) ==
		       SSH_AUTH_SUCCESS;
}

static ssh_channel on_open(ssh_session session, void *arg)
{
	static struct ssh_channel_callbacks_struct near, far;
	struct relay *relay = arg;

	if (!connect_target(relay))
		return NULL;
	relay->far = ssh_channel_new(relay->down);
	if (!relay->far || ssh_channel_open_session(relay->far) != SSH_OK)
		return NULL;
	relay->client = ssh_channel_new(session);
	near.userdata = far.userdata = relay;
	near.channel_data_function = far.channel_data_function = on_data;
	near.channel_eof_function = far.channel_eof_function = on_eof;
	near.channel_close_function = far.channel_close_function = on_close;
	near.channel_exec_request_function = on_exec;
	near.channel_subsystem_request_function = on_subsystem;
	far.channel_exit_status_function = on_exit_status;
	ssh_callbacks_init(&near);
	ssh_callbacks_init(&far);
	(void)ssh_set_channel_callbacks(relay->client, &near);
	(void)ssh_set_channel_callbacks(relay->far, &far);
	return relay->client;
}

static void serve(struct relay *relay)
{
	static struct ssh_server_callbacks_struct server;
	ssh_event event = ssh_event_new();
	bool both = false;

	server.userdata = relay;
	server.auth_pubkey_function = on_auth;
	server.channel_open_request_session_function = on_open;
	ssh_callbacks_init(&server);
	(void)ssh_set_server_callbacks(relay->up, &server);
	ssh_set_auth_methods(relay->up, SSH_AUTH_METHOD_PUBLICKEY);
	if (ssh_handle_key_exchange(relay->up) != SSH_OK ||
		ssh_event_add_session(event, relay->up) != SSH_OK)
		return;
	/* A client that is gone closes no channel, and its target would send to
	 * nobody for ever. */
	while (!relay->over && ssh_is_connected(relay->up) &&
		ssh_event_dopoll(event, 60000) != SSH_ERROR) {
		if (both || !relay->far)
			continue;
		(void)ssh_event_add_session(event, relay->down);
		both = true;
	}
	/* The client goes when it has read everything. */
	while (ssh_is_connected(relay->up) &&
		ssh_event_dopoll(event, 10000) == SSH_OK)
		;
}

static ssh_bind listen_on(const char *port, const char *host_key)
{
	ssh_bind listener = ssh_bind_new();
	int no = 0;

	if (!listener ||
		ssh_bind_options_set(
			listener, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) ||
		ssh_bind_options_set(
			listener, SSH_BIND_OPTIONS_BINDPORT_STR, port) ||
		ssh_bind_options_set(
			listener, SSH_BIND_OPTIONS_HOSTKEY, host_key) ||
		ssh_bind_listen(listener)) {
		fprintf(stderr, "plain: %s\n",
			listener ? ssh_get_error(listener) : "no memory");
		exit(1);
	}
	return listener;
}

int main(int argc, char **argv)
{
	struct relay relay = {0};
	ssh_bind listener;

	if (argc != 6) {
		fputs("usage: plain PORT HOSTKEY USER KEY TARGET\n", stderr);
		return 64;
	}
	relay.user = argv[3];
	relay.target = argv[5];
	if (ssh_pki_import_privkey_file(
		    argv[4], NULL, NULL, NULL, &relay.key) != SSH_OK)
		return 1;
	(void)signal(SIGCHLD, SIG_IGN);
	listener = listen_on(argv[1], argv[2]);
	for (;;) {
		relay.up = ssh_new();
		if (!relay.up || ssh_bind_accept(listener, relay.up) != SSH_OK)
			continue;
		if (!fork()) {
			serve(&relay);
			_exit(0);
		}
		ssh_free(relay.up);
	}
}
