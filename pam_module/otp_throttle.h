/* Waiting times (otp_throttle.c): what otp_check.c needs of them. */
#ifndef SGB_OTP_THROTTLE_H
#define SGB_OTP_THROTTLE_H

#include "otp_state.h"

void otp_note_failure(
	struct otp_state *state, const struct addr *source, uint64_t now);
/* Forgets the failures of this source and the person's count. */
void otp_note_success(
	struct otp_state *state, const struct addr *source, uint64_t now);
/* Pulls failures out of the future; true if the state was changed. */
bool otp_clock_stepped_back(struct otp_state *state, uint64_t now);

#endif
