/*
 * Making the index: recordings that are not in it yet. An interrupted run goes
 * on about where it stopped; an index that is damaged is made anew.
 */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "commands.h"
#include "emulator.h"
#include "evidence.h"
#include "index_db.h"
#include "select.h"
#include "texts.h"
#include "unread.h"

struct indexing {
	struct audit *audit;
	struct index_db *db;
	struct texts *texts;
	struct commands *commands;
	struct emulator_pool screens, shells;
	enum sgb_err err; /* of adding */
	size_t added, failed, given_up;
	struct unread unread;
	struct audit_views views;
};

static void on_text(void *data, const struct found_text *found)
{
	struct indexing *indexing = data;

	if (!indexing->err)
		indexing->err = index_add(indexing->db, found);
}

static void on_command(void *data, const struct found_command *command)
{
	struct found_text found = {.time_us = command->time_us,
		.channel = command->channel,
		.where = "command",
		.text = command->text};

	on_text(data, &found);
}

/* One recording. raw: its bytes instead of its screen. Sets given_up if the
 * emulator did not stand it. */
static enum sgb_err add_evidence(struct indexing *indexing,
	const struct store_entry *entry, int fd, bool raw, bool *given_up)
{
	struct emulator *screen = emulator_pool_get(&indexing->screens);
	struct emulator *shell = emulator_pool_get(&indexing->shells);
	struct evidence *evidence = NULL;
	enum sgb_err err;

	*given_up = false;
	raw = raw || !screen || !shell;
	err = audit_evidence(indexing->audit, fd, &evidence);
	if (err)
		unread_evidence(&indexing->unread, entry, err, evidence);
	else
		err = index_begin(
			indexing->db, entry, evidence_meta(evidence), raw);
	if (err) {
		evidence_free(evidence);
		return err;
	}
	indexing->err = SGB_OK;
	err = texts_run(indexing->texts, indexing->audit, fd, evidence,
		raw ? NULL : screen);
	*given_up = err == SGB_ERR_CLOSED || err == SGB_ERR_TIMEOUT;
	/* Half of it would pass for all of it, and never be looked at again. */
	if (!err && unread_rest(&indexing->unread, entry, evidence))
		err = SGB_ERR_FORMAT;
	if (!err && !raw) {
		err = commands_run(
			indexing->commands, indexing->audit, fd, shell);
		*given_up = err == SGB_ERR_CLOSED || err == SGB_ERR_TIMEOUT;
	}
	if (!err)
		err = indexing->err;
	if (!err)
		err = index_commit(indexing->db);
	if (err)
		index_rollback(indexing->db);
	evidence_free(evidence);
	return err;
}

static void add_entry(struct indexing *indexing, const struct store *store,
	const struct store_entry *entry)
{
	size_t told = indexing->unread.closed + indexing->unread.damaged;
	int fd = store_open_file(store, entry);
	enum sgb_err err;
	bool given_up;

	if (fd < 0) {
		unread_file(&indexing->unread, entry);
		indexing->failed++;
		return;
	}
	if (!audit_views_add(&indexing->views, entry->id)) {
		audit_views_write(&indexing->views);
		(void)audit_views_add(&indexing->views, entry->id);
	}
	err = add_evidence(indexing, entry, fd, false, &given_up);
	if (err && given_up) {
		err = add_evidence(indexing, entry, fd, true, &given_up);
		if (!err) {
			indexing->given_up++;
			(void)fprintf(stderr,
				"sgbridge-audit: %s: the emulator was given up "
				"over its screen; its bytes are in the index\n",
				entry->id);
		}
	}
	close(fd);
	if (!err) {
		indexing->added++;
		return;
	}
	indexing->failed++;
	if (indexing->unread.closed + indexing->unread.damaged > told)
		return;
	(void)fprintf(stderr, "sgbridge-audit: %s is not in the index: %s\n",
		entry->id, sgb_err_text(err));
}

static void start(struct indexing *indexing)
{
	struct emulator_handler *handlers;
	static struct emulator_handler kept[2];

	handlers = kept;
	indexing->texts = texts_new(on_text, indexing);
	indexing->commands = commands_new(on_command, indexing);
	if (!indexing->texts || !indexing->commands)
		audit_fatal(EX_OSERR, "out of memory");
	texts_handler(indexing->texts, &handlers[0]);
	commands_handler(indexing->commands, &handlers[1]);
	if (emulator_pool_start(&indexing->screens, &handlers[0]) ||
		emulator_pool_start(&indexing->shells, &handlers[1]))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
}

/* Whatever stands there and is no index of ours is kept beside it. */
static void open_anew(struct indexing *indexing, const char *what)
{
	char why[300];

	if (!index_remove(indexing->audit, true))
		audit_fatal(EX_CANTCREAT,
			"%s; and it cannot be moved away: it must be a file of "
			"your own, mode 0600",
			what);
	(void)fprintf(stderr,
		"sgbridge-audit: %s; the old file is beside it as .old\n",
		what);
	if (index_open(indexing->audit, true, &indexing->db, why, sizeof(why)))
		audit_fatal(EX_CANTCREAT, "%s", why);
}

static void open_index(struct indexing *indexing)
{
	struct audit *audit = indexing->audit;
	char why[300];
	enum sgb_err err;

	err = index_open(audit, true, &indexing->db, why, sizeof(why));
	if (!err && audit->rebuild) {
		index_close(indexing->db);
		if (!index_remove(audit, false))
			audit_fatal(EX_CANTCREAT,
				"the old index cannot be deleted");
		err = index_open(audit, true, &indexing->db, why, sizeof(why));
	} else if (!err && !index_is_whole(indexing->db)) {
		index_close(indexing->db);
		open_anew(indexing, "the index is damaged and is made anew");
		return;
	}
	if (err == SGB_ERR_FORMAT)
		open_anew(indexing, why);
	else if (err)
		audit_fatal(EX_CANTCREAT, "%s", why);
}

/* Whoever has the index has its texts: that is written down first. */
static void write_views(void *data)
{
	struct indexing *indexing = data;

	if (indexing->views.count)
		audit_views_write(&indexing->views);
}

static void add_store(struct indexing *indexing, const struct store *store)
{
	struct filter filter;
	size_t i;

	filter_init(indexing->audit, &filter);
	index_before(indexing->db, write_views, indexing);
	for (i = 0; i < store->count && !index_is_damaged(indexing->db); i++) {
		const struct store_entry *entry = &store->entries[i];

		if (entry->present && entry->state != STORE_RUNNING &&
			filter_entry(indexing->audit, &filter, entry) &&
			!index_has(indexing->db, entry))
			add_entry(indexing, store, entry);
		if (isatty(STDERR_FILENO))
			(void)fprintf(
				stderr, "\r%zu of %zu", i + 1, store->count);
	}
	if (!index_is_damaged(indexing->db) && index_flush(indexing->db)) {
		indexing->failed++;
		(void)fprintf(stderr, "sgbridge-audit: the last recordings are "
				      "not in the index: it cannot be "
				      "written\n");
	}
}

int cmd_index(struct audit *audit, int argc, char **argv)
{
	struct indexing indexing = {.audit = audit,
		.unread = {.audit = audit},
		.views = {.audit = audit, .what = "index"}};
	struct store *store;

	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "index takes no names");
	start(&indexing);
	audit_places(audit);
	audit_identities(audit, true);
	store = select_store(audit);
	audit_viewed(audit, "", "index");
	open_index(&indexing);
	add_store(&indexing, store);
	if (index_is_damaged(indexing.db)) {
		index_close(indexing.db);
		indexing.added = indexing.given_up = indexing.failed = 0;
		indexing.unread = (struct unread){.audit = audit};
		open_anew(&indexing, "the index is damaged and is made anew");
		add_store(&indexing, store);
	}
	/* The count of the progress stands in that line. */
	if (isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\r\033[K");
	(void)printf(
		audit->json
			? "{\"added\":%zu,\"as_bytes\":%zu,\"failed\":%zu}\n"
			: "%zu recordings added, %zu of them as bytes, %zu "
			  "failed\n",
		indexing.added, indexing.given_up, indexing.failed);
	index_close(indexing.db);
	store_free(store);
	emulator_pool_done(&indexing.screens);
	emulator_pool_done(&indexing.shells);
	texts_free(indexing.texts);
	commands_free(indexing.commands);
	return unread_status(
		&indexing.unread, indexing.failed ? EX_DATAERR : 0);
}
