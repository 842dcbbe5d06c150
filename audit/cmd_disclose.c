/*
 * Handing over a part: the keys of some segments. Without --segments it lists
 * them, with the times at which they begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "disclosure.h"
#include "evidence.h"
#include "select.h"

struct segment {
	uint32_t number; /* 0: none */
	uint64_t from, to, bytes;
};

static void print_segment(const struct segment *one, bool json)
{
	char begin[PRINT_SPAN_MAX], end[PRINT_SPAN_MAX];

	if (json)
		(void)printf("{\"segment\":%" PRIu32 ",\"from_us\":%" PRIu64
			     ",\"to_us\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n",
			one->number, one->from, one->to, one->bytes);
	else
		(void)printf("%7" PRIu32 "  %6s  %6s  %8" PRIu64 "\n",
			one->number, print_span(one->from, begin),
			print_span(one->to, end), one->bytes);
}

/* Segment 0 is META: who, from where, to what. */
static void list_segments(struct evidence *evidence, bool json)
{
	struct segment one = {0};
	struct sgr_item item;
	bool more;

	if (!json)
		(void)printf("segment   begin     end     bytes\n"
			     "      0  who, from where, to what\n");
	do {
		more = !evidence_next(evidence, &item);
		if (one.number &&
			(!more || evidence_segment(evidence) != one.number)) {
			print_segment(&one, json);
			one.number = 0;
		}
		if (more && !one.number) {
			one.number = evidence_segment(evidence);
			one.from = item.time_us;
			one.bytes = 0;
		}
		one.to = item.time_us;
		one.bytes += item.len;
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
		audit_fatal(EX_CANTCREAT, "%s: %s", audit->output,
			audit_errno(errno));
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
	/* The place of what is before the change can still be proved. */
	if (scan->verdict == SGR_ALTERED && last == scan->segment)
		audit_fatal(sgr_verdict_exit(scan->verdict),
			"altered: %s; only segments before %u can be handed "
			"over",
			scan->fault, scan->segment);
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
	const struct sgr_scan *scan;
	struct chosen chosen;
	struct sgr_item item;
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "disclose takes one recording");
	audit_places(audit);
	evidence = select_evidence(audit, argv[0], &chosen);
	scan = evidence_scan(evidence);
	if (!audit->segments) {
		list_segments(evidence, audit->json);
	} else {
		while (!evidence_next(evidence, &item))
			;
		disclose(audit, scan);
	}
	status = scan->verdict == SGR_ALTERED ? sgr_verdict_exit(scan->verdict)
					      : 0;
	if (status)
		(void)fprintf(
			stderr, "sgbridge-audit: altered: %s\n", scan->fault);
	evidence_free(evidence);
	select_done(&chosen);
	return status;
}
