/*
 * Commands of a recording, each with its source: "exec" is exact, "osc133" was
 * marked by the shell (any program can forge it), "screen" is what stood after
 * the prompt when the line was ended. An aid for reading, not a control.
 */
#ifndef SGB_COMMANDS_H
#define SGB_COMMANDS_H

#include "audit.h"
#include "emulator.h"
#include "evidence.h"

struct found_command {
	uint64_t time_us;
	uint64_t channel;
	const char *source;
	const char *text; /* UTF-8, printable */
	bool has_status;
	unsigned int status;
};

typedef void (*command_sink)(void *data, const struct found_command *command);

struct commands;
/* The emulator's handler is the caller's to pass to emulator_start before any
 * key is read; fill it with commands_handler first. */
struct commands *commands_new(command_sink sink, void *data);
void commands_free(struct commands *commands);
void commands_handler(
	struct commands *commands, struct emulator_handler *handler);
/* Asked now and then; true ends commands_run with SGB_ERR_BUSY. */
void commands_until(struct commands *commands, bool (*stop)(void));
/* All commands of the recording on fd, channel by channel. */
enum sgb_err commands_run(struct commands *commands, struct audit *audit,
	int fd, struct emulator *emulator) SGB_MUST_CHECK;

#endif
