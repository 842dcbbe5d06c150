/*
 * The closed list of errors. A function that can fail returns one of these;
 * SGB_ERR_SYSTEM means that errno says more.
 */
#ifndef SGB_ERR_H
#define SGB_ERR_H

enum sgb_err {
	SGB_OK = 0,
#define X(name, text) SGB_ERR_##name,
#include "core/err.def"
#undef X
	SGB_ERR_COUNT
};

#define SGB_MUST_CHECK	      __attribute__((warn_unused_result))
#define SGB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SGB_EXPORT	      __attribute__((visibility("default")))

/* A constant English text, never NULL; for SGB_ERR_SYSTEM use errno's. */
const char *sgb_err_text(enum sgb_err err);

#endif
