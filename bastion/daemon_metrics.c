/*
 * Counters and gauges in Prometheus' text format (version 0.0.4), over the
 * control socket; there is no port to guard.
 */
#include "daemon.h"

#include <string.h>

static const struct counter_row {
	size_t offset;
	const char *metric;
	const char *labels;
	const char *help;
} counter_rows[] = {
#define X(field, metric, labels, help) \
	{offsetof(struct counters, field), metric, labels, help},
#include "counters.def"
#undef X
};

static void put_head(
	struct buf *out, const char *metric, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric,
		type);
}

static void put_counters(struct buf *out, const struct counters *counters)
{
	const char *last = "";
	size_t i;

	for (i = 0; i < sizeof(counter_rows) / sizeof(counter_rows[0]); i++) {
		const struct counter_row *row = &counter_rows[i];
		uint64_t value;

		if (strcmp(last, row->metric))
			put_head(out, row->metric, "counter", row->help);
		last = row->metric;
		memcpy(&value, (const char *)counters + row->offset,
			sizeof(value));
		buf_printf(out, *row->labels ? "%s{%s} %llu\n" : "%s%s %llu\n",
			row->metric, row->labels, (unsigned long long)value);
	}
}

static void put_gauge(
	struct buf *out, const char *metric, const char *help, size_t value)
{
	put_head(out, metric, "gauge", help);
	buf_printf(out, "%s %zu\n", metric, value);
}

void daemon_metrics(const struct daemon *d, struct buf *out)
{
	const struct connection *conn;
	size_t open = 0, waiting = 0;

	TAILQ_FOREACH (conn, &d->connections, link) {
		open += conn->phase == MONITOR_PHASE_OPEN;
		waiting += conn->phase == MONITOR_PHASE_WAITING;
	}
	put_counters(out, &d->counters);
	put_gauge(out, "sgbridge_connections", "Connections of now.", d->total);
	put_gauge(out, "sgbridge_unauthenticated",
		"Connections that have not authenticated.", d->pending);
	put_gauge(out, "sgbridge_sessions_open", "Sessions on a target.", open);
	put_gauge(out, "sgbridge_approvals_waiting",
		"Accesses that wait for an approval.", waiting);
	put_gauge(out, "sgbridge_sources_penalised",
		"Sources under penalty now.",
		sources_penalised(d->sources, daemon_now_ms()));
	put_gauge(out, "sgbridge_recorder_up", "Whether the recorder answers.",
		d->recorder >= 0);
}
