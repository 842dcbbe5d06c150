/*
 * Key revocation lists in OpenSSH's binary form. Read from a file of root's,
 * and strictly all the same: a list that is cut short or holds a section that
 * is not known cannot say who is not on it.
 */
#include <string.h>

#include <openssl/evp.h>

#include "core/buf.h"
#include "revoked.h"

#define KRL_VERSION 1

static const uint8_t magic[8] = {'S', 'S', 'H', 'K', 'R', 'L', '\n', 0};

enum {
	SECTION_CERTIFICATES = 1,
	SECTION_KEYS = 2,
	SECTION_SHA1 = 3,
	SECTION_SHA256 = 5,
	CERT_SERIALS = 0x20,
	CERT_RANGE = 0x21,
	CERT_BITMAP = 0x22,
	CERT_IDS = 0x23,
};

struct list {
	const struct revoked_query *query;
	bool hit;
};

static bool same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a && b && a_len == b_len && !memcmp(a, b, a_len);
}

/* Plain keys, people's or CAs'. */
static enum sgb_err keys(struct reader *rd, struct list *list)
{
	const struct revoked_query *query = list->query;

	while (rd->left && !rd->err) {
		size_t len;
		const uint8_t *blob = reader_string(rd, &len);

		list->hit |= same(blob, len, query->blob, query->blob_len);
		if (query->cert)
			list->hit |= same(blob, len, query->cert->ca,
				query->cert->ca_len);
	}
	return rd->err;
}

static bool digest_is(const EVP_MD *md, const uint8_t *blob, size_t blob_len,
	const uint8_t *wanted, size_t len)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int digest_len = 0;

	return blob &&
	       EVP_Digest(blob, blob_len, digest, &digest_len, md, NULL) == 1 &&
	       same(wanted, len, digest, digest_len);
}

static enum sgb_err digests(
	struct reader *rd, struct list *list, const EVP_MD *md)
{
	const struct revoked_query *query = list->query;

	while (rd->left && !rd->err) {
		size_t len;
		const uint8_t *wanted = reader_string(rd, &len);

		if (!rd->err && len != (size_t)EVP_MD_get_size(md))
			return SGB_ERR_FORMAT;
		list->hit |= digest_is(
			md, query->blob, query->blob_len, wanted, len);
		if (query->cert)
			list->hit |= digest_is(md, query->cert->ca,
				query->cert->ca_len, wanted, len);
	}
	return rd->err;
}

static void serials(struct reader *rd, struct list *list)
{
	while (rd->left && !rd->err)
		list->hit |= reader_u64(rd) == list->query->cert->serial &&
			     !rd->err;
}

static enum sgb_err range(struct reader *rd, struct list *list)
{
	uint64_t from = reader_u64(rd), until = reader_u64(rd);

	if (rd->err || from > until)
		return SGB_ERR_FORMAT;
	list->hit |= list->query->cert->serial >= from &&
		     list->query->cert->serial <= until;
	return SGB_OK;
}

/* An mpint; bit n is serial offset + n. */
static enum sgb_err bitmap(struct reader *rd, struct list *list)
{
	uint64_t offset = reader_u64(rd), bit;
	size_t len;
	const uint8_t *bits = reader_string(rd, &len);

	if (rd->err || (len && (bits[0] & 0x80)))
		return SGB_ERR_FORMAT;
	if (list->query->cert->serial < offset)
		return SGB_OK;
	bit = list->query->cert->serial - offset;
	if (bit / 8 < len)
		list->hit |= bits[len - 1 - bit / 8] & 1u << bit % 8;
	return SGB_OK;
}

static void ids(struct reader *rd, struct list *list)
{
	const char *id = list->query->cert->key_id;

	while (rd->left && !rd->err) {
		size_t len;
		const uint8_t *text = reader_string(rd, &len);

		list->hit |= same(text, len, (const uint8_t *)id, strlen(id));
	}
}

static enum sgb_err cert_section(
	uint8_t type, struct reader *rd, struct list *list)
{
	enum sgb_err err = SGB_OK;

	switch (type) {
	case CERT_SERIALS: serials(rd, list); break;
	case CERT_RANGE: err = range(rd, list); break;
	case CERT_BITMAP: err = bitmap(rd, list); break;
	case CERT_IDS: ids(rd, list); break;
	default: return SGB_ERR_UNSUPPORTED;
	}
	return err ? err : reader_end(rd);
}

/* One CA's certificates, or every CA's where it is not named. A query without
 * a certificate is read as one that no serial fits, so that the form is
 * checked all the same. */
static enum sgb_err certificates(
	struct reader *rd, const struct list *outer, bool *ret_hit)
{
	static const struct usercert nobody;
	struct revoked_query query = *outer->query;
	struct list list = {.query = &query};
	const uint8_t *ca, *data;
	enum sgb_err err = SGB_OK;
	size_t ca_len, len;
	bool ours;

	ca = reader_string(rd, &ca_len);
	reader_string(rd, &len); /* reserved */
	ours = query.cert && (!ca_len || same(ca, ca_len, query.cert->ca,
						 query.cert->ca_len));
	if (!query.cert)
		query.cert = &nobody;
	while (rd->left && !rd->err && !err) {
		uint8_t type = reader_u8(rd);
		struct reader inner;

		data = reader_string(rd, &len);
		reader_init(&inner, data, len);
		if (!rd->err)
			err = cert_section(type, &inner, &list);
	}
	*ret_hit |= ours && list.hit;
	return err ? err : reader_end(rd);
}

static enum sgb_err section(uint8_t type, struct reader *rd, struct list *list)
{
	switch (type) {
	case SECTION_CERTIFICATES: return certificates(rd, list, &list->hit);
	case SECTION_KEYS: return keys(rd, list);
	case SECTION_SHA1: return digests(rd, list, EVP_sha1());
	case SECTION_SHA256: return digests(rd, list, EVP_sha256());
	default: return SGB_ERR_UNSUPPORTED;
	}
}

bool krl_is(const uint8_t *data, size_t len)
{
	return len >= sizeof(magic) && !memcmp(data, magic, sizeof(magic));
}

enum sgb_err krl_check(
	const uint8_t *data, size_t len, const struct revoked_query *query)
{
	struct list list = {.query = query};
	enum sgb_err err = SGB_OK;
	struct reader rd;
	size_t ignored;

	if (!krl_is(data, len))
		return SGB_ERR_FORMAT;
	reader_init(&rd, data + sizeof(magic), len - sizeof(magic));
	if (reader_u32(&rd) != KRL_VERSION)
		return SGB_ERR_UNSUPPORTED;
	reader_u64(&rd); /* number of this list */
	reader_u64(&rd); /* when it was made */
	reader_u64(&rd); /* flags, none defined */
	reader_string(&rd, &ignored);
	reader_string(&rd, &ignored); /* comment */
	while (rd.left && !rd.err && !err) {
		uint8_t type = reader_u8(&rd);
		size_t section_len;
		const uint8_t *bytes = reader_string(&rd, &section_len);
		struct reader inner;

		reader_init(&inner, bytes, section_len);
		if (!rd.err)
			err = section(type, &inner, &list);
	}
	if (!err)
		err = reader_end(&rd);
	if (!err && list.hit)
		err = SGB_ERR_DENIED;
	return err;
}
