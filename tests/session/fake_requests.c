/* What the scripted monitor answers: a function for each request. */
#include "fake_monitor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "private_key.h"
#include "core/buf.h"
#include "core/sshkey.h"

static void send_auth(
	struct fake *f, enum session_auth result, const char *text)
{
	struct msg msg;

	msg_init(&msg, MSG_SES_AUTH);
	buf_put_u32(&msg.body, result);
	buf_put_cstring(&msg.body, text);
	answer(f, &msg);
}

static void send_refused(struct fake *f, const char *text)
{
	struct msg msg;

	msg_init(&msg, MSG_SES_REFUSED);
	buf_put_cstring(&msg.body, text);
	answer(f, &msg);
}

static char *slurp(const struct fake *f, const char *name)
{
	static char text[16384];
	char path[512];
	size_t got;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	file = fopen(path, "re");
	if (!file)
		die(path);
	got = fread(text, 1, sizeof(text) - 1, file);
	text[got] = 0;
	fclose(file);
	return text;
}

static struct private_key host_key;

static void load_host_key(const struct fake *f)
{
	char why[300] = "hostkey";
	struct buf text;

	buf_init(&text, 16384);
	buf_printf(&text, "%s", slurp(f, "hostkey"));
	check(private_key_parse(&text, &host_key, why, sizeof(why)), why);
	buf_done(&text);
}

static void got_host_sign(struct fake *f, struct msg *in)
{
	uint32_t number = reader_u32(&in->reader);
	uint32_t bits = reader_u32(&in->reader);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[1024];
	size_t len, signature_len = sizeof(signature);
	const uint8_t *hash = reader_string(&in->reader, &len);
	struct msg msg;

	check(reader_end(&in->reader), "REQ_SIGN");
	check(number == 0 && (len == 32 || len == 48 || len == 64)
			? SGB_OK
			: SGB_ERR_FORMAT,
		"an exchange hash");
	if (EVP_DigestSignInit(ctx, NULL,
		    bits == 512	  ? EVP_sha512()
		    : bits == 256 ? EVP_sha256()
				  : NULL,
		    NULL, host_key.key) != 1 ||
		EVP_DigestSign(ctx, signature, &signature_len, hash, len) != 1)
		check(SGB_ERR_CRYPTO, "signature");
	EVP_MD_CTX_free(ctx);
	note(f, "host key signs\n");
	msg_init(&msg, MSG_SES_SIGNED);
	buf_put_string(&msg.body, signature, signature_len);
	answer(f, &msg);
}

void send_start(struct fake *f)
{
	struct msg msg;

	msg_init(&msg, MSG_SES_START);
	buf_put_u32(&msg.body, f->mode);
	buf_put_cstring(&msg.body, "test-conn-1");
	buf_put_cstring(&msg.body, "127.0.0.1");
	buf_put_u32(&msg.body, 40000);
	buf_put_cstring(&msg.body, f->user ? f->user : "");
	buf_put_cstring(&msg.body, "fake banner\n");
	buf_put_u32(&msg.body, 6);
	buf_put_u32(&msg.body, number(f, "max-channels", 16));
	buf_put_u32(&msg.body, number(f, "keepalive", 30));
	buf_put_u32(&msg.body, number(f, "fast-ciphers", 1));
	buf_put_u64(&msg.body, (uint64_t)number(f, "memory", 192) << 20);
	buf_put_u32(&msg.body, 1);
	load_host_key(f);
	buf_put_string(&msg.body, host_key.blob, host_key.blob_len);
	answer(f, &msg);
}

static int connect_port(unsigned int port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&in, sizeof(in)))
		die("target");
	return fd;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)))
		die(path);
	return fd;
}

static void put_deadlines(const struct fake *f, struct buf *body)
{
	static const char *const names[] = {"timeout", "banner-timeout",
		"kex-timeout", "auth-timeout", "open-timeout"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		buf_put_u32(body, 1000 * number(f, names[i], 10));
}

static void got_target(struct fake *f, struct msg *in)
{
	const char *refuse = conf(f, "refuse-target", 0);
	const char *notice = conf(f, "notice", 0);
	struct msg msg;
	int fds[3], i;

	(void)in;
	if (refuse) {
		send_refused(f, refuse);
		return;
	}
	fds[0] = connect_port(number(f, "target-port", 0));
	fds[1] = open_recorder(f);
	fds[2] = connect_unix(conf(f, "agent", 0));
	msg_init(&msg, MSG_SES_TARGET);
	buf_put_cstring(&msg.body, "web1");
	buf_put_cstring(&msg.body, conf(f, "login", 0));
	buf_put_cstring(&msg.body, "127.0.0.1");
	buf_put_u32(&msg.body, number(f, "target-port", 0));
	buf_put_u32(&msg.body, number(f, "record-input", 0));
	buf_put_u32(&msg.body, number(f, "idle", 0));
	put_deadlines(f, &msg.body);
	buf_put_cstring(&msg.body, notice ? notice : "");
	buf_put_cstring(
		&msg.body, "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512");
	buf_put_u32(&msg.body, 0);
	for (i = 0; i < 3; i++) {
		check(msg_put_fd(&msg, fds[i]), "fd");
		close(fds[i]);
	}
	answer(f, &msg);
}

/* After the answer: nobody waits for it any more. */
static void late_hostcert(struct fake *f)
{
	struct msg msg;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("socketpair");
	msg_init(&msg, MSG_SES_HOSTCERT);
	check(msg_put_fd(&msg, pair[1]), "fd");
	close(pair[0]);
	close(pair[1]);
	answer(f, &msg);
}

/* One of the pins of the test? */
static void got_hostkey(struct fake *f, struct msg *in)
{
	char fp[SSHKEY_FP_MAX];
	const uint8_t *blob;
	const char *pin;
	struct msg msg;
	bool yes = false;
	size_t len, id_len, signature_len;
	int i;

	blob = reader_string(&in->reader, &len);
	reader_string(&in->reader, &id_len);
	reader_string(&in->reader, &signature_len);
	check(reader_end(&in->reader), "REQ_HOSTKEY");
	if (!id_len || !signature_len)
		note(f, "hostkey without a proof\n");
	check(sshkey_fingerprint(blob, len, fp), "fingerprint");
	for (i = 0; (pin = conf(f, "pin", i)); i++)
		yes |= !strcmp(pin, fp);
	note(f, "hostkey %s %s\n", yes ? "yes" : "no", fp);
	msg_init(&msg, MSG_SES_HOSTKEY);
	buf_put_u32(&msg.body, yes);
	buf_put_cstring(&msg.body,
		yes ? ""
		    : "the host key of web1 is not the one that is known; "
		      "not connected (reference test-conn-1)");
	answer(f, &msg);
	if (number(f, "late-hostcert", 0))
		late_hostcert(f);
}

static void got_key(struct fake *f, struct msg *in)
{
	char *user = reader_cstring(&in->reader, 256);
	char *algorithm = reader_cstring(&in->reader, 256);
	size_t len, data_len, signature_len;
	uint8_t proved;

	reader_string(&in->reader, &len);
	proved = reader_u8(&in->reader);
	reader_string(&in->reader, &data_len);
	reader_string(&in->reader, &signature_len);
	check(reader_end(&in->reader), "REQ_AUTH_KEY");
	check(proved == (data_len && signature_len) ? SGB_OK : SGB_ERR_FORMAT,
		"the proof of a key");
	note(f, "key %s %s proved=%u\n", user, algorithm, proved);
	if (!strncmp(user, "mallory", 7))
		send_auth(f, SESSION_AUTH_REFUSED, "");
	else if (!proved)
		send_auth(f, SESSION_AUTH_PROBE_OK, "");
	else if (!strncmp(user, "robot", 5))
		send_auth(f, SESSION_AUTH_DONE, "");
	else
		send_auth(f, SESSION_AUTH_PARTIAL, "");
	if (proved)
		snprintf(f->proved, sizeof(f->proved), "%s", user);
	free(user);
	free(algorithm);
}

static void got_none(struct fake *f, struct msg *in)
{
	char *user = reader_cstring(&in->reader, 256);

	note(f, "none %s for %s\n", user, f->user);
	send_auth(f, SESSION_AUTH_DONE, "");
	free(user);
}

static void got_kbd(struct fake *f, struct msg *in)
{
	struct msg msg;

	(void)in;
	msg_init(&msg, MSG_SES_PROMPT);
	buf_put_cstring(&msg.body, "");
	buf_put_cstring(&msg.body, "");
	buf_put_u32(&msg.body, 1);
	buf_put_cstring(&msg.body, "One-time code: ");
	buf_put_u8(&msg.body, 0);
	answer(f, &msg);
}

static void got_answer(struct fake *f, struct msg *in)
{
	uint32_t n = reader_u32(&in->reader);
	char *text = reader_cstring(&in->reader, 256);
	bool right = n == 1 && text && !strcmp(text, "123456");

	note(f, "code %s\n", right ? "right" : "wrong");
	send_auth(f, right ? SESSION_AUTH_DONE : SESSION_AUTH_REFUSED, "");
	free(text);
}

static void got_gate(struct fake *f, struct msg *in)
{
	uint32_t channel = reader_u32(&in->reader);
	uint32_t request = reader_u32(&in->reader);
	char *argument = reader_cstring(&in->reader, 65536);
	const char *deny;
	struct msg msg;
	int n;
	bool allow = true;

	for (n = 0; (deny = conf(f, "deny", n)); n++)
		if (!strcmp(deny, argument) ||
			(atoi(deny) && (uint32_t)atoi(deny) == request))
			allow = false;
	note(f, "gate %u %u %s %s\n", channel, request, argument,
		allow ? "yes" : "no");
	msg_init(&msg, MSG_SES_GATE);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, request);
	buf_put_u32(&msg.body, allow);
	buf_put_cstring(&msg.body, allow ? "" : "not permitted here");
	answer(f, &msg);
	free(argument);
}

static void got_command(struct fake *f, struct msg *in)
{
	uint32_t channel = reader_u32(&in->reader);
	char *command = reader_cstring(&in->reader, 65536);
	char text[1024];
	struct msg msg;

	snprintf(text, sizeof(text), "command: %s\nsecond line\n", command);
	msg_init(&msg, MSG_SES_TEXT);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, 3);
	buf_put_u32(&msg.body, 0); /* no more */
	buf_put_cstring(&msg.body, text);
	answer(f, &msg);
	free(command);
}

static void got_report(struct fake *f, struct msg *in)
{
	static const char *const names[] = {"none", "ready", "failed",
		"channel-closed", "exit", "file", "recorder-lost", "anomaly",
		"forward-closed"};
	uint32_t channel = reader_u32(&in->reader);
	uint32_t kind = reader_u32(&in->reader);
	uint64_t a = reader_u64(&in->reader), b = reader_u64(&in->reader);
	char *text = reader_cstring(&in->reader, 65536);

	f->files += kind == SESSION_REPORT_FILE;
	note(f, "report %u %s %llu %llu %s\n", channel,
		kind < 10 ? names[kind] : "?", (unsigned long long)a,
		(unsigned long long)b, text);
	free(text);
}

static void got_client(struct fake *f, struct msg *in)
{
	char *banner = reader_cstring(&in->reader, 1024);
	char *algorithms = reader_cstring(&in->reader, 4096);

	note(f, "client %s %s\n", banner, algorithms);
	free(banner);
	free(algorithms);
}

/* An inner connection: another monitor with its own session process. */
static void got_jump(struct fake *f, struct msg *in)
{
	char *host = reader_cstring(&in->reader, 256);
	uint32_t port = reader_u32(&in->reader);
	const char *jump = conf(f, "jump", 0);
	struct msg msg;
	int fds[2];

	note(f, "jump %s %u\n", host, port);
	free(host);
	if (jump && !strcmp(jump, "refuse")) {
		send_refused(f, "no way to that host");
		return;
	}
	if (jump && !strcmp(jump, "forward")) {
		int recorder[2], target = connect_port(port);

		check(msg_pair(recorder), "recorder");
		f->forward = recorder[0];
		msg_init(&msg, MSG_SES_FORWARD);
		buf_put_u32(&msg.body, 77);
		check(msg_put_fd(&msg, target), "fd");
		check(msg_put_fd(&msg, recorder[1]), "fd");
		close(target);
		close(recorder[1]);
		answer(f, &msg);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		die("socketpair");
	if (!fork()) {
		struct fake inner = *f;

		close(f->sock);
		close(fds[0]);
		inner.mode = SESSION_MODE_INNER;
		inner.user = f->proved;
		run(&inner, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	msg_init(&msg, MSG_SES_JUMP);
	check(msg_put_fd(&msg, fds[0]), "fd");
	close(fds[0]);
	answer(f, &msg);
}

static const struct {
	enum msg_type type;
	void (*handle)(struct fake *f, struct msg *in);
} handlers[] = {
	{MSG_REQ_SIGN, got_host_sign},
	{MSG_REQ_AUTH_NONE, got_none},
	{MSG_REQ_AUTH_KEY, got_key},
	{MSG_REQ_AUTH_KBD, got_kbd},
	{MSG_REQ_ANSWER, got_answer},
	{MSG_REQ_TARGET, got_target},
	{MSG_REQ_HOSTKEY, got_hostkey},
	{MSG_REQ_JUMP, got_jump},
	{MSG_REQ_GATE, got_gate},
	{MSG_REQ_REPORT, got_report},
	{MSG_REQ_COMMAND, got_command},
	{MSG_REQ_CLIENT, got_client},
};

bool receive(struct fake *f)
{
	struct msg msg;
	enum sgb_err err;
	size_t i;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(f->sock, &msg);
	if (err) {
		if (err != SGB_ERR_CLOSED)
			note(f, "bad message: %s\n", sgb_err_text(err));
		return false;
	}
	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (handlers[i].type == msg.type)
			handlers[i].handle(f, &msg);
	msg_done(&msg);
	return true;
}
