/*
 * What of a channel's bytes is kept, and how: whole, up to a limit, or as
 * totals and records of files. Every byte that is taken from a leg comes
 * through channel_take(), and nothing reaches the other leg in any other way.
 */
#include "session_channel.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "session_sftp_int.h"

/* One item of the recording. */
#define PIECE_MAX    32768
#define OPERANDS_MAX 4096

static void hash_open(struct stream_hash *hash)
{
	hash->ctx = EVP_MD_CTX_new();
	if (hash->ctx &&
		EVP_DigestInit_ex(hash->ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(hash->ctx);
		hash->ctx = NULL;
	}
}

void channel_hash_init(struct channel *ch)
{
	/* What is kept whole needs no digest. Nor do files over SFTP, which
	 * have one each, or forwards, of which a flow record is kept: a digest
	 * of their framing proves nothing that anybody could compare. */
	if (ch->payload == PAYLOAD_WHOLE || ch->payload == PAYLOAD_TOTALS)
		return;
	hash_open(&ch->hash_in);
	hash_open(&ch->hash_out);
	hash_open(&ch->hash_err);
}

static void hash_add(struct stream_hash *hash, const void *data, size_t len)
{
	hash->bytes += len;
	if (hash->ctx)
		EVP_DigestUpdate(hash->ctx, data, len);
}

static void hash_final(struct stream_hash *hash, uint8_t digest[32])
{
	unsigned int len = 32;

	memset(digest, 0, 32);
	if (hash->ctx)
		EVP_DigestFinal_ex(hash->ctx, digest, &len);
}

/* What was not kept under the rules, in numbers, when the channel ends. */
void channel_totals(struct channel *ch)
{
	struct session *s = ch->session;
	uint64_t output = ch->hash_out.bytes + ch->hash_err.bytes;
	uint8_t digest[32];
	struct buf body;

	if (!channel_relayed(ch) || !ch->started)
		return;
	buf_init(&body, 256);
	if (ch->kept.full || ch->head_out.full) {
		buf_put_u64(
			&body, output - ch->kept.bytes - ch->head_out.bytes);
		record_put(&s->record, ch->id, RECORD_GAP, body.data, body.len);
		buf_reset(&body);
	}
	if (ch->payload != PAYLOAD_WHOLE) {
		buf_put_u64(&body, ch->hash_in.bytes);
		buf_put_u64(&body, ch->hash_out.bytes);
		buf_put_u64(&body, ch->hash_err.bytes);
		hash_final(&ch->hash_in, digest);
		buf_put(&body, digest, 32);
		hash_final(&ch->hash_out, digest);
		buf_put(&body, digest, 32);
		hash_final(&ch->hash_err, digest);
		buf_put(&body, digest, 32);
		record_put(
			&s->record, ch->id, RECORD_TOTALS, body.data, body.len);
	}
	buf_done(&body);
}

void channel_file(void *arg, const struct sftp_event *event)
{
	struct channel *ch = arg;
	struct session *s = ch->session;

	record_put_text(&s->record, ch->id,
		event->file ? RECORD_FILE : RECORD_FILE_OP, event->json);
	if (event->file)
		link_report(s, ch->id, SESSION_REPORT_FILE, event->bytes,
			event->upload, event->path);
}

/* Of rsync no file is seen (docs/RECORDING.md), but where its command points,
 * which way it went and how much passed. */
static void rsync_end(struct channel *ch)
{
	const char *paths = strstr(ch->command, " . ");
	char *path = sftp_escape((const uint8_t *)(paths ? paths + 3 : ""),
		paths ? strnlen(paths + 3, OPERANDS_MAX) : 0);
	struct buf json;

	buf_init(&json, RECORD_ITEM_MAX);
	buf_printf(&json,
		"{\"op\":\"rsync\",\"path\":\"%s\",\"direction\":\"%s\","
		"\"in\":%llu,\"out\":%llu}",
		path ? path : "",
		strstr(ch->command, " --sender ") ? "download" : "upload",
		(unsigned long long)ch->hash_in.bytes,
		(unsigned long long)ch->hash_out.bytes);
	record_put(&ch->session->record, ch->id, RECORD_FILE_OP, json.data,
		json.len);
	buf_done(&json);
	free(path);
}

static void unwatch_scp(struct channel *ch)
{
	if (ch->scp)
		scp_watch_end(ch->scp);
	scp_watch_free(ch->scp);
	ch->scp = NULL;
}

void channel_files_end(struct channel *ch)
{
	if (ch->sftp)
		sftp_watch_end(ch->sftp);
	unwatch_scp(ch);
	if (ch->payload == PAYLOAD_FILES && ch->command &&
		ch->transfer == POLICY_TRANSFER_RSYNC)
		rsync_end(ch);
}

/* Up to a limit, and nothing after what was beyond it. */
static bool keep_upto(
	struct channel *ch, struct kept *kept, size_t len, uint64_t limit)
{
	static const uint8_t from_here_on[8];

	if (kept->full)
		return false;
	if (kept->bytes + len <= limit) {
		kept->bytes += len;
		return true;
	}
	kept->full = true;
	record_put(&ch->session->record, ch->id, RECORD_GAP, from_here_on,
		sizeof(from_here_on));
	return false;
}

/* Does this direction carry the content of files? */
static bool is_bulk(const struct channel *ch, const struct flow *flow)
{
	if (ch->payload != PAYLOAD_FILES || flow == &ch->err)
		return false;
	return ch->transfer == POLICY_TRANSFER_RSYNC ||
	       (ch->transfer == POLICY_TRANSFER_SCP_SINK) == (flow == &ch->in);
}

/* Is this piece kept? Counts what is. Errors are nobody's content. */
static bool keep(struct channel *ch, const struct flow *flow, size_t len)
{
	bool input = flow == &ch->in;

	if (ch->payload == PAYLOAD_WHOLE && !input)
		return true;
	if (ch->payload == PAYLOAD_TOTALS && flow != &ch->err)
		return false;
	if (input && !(ch->session->target.record_bits & 1))
		return false;
	if (is_bulk(ch, flow))
		return keep_upto(ch, input ? &ch->head_in : &ch->head_out, len,
			RECORD_HEAD_MAX);
	return input || keep_upto(ch, &ch->kept, len, RECORD_EXEC_MAX);
}

/* The byte at this place of a direction: can the protocol have it there? */
static bool fits(const struct channel *ch, const struct flow *flow, uint64_t at,
	int byte)
{
	/* Both sides of rsync begin with a version, little-endian. */
	if (ch->transfer == POLICY_TRANSFER_RSYNC)
		return at > 3 || (at ? !byte : byte >= 20 && byte < 64);
	if (at)
		return true;
	/* scp: a file, a folder, times or an error; or the answers to them. */
	if (is_bulk(ch, flow))
		return byte && strchr("CDT\1\2", byte);
	return byte <= 2;
}

/* A command's name proves nothing: what does not begin as the protocol does
 * is recorded as any other command. */
static void check_transfer(struct channel *ch, const struct flow *flow,
	uint64_t at, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && at + i < 4; i++) {
		if (fits(ch, flow, at + i, data[i]))
			continue;
		ch->payload = PAYLOAD_LIMITED;
		record_put_text(&ch->session->record, ch->id, RECORD_NOTE,
			"not a file transfer, whatever its name");
		unwatch_scp(ch);
		return;
	}
}

/* What stops being scp is recorded as any other command from there on, unless
 * a hole has begun: a recording has one. */
static void watch_scp(struct channel *ch, const struct flow *flow,
	const uint8_t *data, size_t len)
{
	if (!ch->scp || flow == &ch->err ||
		scp_watch_bytes(ch->scp, flow == &ch->in, data, len))
		return;
	unwatch_scp(ch);
	if (!ch->head_in.full && !ch->head_out.full)
		ch->payload = PAYLOAD_LIMITED;
}

void channel_sftp_refused(void *arg, const char *text)
{
	struct channel *ch = arg;

	record_put_text(&ch->session->record, ch->id, RECORD_REFUSED, text);
}

static enum sgb_err put_piece(
	struct channel *ch, struct flow *flow, const void *data, size_t len)
{
	struct session *s = ch->session;
	enum record_kind kind = flow == &ch->in	   ? RECORD_IN
				: flow == &ch->err ? RECORD_ERR
						   : RECORD_OUT;
	struct stream_hash *hash = flow == &ch->in    ? &ch->hash_in
				   : flow == &ch->err ? &ch->hash_err
						      : &ch->hash_out;
	if (flow == &ch->in)
		ch->bytes_in += len;
	else
		ch->bytes_out += len;
	if (ch->payload == PAYLOAD_FILES && flow != &ch->err)
		check_transfer(ch, flow, hash->bytes, data, len);
	watch_scp(ch, flow, data, len);
	if (ch->payload != PAYLOAD_WHOLE)
		hash_add(hash, data, len);
	if (keep(ch, flow, len) &&
		!record_put(&s->record, ch->id, kind, data, len))
		return SGB_ERR_CLOSED;
	if (ch->sftp && flow != &ch->err &&
		sftp_watch_bytes(ch->sftp, flow == &ch->in, data, len)) {
		ch->unwatched = true;
		return SGB_ERR_FORMAT;
	}
	/* What is not kept follows what is, and never overtakes it. */
	return flow_put(flow, data, len, record_behind(&s->record));
}

/* Through the SFTP filter, where there is one. What it answers by itself goes
 * to the client between the server's answers. */
static enum sgb_err take_piece(
	struct channel *ch, struct flow *flow, const void *data, size_t len)
{
	struct buf passed, answers;
	enum sgb_err err;

	if (!ch->filter || flow == &ch->err)
		return put_piece(ch, flow, data, len);
	buf_init(&passed, FLOW_MAX);
	buf_init(&answers, FLOW_MAX);
	if (flow == &ch->in) {
		err = sftp_filter_client(ch->filter, data, len, &passed);
		if (!err)
			err = sftp_filter_server(ch->filter, NULL, 0, &answers);
	} else {
		err = sftp_filter_server(ch->filter, data, len, &passed);
	}
	if (!err && passed.len)
		err = put_piece(ch, flow, passed.data, passed.len);
	if (!err && answers.len)
		err = flow_put(&ch->out, answers.data, answers.len,
			record_behind(&ch->session->record));
	buf_done(&passed);
	buf_done(&answers);
	return err;
}

int channel_take(
	struct channel *ch, struct flow *flow, const void *data, uint32_t len)
{
	const uint8_t *bytes = data;
	uint32_t done = 0;

	while (done < len && !ch->unwatched) {
		size_t piece = len - done < PIECE_MAX ? len - done : PIECE_MAX;

		if (take_piece(ch, flow, bytes + done, piece)) {
			ch->session->busy = true;
			if (!ch->session->record.lost && !ch->unwatched)
				ch->session->over = true;
			break;
		}
		done += (uint32_t)piece;
	}
	ch->session->busy = true;
	/* What cannot be followed goes nowhere; the channel is about to end. */
	return ch->unwatched ? (int)len : (int)done;
}
