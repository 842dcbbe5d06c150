/*
 * One id for the phases of one login, as the proxy's connections have. The
 * proxy's monitor hands its own down. sshd runs auth and account in one
 * process and session in another, with no way between that would not end in
 * the person's environment; what all of them know is who connects from which
 * port, so that is what the id is made of. It joins lines that stand near each
 * other in a log; a port that is used again months later gives it again. sudo
 * and su are one process: theirs is random.
 */
#include "login.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

#define DATA_NAME "sgbridge.conn"
#define ID_BYTES  8

static void put_id(struct login *login, const uint8_t *bytes)
{
	size_t at = (size_t)snprintf(
		login->conn_text, sizeof(login->conn_text), "host-");
	size_t i;

	for (i = 0; i < ID_BYTES; i++)
		at += (size_t)snprintf(login->conn_text + at,
			sizeof(login->conn_text) - at, "%02x", bytes[i]);
	login->conn = login->conn_text;
}

static bool from_connection(struct login *login)
{
	char text[ADDR_TEXT_MAX + 400], source[ADDR_TEXT_MAX];
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	int used = snprintf(text, sizeof(text), "sgbridge login %s %u %.300s",
		addr_text(&login->source, source), login->port, login->user);

	if (!EVP_Digest(text, (size_t)used, hash, &len, EVP_sha256(), NULL) ||
		len < ID_BYTES)
		return false;
	put_id(login, hash);
	return true;
}

static void id_cleanup(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh;
	(void)status;
	free(data);
}

/* In this process only: PAM data. */
static void from_transaction(struct login *login)
{
	const void *there = NULL;
	uint8_t *bytes;

	if (pam_get_data(login->pamh, DATA_NAME, &there) == PAM_SUCCESS &&
		there) {
		put_id(login, there);
		return;
	}
	bytes = calloc(1, ID_BYTES);
	if (!bytes || secret_random(bytes, ID_BYTES)) {
		free(bytes);
		return;
	}
	put_id(login, bytes);
	if (pam_set_data(login->pamh, DATA_NAME, bytes, id_cleanup) !=
		PAM_SUCCESS)
		free(bytes);
}

void login_conn(struct login *login)
{
	if (login->args.proxy)
		return;
	if (login->port && from_connection(login))
		return;
	from_transaction(login);
}
