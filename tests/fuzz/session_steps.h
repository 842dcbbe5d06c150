/*
 * Part of session_ssh.c: the steps of an honest client, and what an input does
 * with them.
 */

static void step_text(
	struct buf *out, uint8_t number, const char *a, const char *b)
{
	buf_put_u8(out, number);
	buf_put_cstring(out, a);
	if (b)
		buf_put_cstring(out, b);
}

static void step_kexinit(struct buf *out)
{
	wire_kexinit(&run.wire, out);
}

static void step_ecdh(struct buf *out)
{
	wire_ecdh(&run.wire, out);
}

static void step_newkeys(struct buf *out)
{
	buf_put_u8(out, 21);
}

static void step_service(struct buf *out)
{
	step_text(out, 5, "ssh-userauth", NULL);
}

static void put_auth(struct buf *out, const char *service, const char *method)
{
	step_text(out, 50, run.user, service);
	buf_put_cstring(out, method);
}

static void step_none(struct buf *out)
{
	put_auth(out, "ssh-connection", "none");
}

static void step_probe(struct buf *out)
{
	put_auth(out, "ssh-connection", "publickey");
	buf_put_u8(out, 0);
	buf_put_cstring(out, "ssh-ed25519");
	buf_put_string(out, user_blob.data, user_blob.len);
}

/* What is wrong with a signature that is offered. */
enum {
	SIGN_GOOD = 0,
	SIGN_OTHER_ID,
	SIGN_OTHER_NAME,
	SIGN_OTHER_SERVICE,
	SIGN_BENT,
	SIGN_OTHER_TYPE,
	SIGN_OTHER_KEY,
	SIGN_OF_PROBE,
	SIGN_KINDS,
};

static void put_login(struct buf *out, unsigned int kind)
{
	const char *service = kind == SIGN_OTHER_SERVICE ? "ssh-userauth"
							 : "ssh-connection";
	const uint8_t *id = kind == SIGN_OTHER_ID ? run.wire.shared
						  : run.wire.session_id;
	struct buf text, both;
	uint8_t signature[64];

	buf_init(&text, 4096);
	buf_init(&both, 256);
	put_signed(&text, id, kind == SIGN_OTHER_NAME ? "bob" : run.user,
		service, &user_blob);
	/* Behind the session id and its length. */
	if (kind == SIGN_OF_PROBE)
		text.data[text.len - user_blob.len - 4 - 15 - 1] = 0;
	sign(kind == SIGN_OTHER_KEY ? other_key : user_key, text.data, text.len,
		signature);
	signature[40] ^= kind == SIGN_BENT;
	put_auth(out, service, "publickey");
	buf_put_u8(out, 1);
	buf_put_cstring(out, "ssh-ed25519");
	buf_put_string(out, user_blob.data, user_blob.len);
	buf_put_cstring(
		&both, kind == SIGN_OTHER_TYPE ? "ssh-rsa" : "ssh-ed25519");
	buf_put_string(&both, signature, sizeof(signature));
	buf_put_string(out, both.data, both.len);
	buf_done(&text);
	buf_done(&both);
}

static void step_login(struct buf *out)
{
	put_login(out, SIGN_GOOD);
}

static void step_kbd(struct buf *out)
{
	put_auth(out, "ssh-connection", "keyboard-interactive");
	buf_put_cstring(out, "");
	buf_put_cstring(out, "");
}

static void step_code(struct buf *out)
{
	buf_put_u8(out, 61);
	buf_put_u32(out, 1);
	buf_put_cstring(out, CODE);
}

static void step_open(struct buf *out)
{
	step_text(out, 90, "session", NULL);
	buf_put_u32(out, 7);
	buf_put_u32(out, 1 << 20);
	buf_put_u32(out, 32768);
}

/* libssh counts its channels from 43 on. */
#define FIRST_CHANNEL 43

static void put_request(struct buf *out, const char *name)
{
	buf_put_u8(out, 98);
	buf_put_u32(out, FIRST_CHANNEL);
	buf_put_cstring(out, name);
	buf_put_u8(out, 1);
}

static void step_env(struct buf *out)
{
	put_request(out, "env");
	buf_put_cstring(out, "LANG");
	buf_put_cstring(out, "C");
}

static void step_pty(struct buf *out)
{
	unsigned int i;

	put_request(out, "pty-req");
	buf_put_cstring(out, "vt100");
	for (i = 0; i < 4; i++)
		buf_put_u32(out, 50);
	buf_put_cstring(out, "\x35\x01\x02\x03\x04");
}

static void step_shell(struct buf *out)
{
	put_request(out, "shell");
}

static void step_exec(struct buf *out)
{
	put_request(out, "exec");
	buf_put_cstring(out, "hosts --json");
}

static void step_resize(struct buf *out)
{
	unsigned int i;

	put_request(out, "window-change");
	for (i = 0; i < 4; i++)
		buf_put_u32(out, 60);
}

static void step_data(struct buf *out)
{
	buf_put_u8(out, 94);
	buf_put_u32(out, FIRST_CHANNEL);
	buf_put_cstring(out, "w\x1b[A\x1b[B\t\r");
}

static void step_window(struct buf *out)
{
	buf_put_u8(out, 93);
	buf_put_u32(out, FIRST_CHANNEL);
	buf_put_u32(out, 1 << 20);
}

static void step_direct(struct buf *out)
{
	step_text(out, 90, "direct-tcpip", NULL);
	buf_put_u32(out, 8);
	buf_put_u32(out, 1 << 20);
	buf_put_u32(out, 32768);
	buf_put_cstring(out, "web1");
	buf_put_u32(out, 22);
	buf_put_cstring(out, "127.0.0.1");
	buf_put_u32(out, 4000);
}

static void step_listen(struct buf *out)
{
	step_text(out, 80, "tcpip-forward", NULL);
	buf_put_u8(out, 1);
	buf_put_cstring(out, "127.0.0.1");
	buf_put_u32(out, 8080);
}

static void step_alive(struct buf *out)
{
	step_text(out, 80, "keepalive@openssh.com", NULL);
	buf_put_u8(out, 1);
}

static void step_eof(struct buf *out)
{
	buf_put_u8(out, 96);
	buf_put_u32(out, FIRST_CHANNEL);
}

static void step_close(struct buf *out)
{
	buf_put_u8(out, 97);
	buf_put_u32(out, FIRST_CHANNEL);
}

static void step_leave(struct buf *out)
{
	buf_put_u8(out, 1);
	buf_put_u32(out, 11);
	buf_put_cstring(out, "bye");
	buf_put_cstring(out, "");
}

/* NULL: the banner, which is no packet. */
static void (*const steps[])(struct buf *out) = {NULL, step_kexinit, step_ecdh,
	step_newkeys, step_service, step_none, step_probe, step_login, step_kbd,
	step_code, step_open, step_env, step_pty, step_shell, step_data,
	step_resize, step_window, step_kexinit, step_ecdh, step_newkeys,
	step_direct, step_listen, step_alive, step_exec, step_eof, step_close,
	step_leave};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void send_payload(struct buf *payload)
{
	bool newkeys = payload->len == 1 && payload->data[0] == 21;

	if (buf_error(payload) || !payload->len)
		return;
	wire_send(&run.wire, payload->data, payload->len);
	if (newkeys)
		wire_newkeys(&run.wire);
	buf_reset(&run.last);
	buf_put(&run.last, payload->data, payload->len);
}

/* The next of the honest steps, bent if so wished: a byte, or its end. */
static void do_step(struct reader *rd, bool bend, unsigned int cut)
{
	void (*make)(struct buf *) = steps[run.step++ % STEPS];
	struct buf payload;

	buf_init(&payload, PAYLOAD_MAX);
	if (make)
		make(&payload);
	else
		wire_raw(
			&run.wire, WIRE_BANNER "\r\n", sizeof(WIRE_BANNER) + 1);
	if (bend && payload.len) {
		unsigned int at = reader_u16(rd);

		payload.data[at % payload.len] ^= reader_u8(rd);
		if (cut < payload.len)
			payload.len -= cut;
	}
	send_payload(&payload);
	buf_done(&payload);
}

static void op_step(struct reader *rd, unsigned int arg)
{
	/* Several without waiting for what they bring. */
	while (arg-- % 8)
		do_step(rd, false, 0);
	do_step(rd, false, 0);
}

static void op_bend(struct reader *rd, unsigned int arg)
{
	do_step(rd, true, arg);
}

static void op_packet(struct reader *rd, unsigned int arg)
{
	size_t len = reader_u8(rd) + arg * 8;
	struct buf payload;

	if (len > rd->left)
		len = rd->left;
	buf_init(&payload, PAYLOAD_MAX);
	buf_put(&payload, reader_bytes(rd, len), len);
	send_payload(&payload);
	buf_done(&payload);
}

static void op_raw(struct reader *rd, unsigned int arg)
{
	size_t len = arg < rd->left ? arg : rd->left;

	wire_raw(&run.wire, reader_bytes(rd, len), len);
}

static void op_sign(struct reader *rd, unsigned int arg)
{
	struct buf payload;

	(void)rd;
	buf_init(&payload, PAYLOAD_MAX);
	put_login(&payload, arg % SIGN_KINDS);
	send_payload(&payload);
	buf_done(&payload);
}

static void op_skip(struct reader *rd, unsigned int arg)
{
	(void)rd;
	run.step += arg;
}

static void op_again(struct reader *rd, unsigned int arg)
{
	struct buf copy;

	(void)rd;
	buf_init(&copy, PAYLOAD_MAX);
	buf_put(&copy, run.last.data, run.last.len);
	do
		send_payload(&copy);
	while (arg--);
	buf_done(&copy);
}

/* Numbers and types of a real one, with a body of the input's. */
static void op_type(struct reader *rd, unsigned int arg)
{
	static const uint8_t types[] = {1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31, 50,
		51, 52, 53, 60, 61, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97,
		98, 99, 100, 192};
	size_t len = reader_u8(rd);
	struct buf payload;

	if (len > rd->left)
		len = rd->left;
	buf_init(&payload, PAYLOAD_MAX);
	buf_put_u8(&payload, types[arg % sizeof(types)]);
	buf_put(&payload, reader_bytes(rd, len), len);
	send_payload(&payload);
	buf_done(&payload);
}

static void take_op(struct reader *rd)
{
	static void (*const ops[])(struct reader *, unsigned int) = {op_step,
		op_bend, op_packet, op_raw, op_sign, op_skip, op_again,
		op_type};
	uint8_t op = reader_u8(rd);

	ops[op >> 5](rd, op & 31);
	pump();
}
