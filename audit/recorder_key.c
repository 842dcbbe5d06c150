/*
 * The recorder's next signing key, taken while it runs. Only root can hand it
 * over, as it could change the file that the key is read from at start. The
 * old key signs which key follows; recordings that are open keep the key that
 * their header names, so old keys stay in memory until the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"

#include "recorder.h"

#define PEM_MAX 16384
#define OLD_KEYS \
	(sizeof(((struct recorder *)0)->old_keys) / sizeof(struct suite_key *))

static enum sgb_err read_key(int fd, struct suite_key **ret)
{
	struct buf pem;
	enum sgb_err err;

	buf_init(&pem, PEM_MAX);
	err = fd < 0 ? SGB_ERR_FORMAT : file_read_fd(fd, &pem);
	if (!err)
		err = suite_key_from_pem(
			pem.data, pem.len, SUITE_KEY_ED25519, ret);
	buf_done(&pem);
	if (fd >= 0)
		close(fd);
	return err;
}

/* One line of the trail, under the old key, and durable before anything is
 * signed by the new one. */
static enum sgb_err announce(
	struct recorder *recorder, const struct suite_key *key, const char *id)
{
	char text[200], base64[48];
	uint8_t hash[SUITE_HASH_LEN];
	uint64_t seq, failures;
	enum sgb_err err;
	struct event event = {.kind = EVENT_CONFIG,
		.ok = true,
		.what = "recorder-key",
		.reason = text};

	suite_base64(suite_key_public(key), SUITE_KEY_LEN, base64);
	(void)snprintf(text, sizeof(text),
		"writer %s is followed by writer %s: ed25519 %s",
		recorder->writer_id, id, base64);
	/* A line that is lost leaves its number to the next one. */
	failures = recorder->trail_gate.failures;
	err = recorder_event_add(recorder, &event, &seq);
	if (err)
		return err;
	recorder_settle(recorder);
	return recorder->trail_gate.failures == failures &&
			       journal_head(recorder->trail, hash) >= seq
		       ? SGB_OK
		       : SGB_ERR_SYSTEM;
}

enum sgb_err recorder_take_key(struct recorder *recorder, int fd)
{
	char id[JOURNAL_WRITER_LEN + 1];
	uint8_t hash[SUITE_HASH_LEN];
	struct suite_key *key = NULL;
	enum sgb_err err = read_key(fd, &key);

	if (!err)
		err = suite_writer_id(suite_key_public(key), hash);
	if (err) {
		suite_key_free(key);
		return err;
	}
	suite_hex(hash, JOURNAL_WRITER_LEN / 2, id);
	/* It was told before, and whoever told did not hear the answer. */
	if (!strcmp(id, recorder->writer_id)) {
		suite_key_free(key);
		return SGB_OK;
	}
	if (recorder->old_count == OLD_KEYS)
		err = SGB_ERR_LIMIT;
	if (!err && strcmp(id, recorder->announced) != 0)
		err = announce(recorder, key, id);
	if (err) {
		suite_key_free(key);
		return err;
	}
	memcpy(recorder->announced, id, sizeof(id));
	/* Heads are lines, too: those that name the old writer are signed and
	 * durable before there is another. */
	recorder_heads(recorder, true);
	recorder_settle(recorder);
	if (journal_pending(recorder->trail) ||
		journal_pending(recorder->index)) {
		log_put(LOG_ERR,
			"writer %s is named as the next one, and %s goes on: "
			"its last lines cannot be written",
			id, recorder->writer_id);
		suite_key_free(key);
		return SGB_ERR_BUSY;
	}
	*recorder->announced = '\0';
	recorder->old_keys[recorder->old_count++] = recorder->key;
	recorder->key = key;
	memcpy(recorder->writer_id, id, sizeof(id));
	journal_rekey(recorder->trail, key);
	journal_rekey(recorder->index, key);
	log_put(LOG_NOTICE, "writer %s from now on", id);
	return SGB_OK;
}

void recorder_free_keys(struct recorder *recorder)
{
	while (recorder->old_count)
		suite_key_free(recorder->old_keys[--recorder->old_count]);
	suite_key_free(recorder->key);
	recorder->key = NULL;
}
