/*
 * Who may connect now: connections per source that have not authenticated,
 * and penalties for sources that misbehaved, as sshd's PerSourcePenalties. A
 * source is an IPv4 address or an IPv6 /64. The table is bounded; when it is
 * full the oldest penalties make room.
 */
#ifndef SGB_SOURCES_H
#define SGB_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/msg.h"

struct sources;

enum sgb_err sources_new(struct sources **ret) SGB_MUST_CHECK;
void sources_free(struct sources *sources);
/* Networks that are never penalised; SGB_ERR_FORMAT and *ret_bad for one that
 * is not a network. Replaces the list only on success. */
enum sgb_err sources_set_exempt(struct sources *sources,
	const struct conf_list *nets, const char **ret_bad) SGB_MUST_CHECK;

enum sources_verdict {
	SOURCES_REFUSE_PENALTY = 0,
	SOURCES_REFUSE_LIMIT,
	SOURCES_ADMIT,
};
/* Counts one unauthenticated connection if it admits. now in ms, monotonic. */
enum sources_verdict sources_admit(struct sources *sources,
	const struct addr *addr, uint64_t now, uint64_t max_per_source);
/* The connection authenticated, or is gone. */
void sources_release(struct sources *sources, const struct addr *addr);
void sources_penalise(struct sources *sources, const struct addr *addr,
	enum monitor_penalty kind, uint64_t now);
/* Sources under penalty now. */
size_t sources_penalised(const struct sources *sources, uint64_t now);

#endif
