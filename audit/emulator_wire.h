/* What emulator.c and its child say to each other: one packet each. */
#ifndef SGB_EMULATOR_WIRE_H
#define SGB_EMULATOR_WIRE_H

enum emulator_request {
	EMULATOR_FEED = 1, /* bytes */
	EMULATOR_RESIZE,   /* u32 cols, u32 rows */
	EMULATOR_PAINT,	   /* u8 all */
	EMULATOR_LINES,
	EMULATOR_CURSOR_LINE,
	EMULATOR_RESET,
	EMULATOR_PROMPT, /* UTF-8 */
};

enum emulator_reply {
	EMULATOR_LINE = 1, /* {u8 flags, u16 length, UTF-8}* */
	EMULATOR_ROW,	   /* u32 y, {u32 code, u8 width, u8 attr, fg, bg}* */
	EMULATOR_COMMAND,  /* u8 from_shell, UTF-8 */
	EMULATOR_STATUS,   /* u32 */
	EMULATOR_DONE,	   /* u32 cols, rows, x, y, u8 alternate, u8 hidden */
};

#define EMULATOR_PACKET_MAX (32 * 1024)
#define EMULATOR_FEED_MAX   (16 * 1024)

/* In the child: no way out of it from here. */
void emulator_confine(void);
/* Never returns. */
void emulator_child(int sock) __attribute__((noreturn));

#endif
