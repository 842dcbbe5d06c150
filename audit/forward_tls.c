/*
 * TLS to receivers (RFC 5425, with the ciphers of RFC 9662): 1.2 and up, AEAD
 * only, the receiver's certificate checked against the CA of the settings and
 * the name of the settings, in its subjectAltName alone (RFC 6125). No system
 * CAs, no configuration of OpenSSL's own, no tickets, no renegotiation.
 *
 * It works on memory: what came is handed in, what goes out is counted, so that
 * the bytes which the receiver has can be told from those it has not.
 */
#include "forward_link.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/file.h"

#define PEM_MAX	 (256 * 1024)
#define WHY_ROOM (FORWARD_TEXT_MAX + 200)

static int no_passphrase(char *buf, int size, int rwflag, void *data)
{
	(void)buf, (void)size, (void)rwflag, (void)data;
	return -1;
}

static BIO *read_pem(const char *path, enum file_trust trust, struct buf *pem,
	char why[WHY_ROOM])
{
	BIO *bio;

	buf_init(pem, PEM_MAX);
	if (file_read(path, trust, pem, why, WHY_ROOM))
		return NULL;
	bio = BIO_new_mem_buf(pem->data, (int)pem->len);
	if (!bio)
		(void)snprintf(why, WHY_ROOM, "out of memory");
	return bio;
}

static uint64_t expires(const X509 *cert)
{
	struct tm tm;
	time_t when;

	if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return 0;
	when = timegm(&tm);
	return when > 0 ? (uint64_t)when : 0;
}

/* All certificates of a file, into the store. */
static bool load_ca(SSL_CTX *ctx, const char *path, char why[WHY_ROOM])
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	struct buf pem;
	BIO *bio = read_pem(path, FILE_TRUST_ROOT, &pem, why);
	size_t count = 0;
	X509 *cert;

	while (bio &&
		(cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		count += X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
	}
	ERR_clear_error();
	if (bio && !count)
		(void)snprintf(why, WHY_ROOM,
			"%.200s: no certificate in PEM is in it; expected "
			"that of the CA which signed the receiver's",
			path);
	BIO_free(bio);
	buf_done(&pem);
	return count > 0;
}

static bool load_chain(SSL_CTX *ctx, const char *path, uint64_t *ret_expires,
	char why[WHY_ROOM])
{
	struct buf pem;
	BIO *bio = read_pem(path, FILE_TRUST_ROOT, &pem, why);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)
			 : NULL;
	bool good = cert && SSL_CTX_use_certificate(ctx, cert) == 1;

	*ret_expires = expires(cert);
	X509_free(cert);
	while (good &&
		(cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		/* It takes the certificate over if it succeeds. */
		good = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
		if (!good)
			X509_free(cert);
	}
	ERR_clear_error();
	if (bio && !good)
		(void)snprintf(why, WHY_ROOM,
			"%.200s: expected this bastion's certificate, and its "
			"chain, in PEM",
			path);
	BIO_free(bio);
	buf_done(&pem);
	return good;
}

static bool load_key(SSL_CTX *ctx, const char *path, char why[WHY_ROOM])
{
	struct buf pem;
	BIO *bio = read_pem(path, FILE_TRUST_SECRET, &pem, why);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(
				      bio, NULL, no_passphrase, NULL)
			    : NULL;
	bool good = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		    SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(key);
	ERR_clear_error();
	if (bio && !good)
		(void)snprintf(why, WHY_ROOM,
			"%.200s: expected the private key of the client-cert, "
			"in PEM without passphrase",
			path);
	BIO_free(bio);
	buf_done(&pem);
	return good;
}

static bool restrict_context(SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_security_level(ctx, 2);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET |
					       SSL_OP_NO_COMPRESSION |
					       SSL_OP_NO_RENEGOTIATION);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") ==
		       1 &&
	       SSL_CTX_set_ciphersuites(ctx,
		       "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
		       "TLS_AES_128_GCM_SHA256") == 1;
}

enum sgb_err tls_library(void)
{
	struct iovec none = {NULL, 0};
	uint8_t hash[SUITE_HASH_LEN];

	/* What this host has set up for others is none of ours; and no file is
	 * opened later, when none can be. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
		RAND_status() != 1)
		return SGB_ERR_CRYPTO;
	return suite_sha256(&none, 1, hash);
}

enum sgb_err tls_context(struct forward_dest *dest, char why[WHY_ROOM])
{
	SSL_CTX *ctx;
	bool good;

	ctx = SSL_CTX_new(TLS_client_method());
	(void)snprintf(why, WHY_ROOM, "libssl cannot be set up");
	good = ctx && restrict_context(ctx) && load_ca(ctx, dest->ca, why);
	if (good && dest->cert)
		good = load_chain(ctx, dest->cert, &dest->expires, why) &&
		       load_key(ctx, dest->key, why);
	if (!good) {
		SSL_CTX_free(ctx);
		return SGB_ERR_CRYPTO;
	}
	dest->tls = ctx;
	return SGB_OK;
}

void tls_context_free(struct forward_dest *dest)
{
	SSL_CTX_free(dest->tls);
	dest->tls = NULL;
}

/* What TLS wants to say becomes bytes of the link. */
static void take_out(struct link *link)
{
	uint8_t bytes[16384];
	int got;

	while ((got = BIO_read(link->outwards, bytes, sizeof(bytes))) > 0) {
		buf_put(&link->out, bytes, (size_t)got);
		link->queued += (uint64_t)got;
	}
}

/* Why OpenSSL said no, in its words. */
static bool failed(struct link *link, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	long verdict = link->ssl ? SSL_get_verify_result(link->ssl) : X509_V_OK;
	const char *why = code ? ERR_reason_error_string(code) : NULL;

	/* The receiver's administrator reads the alert. */
	if (link->outwards) {
		take_out(link);
		(void)!send(link->fd, link->out.data, link->out.len,
			MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (verdict != X509_V_OK)
		link_down(link, "%s: the receiver's certificate: %s", what,
			X509_verify_cert_error_string(verdict));
	else
		link_down(link, "%s: %s", what, why ? why : "TLS failed");
	ERR_clear_error();
	return false;
}

/* The name of the settings, and nothing less: no partial wildcards, no common
 * name. An address must be one of the certificate's addresses. */
static bool expect(SSL *ssl, const char *peer)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct addr addr;

	X509_VERIFY_PARAM_set_hostflags(
		param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (!addr_parse(peer, &addr))
		return X509_VERIFY_PARAM_set1_ip_asc(param, peer) == 1;
	return X509_VERIFY_PARAM_set1_host(param, peer, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, peer) == 1;
}

bool tls_start(struct link *link)
{
	ERR_clear_error();
	link->ssl = SSL_new(link->dest->tls);
	link->in = BIO_new(BIO_s_mem());
	link->outwards = BIO_new(BIO_s_mem());
	if (!link->ssl || !link->in || !link->outwards) {
		BIO_free(link->in);
		BIO_free(link->outwards);
		link->in = link->outwards = NULL;
		return failed(link, "starting");
	}
	(void)BIO_set_mem_eof_return(link->in, -1);
	SSL_set_bio(link->ssl, link->in, link->outwards);
	SSL_set_connect_state(link->ssl);
	if (!expect(link->ssl, link->dest->peer))
		return failed(link, "starting");
	return tls_shake(link);
}

bool tls_shake(struct link *link)
{
	int rc, error;

	ERR_clear_error();
	rc = SSL_do_handshake(link->ssl);
	error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(link->ssl, rc);
	if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ)
		return failed(link, "TLS");
	take_out(link);
	if (error == SSL_ERROR_NONE) {
		(void)snprintf(link->text, sizeof(link->text),
			"connected, %s, %s", SSL_get_version(link->ssl),
			SSL_get_cipher_name(link->ssl));
		link->expires = expires(SSL_get0_peer_certificate(link->ssl));
		link->phase = LINK_UP;
		link->since_ms = forward_now_ms();
	}
	return true;
}

/* Alerts, key updates, an end. Data has no meaning here and is dropped. */
static bool listen_to(struct link *link)
{
	uint8_t bytes[4096];
	int got, error;

	ERR_clear_error();
	do
		got = SSL_read(link->ssl, bytes, sizeof(bytes));
	while (got > 0);
	error = SSL_get_error(link->ssl, got);
	take_out(link);
	if (error == SSL_ERROR_ZERO_RETURN) {
		link_down(link, "the receiver closed the connection");
		return false;
	}
	return error == SSL_ERROR_WANT_READ ? true : failed(link, "TLS");
}

bool tls_take(struct link *link, const void *data, size_t len)
{
	if (BIO_write(link->in, data, (int)len) != (int)len)
		return failed(link, "TLS");
	return link->phase == LINK_UP ? listen_to(link) : true;
}

bool tls_put(struct link *link, const void *data, size_t len)
{
	ERR_clear_error();
	if (SSL_write(link->ssl, data, (int)len) != (int)len)
		return failed(link, "TLS");
	take_out(link);
	return true;
}

void tls_bye(struct link *link)
{
	ERR_clear_error();
	(void)SSL_shutdown(link->ssl);
	take_out(link);
}

void tls_stop(struct link *link)
{
	SSL_free(link->ssl); /* and its two BIOs */
	link->ssl = NULL;
	link->in = link->outwards = NULL;
}
