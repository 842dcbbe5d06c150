/*
 * Fuzzer: libssh's server as the session process sets it up and drives it. The
 * process's own code runs, with its loop, over a socket pair; the client is
 * wire.c's, which goes through a login step by step and, as the input says,
 * bends, repeats, leaves out or makes up packets, before the key exchange and
 * behind it. The monitor is here, and so is what must never happen:
 *
 * - a proof of a key other than the client's, or of a signature that was not
 *   made for exactly this session id, name and key;
 * - anything that follows a login (USERAUTH_SUCCESS, a channel, a question to
 *   the monitor about one) before the monitor said that there was one;
 * - a crash, a turn that takes seconds of processor time, or bad memory.
 *
 * libssh itself is not instrumented: what guides the fuzzer is our code, and
 * what libssh does to memory is seen at malloc's borders.
 */
#include <stdio.h>
#include <string.h>

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/rand.h>

/* The loop is the program's own. */
int session_main(int argc, char **argv);
#define main session_main
#include "../../bastion/session.c"
#undef main

#include "../../bastion/privkey.h"
#include "../../bastion/session_proof.h"
#include "../../bastion/session_sign.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
bool __wrap_link_ask(struct session *s, struct msg *msg, enum msg_type type,
	struct msg *ret);

#define PAYLOAD_MAX 36000
#define OPS_MAX	    64
#define ROUNDS	    40
#define CODE	    "123456"

/* How a run goes; bits of the first byte. */
enum {
	RUN_STRICT = 1,	 /* strict order of the key exchange */
	RUN_NO_CODE = 2, /* the key is enough */
	RUN_TARGET = 4,	 /* the name carries a target */
	RUN_REFUSE = 8,	 /* the monitor refuses the key */
};

static EVP_PKEY *host_key, *user_key, *other_key;
static struct buf host_blob, user_blob, other_blob;

struct run {
	struct session s;
	struct wire wire;
	int monitor;
	unsigned int flags;
	const char *user;
	unsigned int step; /* the next of an honest client */
	struct buf last;   /* payload that was sent last */
	bool logged_on;	   /* the monitor said so */
};
static struct run run;

static EVP_PKEY *fixed_key(uint8_t seed, struct buf *blob)
{
	uint8_t secret[32];
	EVP_PKEY *key;

	memset(secret, seed, sizeof(secret));
	key = EVP_PKEY_new_raw_private_key(
		EVP_PKEY_ED25519, NULL, secret, sizeof(secret));
	buf_init(blob, 1024);
	if (!key || privkey_public(key, blob))
		abort();
	return key;
}

/* The same numbers in each run, so that a finding can be had again. */
static uint64_t random_state;

static int random_bytes(unsigned char *out, int len)
{
	while (len-- > 0) {
		random_state ^= random_state << 13;
		random_state ^= random_state >> 7;
		random_state ^= random_state << 17;
		*out++ = (uint8_t)(random_state >> 32);
	}
	return 1;
}

static int random_status(void)
{
	return 1;
}

/* Nobody else may come to have these numbers between two runs. */
static void hold_numbers(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || dup2(fd, SESSION_MONITOR_FD) < 0 ||
		dup2(fd, SESSION_CLIENT_FD) < 0)
		abort();
	if (fd > SESSION_CLIENT_FD)
		close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static RAND_METHOD method = {.bytes = random_bytes,
		.pseudorand = random_bytes,
		.status = random_status};

	(void)argc;
	(void)argv;
	hold_numbers();
	log_init("fuzz", true);
	random_state = 88172645463325252u;
	RAND_set_rand_method(&method);
	if (session_warm_up())
		abort();
	host_key = fixed_key(1, &host_blob);
	user_key = fixed_key(2, &user_blob);
	other_key = fixed_key(3, &other_blob);
	return 0;
}

/* As OpenSSL signs when nobody has wrapped it. */
static void sign(
	EVP_PKEY *key, const void *data, size_t len, uint8_t signature[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t signature_len = 64;

	proof_sign_with(NULL, NULL);
	if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
		EVP_DigestSign(ctx, signature, &signature_len, data, len) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	proof_sign_with(sign_request, &run.s);
}

/* ---- the monitor ---- */

/* The one question that is waited for: the host key's signature. */
bool __wrap_link_ask(
	struct session *s, struct msg *msg, enum msg_type type, struct msg *ret)
{
	uint8_t signature[64];
	struct reader rd;
	const uint8_t *data;
	size_t len;

	(void)s;
	if (msg->type != MSG_REQ_SIGN || type != MSG_SES_SIGNED)
		abort();
	reader_init(&rd, msg->body.data, msg->body.len);
	if (reader_u32(&rd) != 0 || reader_u32(&rd) != 0)
		abort();
	data = reader_string(&rd, &len);
	/* An exchange hash; the monitor signs nothing longer. */
	if (rd.err || len > EVP_MAX_MD_SIZE)
		abort();
	sign(host_key, data, len, signature);
	msg_done(msg);
	msg_init(ret, MSG_SES_SIGNED);
	buf_put_string(&ret->body, signature, sizeof(signature));
	reader_init(&ret->reader, ret->body.data, ret->body.len);
	return true;
}

static void answer(struct msg *msg)
{
	/* A session that is over does not listen. */
	if (msg_send(run.monitor, msg))
		run.s.over = true;
	msg_done(msg);
}

static void answer_auth(enum session_auth result)
{
	struct msg msg;

	run.logged_on |= result == SESSION_AUTH_DONE;
	msg_init(&msg, MSG_SES_AUTH);
	buf_put_u32(&msg.body, result);
	buf_put_cstring(&msg.body, "");
	answer(&msg);
}

/* RFC 4252 section 7. */
static void put_signed(struct buf *out, const uint8_t *id, const char *user,
	const char *service, const struct buf *blob)
{
	buf_put_string(out, id, WIRE_HASH);
	buf_put_u8(out, 50);
	buf_put_cstring(out, user);
	buf_put_cstring(out, service);
	buf_put_cstring(out, "publickey");
	buf_put_u8(out, 1);
	buf_put_cstring(out, "ssh-ed25519");
	buf_put_string(out, blob->data, blob->len);
}

/* A proof is what this client signed, to the last bit. */
static void check_proof(const char *user, const uint8_t *blob, size_t blob_len,
	const uint8_t *data, size_t len, const uint8_t *signature,
	size_t signature_len)
{
	uint8_t expected[64];
	struct buf all;

	buf_init(&all, 4096);
	put_signed(
		&all, run.wire.session_id, user, "ssh-connection", &user_blob);
	if (!run.wire.has_id || blob_len != user_blob.len ||
		memcmp(blob, user_blob.data, blob_len) || len != all.len ||
		memcmp(data, all.data, len) || signature_len != 64)
		abort();
	sign(user_key, all.data, all.len, expected);
	if (memcmp(signature, expected, 64))
		abort();
	buf_done(&all);
}

static void on_key(struct msg *msg)
{
	struct reader *rd = &msg->reader;
	char *user = reader_cstring(rd, 256);
	char *algorithm = reader_cstring(rd, 128);
	size_t blob_len, data_len, signature_len;
	const uint8_t *blob = reader_string(rd, &blob_len);
	bool proved = reader_u8(rd) == SESSION_PROOF_SIGNED;
	const uint8_t *data = reader_string(rd, &data_len);
	const uint8_t *signature = reader_string(rd, &signature_len);

	if (reader_end(rd) || run.logged_on)
		abort();
	if (run.flags & RUN_REFUSE) {
		answer_auth(SESSION_AUTH_REFUSED);
	} else if (!proved) {
		answer_auth(SESSION_AUTH_PROBE_OK);
	} else if (!signature_len) {
		/* libssh's word alone: the real monitor refuses it. */
		answer_auth(SESSION_AUTH_REFUSED);
	} else {
		check_proof(user, blob, blob_len, data, data_len, signature,
			signature_len);
		answer_auth(run.flags & RUN_NO_CODE ? SESSION_AUTH_DONE
						    : SESSION_AUTH_PARTIAL);
	}
	free(user);
	free(algorithm);
}

static void on_kbd(struct msg *in)
{
	struct msg msg;

	(void)in;
	if (run.logged_on || !run.s.auth.key_proved)
		abort();
	msg_init(&msg, MSG_SES_PROMPT);
	buf_put_cstring(&msg.body, "");
	buf_put_cstring(&msg.body, "text");
	buf_put_u32(&msg.body, 1);
	buf_put_cstring(&msg.body, "One-time code: ");
	buf_put_u8(&msg.body, 0);
	answer(&msg);
}

static void on_answer(struct msg *in)
{
	uint32_t count = reader_u32(&in->reader);
	char *text = reader_cstring(&in->reader, 65536);

	if (run.logged_on || !run.s.auth.key_proved || count != 1)
		abort();
	answer_auth(text && !strcmp(text, CODE) ? SESSION_AUTH_DONE
						: SESSION_AUTH_REFUSED);
	free(text);
}

static void refuse_it(struct msg *in)
{
	struct msg msg;

	(void)in;
	if (!run.logged_on)
		abort();
	msg_init(&msg, MSG_SES_REFUSED);
	buf_put_cstring(&msg.body, "no");
	answer(&msg);
}

static void on_gate(struct msg *in)
{
	uint32_t channel = reader_u32(&in->reader);
	uint32_t request = reader_u32(&in->reader);
	struct msg msg;

	if (!run.logged_on)
		abort();
	msg_init(&msg, MSG_SES_GATE);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, request);
	buf_put_u32(&msg.body, 1);
	buf_put_cstring(&msg.body, "");
	answer(&msg);
}

static void on_command(struct msg *in)
{
	uint32_t channel = reader_u32(&in->reader);
	struct msg msg;

	if (!run.logged_on)
		abort();
	msg_init(&msg, MSG_SES_TEXT);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, 3);
	buf_put_u32(&msg.body, 0);
	buf_put_cstring(&msg.body, "two\nlines\n");
	answer(&msg);
}

static void on_hosts(struct msg *in)
{
	uint32_t channel = reader_u32(&in->reader);
	struct msg msg;

	if (!run.logged_on)
		abort();
	msg_init(&msg, MSG_SES_HOSTS);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, 0);
	buf_put_u32(&msg.body, 1);
	buf_put_cstring(&msg.body, "web1");
	buf_put_cstring(&msg.body, "SG_Current");
	buf_put_cstring(&msg.body, "ops");
	buf_put_u32(&msg.body, 22);
	buf_put_u32(&msg.body, 1);
	answer(&msg);
}

static void on_choose(struct msg *in)
{
	struct msg msg;

	(void)in;
	if (!run.logged_on)
		abort();
	msg_init(&msg, MSG_SES_CHOSEN);
	buf_put_u32(&msg.body, 0);
	buf_put_cstring(&msg.body, "not there");
	answer(&msg);
}

static void ignore(struct msg *in)
{
	(void)in;
}

/* Whatever is not here must not be asked for. */
static const struct {
	enum msg_type type;
	void (*handle)(struct msg *in);
} rows[] = {
	{MSG_REQ_AUTH_KEY, on_key},
	{MSG_REQ_AUTH_KBD, on_kbd},
	{MSG_REQ_ANSWER, on_answer},
	{MSG_REQ_TARGET, refuse_it},
	{MSG_REQ_JUMP, refuse_it},
	{MSG_REQ_FORWARD, refuse_it},
	{MSG_REQ_GATE, on_gate},
	{MSG_REQ_COMMAND, on_command},
	{MSG_REQ_HOSTS, on_hosts},
	{MSG_REQ_CHOOSE, on_choose},
	{MSG_REQ_REPORT, ignore},
	{MSG_REQ_CLIENT, ignore},
};

static bool monitor_read(void)
{
	struct msg msg;
	enum sgb_err err;
	size_t i = 0;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(run.monitor, &msg);
	if (!err) {
		while (i < sizeof(rows) / sizeof(rows[0]) &&
			rows[i].type != msg.type)
			i++;
		if (i == sizeof(rows) / sizeof(rows[0]))
			abort();
		rows[i].handle(&msg);
	} else if (err != SGB_ERR_AGAIN && err != SGB_ERR_CLOSED) {
		abort(); /* a message that is none */
	}
	msg_done(&msg);
	return !err;
}

/* USERAUTH_SUCCESS, and the answers to requests and channels. */
static void heard(void *arg, const uint8_t *payload, size_t len)
{
	(void)arg;
	(void)len;
	if (!run.logged_on &&
		(payload[0] == 52 || payload[0] == 81 || payload[0] == 91 ||
			(payload[0] >= 93 && payload[0] <= 99)))
		abort();
}

static void pump(void)
{
	unsigned int i, quiet = 0;

	for (i = 0; i < ROUNDS && quiet < 2 && !run.s.over; i++) {
		bool more = turn(&run.s);

		tick(&run.s);
		more |= flush(&run.s);
		if (!run.s.over)
			session_wait(&run.s, true);
		while (monitor_read())
			more = true;
		more |= wire_read(&run.wire);
		quiet = more || run.s.busy ? 0 : quiet + 1;
	}
	if (run.s.auth.done && !run.logged_on)
		abort();
}

#include "session_steps.h"

/* ---- a run ---- */

static bool open_run(unsigned int flags)
{
	int client[2], monitor[2];

	memset(&run, 0, sizeof(run));
	random_state = 88172645463325252u;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) ||
		msg_pair(monitor))
		abort();
	if (dup2(monitor[1], SESSION_MONITOR_FD) < 0 ||
		dup2(client[1], SESSION_CLIENT_FD) < 0)
		abort();
	close(monitor[1]);
	close(client[1]);
	run.monitor = monitor[0];
	(void)fcntl(run.monitor, F_SETFL, O_NONBLOCK);
	(void)fcntl(SESSION_MONITOR_FD, F_SETFL, O_NONBLOCK);
	run.flags = flags;
	run.user = flags & RUN_TARGET ? "alice+web1" : "alice";
	buf_init(&run.last, PAYLOAD_MAX);
	wire_init(&run.wire, client[0], flags & RUN_STRICT);
	run.wire.heard = heard;
	session_init(&run.s);
	run.s.start.mode = SESSION_MODE_DOOR;
	run.s.start.conn_id = strdup("fuzz");
	run.s.start.client_address = strdup("192.0.2.1");
	run.s.start.user = strdup("");
	run.s.start.banner = strdup("a banner\n");
	run.s.start.max_auth_tries = 6;
	run.s.start.max_channels = 8;
	run.s.start.key_count = 1;
	if (sign_stand_in(host_blob.data, host_blob.len, &run.s.start.keys[0]))
		abort();
	run.s.now = session_now();
	return !server_open(&run.s);
}

/* What the process's end would see to. */
static void close_run(void)
{
	static const struct itimerval none;

	close(run.wire.fd);
	pump();
	channels_drop(&run.s);
	back_done(&run.s);
	server_close(&run.s, "");
	target_close(&run.s);
	close(run.monitor);
	setitimer(ITIMER_PROF, &none, NULL);
	io_remove(SESSION_CLIENT_FD);
	if (run.s.auth.waiting)
		ssh_message_free(run.s.auth.waiting);
	if (run.s.client.ssh)
		ssh_event_remove_session(run.s.event, run.s.client.ssh);
	ssh_event_free(run.s.event);
	ssh_free(run.s.client.ssh);
	ssh_bind_free(run.s.bind);
	proof_watch(false);
	free(run.s.start.conn_id);
	free(run.s.start.client_address);
	free(run.s.start.user);
	free(run.s.start.banner);
	free(run.s.auth.user);
	free(run.s.end_text);
	free(run.s.refusal);
	buf_done(&run.last);
	wire_done(&run.wire);
	hold_numbers();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader rd;
	unsigned int ops;

	if (!size)
		return -1;
	reader_init(&rd, data, size);
	if (open_run(reader_u8(&rd))) {
		for (ops = 0; rd.left && !run.s.over && ops < OPS_MAX; ops++)
			take_op(&rd);
	}
	close_run();
	return 0;
}
