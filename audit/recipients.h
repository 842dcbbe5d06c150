/*
 * Lines of recipients, as in the recipients file and as keygen prints them:
 * "x25519 BASE64 NAME", also p256 and rsa, with /1 for the second group of a
 * quorum. Public keys alone.
 */
#ifndef SGB_RECIPIENTS_H
#define SGB_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"

#include "header.h"

#define RECIPIENTS_FILE_MAX 65536

struct recipients {
	struct sgr_recipient rows[SGR_RECIPIENTS_MAX];
	size_t count;
};

/* One line without its newline. SGB_ERR_FORMAT if it is none, SGB_ERR_CRYPTO
 * if the key is not a good one of its kind. */
enum sgb_err recipient_parse(
	const char *line, struct sgr_recipient *ret) SGB_MUST_CHECK;
/* Appends "KIND BASE64", without group and name. */
void recipient_print(const struct sgr_recipient *recipient, struct buf *out);
/* A whole file's text. why gets one sentence with path and line. */
enum sgb_err recipients_parse(const char *path, const char *text, size_t len,
	struct recipients *ret, char *why, size_t why_len) SGB_MUST_CHECK;
/* The file, which only root may have written. */
enum sgb_err recipients_load(const char *path, struct recipients *ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* "2 x25519, 1 p256" for people; quorum: ", two groups". */
void recipients_describe(const struct recipients *recipients, struct buf *out);

#endif
