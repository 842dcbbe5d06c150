/*
 * Logging on to the target with the user's own key, by the agent that his
 * client forwards ("credential agent").
 */
#ifndef SGB_SESSION_BORROW_H
#define SGB_SESSION_BORROW_H

#include "session.h"

/* The keys at the end of SES_TARGET; false: they are none. */
bool borrow_parse(struct session *s, struct reader *rd) SGB_MUST_CHECK;
/* Will the client's agent be asked? Then its session channels are opened
 * before there is a target, so that it can say whether it forwards one. */
bool borrow_waits(const struct session *s);
/* The host key is accepted: from here on borrow_pump works, under LEG_AGENT,
 * towards LEG_AUTH or LEG_REFUSED. */
void borrow_begin(struct session *s);
void borrow_pump(struct session *s);
/* libssh could not log on: is that because the agent is asked only now? Then
 * LEG_AGENT is next, or LEG_AUTH again if all was said at once. */
bool borrow_wanted(struct session *s);
/* It could not, and that was that: says why. */
void borrow_refused(struct session *s);
/* Lets go of the agent; before the client's leg is closed. */
void borrow_done(struct session *s);

/* SES_AGENT and SES_AGENT_DONE */
enum sgb_err borrow_ask(struct session *s, struct msg *msg);
enum sgb_err borrow_judged(struct session *s, struct msg *msg);

#endif
