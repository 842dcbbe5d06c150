/*
 * The reader of recordings. The first byte chooses: the bytes are a file; or
 * they are a file's frames, with lengths and links made to fit; or they are the
 * plaintext of a frame that a recorder sealed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"

#include "../../audit/evidence.h"
#include "../../audit/identity.h"
#include "../../audit/writer.h"

static struct suite_key *signer;
static struct identity *reader;
static struct buf start; /* header, META, CHECKPOINT */
static uint8_t start_link[SUITE_HASH_LEN];
static struct sgr_header header;

static void must(enum sgb_err err)
{
	if (err)
		abort();
}

static void prepare(void)
{
	static const uint8_t raw[2][SUITE_KEY_LEN] = {{1}, {2}};
	static const struct sgr_clock clock = {.wall_ns = 1};
	struct sgr_recipient to = {0};
	struct sgr_header_params params = {.writer_name = "w",
		.retention = "r",
		.recipients = &to,
		.recipient_count = 1};
	struct suite_key *key;
	struct writer *writer;
	size_t len;

	must(suite_key_from_raw(SUITE_KEY_X25519, raw[0], &key));
	must(identity_from_key(key, &reader));
	must(suite_key_from_raw(SUITE_KEY_ED25519, raw[1], &signer));
	to.kind = SGR_KIND_X25519;
	to.key_len = SUITE_KEY_LEN;
	memcpy(to.key, reader->public_half.key, SUITE_KEY_LEN);
	memcpy(params.writer_key, suite_key_public(signer), SUITE_KEY_LEN);
	buf_init(&start, 65536);
	must(writer_begin(&params, signer, "{}", 2, &clock, &start, &writer));
	memcpy(start_link, writer_link(writer), SUITE_HASH_LEN);
	writer_free(writer);
	len = SGR_PREAMBLE_LEN +
	      ((size_t)start.data[12] | (size_t)start.data[13] << 8);
	must(sgr_header_parse(start.data, len, &header));
}

static void scan_bytes(const uint8_t *data, size_t len)
{
	struct sgr_source *source;
	struct sgr_frame frame;
	struct sgr_scan scan;
	enum sgb_err err;

	must(sgr_source_memory(data, len, &source));
	err = sgr_scan_begin(&scan, source);
	while (!err)
		err = sgr_scan_next(&scan, &frame);
	/* Our writer signed no end: it can't be whole. */
	if (scan.verdict == SGR_INTACT &&
		!memcmp(scan.header.writer_key, suite_key_public(signer),
			SUITE_KEY_LEN))
		abort();
	sgr_scan_done(&scan);
	sgr_source_free(source);
}

/* Chunks of the input as bodies: type and flags from it, the rest fits. */
static void scan_frames(const uint8_t *data, size_t len)
{
	uint8_t link[SUITE_HASH_LEN], head[SGR_HEAD_LEN];
	struct buf file;
	uint32_t index = 2;

	buf_init(&file, 1 << 20);
	buf_put(&file, start.data, start.len);
	memcpy(link, start_link, sizeof(link));
	while (len > 4) {
		size_t body = data[2] < len - 4 ? data[2] : len - 4;
		struct sgr_head fields = {.type = data[0],
			.flags = data[1],
			.segment = data[3],
			.index = index++,
			.len = (uint32_t)body};

		sgr_head_put(&fields, head);
		buf_put(&file, head, sizeof(head));
		buf_put(&file, data + 4, body);
		must(sgr_link_next(link, head, data + 4, body));
		buf_put(&file, link, SGR_LINK_LEN);
		data += 4 + body;
		len -= 4 + body;
	}
	if (!buf_error(&file))
		scan_bytes(file.data, file.len);
	buf_done(&file);
}

static void put_sealed(
	struct buf *file, uint8_t flags, const uint8_t *data, size_t len)
{
	struct sgr_head fields = {.type = SGR_EVENTS,
		.flags = flags & (SGR_ZSTD | SGR_PADDED | SGR_INPUT),
		.segment = 1,
		.index = 2,
		.len = (uint32_t)(len + SUITE_TAG_LEN)};
	uint8_t head[SGR_HEAD_LEN], aad[SGR_AAD_LEN], nonce[SUITE_NONCE_LEN];
	uint8_t link[SUITE_HASH_LEN], *body;
	struct suite_cipher *cipher;
	struct ratchet ratchet;

	must(sgr_header_open(&header, &reader, 1, &ratchet));
	must(ratchet_step(&ratchet));
	must(ratchet_cipher(&ratchet, &cipher));
	sgr_head_put(&fields, head);
	buf_put(file, head, sizeof(head));
	body = buf_extend(file, len + SUITE_TAG_LEN);
	if (!body)
		abort();
	sgr_aad(header.rec_id, head, start_link, aad);
	sgr_nonce(2, nonce);
	must(suite_seal(cipher, nonce, aad, sizeof(aad), data, len, body));
	memcpy(link, start_link, sizeof(link));
	must(sgr_link_next(link, head, body, len + SUITE_TAG_LEN));
	buf_put(file, link, SGR_LINK_LEN);
	suite_cipher_free(cipher);
}

static void read_sealed(const uint8_t *data, size_t len)
{
	struct evidence *evidence;
	struct sgr_item item;
	struct buf file;
	enum sgb_err err;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (!len || len > 65536)
		return;
	buf_init(&file, 1 << 20);
	buf_put(&file, start.data, start.len);
	put_sealed(&file, data[0], data + 1, len - 1);
	must(file_write_all(fd, file.data, file.len));
	err = evidence_open(fd, &reader, 1, &evidence);
	while (!err)
		err = evidence_next(evidence, &item);
	evidence_free(evidence);
	buf_done(&file);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!reader)
		prepare();
	if (!len)
		return 0;
	switch (data[0] % 3) {
	case 0: scan_bytes(data + 1, len - 1); break;
	case 1: scan_frames(data + 1, len - 1); break;
	default: read_sealed(data + 1, len - 1);
	}
	return 0;
}
