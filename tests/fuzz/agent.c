/*
 * Fuzzer: what a user's agent answers. What is whole is not so with a byte
 * less or more; a key is held only where it stands; a signature lies inside
 * the answer, and verifies by no key.
 */
#include <stdlib.h>
#include <string.h>

#include "../../bastion/session_agent_form.h"
#include "../../bastion/usercert_sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ssh-ed25519, and a point that nobody has the other half of. */
static const uint8_t key[] = "\0\0\0\13ssh-ed25519\0\0\0\40"
			     "an agent answers all that is ask";
#define KEY_LEN (sizeof(key) - 1)

static enum agent_form ask_signature(
	const uint8_t *data, size_t size, const uint8_t **sig, size_t *len)
{
	enum agent_form form = agent_form_signature(data, size, sig, len);

	if (form == AGENT_FORM_GOOD &&
		(!*len || *len > AGENT_FORM_SIGNATURE || *sig < data ||
			*sig + *len > data + size))
		abort();
	return form;
}

static enum agent_form ask_keys(const uint8_t *data, size_t size)
{
	enum agent_form form;
	bool held;

	form = agent_form_keys(data, size, key, KEY_LEN, &held);
	if (held &&
		(form != AGENT_FORM_GOOD || !memmem(data, size, key, KEY_LEN)))
		abort();
	return form;
}

static void check(enum agent_form whole, enum agent_form less)
{
	if ((whole == AGENT_FORM_GOOD || whole == AGENT_FORM_REFUSED) &&
		less != AGENT_FORM_MORE)
		abort();
	/* More cannot be wanted once it was wrong. */
	if (less == AGENT_FORM_BAD && whole != AGENT_FORM_BAD)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *sig = NULL;
	size_t len = 0;

	if (!size)
		return 0;
	check(ask_keys(data, size), ask_keys(data, size - 1));
	check(ask_signature(data, size, &sig, &len),
		ask_signature(data, size - 1, &sig, &len));
	if (ask_signature(data, size, &sig, &len) == AGENT_FORM_GOOD &&
		!usercert_verify_login(
			key, KEY_LEN, "ssh-ed25519", data, 1, sig, len))
		abort();
	if (!usercert_verify_login(key, KEY_LEN, "sk-ssh-ed25519@openssh.com",
		    data, 1, data, size))
		abort();
	return 0;
}
