/*
 * A line of the trail as a fact. The line is the recorder's; the texts in it
 * are a stranger's, and are carried and cut, never believed.
 */
#include "findings.h"

#include <string.h>

#include <jansson.h>

static const struct row {
	const char *slug;
	enum fact_kind good, bad;
} rows[] = {
	{"auth-key", FACT_NONE, FACT_FAILURE},
	{"auth-mfa", FACT_NONE, FACT_FAILURE},
	{"logon", FACT_LOGON, FACT_FAILURE},
	{"access", FACT_NONE, FACT_REFUSED},
	{"target-open", FACT_TARGET, FACT_NONE},
	{"tunnel-open", FACT_TARGET, FACT_REFUSED},
	{"finding", FACT_FINDING, FACT_FINDING},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Quotes in values are escaped, so this stands where it seems to stand. */
static const struct row *find_row(const char *line, size_t len)
{
	static const char mark[] = "\"unmapped\":{\"sgb\":{\"event\":\"";
	const char *at = memmem(line, len, mark, sizeof(mark) - 1);
	size_t i;

	if (!at)
		return NULL;
	at += sizeof(mark) - 1;
	for (i = 0; i < ROWS; i++) {
		size_t want = strlen(rows[i].slug);

		if ((size_t)(line + len - at) > want &&
			!memcmp(at, rows[i].slug, want) && at[want] == '"')
			return &rows[i];
	}
	return NULL;
}

/* Cut between characters. */
static void copy(char *out, size_t size, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = text ? strlen(text) : 0;

	if (len >= size)
		for (len = size - 1; len && (text[len] & 0xc0) == 0x80;)
			len--;
	if (len)
		memcpy(out, text, len);
	out[len] = '\0';
}

static json_t *at(json_t *root, const char *outer, const char *inner)
{
	return json_object_get(json_object_get(root, outer), inner);
}

#define COPY(field, value) copy(ret->field, sizeof(ret->field), value)

static void read_texts(json_t *root, struct fact *ret)
{
	json_t *sgb = at(root, "unmapped", "sgb");
	const char *ip = json_string_value(at(root, "src_endpoint", "ip"));

	if (!ip || addr_parse(ip, &ret->source))
		memset(&ret->source, 0, sizeof(ret->source));
	COPY(user, at(root, "user", "name"));
	COPY(target, at(root, "dst_endpoint", "hostname"));
	COPY(reason, json_object_get(root, "status_detail"));
	COPY(key, json_object_get(sgb, "key_fp"));
	COPY(mfa, json_object_get(sgb, "mfa"));
	COPY(login, json_object_get(sgb, "login"));
	COPY(conn, json_object_get(sgb, "conn"));
	COPY(account, json_object_get(sgb, "account"));
	COPY(stamp, json_object_get(sgb, "kernel_audit"));
	COPY(id, at(root, "finding_info", "uid"));
}

bool fact_read(const char *line, size_t len, struct fact *ret)
{
	const struct row *row = find_row(line, len);
	json_t *root;
	json_t *status;

	memset(ret, 0, sizeof(*ret));
	if (!row && !memmem(line, len, "\"kernel_audit\":", 15))
		return len > 2 && line[0] == '{';
	root = json_loadb(line, len, 0, NULL);
	if (!root)
		return false;
	ret->seq = (uint64_t)json_integer_value(
		at(root, "metadata", "sequence"));
	ret->ms = json_integer_value(json_object_get(root, "time"));
	status = json_object_get(root, "status_id");
	if (row)
		ret->kind = json_integer_value(status) == 1 ? row->good
							    : row->bad;
	read_texts(root, ret);
	json_decref(root);
	return true;
}
