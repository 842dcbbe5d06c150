/*
 * Another session live on a local channel: what the recorder hands over, made
 * safe for the terminal that shows it.
 */
#ifndef SGB_SESSION_VIEW_H
#define SGB_SESSION_VIEW_H

#include "session_channel.h"

/* SES_VIEW. */
enum sgb_err view_start(struct session *s, struct msg *msg);
/* Moves what came; true if there was anything. */
bool view_pump(struct channel *ch);
/* q, Ctrl-C and Ctrl-D end it; all else is ignored. */
void view_input(struct channel *ch, const void *data, uint32_t len);
void view_free(struct view *view);

#endif
