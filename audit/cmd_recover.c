/*
 * Recovery away from the recorder, and the list of those who looked. Both need
 * no reader's key.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

#include "audit.h"
#include "recover.h"

int cmd_recover(struct audit *audit, int argc, char **argv)
{
	static const uint8_t no_boot_id[16];
	struct sgr_recovery recovery;
	struct suite_key *key;
	enum sgb_err err;
	int fd;

	if (argc != 1 || audit->identity_count != 1)
		audit_fatal(EX_USAGE,
			"recover takes -i with a signing key, and one file");
	key = audit_signing_key(audit->identity_paths[0]);
	fd = open(argv[0], O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		audit_fatal(EX_NOINPUT, "%s: %s", argv[0], strerror(errno));
	err = sgr_recover(fd, key, no_boot_id,
		(uint64_t)time(NULL) * 1000000000, &recovery);
	close(fd);
	suite_key_free(key);
	if (!err) {
		(void)printf("recovered: %u frames, %llu bytes discarded; the "
			     "last frame says so and is signed\n",
			recovery.frames,
			(unsigned long long)recovery.discarded);
		return 0;
	}
	if (err == SGB_ERR_STALE) {
		(void)printf("nothing to do: %s\n", recovery.text);
		return 0;
	}
	audit_fatal(sgr_verdict_exit(recovery.before),
		"%s: left as it is: %s: %s", argv[0],
		sgr_verdict_text(recovery.before), recovery.text);
}
