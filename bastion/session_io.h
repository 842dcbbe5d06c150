/*
 * The sockets under libssh. libssh 0.10 reads 4 KiB at a time, polls once a
 * packet, and takes EAGAIN from send() as the end of the connection, so it
 * must not be given a non-blocking socket; on a blocking one a peer that does
 * not read stops the whole process. So recv, send and poll are wrapped in
 * user space for the two legs: reads come from one large recv, writes are
 * gathered and sent before the next wait, and nothing blocks.
 */
#ifndef SGB_SESSION_IO_H
#define SGB_SESSION_IO_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define IO_LEGS 2

/* Puts fd (a stream socket, borrowed) behind the wrappers. They work on a
 * duplicate: libssh closes its own before the last bytes are out. */
enum sgb_err io_add(int fd) SGB_MUST_CHECK;
void io_remove(int fd);
/* A leg that has this much unsent should get no more for now. */
#define IO_UNSENT_HIGH (92 * 1024)

/* Sends what was gathered, as far as the kernel takes it. Returns true if a
 * leg that had too much unsent may get more now. */
bool io_flush_all(void);
/* While held, libssh is given nothing to read from fd, and nothing is taken
 * from the kernel for it. */
void io_hold(int fd, bool on);
/* What to wait for on fd before libssh can go on; 0 if it can go on now. */
short io_events(int fd);
/* The descriptor to wait on, or -1. */
int io_descriptor(int fd);
/* Reads once from a socket that poll() called readable. */
void io_fill(int fd);
/* Does something wait that libssh has not read (bytes, end, error)? */
bool io_readable(int fd);
/* Would a send() take anything, or fail, now? */
bool io_takes(int fd);
/* Bytes gathered and not yet taken by the kernel. */
size_t io_unsent(int fd);
/* Bytes received on fd since io_add. */
uint64_t io_received(int fd);
/* Gives back buffers that hold nothing. */
void io_rest(void);
/* No more bytes will come (end of file or error). */
bool io_ended(int fd);

#endif
