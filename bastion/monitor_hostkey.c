/*
 * Host keys of targets, and of jump hosts on the way: whoever shakes hands
 * shows what the key exchange proved, and hears yes or no. Without a yes the
 * agent signs nothing, and then for the one SSH session whose exchange hash
 * this host key signed, which is verified here: who holds the process that
 * shakes hands cannot have a login at another host signed.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "monitor_proof.h"

void monitor_hostkey_node(const struct monitor *m,
	const struct policy_decision *decision, char name[ADDR_TEXT_MAX],
	struct hostkey_node *ret)
{
	const char *instance = decision->instance;

	/* A host of a subnet has no name but its address. */
	addr_text(&decision->target_addr, name);
	*ret = (struct hostkey_node){
		.name = !instance || strchr(instance, '/') ? name : instance,
		.port = decision->target_port,
		.pins = decision->host_keys,
		.files = &m->conf->known_hosts,
		.cache = m->conf->host_certs,
	};
}

bool monitor_hostkey_any(
	const struct monitor *m, const struct policy_decision *decision)
{
	char name[ADDR_TEXT_MAX];
	struct hostkey_node node;

	monitor_hostkey_node(m, decision, name, &node);
	return hostkey_any(&node);
}

enum sgb_err monitor_hostkey_answer(int link, bool yes, const char *text)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_HOSTKEY);
	buf_put_u32(&msg.body, yes);
	buf_put_cstring(&msg.body, text);
	err = msg_send(link, &msg);
	msg_done(&msg);
	return err;
}

static void judge_certificate(struct monitor *m, const uint8_t *cert,
	size_t len, struct hostkey_result *ret)
{
	char name[ADDR_TEXT_MAX];
	struct hostkey_node node;

	monitor_hostkey_node(m, &m->decision, name, &node);
	hostkey_judge_certificate(&node, m->logon.host_blob,
		m->logon.host_blob_len, cert, len, time(NULL), ret);
}

/* A second connection, over which it fetches the certificate; where there is
 * none to be had, one that is kept from before will do. */
static enum sgb_err want_certificate(struct monitor *m, int link,
	uint64_t until_ms, struct hostkey_result *result)
{
	struct msg msg;
	enum sgb_err err;
	int fd;

	if (monitor_connect_again(m, &fd, until_ms)) {
		judge_certificate(m, NULL, 0, result);
		return SGB_OK;
	}
	m->logon.host_cert_wanted = true;
	msg_init(&msg, MSG_SES_HOSTCERT);
	err = msg_put_fd(&msg, fd);
	close(fd);
	if (!err)
		err = msg_send(link, &msg);
	msg_done(&msg);
	return err;
}

/* What is shown, borrowed: the key, and its signature of the exchange hash. */
struct shown {
	const uint8_t *blob, *id, *signature;
	size_t len, id_len, signature_len;
};

static enum sgb_err keep(struct monitor_logon *logon, const struct shown *shown)
{
	logon->host_blob = malloc(shown->len);
	logon->ssh_id = malloc(shown->id_len ? shown->id_len : 1);
	if (!logon->host_blob || !logon->ssh_id)
		return SGB_ERR_NOMEM;
	memcpy(logon->host_blob, shown->blob, shown->len);
	logon->host_blob_len = shown->len;
	if (shown->id_len)
		memcpy(logon->ssh_id, shown->id, shown->id_len);
	logon->ssh_id_len = shown->id_len;
	return SGB_OK;
}

/* No sound process shows a key that libssh has not verified. */
static bool proves(const struct shown *shown, struct hostkey_result *ret)
{
	struct sshkey key;

	if (!proof_exchange(shown->blob, shown->len, shown->id, shown->id_len,
		    shown->signature, shown->signature_len))
		return true;
	*ret = (struct hostkey_result){
		.verdict = HOSTKEY_REFUSED,
		.public_text = "is not proved",
	};
	if (!sshkey_parse(shown->blob, shown->len, &key))
		snprintf(ret->shown, sizeof(ret->shown), "%s (%s)",
			key.fingerprint, key.name);
	snprintf(ret->why, sizeof(ret->why),
		"the session process shows no signature of the key exchange by "
		"this host key; it does not behave");
	return false;
}

enum sgb_err monitor_hostkey_shown(struct monitor *m, struct reader *rd,
	int link, uint64_t until_ms, struct hostkey_result *ret)
{
	char name[ADDR_TEXT_MAX];
	struct hostkey_node node;
	struct shown shown;
	enum sgb_err err;

	shown.blob = reader_string(rd, &shown.len);
	shown.id = reader_string(rd, &shown.id_len);
	shown.signature = reader_string(rd, &shown.signature_len);
	if (reader_end(rd) || !shown.len || shown.len > SSHKEY_MAX_BLOB)
		return SGB_ERR_FORMAT;
	if (m->logon.host_blob)
		return SGB_ERR_PHASE;
	err = keep(&m->logon, &shown);
	if (err || !proves(&shown, ret))
		return err;
	monitor_hostkey_node(m, &m->decision, name, &node);
	hostkey_judge(&node, shown.blob, shown.len, time(NULL), ret);
	return ret->verdict == HOSTKEY_WANTED
		       ? want_certificate(m, link, until_ms, ret)
		       : SGB_OK;
}

enum sgb_err monitor_hostkey_cert(
	struct monitor *m, struct reader *rd, struct hostkey_result *ret)
{
	const uint8_t *cert;
	size_t len;

	cert = reader_string(rd, &len);
	if (reader_end(rd) || len > SSHKEY_MAX_BLOB)
		return SGB_ERR_FORMAT;
	if (!m->logon.host_cert_wanted)
		return SGB_ERR_PHASE;
	m->logon.host_cert_wanted = false;
	judge_certificate(m, cert, len, ret);
	return SGB_OK;
}

/* ---- the target's ---- */

/* The user hears that, and a number; the event says what to do. */
static enum sgb_err refuse(
	struct monitor *m, const struct hostkey_result *result)
{
	char ref[MONITOR_REF_MAX], text[512];
	struct event event = {
		.kind = EVENT_TARGET_HOSTKEY,
		.ref = ref,
		.what = result->shown,
		.reason = result->why,
	};

	monitor_reference(ref);
	m->close_reason = RECORDER_CLOSE_TARGET;
	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: a refusal left no event", m->conn_id);
	snprintf(text, sizeof(text),
		"the host key of %.200s %s; not connected (reference %s)",
		m->target, result->public_text, ref);
	return monitor_hostkey_answer(m->session, false, text);
}

static enum sgb_err say(struct monitor *m, const struct hostkey_result *result)
{
	if (result->verdict != HOSTKEY_ACCEPTED)
		return refuse(m, result);
	m->logon.host_verified = true;
	snprintf(m->logon.host_by, sizeof(m->logon.host_by), "host key %s, %s",
		result->shown, result->by);
	return monitor_hostkey_answer(m->session, true, "");
}

enum sgb_err monitor_hostkey(struct monitor *m, struct msg *msg)
{
	struct hostkey_result result;
	enum sgb_err err;

	err = monitor_hostkey_shown(
		m, &msg->reader, m->session, m->target_until_ms, &result);
	return err || result.verdict == HOSTKEY_WANTED ? err : say(m, &result);
}

enum sgb_err monitor_hostcert(struct monitor *m, struct msg *msg)
{
	struct hostkey_result result;
	enum sgb_err err = monitor_hostkey_cert(m, &msg->reader, &result);

	return err ? err : say(m, &result);
}
