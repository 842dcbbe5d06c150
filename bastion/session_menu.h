/*
 * The menu of instances on `ssh alice@bastion`: what one local channel knows
 * of it. session_menu.c has its life, session_menu_keys.c what the user
 * types, session_menu_draw.c what the user sees.
 */
#ifndef SGB_SESSION_MENU_H
#define SGB_SESSION_MENU_H

#include "session_channel.h"

#define MENU_ENV_MAX	64
#define MENU_ROWS_MAX	20000
#define MENU_FILTER_MAX 64

enum menu_state {
	MENU_IDLE = 0,	 /* no shell was asked for: a terminal is noted */
	MENU_LOADING,	 /* REQ_HOSTS is with the monitor */
	MENU_BROWSE,	 /* the user looks */
	MENU_WANTED,	 /* Enter: REQ_CHOOSE goes out as soon as it may */
	MENU_ASKED,	 /* REQ_CHOOSE is with the monitor */
	MENU_CONNECTING, /* chosen: the leg to the target is being made */
	MENU_LEFT,	 /* the channel ends */
};

struct menu_row {
	char *instance, *group, *login;
	uint32_t port;
};

struct menu {
	enum menu_state state;
	bool dumb;    /* numbered list, no cursor movement */
	bool has_pty; /* ch->pty, for replay */
	bool agent;   /* so is agent forwarding */
	bool screen;  /* the terminal shows the alternate screen */
	bool dirty;   /* to be drawn */
	bool stale;   /* shown does not follow the filter yet */
	char *term;
	uint32_t width, height; /* as the client said; may be 0 */
	char *env[MENU_ENV_MAX];
	size_t env_count;

	struct menu_row *rows;
	size_t row_count, row_cap;
	uint32_t *shown; /* those that match the filter */
	size_t shown_count;
	size_t cursor, top; /* in shown */
	size_t choice;	    /* in rows */

	char filter[MENU_FILTER_MAX + 1]; /* or the line, when dumb */
	size_t filter_len;
	bool filtering;	  /* letters are the filter's, not commands */
	char sequence[8]; /* of an escape sequence, so far */
	size_t sequence_len;
	bool in_sequence;
	char status[512];
};

/* session_menu.c. Notes pty-req, env and the window's size of a local channel
 * for a target that may be chosen later. False: not taken. */
bool menu_keep(struct channel *ch, const struct request *rq);
void menu_keep_agent(struct channel *ch);
/* A shell without a target was asked for. False: there is no memory. */
bool menu_start(struct channel *ch);
bool menu_pump(struct channel *ch);
/* Is there one on this channel that the user sees? */
bool menu_active(const struct channel *ch);
/* A text of the monitor's while it decides. */
void menu_notice(struct channel *ch, const char *text);
/* Ends it, and the channel. */
void menu_leave(struct channel *ch, int status);
/* Asks for row i of the list to be the target. */
void menu_choose(struct channel *ch, size_t i);
void menu_free(struct menu *menu);
enum sgb_err menu_hosts(struct session *s, struct msg *msg);
enum sgb_err menu_chosen(struct session *s, struct msg *msg);

/* session_menu_keys.c: takes what it can use of the bytes, returns how many;
 * the rest is the target's. */
uint32_t menu_input(struct channel *ch, const void *data, uint32_t len);
/* Brings up to date what is shown; many letters at once cost one look. */
void menu_filter(struct menu *menu);

/* session_menu_draw.c */
void menu_draw(struct channel *ch);
/* How many rows of the list fit. */
size_t menu_page(const struct menu *menu);
bool menu_term_is_dumb(const char *term);
/* What gives the terminal back, or NULL if it is not taken. Call once. */
const char *menu_restore(struct channel *ch);

#endif
