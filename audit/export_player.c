/* Loading the player, and keeping what stands beside it inert. */
#include "export_player.h"

#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <sysexits.h>

#include "core/file.h"
#include "core/places.h"

#define PLAYER_MAX_BYTES (4 << 20)

void player_hash(const void *data, size_t len, char ret[PLAYER_HASH_MAX])
{
	struct iovec part = {(void *)data, len};
	uint8_t hash[SUITE_HASH_LEN];

	if (suite_sha256(&part, 1, hash))
		audit_fatal(EX_SOFTWARE, "no SHA-256");
	memcpy(ret, "sha256-", 7);
	suite_base64(hash, sizeof(hash), ret + 7);
}

/* Whatever would end the element that it is put into. */
static bool is_closed(const struct buf *file, const char *end)
{
	return !file->len || memmem(file->data, file->len, end, strlen(end)) ||
	       memmem(file->data, file->len, "<!--", 4);
}

static bool load(
	const char *dir, const char *name, const char *end, struct buf *ret)
{
	char path[PATH_MAX], why[PATH_MAX + 300];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
		(int)sizeof(path))
		return false;
	if (file_read(path, FILE_TRUST_ROOT, ret, why, sizeof(why)))
		(void)fprintf(stderr, "sgbridge-audit: %s\n", why);
	else if (is_closed(ret, end))
		(void)fprintf(stderr,
			"sgbridge-audit: %s: cannot be put into a page\n",
			path);
	else
		return true;
	(void)fprintf(stderr,
		"sgbridge-audit: the page is without a player; \"make player\" "
		"fetches it, --player DIR names its folder, --player none is "
		"content\n");
	return false;
}

bool player_load(const struct audit *audit, struct player *ret)
{
	const char *dir = audit->player ? audit->player : SHAREDIR "/player";

	buf_init(&ret->script, PLAYER_MAX_BYTES);
	buf_init(&ret->style, PLAYER_MAX_BYTES);
	if (!strcmp(dir, "none"))
		return false;
	if (!load(dir, "asciinema-player.min.js", "</script", &ret->script) ||
		!load(dir, "asciinema-player.css", "</style", &ret->style))
		return false;
	player_hash(ret->script.data, ret->script.len, ret->script_hash);
	player_hash(ret->style.data, ret->style.len, ret->style_hash);
	return true;
}

void player_done(struct player *player)
{
	buf_done(&player->script);
	buf_done(&player->style);
}

static ssize_t write_inert(void *cookie, const char *data, size_t len)
{
	FILE *out = cookie;
	size_t i;

	for (i = 0; i < len; i++)
		if (data[i] == '<')
			(void)fputs("\\u003c", out);
		else
			(void)fputc(data[i], out);
	return ferror(out) ? 0 : (ssize_t)len;
}

FILE *player_inert(FILE *out)
{
	const cookie_io_functions_t functions = {.write = write_inert};

	return fopencookie(out, "w", functions);
}
