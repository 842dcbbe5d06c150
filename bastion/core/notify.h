/*
 * What systemd is told (sd_notify(3), sd_watchdog_enabled(3)), without its
 * library. Trusts the environment as far as whoever started the program.
 */
#ifndef SGB_NOTIFY_H
#define SGB_NOTIFY_H

/* One datagram to $NOTIFY_SOCKET; nothing where there is none. */
void notify_send(const char *text);
/* Says WATCHDOG=1 when it is due. Returns the milliseconds until the next
 * time, -1 if nobody watches. */
int notify_watchdog(void);

#endif
