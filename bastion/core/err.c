/* Texts of the closed list of errors. */
#include "core/err.h"

static const char *const texts[SGB_ERR_COUNT] = {
	[SGB_OK] = "success",
#define X(name, text) [SGB_ERR_##name] = text,
#include "core/err.def"
#undef X
};

const char *sgb_err_text(enum sgb_err err)
{
	if ((unsigned int)err >= SGB_ERR_COUNT)
		return "unknown error";
	return texts[err];
}
