/*
 * setup: units of systemd. What a setup enabled is disabled when it is undone,
 * and what was enabled before it stays so: the journal says which is which,
 * before anything is done. Called where systemd runs, never in an image.
 */
#include "setup.h"

#include <stdio.h>
#include <string.h>

/* Bits of setup.enabled; names in journals that are on disks. */
static const char *const known[] = {
	"sgbridge-recorder.service",
	"sgbridged.service",
	"sgbridge-findings.timer",
	UNIT_FIREWALL,
	UNIT_GUARD,
};

static unsigned int bit_of(const char *unit)
{
	unsigned int i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i], unit))
			return 1u << i;
	return 0;
}

void unit_noted(struct setup *s, const char *unit)
{
	s->enabled |= bit_of(unit);
}

static int systemctl(const char *verb, const char *unit, struct buf *out)
{
	const char *argv[] = {"/bin/systemctl", verb, unit, NULL};

	buf_reset(out);
	return child_run(argv, NULL, out);
}

static bool enable(struct setup *s, const char *unit, struct buf *out)
{
	if (systemctl("is-enabled", unit, out) != 0) {
		if (!run_note(s, "enable %s", unit))
			return false;
		unit_noted(s, unit);
		if (systemctl("enable", unit, out) != 0)
			return false;
	}
	return systemctl("start", unit, out) == 0;
}

bool unit_enable(struct setup *s, const char *const *units, size_t count)
{
	struct buf out;
	bool good = true;
	size_t i;

	buf_init(&out, SETUP_FILE_MAX);
	for (i = 0; good && i < count; i++) {
		good = enable(s, units[i], &out);
		if (!good)
			setup_fail("%s does not start: %.*s", units[i],
				(int)out.len,
				out.data ? (const char *)out.data : "");
	}
	buf_done(&out);
	return good;
}

void unit_disable(struct setup *s, const char *const *units, size_t count)
{
	struct buf out;
	size_t i;

	buf_init(&out, SETUP_FILE_MAX);
	for (i = 0; i < count; i++)
		if (s->enabled & bit_of(units[i]) &&
			systemctl("disable", units[i], &out) == 0)
			printf("  back  %s is not enabled\n", units[i]);
	buf_done(&out);
}
