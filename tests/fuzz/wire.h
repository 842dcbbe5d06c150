/*
 * An SSH client for the fuzzer of the session process: enough of RFC 4253 to
 * get through a key exchange and to put any packet at all behind it. It checks
 * nothing that protects a client.
 */
#ifndef SGB_FUZZ_WIRE_H
#define SGB_FUZZ_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "core/buf.h"

#define WIRE_KEY   16
#define WIRE_NONCE 12
#define WIRE_HASH  32

/* AES-128-GCM in one direction (RFC 5647). */
struct wire_way {
	bool sealed;
	uint8_t key[WIRE_KEY], nonce[WIRE_NONCE];
};

struct wire {
	int fd;
	bool strict;	   /* kex-strict is offered */
	struct buf in;	   /* what came and is no packet yet */
	struct buf banner; /* the server's, without its line end */
	struct buf client_init, server_init; /* payloads of both KEXINIT */
	EVP_PKEY *secret;		     /* of the key exchange */
	uint8_t hash[WIRE_HASH], session_id[WIRE_HASH];
	bool has_hash, has_id;
	uint8_t shared[WIRE_HASH]; /* K */
	struct wire_way to, from;
	/* Told of each payload from the server. */
	void (*heard)(void *arg, const uint8_t *payload, size_t len);
	void *arg;
};

#define WIRE_BANNER "SSH-2.0-fuzz"

void wire_init(struct wire *wire, int fd, bool strict);
void wire_done(struct wire *wire);
/* Payloads of the client's side, appended. */
void wire_kexinit(struct wire *wire, struct buf *out);
void wire_ecdh(struct wire *wire, struct buf *out);
/* Sends bytes as they are; the other end may be gone. */
void wire_raw(struct wire *wire, const void *data, size_t len);
/* Sends a payload as a packet, sealed once wire_newkeys was called. */
void wire_send(struct wire *wire, const uint8_t *payload, size_t len);
/* From here on what is sent is sealed, if keys were agreed upon. */
void wire_newkeys(struct wire *wire);
/* Takes in what came; false if nothing did. */
bool wire_read(struct wire *wire);

#endif
