/*
 * sgbridge key list and show: which stored keys there are, what they are for,
 * how old they are, and when the bastion last logged on with them.
 */
#include "sgbridge_key.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/conf.h"

#define DAY	  86400
#define AGE_DAYS  365 /* unless --max-age says */
#define IDLE_DAYS 90  /* unless --unused says */
#define OUT_MAX	  (1024u * 1024)

struct listing {
	struct cli *cli;
	const struct conf *conf;
	struct table table;
	size_t notes;
	bool failed;
	time_t now;
};

static void put_day(struct table *table, time_t when)
{
	char text[16] = "never";
	struct tm tm;

	if (when && gmtime_r(&when, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	table_put(table, text);
}

static void put_purposes(const struct targetkey *key, struct buf *out)
{
	size_t i;

	for (i = 0; i < key->purpose_count; i++)
		buf_printf(out, "%s%s", i ? "," : "", key->purposes[i]);
}

static void SGB_PRINTF(3, 4)
	remark(struct listing *listing, struct buf *out, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	buf_printf(out, "%s%s", out->len ? "; " : "", text);
	listing->notes++;
}

/* What there is to do about this one. */
static void remarks(struct listing *listing, const struct targetkey *key,
	size_t i, time_t used, struct buf *out)
{
	const struct cli *cli = listing->cli;
	const struct targetkey_version *version = &key->versions[i];
	time_t age = cli->max_days ? cli->max_days : AGE_DAYS;
	time_t idle = cli->idle_days ? cli->idle_days : IDLE_DAYS;
	const char *stranger = key_stranger(cli->policy, key);

	if (i) {
		remark(listing, out,
			"being replaced: key rotate %s --finish when the new "
			"one is used",
			key->name);
		return;
	}
	if (!key_user(cli->policy, key->name))
		remark(listing, out, "the policy does not name it");
	if (stranger)
		remark(listing, out, "%s names it, and it is not for it",
			stranger);
	if (listing->now - version->made > age * DAY)
		remark(listing, out, "older than %ld days: key rotate %s",
			(long)age, key->name);
	if (listing->now - (used ? used : version->made) > idle * DAY)
		remark(listing, out, "not used for %ld days", (long)idle);
}

static void put_version(
	struct listing *listing, const struct targetkey *key, size_t i)
{
	const struct targetkey_version *version = &key->versions[i];
	time_t used = targetkey_used(
		listing->conf->target_keys, key->name, version);
	struct buf cell;

	buf_init(&cell, OUT_MAX);
	table_put(&listing->table, key->name);
	put_purposes(key, &cell);
	table_put_buf(&listing->table, &cell);
	table_put(&listing->table, version->parsed.name);
	table_put(&listing->table, version->parsed.fingerprint);
	put_day(&listing->table, version->made);
	put_day(&listing->table, used);
	remarks(listing, key, i, used, &cell);
	table_put_buf(&listing->table, &cell);
	buf_done(&cell);
}

static void put_key(const char *name, void *arg)
{
	struct listing *listing = arg;
	struct targetkey *key = NULL;
	char why[TARGETKEY_WHY];
	size_t i;

	if (targetkey_load(listing->conf->target_keys, name,
		    listing->conf->master_key, &key, why, sizeof(why))) {
		cli_fail("%s", why);
		listing->failed = true;
		return;
	}
	for (i = 0; i < key->count; i++)
		put_version(listing, key, i);
	targetkey_free(key);
}

static void print(struct listing *listing)
{
	struct buf out;

	if (!listing->cli->json) {
		table_print(&listing->table, listing->cli->colour);
		return;
	}
	buf_init(&out, 16 * OUT_MAX);
	table_json(&listing->table, &out);
	buf_put_u8(&out, '\n');
	cli_print(&out);
	buf_done(&out);
}

static const char *const columns[] = {
	"key", "for", "type", "fingerprint", "made", "used", "note", NULL};

int key_list(struct cli *cli, const struct conf *conf)
{
	struct listing listing = {.cli = cli, .conf = conf, .now = time(NULL)};
	enum sgb_err err;
	int status;

	table_init(&listing.table, columns);
	err = targetkey_each(conf->target_keys, put_key, &listing);
	/* Nobody has made one yet. */
	if (err && err != SGB_ERR_NOTFOUND) {
		cli_fail("%s: %s", conf->target_keys, sgb_err_text(err));
		listing.failed = true;
	}
	print(&listing);
	status = listing.failed ? CLI_ERROR : listing.notes ? CLI_NO : CLI_YES;
	table_done(&listing.table);
	return status;
}

int key_show(struct cli *cli, const struct conf *conf, const char *name)
{
	struct listing listing = {.cli = cli, .conf = conf, .now = time(NULL)};
	struct targetkey *key = NULL;
	struct buf out;
	size_t i;

	table_init(&listing.table, columns);
	put_key(name, &listing);
	if (!listing.failed)
		print(&listing);
	table_done(&listing.table);
	if (listing.failed || cli->json)
		return listing.failed ? CLI_ERROR : CLI_YES;
	if (targetkey_load(conf->target_keys, name, conf->master_key, &key,
		    (char[TARGETKEY_WHY]){""}, TARGETKEY_WHY))
		return CLI_ERROR;
	buf_init(&out, OUT_MAX);
	for (i = 0; i < key->count; i++)
		key_put_public(key, i, &out);
	cli_print(&out);
	buf_done(&out);
	targetkey_free(key);
	return CLI_YES;
}
