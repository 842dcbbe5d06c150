/*
 * The table of what a session process may ask, and when. A message that is
 * not in the table, or not in this phase, ends the session: a session process
 * that is sound never sends it.
 */
#include "monitor.h"

#include <stdlib.h>

#include "core/log.h"

#define AT(phase) (1u << MONITOR_PHASE_##phase)
#define ANY \
	(AT(AUTH) | AT(FACTOR) | AT(WAITING) | AT(PROVED) | AT(OPEN) | \
		AT(CLOSING))

/* After the key exchange, once: what the client calls itself. */
static enum sgb_err take_client(struct monitor *m, struct msg *msg)
{
	char *banner = reader_cstring(&msg->reader, 512);
	char *algorithms = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);

	free(algorithms);
	if (err || m->client_banner) {
		free(banner);
		return err ? err : SGB_ERR_PHASE;
	}
	m->client_banner = banner;
	/* Keys are exchanged: this is somebody who speaks SSH. */
	monitor_report_state(m);
	return SGB_OK;
}

static const struct request_row {
	enum msg_type type;
	unsigned int door;  /* phases of a connection from the network */
	unsigned int inner; /* phases inside a proved connection */
	enum sgb_err (*handle)(struct monitor *, struct msg *);
} rows[] = {
	{MSG_REQ_SIGN, ANY, ANY, monitor_sign},
	{MSG_REQ_CLIENT, AT(AUTH), AT(AUTH), take_client},
	{MSG_REQ_AUTH_NONE, 0, AT(AUTH), monitor_auth_none},
	{MSG_REQ_AUTH_KEY, AT(AUTH), 0, monitor_auth_key},
	{MSG_REQ_AUTH_KBD, AT(FACTOR), 0, monitor_auth_kbd},
	{MSG_REQ_TARGET, AT(PROVED), AT(PROVED), monitor_target},
	{MSG_REQ_JUMP, AT(PROVED), 0, monitor_jump},
	{MSG_REQ_COMMAND, AT(PROVED), 0, monitor_command},
	{MSG_REQ_HOSTS, AT(PROVED), 0, monitor_hosts},
	{MSG_REQ_CHOOSE, AT(PROVED), 0, monitor_choose},
	{MSG_REQ_HOSTKEY, AT(OPEN), AT(OPEN), monitor_hostkey},
	{MSG_REQ_HOSTCERT, AT(OPEN), AT(OPEN), monitor_hostcert},
	{MSG_REQ_AGENT, AT(OPEN), AT(OPEN), monitor_borrowed},
	{MSG_REQ_GATE, AT(OPEN), AT(OPEN), monitor_gate},
	{MSG_REQ_REPORT, ANY, ANY, monitor_report},
};

enum sgb_err monitor_request(struct monitor *m, struct msg *msg)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned int phases = m->mode == SESSION_MODE_INNER
					      ? rows[i].inner
					      : rows[i].door;

		if (rows[i].type != msg->type)
			continue;
		if (phases & (1u << m->phase))
			return rows[i].handle(m, msg);
		break;
	}
	log_put(LOG_ERR, "%s: session asked %s in phase %d", m->conn_id,
		msg_name(msg->type), (int)m->phase);
	return SGB_ERR_PHASE;
}
