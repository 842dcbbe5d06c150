/* Whom the recorder listens to, and how full its disk may be. */
#include <sys/socket.h>
#include <unistd.h>

#include "recorder.h"

bool recorder_allows(const struct recorder *recorder, int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	/* Tests run without root; then our own user is the trusted one. */
	return cred.uid == 0 || (!recorder->privileged && cred.uid == getuid());
}

/* Far below the reserve even what runs must end, while its end still fits. */
bool recorder_space_is_out(const struct recorder *recorder)
{
	return recorder->open_count &&
	       recorder_free_bytes(recorder) < recorder->conf->disk_reserve / 4;
}
