/* What could not be read is told on standard error, and in its place among the
 * results for programs. */
#include "unread.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "channels.h"
#include "suite.h"

/* By name; of a thousand that a wrong key does not open the sum is enough. */
#define NAMED_MAX 20

static void tell(const struct unread *unread, const char *id, const char *fmt,
	...) SGB_PRINTF(3, 4);

static void tell(
	const struct unread *unread, const char *id, const char *fmt, ...)
{
	char why[600];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	if (unread->audit->json) {
		(void)printf("{\"rec\":\"%s\",\"unread\":", id);
		print_json(stdout, why);
		(void)printf("}\n");
	}
	if (unread->closed + unread->damaged > NAMED_MAX)
		return;
	(void)fflush(stdout);
	(void)fprintf(stderr, "sgbridge-audit: %s: ", id);
	print_cstring(stderr, why);
	(void)fprintf(stderr, "\n");
}

/* Its end is written down: what is there must reach it. */
static bool is_ended(const struct store_entry *entry)
{
	return entry->state == STORE_CLOSED || entry->state == STORE_RECOVERED;
}

void unread_file(struct unread *unread, const struct store_entry *entry)
{
	int error = errno;

	unread->damaged++;
	tell(unread, entry->id, "not looked at: %s", audit_errno(error));
}

void unread_key(char why[UNREAD_KEY_MAX], const struct sgr_header *header)
{
	size_t i, len;

	len = (size_t)snprintf(why, UNREAD_KEY_MAX,
		"none of your keys opens it; its recipients are ");
	for (i = 0; i < header->stanza_count && len < UNREAD_KEY_MAX - 100;
		i++) {
		char hex[16];

		suite_hex(header->stanzas[i].key_id, 4, hex);
		len += (size_t)snprintf(why + len, UNREAD_KEY_MAX - len, "%s%s",
			i ? ", " : "", hex);
	}
	if (header->flags & SGR_FLAG_QUORUM)
		(void)snprintf(why + len, UNREAD_KEY_MAX - len,
			", of whom one of each of two groups is needed "
			"(-i twice)");
}

void unread_evidence(struct unread *unread, const struct store_entry *entry,
	enum sgb_err err, const struct evidence *evidence)
{
	const struct sgr_scan *scan = evidence ? evidence_scan(evidence) : NULL;
	char why[UNREAD_KEY_MAX];

	if (err == SGB_ERR_NOTFOUND && scan) {
		unread->closed++;
		unread_key(why, &scan->header);
		tell(unread, entry->id, "not looked at: %s", why);
		return;
	}
	/* Its session has only begun. */
	if (scan && err == SGB_ERR_CLOSED && scan->verdict == SGR_OPEN &&
		!is_ended(entry))
		return;
	unread->damaged++;
	tell(unread, entry->id, "not looked at: %s",
		scan && *scan->fault ? scan->fault : sgb_err_text(err));
}

bool unread_rest(struct unread *unread, const struct store_entry *entry,
	const struct evidence *evidence)
{
	const struct sgr_scan *scan = evidence_scan(evidence);
	bool cut = is_ended(entry) && entry->has_head &&
		   memcmp(scan->link, entry->head, SUITE_HASH_LEN) != 0;

	if (scan->verdict == SGR_ALTERED) {
		unread->damaged++;
		tell(unread, entry->id,
			"looked at only as far as it is good: altered: %s",
			scan->fault);
		return true;
	}
	if (cut) {
		unread->damaged++;
		tell(unread, entry->id,
			"not what the index says it ended with: cut or "
			"replaced; \"verify\" tells more");
	}
	return cut;
}

bool unread_size(struct unread *unread, const struct store_entry *entry)
{
	if (!is_ended(entry) || entry->size >= entry->bytes)
		return false;
	unread->damaged++;
	tell(unread, entry->id,
		"shorter than the index says: cut; \"verify\" tells more");
	return true;
}

void unread_channels(struct unread *unread, const struct store_entry *entry)
{
	unread->damaged++;
	tell(unread, entry->id,
		"it has more channels than are looked at: some were not");
}

int unread_status(const struct unread *unread, int status)
{
	size_t count = unread->closed + unread->damaged;

	if (!count)
		return status;
	(void)fflush(stdout);
	if (count > NAMED_MAX)
		(void)fprintf(stderr, "sgbridge-audit: and %zu more\n",
			count - NAMED_MAX);
	(void)fprintf(stderr,
		"sgbridge-audit: the answer is not complete: of %zu "
		"recordings\n",
		count);
	return unread->damaged ? EX_DATAERR : EX_NOPERM;
}
