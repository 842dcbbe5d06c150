/*
 * What of a policy can matter when PAM asks about one person, for a login that
 * must not pay for ten thousand rules about others. Safe only for a source
 * that was read, parsed and compiled whole before: the digest of that is kept
 * (policy_mark_*), and whatever differs from it in one byte is parsed whole.
 */
#ifndef SGB_POLICY_REDUCE_H
#define SGB_POLICY_REDUCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/policy.h"

#define POLICY_DIGEST_LEN 32

/* SHA-256 over all that a policy is made of: paths, order, places of includes
 * and bytes. */
enum sgb_err policy_source_digest(const struct policy_source *source,
	uint8_t ret[POLICY_DIGEST_LEN]) SGB_MUST_CHECK;

/*
 * A copy without the rules that PAM does not ask about (those that are not
 * about this host, or only about other people by name) and without definitions
 * that nothing names then. Lines keep their numbers. What is not plainly one of
 * these stays. The source must be one that compiles.
 */
enum sgb_err policy_source_reduce(const struct policy_source *source,
	const char *user, struct policy_source **ret) SGB_MUST_CHECK;

/* Writes down, as root, that this program's version found the source good.
 * The folder must exist. */
enum sgb_err policy_mark_write(
	const char *path, const struct policy_source *source) SGB_MUST_CHECK;
/* Does the mark say so of exactly this source? Any doubt is a no. */
bool policy_mark_holds(const char *path, const struct policy_source *source);

/* The policy as far as PAM needs it for this user: reduced where the mark at
 * path holds, else whole. Errors are those of policy_load. */
enum sgb_err policy_load_for(const char *policy_path, const char *mark_path,
	const char *user, struct policy **ret,
	struct diag *diag) SGB_MUST_CHECK;

#endif
