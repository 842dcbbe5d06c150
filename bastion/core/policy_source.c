/*
 * The text of a policy with everything it includes, read once. Trusts files
 * that only root can write (file.h), and says which one it does not trust.
 * An include that names one file must find it; one with wildcards may find
 * none.
 */
#include "core/policy_int.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

#define MAGIC	 "sgb policy source 1"
#define WHY_MAX	 4600
#define PATH_LEN 4096

struct reading {
	struct policy_source *source;
	struct diag *diag;
	size_t bytes;
};

static enum sgb_err read_includes(
	struct reading *reading, uint32_t parent, unsigned int depth);

void policy_source_free(struct policy_source *source)
{
	uint32_t i;

	if (!source)
		return;
	for (i = 0; i < source->count; i++) {
		free(source->files[i].path);
		free(source->files[i].label);
		free(source->files[i].text);
	}
	free(source->files);
	free(source);
}

enum sgb_err policy_source_add(struct policy_source *source,
	const struct policy_file *file, struct buf *text)
{
	struct policy_file *files, *added;

	if (source->count >= POLICY_MAX_FILES || text->len > POLICY_MAX_BYTES)
		return SGB_ERR_LIMIT;
	files = reallocarray(source->files, source->count + 1, sizeof(*files));
	if (!files)
		return SGB_ERR_NOMEM;
	source->files = files;
	added = &files[source->count];
	*added = *file;
	added->len = (uint32_t)text->len;
	added->path = strdup(file->path);
	added->label = strdup(file->label);
	added->text = buf_take(text);
	source->count++;
	return added->path && added->label && added->text ? SGB_OK
							  : SGB_ERR_NOMEM;
}

static enum sgb_err add_copy(struct policy_source *source,
	const struct policy_file *file, const void *text, size_t len)
{
	struct buf copy;
	enum sgb_err err;

	buf_init(&copy, POLICY_MAX_BYTES + 1);
	buf_put(&copy, text, len);
	err = buf_error(&copy);
	if (!err)
		err = policy_source_add(source, file, &copy);
	buf_done(&copy);
	return err;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

enum sgb_err policy_source_text(const char *path, const void *text, size_t len,
	struct policy_source **ret)
{
	struct policy_file file = {
		.path = (char *)path, .label = (char *)base_name(path)};
	struct policy_source *source = calloc(1, sizeof(*source));
	enum sgb_err err;

	if (!source)
		return SGB_ERR_NOMEM;
	err = add_copy(source, &file, text, len);
	if (err) {
		policy_source_free(source);
		return err;
	}
	*ret = source;
	return SGB_OK;
}

/* An error about the include statement that asked for a file, or about the
 * policy itself. */
static void complain(struct reading *reading, const char *file,
	unsigned int line, const char *why)
{
	size_t len = strlen(file);

	/* "policy.conf: policy.conf: no such file" says it twice. */
	if (!line && !strncmp(why, file, len) && !strncmp(why + len, ": ", 2))
		why += len + 2;
	diag_error(reading->diag, file, line, "%s", why);
}

/* Beside the policy's own folder a path is shown as it is. */
static char *label_of(const struct policy_source *source, const char *path)
{
	const char *first = source->count ? source->files[0].path : path;
	size_t folder = (size_t)(base_name(first) - first);

	if (!strncmp(first, path, folder))
		return strdup(path + folder);
	return strdup(path);
}

static bool already_read(const struct policy_source *source, const char *path)
{
	uint32_t i;

	for (i = 0; i < source->count; i++)
		if (!strcmp(source->files[i].path, path))
			return true;
	return false;
}

static enum sgb_err read_one(struct reading *reading, const char *path,
	uint32_t parent, uint32_t line)
{
	struct policy_source *source = reading->source;
	const char *asker = source->count ? source->files[parent].path : path;
	struct policy_file file = {.path = (char *)path, .line = line};
	char why[WHY_MAX] = "";
	struct buf text;
	enum sgb_err err;
	size_t len;

	if (already_read(source, path)) {
		snprintf(why, sizeof(why), "\"%s\" is included twice", path);
		complain(reading, asker, line, why);
		return SGB_ERR_FORMAT;
	}
	buf_init(&text, POLICY_MAX_BYTES + 1 - reading->bytes);
	file.parent = parent;
	file.label = label_of(source, path);
	err = file.label ? file_read(path, FILE_TRUST_ROOT, &text, why,
				   sizeof(why))
			 : SGB_ERR_NOMEM;
	len = text.len;
	if (!err)
		err = policy_source_add(source, &file, &text);
	if (err)
		complain(reading, asker, line, *why ? why : sgb_err_text(err));
	reading->bytes += len;
	free(file.label);
	buf_done(&text);
	return err;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum sgb_err read_glob(struct reading *reading, const char *pattern,
	uint32_t parent, uint32_t line, unsigned int depth)
{
	bool wild = strpbrk(pattern, "*?[") != NULL;
	enum sgb_err err = SGB_OK;
	glob_t found;
	size_t i;
	int rc;

	rc = glob(
		pattern, GLOB_NOSORT | (wild ? 0 : GLOB_NOCHECK), NULL, &found);
	if (rc == GLOB_NOMATCH)
		return SGB_OK;
	if (rc) {
		complain(reading, reading->source->files[parent].path, line,
			"cannot read the folder of this include");
		return SGB_ERR_SYSTEM;
	}
	/* Not glob's own order, which depends on the locale. */
	qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), by_bytes);
	for (i = 0; i < found.gl_pathc; i++) {
		uint32_t child = reading->source->count;
		enum sgb_err one = read_one(
			reading, found.gl_pathv[i], parent, line);

		if (!one)
			one = read_includes(reading, child, depth + 1);
		err = err ? err : one;
	}
	globfree(&found);
	return err;
}

/* A relative path is relative to the file that includes. */
static bool include_path(
	const char *from, const struct policy_token *token, char out[PATH_LEN])
{
	size_t folder = (size_t)(base_name(from) - from);
	size_t len = token->len - 2;

	if (token->text[1] == '/')
		folder = 0;
	if (len == 0 || folder + len >= PATH_LEN ||
		memchr(token->text, '\\', token->len))
		return false;
	memcpy(out, from, folder);
	memcpy(out + folder, token->text + 1, len);
	out[folder + len] = '\0';
	return true;
}

/* Only what the parser will accept is read; it reports everything else. */
static enum sgb_err read_include(struct reading *reading, uint32_t parent,
	uint32_t line, const char *at, uint32_t left, unsigned int depth)
{
	struct policy_lexer lexer;
	struct policy_token token;
	char path[PATH_LEN];

	policy_lex_init(&lexer, at, left);
	policy_lex(&lexer, &token);
	if (token.kind != TOKEN_WORD || token.len != strlen("include") ||
		memcmp(token.text, "include", token.len))
		return SGB_OK;
	policy_lex(&lexer, &token);
	if (token.kind != TOKEN_STRING ||
		!include_path(
			reading->source->files[parent].path, &token, path))
		return SGB_OK;
	if (depth >= POLICY_MAX_DEPTH) {
		complain(reading, reading->source->files[parent].path, line,
			"includes are nested more than 8 deep");
		return SGB_ERR_LIMIT;
	}
	return read_glob(reading, path, parent, line, depth);
}

/* Finds the lines that begin with "include"; a full parse comes later. */
static enum sgb_err read_includes(
	struct reading *reading, uint32_t parent, unsigned int depth)
{
	const char *text = reading->source->files[parent].text;
	const char *end = text + reading->source->files[parent].len;
	enum sgb_err err = SGB_OK;
	uint32_t line = 1;

	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));

		eol = eol ? eol : end;
		text += strspn(text, " \t");
		if (eol - text > 8 && !memcmp(text, "include", 7)) {
			enum sgb_err one = read_include(reading, parent, line,
				text, (uint32_t)(eol - text), depth);

			err = err ? err : one;
		}
		text = eol + 1;
		line++;
	}
	return err;
}

enum sgb_err policy_source_read(
	const char *path, struct policy_source **ret, struct diag *diag)
{
	struct reading reading = {.diag = diag};
	enum sgb_err err;

	reading.source = calloc(1, sizeof(*reading.source));
	if (!reading.source)
		return SGB_ERR_NOMEM;
	err = read_one(&reading, path, 0, 0);
	if (!err)
		err = read_includes(&reading, 0, 0);
	if (err) {
		policy_source_free(reading.source);
		return err;
	}
	*ret = reading.source;
	return SGB_OK;
}

enum sgb_err policy_source_encode(
	const struct policy_source *source, struct buf *out)
{
	uint32_t i;

	buf_put_cstring(out, MAGIC);
	buf_put_u32(out, source->count);
	for (i = 0; i < source->count; i++) {
		const struct policy_file *file = &source->files[i];

		buf_put_cstring(out, file->path);
		buf_put_cstring(out, file->label);
		buf_put_u32(out, file->parent);
		buf_put_u32(out, file->line);
		buf_put_string(out, file->text, file->len);
	}
	return buf_error(out);
}

static enum sgb_err decode_file(struct reader *rd, struct policy_source *source)
{
	struct policy_file file = {0};
	enum sgb_err err = SGB_ERR_FORMAT;
	const uint8_t *text;
	size_t len;

	file.path = reader_cstring(rd, PATH_LEN);
	file.label = reader_cstring(rd, PATH_LEN);
	file.parent = reader_u32(rd);
	file.line = reader_u32(rd);
	text = reader_string(rd, &len);
	/* A parent comes before its children: no cycles. */
	if (!rd->err && file.path && file.label &&
		(file.parent < source->count ||
			(!file.parent && !source->count)))
		err = add_copy(source, &file, text, len);
	free(file.path);
	free(file.label);
	return err;
}

enum sgb_err policy_source_decode(
	const void *data, size_t len, struct policy_source **ret)
{
	struct policy_source *source = calloc(1, sizeof(*source));
	enum sgb_err err = SGB_OK;
	struct reader rd;
	uint32_t i, count;
	char *magic;

	if (!source)
		return SGB_ERR_NOMEM;
	reader_init(&rd, data, len);
	magic = reader_cstring(&rd, sizeof(MAGIC));
	count = reader_u32(&rd);
	if (!magic || strcmp(magic, MAGIC) || count == 0 ||
		count > POLICY_MAX_FILES)
		err = SGB_ERR_FORMAT;
	for (i = 0; i < count && !err; i++)
		err = decode_file(&rd, source);
	if (!err)
		err = reader_end(&rd);
	free(magic);
	if (err) {
		policy_source_free(source);
		return err;
	}
	*ret = source;
	return SGB_OK;
}
