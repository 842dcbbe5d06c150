/*
 * Questions to an agent, and its answers, read strictly: what is too long,
 * left over or of another kind is no answer. Trusts nothing in them.
 */
#include "session_agent_form.h"

#include <string.h>

#include "ssh_agent.h"

#define KEYS_MAX 2048

void agent_form_ask_keys(struct buf *out)
{
	buf_put_u32(out, 1);
	buf_put_u8(out, AGENT_REQUEST_IDENTITIES);
}

void agent_form_ask_signature(struct buf *out, const uint8_t *key,
	size_t key_len, const uint8_t *data, size_t len, uint32_t flags)
{
	struct buf body;

	buf_init(&body, AGENT_FORM_MAX);
	buf_put_u8(&body, AGENT_SIGN_REQUEST);
	buf_put_string(&body, key, key_len);
	buf_put_string(&body, data, len);
	buf_put_u32(&body, flags);
	if (!buf_error(&body))
		buf_put_string(out, body.data, body.len);
	buf_done(&body);
}

/* One whole message and nothing behind it: nobody asked for more. On GOOD rd
 * is at its body, which is of this kind. */
static enum agent_form open_answer(
	const uint8_t *answer, size_t len, uint8_t kind, struct reader *rd)
{
	uint32_t want;
	uint8_t got;

	reader_init(rd, answer, len);
	if (len < 4)
		return AGENT_FORM_MORE;
	want = reader_u32(rd);
	if (!want || want > AGENT_FORM_MAX - 4 || rd->left > want)
		return AGENT_FORM_BAD;
	if (rd->left < want)
		return AGENT_FORM_MORE;
	got = reader_u8(rd);
	if (got == AGENT_FAILURE || got == AGENT_COM_FAILURE)
		return AGENT_FORM_REFUSED;
	return got == kind ? AGENT_FORM_GOOD : AGENT_FORM_BAD;
}

enum agent_form agent_form_keys(const uint8_t *answer, size_t len,
	const uint8_t *key, size_t key_len, bool *ret_held)
{
	struct reader rd;
	enum agent_form form;
	bool held = false;
	uint32_t count;

	*ret_held = false;
	form = open_answer(answer, len, AGENT_IDENTITIES_ANSWER, &rd);
	if (form != AGENT_FORM_GOOD)
		return form;
	count = reader_u32(&rd);
	if (count > KEYS_MAX)
		return AGENT_FORM_BAD;
	while (count-- && !rd.err) {
		size_t blob_len, comment_len;
		const uint8_t *blob = reader_string(&rd, &blob_len);

		reader_string(&rd, &comment_len);
		held |= !rd.err && blob_len == key_len &&
			!memcmp(blob, key, key_len);
	}
	if (reader_end(&rd))
		return AGENT_FORM_BAD;
	*ret_held = held;
	return AGENT_FORM_GOOD;
}

enum agent_form agent_form_signature(
	const uint8_t *answer, size_t len, const uint8_t **ret, size_t *ret_len)
{
	const uint8_t *signature;
	enum agent_form form;
	struct reader rd;
	size_t got;

	form = open_answer(answer, len, AGENT_SIGN_RESPONSE, &rd);
	if (form != AGENT_FORM_GOOD)
		return form;
	signature = reader_string(&rd, &got);
	if (reader_end(&rd) || !got || got > AGENT_FORM_SIGNATURE)
		return AGENT_FORM_BAD;
	*ret = signature;
	*ret_len = got;
	return AGENT_FORM_GOOD;
}
