/*
 * SES_START, and everything that has to happen while files can still be
 * opened and memory is not yet limited. Trusts the monitor; no peer has said
 * anything yet.
 */
#include "session.h"
#include "session_gcm.h"
#include "session_proof.h"
#include "session_sign.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <locale.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"

static enum sgb_err read_key(struct session_start *start, struct reader *rd)
{
	size_t len;
	const uint8_t *blob = reader_string(rd, &len);
	enum sgb_err err;

	if (rd->err)
		return rd->err;
	if (start->key_count >= SESSION_MAX_KEYS)
		return SGB_ERR_LIMIT;
	err = sign_stand_in(blob, len, &start->keys[start->key_count]);
	if (!err)
		start->key_count++;
	return err;
}

static enum sgb_err parse(struct session_start *start, struct reader *rd)
{
	enum sgb_err err = SGB_OK;
	uint32_t i, keys;

	start->mode = (enum session_mode)reader_u32(rd);
	start->conn_id = reader_cstring(rd, 64);
	start->client_address = reader_cstring(rd, 64);
	start->client_port = reader_u32(rd);
	start->user = reader_cstring(rd, 256);
	start->banner = reader_cstring(rd, 8192);
	start->max_auth_tries = reader_u32(rd);
	start->max_channels = reader_u32(rd);
	start->keepalive = reader_u32(rd);
	start->fast_ciphers = reader_u32(rd) == 1;
	start->max_memory = reader_u64(rd);
	keys = reader_u32(rd);
	for (i = 0; i < keys && !err && !rd->err; i++)
		err = read_key(start, rd);
	if (!err)
		err = reader_end(rd);
	if (!err && start->mode != SESSION_MODE_DOOR &&
		start->mode != SESSION_MODE_INNER &&
		start->mode != SESSION_MODE_HOP)
		err = SGB_ERR_FORMAT;
	/* A jump host's is nobody's server. */
	if (!err && !start->key_count != (start->mode == SESSION_MODE_HOP))
		err = SGB_ERR_NOTFOUND;
	return err;
}

enum sgb_err session_start_receive(struct session *s)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(SESSION_MONITOR_FD, &msg);
	if (!err && msg.type != MSG_SES_START)
		err = SGB_ERR_PHASE;
	if (!err)
		err = parse(&s->start, &msg.reader);
	if (!err && !s->start.fast_ciphers)
		gcm_withdraw();
	msg_done(&msg);
	return err;
}

/*
 * libssh 0.12 asks for the home of who runs it when it expands the names of
 * identity files that are never opened. In an empty root there is nobody; the
 * real look-up would try sockets and files that the filter forbids. libssh
 * then takes $HOME.
 */
SGB_EXPORT int session_nobody(uid_t uid, struct passwd *entry, char *text,
	size_t len, struct passwd **ret) __asm__("getpwuid_r");

int session_nobody(uid_t uid, struct passwd *entry, char *text, size_t len,
	struct passwd **ret)
{
	(void)uid;
	(void)entry;
	(void)text;
	(void)len;
	*ret = NULL;
	return 0;
}

/*
 * OpenSSL's random generator asks for the process's number at each use, in
 * case it was forked meanwhile; a session process never forks. libssh pads
 * each packet with random bytes: under the filter these calls were a tenth of
 * what a relayed byte cost.
 */
static pid_t own_pid;

SGB_EXPORT pid_t session_pid(void) __asm__("getpid");

pid_t session_pid(void)
{
	if (!own_pid)
		own_pid = (pid_t)syscall(SYS_getpid);
	return own_pid;
}

/* Whatever a handshake asks for by a name; whether it is to be had is seen when
 * it is wanted. */
static void look_up(void)
{
	const EVP_MD *digests[] = {
		EVP_sha1(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
	unsigned char out[EVP_MAX_MD_SIZE];
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SSHKDF", NULL);
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	size_t i;

	for (i = 0; i < sizeof(digests) / sizeof(digests[0]); i++)
		(void)EVP_Digest("", 0, out, NULL, digests[i], NULL);
	memset(out, 0, sizeof(out));
	if (cipher)
		(void)EVP_EncryptInit_ex(
			cipher, EVP_aes_256_gcm(), NULL, out, out);
	EVP_CIPHER_CTX_free(cipher);
	EVP_KDF_free(kdf);
	ERR_clear_error();
}

/* OpenSSL makes its tables of algorithms at the first use of one of a kind:
 * here, so that what a cradle forks shares them. */
static enum sgb_err rehearse(void)
{
	static const char *const kinds[] = {"X25519", "ED25519"};
	unsigned char out[64], sig[128];
	size_t len = sizeof(out), sig_len = sizeof(sig), i;
	EVP_PKEY *keys[2] = {NULL, NULL};
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	EVP_PKEY_CTX *derive = NULL;
	bool done = digest && cipher;

	for (i = 0; i < 2; i++)
		keys[i] = EVP_PKEY_Q_keygen(NULL, NULL, kinds[i]);
	done = done && keys[0] && keys[1];
	derive = done ? EVP_PKEY_CTX_new(keys[0], NULL) : NULL;
	done = derive && EVP_PKEY_derive_init(derive) == 1 &&
	       EVP_PKEY_derive_set_peer(derive, keys[0]) == 1 &&
	       EVP_PKEY_derive(derive, out, &len) == 1 &&
	       EVP_DigestSignInit(digest, NULL, NULL, NULL, keys[1]) == 1 &&
	       EVP_DigestSign(digest, sig, &sig_len, out, len) == 1 &&
	       EVP_MD_CTX_reset(digest) == 1 &&
	       EVP_DigestVerifyInit(digest, NULL, NULL, NULL, keys[1]) == 1 &&
	       EVP_DigestVerify(digest, sig, sig_len, out, len) == 1 &&
	       EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, out, out);
	EVP_PKEY_CTX_free(derive);
	EVP_CIPHER_CTX_free(cipher);
	EVP_MD_CTX_free(digest);
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
	return done ? SGB_OK : SGB_ERR_CRYPTO;
}

static enum sgb_err draw_random(void)
{
	unsigned char byte;

	/* One byte of each generator seeds it. */
	if (RAND_bytes(&byte, 1) != 1 || RAND_priv_bytes(&byte, 1) != 1)
		return SGB_ERR_CRYPTO;
	return SGB_OK;
}

/* OpenSSL sees by the number that it was forked, and seeds anew; what is
 * mixed in besides would do so, too. */
enum sgb_err session_forked(void)
{
	unsigned char seed[32];

	own_pid = 0;
	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return SGB_ERR_SYSTEM;
	RAND_seed(seed, sizeof(seed));
	OPENSSL_cleanse(seed, sizeof(seed));
	return draw_random();
}

/*
 * What libraries would otherwise do at their first use, when they can no
 * longer open anything: openssl.cnf and providers, the random generator,
 * time zone, locale. Found with strace; tests/session/relay.sh runs the
 * whole life of a session under the filter.
 */
enum sgb_err session_warm_up(void)
{
	ssh_session ssh;
	enum sgb_err err;

	if (proof_init())
		return SGB_ERR_UNSUPPORTED;
	/* libssh must not look for anything of a user's. */
	if (clearenv() || setenv("HOME", "/", 1) || setenv("LC_ALL", "C", 1) ||
		setenv("PATH", "/nonexistent", 1) || setenv("TZ", "UTC0", 1))
		return SGB_ERR_SYSTEM;
	setlocale(LC_ALL, "C");
	tzset();
	if (!OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG |
					 OPENSSL_INIT_ADD_ALL_CIPHERS |
					 OPENSSL_INIT_ADD_ALL_DIGESTS |
					 OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
		    NULL) ||
		ssh_init() != SSH_OK)
		return SGB_ERR_CRYPTO;
	(void)gcm_offer();
	ssh = ssh_new();
	if (!ssh)
		return SGB_ERR_NOMEM;
	ssh_free(ssh);
	err = draw_random();
	if (!err)
		err = rehearse();
	look_up();
	return err;
}
