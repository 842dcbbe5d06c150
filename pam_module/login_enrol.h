/* Self-enrolment at the first login (login_enrol.c). */
#ifndef SGB_LOGIN_ENROL_H
#define SGB_LOGIN_ENROL_H

#include "login.h"
#include "otp_store.h"

/* For a person without a token: is answer an invitation? Then enrols, with
 * further prompts. REASON_NOT_ENROLLED if it is none. */
enum reason login_enrol(
	struct login *login, const struct otp_store *store, const char *answer);

#endif
