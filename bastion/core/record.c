/* Names of the kinds of evidence. */
#include "core/record.h"

#include <stddef.h>

const char *record_slug(unsigned int kind)
{
	switch (kind) {
#define X(name, number, slug) \
	case number: \
		return slug;
#include "core/record.def"
#undef X
	default: return NULL;
	}
}
