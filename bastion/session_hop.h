/* A session process that is the way through a jump host. */
#ifndef SGB_SESSION_HOP_H
#define SGB_SESSION_HOP_H

#include "session.h"

/* Serves until an end of it closes. s has been started (SES_START, mode HOP)
 * and is confined. */
void session_hop(struct session *s);

#endif
