/*
 * How it goes with the receivers in Prometheus' text format (version 0.0.4),
 * for node_exporter's textfile collector: there is no port to guard, and the
 * forwarder answers nobody. Names of receivers are our own, from numeric
 * addresses: nothing in them needs to be escaped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "forward_status.h"

static uint64_t is_up(const struct forward_row *row)
{
	return !strcmp(row->cells[FORWARD_STATE], "up");
}

static uint64_t behind(const struct forward_row *row)
{
	return row->behind;
}

static uint64_t lag(const struct forward_row *row)
{
	return row->lag_s;
}

static const struct metric {
	const char *name, *type, *help;
	enum forward_column cell;
	uint64_t (*value)(const struct forward_row *row); /* or NULL: cell */
	bool optional;					  /* 0 is none */
} metrics[] = {
	{"up", "gauge", "Whether the receiver is connected.", 0, is_up, false},
	{"sent_total", "counter",
		"Events sent, since the receiver's process began.",
		FORWARD_LINES, NULL, false},
	{"resent_total", "counter",
		"Events sent again, since the receiver's process began.",
		FORWARD_AGAIN, NULL, false},
	{"delivered_sequence", "gauge",
		"Number of the last event that was delivered for good.",
		FORWARD_FINAL, NULL, false},
	{"spooled_events", "gauge",
		"Events of the trail that are not delivered for good.", 0,
		behind, false},
	{"lag_seconds", "gauge", "Age of the first of those.", 0, lag, false},
	{"dropped_total", "counter",
		"Gaps: events that were gone before they were sent.",
		FORWARD_GAPS, NULL, false},
	{"cut_total", "counter", "Messages cut to max-message.", FORWARD_CUT,
		NULL, false},
	{"deaths_total", "counter", "Unasked ends of the receiver's process.",
		FORWARD_DEATHS, NULL, false},
	{"own_certificate_expires_timestamp_seconds", "gauge",
		"When client-cert expires.", FORWARD_OWN_EXPIRES, NULL, true},
	{"peer_certificate_expires_timestamp_seconds", "gauge",
		"When the receiver's certificate expires.",
		FORWARD_PEER_EXPIRES, NULL, true},
};

static void print_head(const char *name, const char *type, const char *help)
{
	printf("# HELP sgbridge_forward_%s %s\n# TYPE sgbridge_forward_%s %s\n",
		name, help, name, type);
}

static void print_metric(
	const struct metric *metric, const struct forward_notes *notes)
{
	size_t i;

	print_head(metric->name, metric->type, metric->help);
	for (i = 0; i < notes->count; i++) {
		const struct forward_row *row = &notes->rows[i];
		uint64_t value = metric->value
					 ? metric->value(row)
					 : forward_cell(row, metric->cell);

		if (value || !metric->optional)
			printf("sgbridge_forward_%s{receiver=\"%s\"} %" PRIu64
			       "\n",
				metric->name, row->cells[FORWARD_NAME], value);
	}
}

/* That it does not run is said by a metric: a file that was not written shows
 * old numbers. */
int forward_metrics_print(int state_fd, int trail_fd)
{
	struct forward_notes notes;
	size_t i;

	forward_notes_read(state_fd, trail_fd, &notes);
	print_head("running", "gauge", "Whether sgbridge-forward runs.");
	printf("sgbridge_forward_running %d\n", notes.runs);
	print_head("trail_sequence", "gauge",
		"Number of the last event of the trail.");
	printf("sgbridge_forward_trail_sequence %" PRIu64 "\n", notes.last);
	for (i = 0; notes.count && i < sizeof(metrics) / sizeof(metrics[0]);
		i++)
		print_metric(&metrics[i], &notes);
	forward_notes_done(&notes);
	return 0;
}
