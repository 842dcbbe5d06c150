/*
 * How it goes, noted by the one that runs and printed by --status. The note is
 * one line a receiver, its values parted by tabs; only this program reads it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/event.h"
#include "core/file.h"
#include "core/log.h"

#include "forward_files.h"

#define NOTE_MAX (FORWARD_MAX * 1024)
#define MAGIC	 "sgbridge-forward-status 1\n"

static const char *const states[] = {
	[FORWARD_AWAY] = "away", [FORWARD_UP] = "up"};

void forward_status_write(
	int dir_fd, const struct forward_status *rows, size_t count)
{
	char text[FORWARD_TEXT_MAX * 4];
	struct buf out;
	size_t i;
	int fd;

	buf_init(&out, NOTE_MAX);
	buf_printf(&out, MAGIC);
	for (i = 0; i < count; i++) {
		const struct forward_report *report = &rows[i].report;

		log_escape(report->text, text, sizeof(text));
		buf_printf(&out,
			"%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
			"\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
			"\t%" PRIu64 "\t%s\n",
			rows[i].dest->name, states[report->state],
			rows[i].since, report->sent_seq, report->final.seq,
			report->lines, report->again, report->gaps, report->cut,
			rows[i].deaths, *text ? text : "-");
	}
	/* Not worth a sync: it is of now. */
	fd = openat(dir_fd, "status.new",
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && !buf_error(&out) &&
		!file_write_all(fd, out.data, out.len))
		(void)!renameat(dir_fd, "status.new", dir_fd, "status");
	if (fd >= 0)
		close(fd);
	buf_done(&out);
}

enum column {
	NAME = 0,
	STATE,
	SINCE,
	SENT,
	FINAL,
	LINES,
	AGAIN,
	GAPS,
	CUT,
	DEATHS,
	TEXT,
	COLUMNS
};

static bool split(char *line, char *ret[COLUMNS])
{
	size_t i;

	for (i = 0; i < COLUMNS; i++)
		ret[i] = strsep(&line, "\t");
	return ret[TEXT] && !line;
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

/* Somebody else holds the lock. */
static bool somebody_runs(int dir_fd)
{
	int fd = openat(dir_fd, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool runs = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) &&
		    errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return runs;
}

static void print_since(const char *text, char ret[24])
{
	time_t when = (time_t)number(text);
	struct tm tm;

	if (!gmtime_r(&when, &tm) ||
		!strftime(ret, 24, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(ret, "?");
}

static void print_row(char *const row[COLUMNS], uint64_t last, bool colour)
{
	bool up = !strcmp(row[STATE], "up");
	uint64_t final = number(row[FINAL]);
	char since[24];

	print_since(row[SINCE], since);
	printf("%-30s %s%-5s%s %-20s %10s %8" PRIu64 " %5s %5s  %s\n",
		row[NAME],
		!colour ? ""
		: up	? "\033[32m"
			: "\033[31m",
		row[STATE], colour ? "\033[0m" : "", since, row[FINAL],
		last > final ? last - final : 0, row[GAPS], row[CUT],
		row[TEXT]);
}

static void put_json(
	struct buf *out, char *const row[COLUMNS], uint64_t last, bool first)
{
	static const char *const names[] = {[SENT] = "sent",
		[FINAL] = "delivered",
		[LINES] = "lines",
		[AGAIN] = "again",
		[GAPS] = "gaps",
		[CUT] = "cut",
		[DEATHS] = "deaths"};
	uint64_t final = number(row[FINAL]);
	char since[24];
	int i;

	print_since(row[SINCE], since);
	buf_printf(out, "%s{\"receiver\":", first ? "" : ",");
	json_put_string(out, row[NAME], strlen(row[NAME]));
	buf_printf(
		out, ",\"state\":\"%s\",\"since\":\"%s\"", row[STATE], since);
	for (i = SENT; i <= DEATHS; i++)
		buf_printf(out, ",\"%s\":%" PRIu64, names[i], number(row[i]));
	buf_printf(out, ",\"behind\":%" PRIu64 ",\"text\":",
		last > final ? last - final : 0);
	json_put_string(out, row[TEXT], strlen(row[TEXT]));
	buf_printf(out, "}");
}

struct printing {
	bool json, colour, first;
	uint64_t last;
	int status;
	struct buf out;
};

static void print_line(struct printing *how, char *line)
{
	char *row[COLUMNS];

	if (!split(line, row))
		return;
	if (strcmp(row[STATE], "up") != 0 || number(row[SENT]) < how->last)
		how->status = 1;
	if (how->json)
		put_json(&how->out, row, how->last, how->first);
	else
		print_row(row, how->last, how->colour);
	how->first = false;
}

static bool read_note(int dir_fd, struct buf *note)
{
	int fd = openat(dir_fd, "status", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool good = fd >= 0 && !file_read_fd(fd, note) &&
		    note->len > sizeof(MAGIC) - 1 &&
		    !memcmp(note->data, MAGIC, sizeof(MAGIC) - 1);

	if (fd >= 0)
		close(fd);
	buf_put_u8(note, 0);
	return good && !buf_error(note);
}

int forward_status_print(int state_fd, int trail_fd, bool json, bool colour)
{
	struct printing how = {.json = json, .colour = colour, .first = true};
	bool runs = somebody_runs(state_fd);
	struct buf note;
	char *at, *line;

	buf_init(&note, NOTE_MAX + 1);
	buf_init(&how.out, 2 * NOTE_MAX);
	how.last = trail_last_seq(trail_fd);
	if (!read_note(state_fd, &note))
		runs = false;
	if (json)
		buf_printf(&how.out,
			"{\"running\":%s,\"trail\":%" PRIu64 ",\"receivers\":[",
			runs ? "true" : "false", how.last);
	else if (!runs)
		printf("sgbridge-forward does not run\n");
	else
		printf("%-30s %-5s %-20s %10s %8s %5s %5s\n", "RECEIVER",
			"STATE", "SINCE", "DELIVERED", "BEHIND", "GAPS", "CUT");
	at = runs ? (char *)note.data + sizeof(MAGIC) - 1 : NULL;
	while (at && *at && (line = strsep(&at, "\n")))
		if (*line)
			print_line(&how, line);
	if (json) {
		buf_printf(&how.out, "]}\n");
		(void)fwrite(how.out.data, 1, how.out.len, stdout);
	}
	buf_done(&note);
	buf_done(&how.out);
	return runs ? how.status : EX_UNAVAILABLE;
}
