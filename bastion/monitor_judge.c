/*
 * When to judge a connection again: at the moment at which something of what
 * permits it ends (its key's line or certificate, hours, a rule, an approval
 * of a forward), and every half minute, because files change and clocks are
 * set. Decides nothing: that is monitor_still_permitted().
 */
#include "monitor.h"

#define JUDGE_EVERY 30 /* seconds */
/* time() may be this many ms behind the clock that it reads. */
#define CLOCK_SLACK 20

static time_t earlier(time_t a, time_t b)
{
	return b && (!a || b < a) ? b : a;
}

/* The first end of a time that is written down; 0: none before until. */
static time_t next_end(const struct monitor *m, time_t now, time_t until)
{
	time_t next = policy_next_change(m->policy, now, until);

	if (m->key_until > now)
		next = earlier(next, m->key_until);
	/* Of a certificate; what is for ever does not fit a time_t. */
	if (m->key.is_cert && m->key.valid_before > (uint64_t)now &&
		m->key.valid_before <= (uint64_t)until)
		next = earlier(next, (time_t)m->key.valid_before);
	return next && next <= until ? next : 0;
}

void monitor_judge_later(struct monitor *m)
{
	uint64_t at = monitor_now_ms() + JUDGE_EVERY * 1000;
	struct timespec now;
	unsigned int i;
	time_t next;

	for (i = 0; i < m->approved_count; i++)
		if (monitor_approval_holds(&m->approved[i]) &&
			m->approved[i].until_ms && m->approved[i].until_ms < at)
			at = m->approved[i].until_ms;
	if (m->user && !clock_gettime(CLOCK_REALTIME, &now)) {
		next = next_end(m, now.tv_sec, now.tv_sec + JUDGE_EVERY);
		if (next) {
			uint64_t ms = (uint64_t)(next - now.tv_sec) * 1000 -
				      (uint64_t)now.tv_nsec / 1000000;

			ms += monitor_now_ms() + CLOCK_SLACK;
			if (ms < at)
				at = ms;
		}
	}
	m->judge_ms = at;
}
