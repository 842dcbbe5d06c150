/* Was a length altered, or was the file cut? For scan.c alone. */
#ifndef SGB_SCAN_LENGTH_H
#define SGB_SCAN_LENGTH_H

#include "scan.h"

/* The frame at scan->offset reaches beyond the end: true if what is there
 * proves that its length is not what was written. */
bool scan_length_altered(struct sgr_scan *scan);
/* True if frame 0 follows a header that can't be found by its length. */
bool scan_header_follows(struct sgr_source *source);

#endif
