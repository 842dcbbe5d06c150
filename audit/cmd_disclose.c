/*
 * Handing over a part: the keys of some segments. Without --segments it lists
 * them, with the times at which they begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "disclosure.h"
#include "evidence.h"
#include "select.h"

static void list_segments(struct evidence *evidence)
{
	char begin[PRINT_SPAN_MAX], end[PRINT_SPAN_MAX];
	uint64_t from = 0, to = 0, bytes = 0;
	uint32_t segment = 0;
	struct sgr_item item;
	bool more;

	(void)printf("segment   begin     end     bytes\n");
	(void)printf("%7u  who, from where, to what\n", 0);
	do {
		more = !evidence_next(evidence, &item);
		if (segment &&
			(!more || evidence_segment(evidence) != segment)) {
			(void)printf("%7u  %6s  %6s  %8llu\n", segment,
				print_span(from, begin), print_span(to, end),
				(unsigned long long)bytes);
			segment = 0;
		}
		if (more && !segment) {
			segment = evidence_segment(evidence);
			from = item.time_us;
			bytes = 0;
		}
		to = item.time_us;
		bytes += item.len;
	} while (more);
}

static bool parse_range(const char *text, uint32_t *first, uint32_t *last)
{
	unsigned long a, b;
	char *end;

	errno = 0;
	a = b = strtoul(text, &end, 10);
	if (end == text || errno)
		return false;
	if (*end == '-')
		b = strtoul(end + 1, &end, 10);
	*first = (uint32_t)a;
	*last = (uint32_t)b;
	return !*end && !errno && a <= b && b < UINT32_MAX;
}

static FILE *open_output(const struct audit *audit)
{
	int fd;

	if (!audit->output)
		return stdout;
	fd = open(audit->output,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		audit_fatal(
			EX_CANTCREAT, "%s: %s", audit->output, strerror(errno));
	return fdopen(fd, "w");
}

static void disclose(struct audit *audit, const struct sgr_scan *scan)
{
	struct ratchet ratchet;
	uint32_t first, last;
	FILE *out;

	if (!parse_range(audit->segments, &first, &last))
		audit_fatal(EX_USAGE, "--segments \"%s\": expected 3 or 3-5",
			audit->segments);
	if (last > scan->segment)
		audit_fatal(EX_USAGE, "the last segment is %u", scan->segment);
	if (sgr_header_open(&scan->header, audit->identities, audit->key_count,
		    &ratchet))
		audit_fatal(EX_NOPERM, "the header does not open");
	out = open_output(audit);
	if (!out ||
		disclosure_write(&scan->header, &ratchet, first, last, out) ||
		fflush(out))
		audit_fatal(EX_IOERR, "the disclosure cannot be written");
	if (audit->output)
		(void)fclose(out);
}

int cmd_disclose(struct audit *audit, int argc, char **argv)
{
	struct evidence *evidence;
	struct chosen chosen;
	struct sgr_item item;

	if (argc != 1)
		audit_fatal(EX_USAGE, "disclose takes one recording");
	audit_places(audit);
	evidence = select_evidence(audit, argv[0], &chosen);
	if (!audit->segments) {
		list_segments(evidence);
	} else {
		while (!evidence_next(evidence, &item))
			;
		disclose(audit, evidence_scan(evidence));
	}
	evidence_free(evidence);
	select_done(&chosen);
	return 0;
}
