/*
 * What both halves of the scripted monitor share: one connection, and the ways
 * to say something about it. Whatever fails ends the process.
 */
#ifndef SGB_TEST_FAKE_MONITOR_H
#define SGB_TEST_FAKE_MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/err.h"
#include "core/msg.h"

struct fake {
	const char *dir;
	enum session_mode mode;
	const char *user;
	char proved[256];
	int sock;     /* to the session */
	int recorder; /* our end of the stream, or -1 */
	int forward;
	uint64_t messages, files;
	bool waits; /* for its disk */
	FILE *log;
};

void die(const char *what);
void check(enum sgb_err err, const char *what);
/* The n-th value of a name in DIRECTORY/conf, or NULL. Leaks on purpose. */
const char *conf(const struct fake *f, const char *name, int n);
/* The same as a number; d if it is not there. */
unsigned int number(const struct fake *f, const char *name, unsigned int d);
/* A line, or a part of one, of DIRECTORY/log. */
void SGB_PRINTF(2, 3) note(struct fake *f, const char *fmt, ...);
/* Takes *msg. */
void answer(struct fake *f, struct msg *msg);
/* The session's end; the other one is f->recorder. */
int open_recorder(struct fake *f);
/* A connection until its session has ended. */
void run(struct fake *f, int client);
/* The first message: who, limits and the host key. */
void send_start(struct fake *f);
/* Reads a request and answers; false: the session is gone. */
bool receive(struct fake *f);

#endif
