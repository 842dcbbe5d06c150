/*
 * AES-GCM for libssh's packets by Intel's multi-buffer library, offered to
 * OpenSSL as a provider: nothing of libssh's way of sealing and opening
 * packets changes, only the instructions that do it. OpenSSL 3.0 has none of
 * the wide ones (VAES) that processors have had for years.
 */
#ifndef SGB_SESSION_GCM_H
#define SGB_SESSION_GCM_H

#include <stdbool.h>

/* Offers it to everything that this process encrypts from here on; true if it
 * is. False, and all stays with OpenSSL, where the processor or the library
 * lacks something, where OpenSSL is confined to FIPS, or where one byte of a
 * trial differs from what OpenSSL makes of it. Call before any key exists;
 * needs no file. */
bool gcm_offer(void);
/* Takes the offer back: new keys are OpenSSL's again. */
void gcm_withdraw(void);

#endif
