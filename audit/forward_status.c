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
#include "forward_status.h"

#define NOTE_MAX (FORWARD_MAX * 1024)
#define MAGIC	 "sgbridge-forward-status 2\n"

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
			"\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n",
			rows[i].dest->name, states[report->state],
			rows[i].since, report->sent_seq, report->final.seq,
			report->lines, report->again, report->gaps, report->cut,
			rows[i].deaths, rows[i].dest->expires, report->expires,
			*text ? text : "-");
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

static bool split(char *line, char *ret[FORWARD_COLUMNS])
{
	size_t i;

	for (i = 0; i < FORWARD_COLUMNS; i++)
		ret[i] = strsep(&line, "\t");
	return ret[FORWARD_TEXT] && !line;
}

uint64_t forward_cell(const struct forward_row *row, enum forward_column cell)
{
	return strtoull(row->cells[cell], NULL, 10);
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

/* How far behind it is, by what it has for good. */
static void look_behind(
	int state_fd, int trail_fd, uint64_t last, struct forward_row *row)
{
	uint64_t final = forward_cell(row, FORWARD_FINAL);
	uint64_t now_ms = (uint64_t)time(NULL) * 1000, first_ms;
	char file[FORWARD_NAME_MAX];
	struct forward_place place;

	if (last <= final)
		return;
	row->behind = last - final;
	forward_file_name(row->cells[FORWARD_NAME], file);
	if (place_load(state_fd, file, &place))
		memset(&place, 0, sizeof(place));
	first_ms = trail_time_behind(trail_fd, &place);
	if (first_ms && now_ms > first_ms)
		row->lag_s = (now_ms - first_ms) / 1000;
}

void forward_notes_read(int state_fd, int trail_fd, struct forward_notes *ret)
{
	char *at, *line;

	memset(ret, 0, sizeof(*ret));
	buf_init(&ret->note, NOTE_MAX + 1);
	ret->last = trail_last_seq(trail_fd);
	ret->runs = somebody_runs(state_fd) && read_note(state_fd, &ret->note);
	at = ret->runs ? (char *)ret->note.data + sizeof(MAGIC) - 1 : NULL;
	while (at && *at && ret->count < FORWARD_MAX &&
		(line = strsep(&at, "\n"))) {
		struct forward_row *row = &ret->rows[ret->count];

		if (!split(line, row->cells))
			continue;
		ret->count++;
		look_behind(state_fd, trail_fd, ret->last, row);
	}
}

void forward_notes_done(struct forward_notes *notes)
{
	buf_done(&notes->note);
}

static void print_since(uint64_t seconds, char ret[24])
{
	time_t when = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&when, &tm) ||
		!strftime(ret, 24, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(ret, "?");
}

static bool is_up(const struct forward_row *row)
{
	return !strcmp(row->cells[FORWARD_STATE], "up");
}

static void print_row(const struct forward_row *row, bool colour)
{
	char since[24];

	print_since(forward_cell(row, FORWARD_SINCE), since);
	printf("%-30s %s%-5s%s %-20s %10s %8" PRIu64 " %5s %5s  %s\n",
		row->cells[FORWARD_NAME],
		!colour	     ? ""
		: is_up(row) ? "\033[32m"
			     : "\033[31m",
		row->cells[FORWARD_STATE], colour ? "\033[0m" : "", since,
		row->cells[FORWARD_FINAL], row->behind,
		row->cells[FORWARD_GAPS], row->cells[FORWARD_CUT],
		row->cells[FORWARD_TEXT]);
}

static void put_json(struct buf *out, const struct forward_row *row, bool first)
{
	static const char *const names[] = {[FORWARD_SENT] = "sent",
		[FORWARD_FINAL] = "delivered",
		[FORWARD_LINES] = "lines",
		[FORWARD_AGAIN] = "again",
		[FORWARD_GAPS] = "gaps",
		[FORWARD_CUT] = "cut",
		[FORWARD_DEATHS] = "deaths",
		[FORWARD_OWN_EXPIRES] = "own_expires",
		[FORWARD_PEER_EXPIRES] = "peer_expires"};
	const char *name = row->cells[FORWARD_NAME];
	const char *text = row->cells[FORWARD_TEXT];
	char since[24];
	enum forward_column i;

	print_since(forward_cell(row, FORWARD_SINCE), since);
	buf_printf(out, "%s{\"receiver\":", first ? "" : ",");
	json_put_string(out, name, strlen(name));
	buf_printf(out, ",\"state\":\"%s\",\"since\":\"%s\"",
		row->cells[FORWARD_STATE], since);
	for (i = FORWARD_SENT; i <= FORWARD_PEER_EXPIRES; i++)
		buf_printf(out, ",\"%s\":%" PRIu64, names[i],
			forward_cell(row, i));
	buf_printf(out, ",\"behind\":%" PRIu64 ",\"lag\":%" PRIu64 ",\"text\":",
		row->behind, row->lag_s);
	json_put_string(out, text, strlen(text));
	buf_printf(out, "}");
}

static void print_json(const struct forward_notes *notes)
{
	struct buf out;
	size_t i;

	buf_init(&out, 2 * NOTE_MAX);
	buf_printf(&out,
		"{\"running\":%s,\"trail\":%" PRIu64 ",\"receivers\":[",
		notes->runs ? "true" : "false", notes->last);
	for (i = 0; i < notes->count; i++)
		put_json(&out, &notes->rows[i], i == 0);
	buf_printf(&out, "]}\n");
	(void)fwrite(out.data, 1, out.len, stdout);
	buf_done(&out);
}

static void print_table(const struct forward_notes *notes, bool colour)
{
	size_t i;

	if (!notes->runs) {
		printf("sgbridge-forward does not run\n");
		return;
	}
	printf("%-30s %-5s %-20s %10s %8s %5s %5s\n", "RECEIVER", "STATE",
		"SINCE", "DELIVERED", "BEHIND", "GAPS", "CUT");
	for (i = 0; i < notes->count; i++)
		print_row(&notes->rows[i], colour);
}

int forward_status_print(int state_fd, int trail_fd, bool json, bool colour)
{
	struct forward_notes notes;
	int status = 0;
	size_t i;

	forward_notes_read(state_fd, trail_fd, &notes);
	if (json)
		print_json(&notes);
	else
		print_table(&notes, colour);
	for (i = 0; i < notes.count; i++)
		if (!is_up(&notes.rows[i]) ||
			forward_cell(&notes.rows[i], FORWARD_SENT) < notes.last)
			status = 1;
	if (!notes.runs)
		status = EX_UNAVAILABLE;
	forward_notes_done(&notes);
	return status;
}
