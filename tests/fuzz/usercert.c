/*
 * Fuzzer: users' certificates, and KRLs. A certificate that is accepted has a
 * principal and a CA; since bytes of a fuzzer are never signed, the parts
 * behind the signature are reached through a second, unsigned way: the same
 * bytes as a KRL.
 */
#include <stdlib.h>
#include <string.h>

#include "../../bastion/revoked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_krl(const uint8_t *data, size_t size)
{
	static const uint8_t key[] = "\0\0\0\x0bssh-ed25519\0\0\0 "
				     "0123456789abcdef0123456789abcdef";
	static const struct usercert cert = {
		.serial = 7,
		.key_id = "alice",
		.ca = key,
		.ca_len = sizeof(key) - 1,
	};
	struct revoked_query query = {
		.blob = key,
		.blob_len = sizeof(key) - 1,
		.fingerprint = "",
	};
	enum sgb_err plain = krl_check(data, size, &query), with;

	query.cert = &cert;
	with = krl_check(data, size, &query);
	/* What refuses the key refuses its certificate; what is malformed is
	 * so for both. */
	if ((plain == SGB_ERR_DENIED && !with) ||
		((plain && plain != SGB_ERR_DENIED) && with != plain))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usercert cert;
	char why[512];

	if (!usercert_parse(data, size, &cert, why, sizeof(why)) &&
		(!cert.principals_len || !cert.ca_len ||
			cert.key.cert_type != 1))
		abort();
	if (size)
		try_krl(data, size);
	return 0;
}
