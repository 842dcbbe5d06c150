/*
 * Disclosure files. Reading one trusts nothing in it: a key that is not the
 * segment's opens nothing, since every frame is sealed.
 */
#include "disclosure.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/secret.h"

struct disclosed {
	uint32_t segment;
	uint8_t key[SUITE_KEY_LEN];
};

struct disclosure {
	char rec[SGR_ID_TEXT];
	uint8_t head[SUITE_HASH_LEN];
	struct disclosed *keys;
	size_t count;
};

static enum sgb_err put_key(
	const struct ratchet *ratchet, const char *comma, FILE *out)
{
	uint8_t key[SUITE_KEY_LEN];
	char hex[2 * SUITE_KEY_LEN + 1];
	enum sgb_err err = ratchet_segment_key(ratchet, key);

	if (!err) {
		suite_hex(key, sizeof(key), hex);
		(void)fprintf(out, "%s\n{\"segment\":%u,\"key\":\"%s\"}", comma,
			ratchet->segment, hex);
	}
	secret_wipe(key, sizeof(key));
	secret_wipe(hex, sizeof(hex));
	return err;
}

enum sgb_err disclosure_write(const struct sgr_header *header,
	struct ratchet *ratchet, uint32_t first, uint32_t last, FILE *out)
{
	char rec[SGR_ID_TEXT], hex[2 * SUITE_HASH_LEN + 1];
	uint8_t head[SUITE_HASH_LEN];
	enum sgb_err err;

	err = sgr_link_first(header->raw, header->raw_len, head);
	sgr_id_text(header->rec_id, rec);
	suite_hex(head, sizeof(head), hex);
	(void)fprintf(out,
		"{\"sgr_disclosure\":1,\"rec\":\"%s\",\"head\":\"%s\","
		"\"keys\":[",
		rec, hex);
	while (!err && ratchet->segment <= last) {
		if (ratchet->segment >= first)
			err = put_key(ratchet,
				ratchet->segment > first ? "," : "", out);
		if (!err)
			err = ratchet_step(ratchet);
	}
	(void)fprintf(out, "]}\n");
	ratchet_wipe(ratchet);
	return err ? err : ferror(out) ? SGB_ERR_SYSTEM : SGB_OK;
}

static bool read_hex(json_t *object, const char *name, uint8_t *ret, size_t len)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && strlen(text) == 2 * len &&
	       !suite_unhex(text, 2 * len, ret);
}

static bool read_keys(json_t *keys, struct disclosure *disclosure)
{
	size_t count = json_array_size(keys), i;

	if (!count)
		return false;
	disclosure->keys = calloc(count, sizeof(*disclosure->keys));
	if (!disclosure->keys)
		return false;
	for (i = 0; i < count; i++) {
		json_t *one = json_array_get(keys, i);
		json_int_t segment = json_integer_value(
			json_object_get(one, "segment"));

		if (segment < 0 || segment > UINT32_MAX ||
			!read_hex(one, "key", disclosure->keys[i].key,
				SUITE_KEY_LEN))
			return false;
		disclosure->keys[i].segment = (uint32_t)segment;
		disclosure->count++;
	}
	return true;
}

enum sgb_err disclosure_read(
	const char *text, size_t len, struct disclosure **ret)
{
	struct disclosure *disclosure = calloc(1, sizeof(*disclosure));
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *rec = json_string_value(json_object_get(root, "rec"));
	bool good;

	if (!disclosure) {
		json_decref(root);
		return SGB_ERR_NOMEM;
	}
	good = rec && strlen(rec) == SGR_ID_TEXT - 1 &&
	       json_integer_value(json_object_get(root, "sgr_disclosure")) ==
		       1 &&
	       read_hex(root, "head", disclosure->head, SUITE_HASH_LEN) &&
	       read_keys(json_object_get(root, "keys"), disclosure);
	if (good) {
		memcpy(disclosure->rec, rec, SGR_ID_TEXT);
		*ret = disclosure;
	} else {
		disclosure_free(disclosure);
	}
	json_decref(root);
	return good ? SGB_OK : SGB_ERR_FORMAT;
}

void disclosure_free(struct disclosure *disclosure)
{
	if (!disclosure)
		return;
	if (disclosure->keys)
		secret_wipe(disclosure->keys,
			disclosure->count * sizeof(*disclosure->keys));
	free(disclosure->keys);
	free(disclosure);
}

bool disclosure_is_for(
	const struct disclosure *disclosure, const struct sgr_header *header)
{
	uint8_t head[SUITE_HASH_LEN];

	return !sgr_link_first(header->raw, header->raw_len, head) &&
	       !memcmp(head, disclosure->head, sizeof(head));
}

const uint8_t *disclosure_key(
	const struct disclosure *disclosure, uint32_t segment)
{
	size_t i;

	for (i = 0; i < disclosure->count; i++)
		if (disclosure->keys[i].segment == segment)
			return disclosure->keys[i].key;
	return NULL;
}
