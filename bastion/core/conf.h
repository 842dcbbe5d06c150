/*
 * sgbridge.conf: "name value" lines, # comments, "quotes" where a value has
 * spaces. The table in settings.def is the list of settings; an unknown or
 * doubled setting is an error with its place.
 */
#ifndef SGB_CONF_H
#define SGB_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/diag.h"
#include "core/err.h"

#define CONF_MAX_BYTES (1024 * 1024)

enum conf_audit {
	CONF_AUDIT_REQUIRED = 0,
	CONF_AUDIT_TRY,
	CONF_AUDIT_OFF,
};

struct conf_list {
	char **items; /* NULL-terminated */
	size_t count;
};

/* Lines of one setting, each with its words and its place in the file: what
 * they mean is for the program whose setting it is. */
struct conf_line {
	unsigned int number;
	struct conf_list words;
};

struct conf_lines {
	struct conf_line *items;
	size_t count;
};

#define CONF_TYPE_STRING  char *
#define CONF_TYPE_PATH	  char *
#define CONF_TYPE_LIST	  struct conf_list
#define CONF_TYPE_LINES	  struct conf_lines
#define CONF_TYPE_COUNT	  uint64_t
#define CONF_TYPE_SIZE	  uint64_t
#define CONF_TYPE_SECONDS uint64_t
#define CONF_TYPE_YESNO	  bool
#define CONF_TYPE_AUDIT	  enum conf_audit

struct conf {
#define X(field, name, type, fallback, meaning) CONF_TYPE_##type field;
#include "core/settings.def"
#undef X
};

/* Reads a root-owned file (file.h). On failure diag says why and *ret is
 * untouched. */
enum sgb_err conf_load(
	const char *path, struct conf **ret, struct diag *diag) SGB_MUST_CHECK;
/* The same from memory; path is only for messages. */
enum sgb_err conf_parse(const char *path, const char *text, size_t len,
	struct conf **ret, struct diag *diag) SGB_MUST_CHECK;
/* The same from a sealed memfd (file.h) with what was read before. */
enum sgb_err conf_load_sealed(
	int fd, struct conf **ret, struct diag *diag) SGB_MUST_CHECK;
void conf_free(struct conf *conf);

/* "name" (looked up) or "uid:gid" or "uid" in digits. SGB_ERR_NOTFOUND for
 * an unknown name; uid 0 is SGB_ERR_DENIED. */
enum sgb_err conf_user(const char *text, unsigned int *ret_uid,
	unsigned int *ret_gid) SGB_MUST_CHECK;
/* "8h", "15m", "90s", "30d": seconds; a bare number is seconds. */
enum sgb_err conf_seconds(const char *text, uint64_t *ret) SGB_MUST_CHECK;

#endif
