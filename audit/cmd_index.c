/*
 * Making the index: recordings that are not in it yet, one transaction each, so
 * that an interrupted run goes on where it stopped.
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

struct indexing {
	struct audit *audit;
	struct index_db *db;
	struct texts *texts;
	struct commands *commands;
	struct emulator *screen, *shell; /* one for each of them */
	enum sgb_err err;		 /* of adding */
	size_t added, failed;
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

/* One recording. SGB_ERR_NOTFOUND: not for our keys. */
static enum sgb_err add_evidence(struct indexing *indexing,
	const struct store_entry *entry, int fd, struct evidence *evidence)
{
	enum sgb_err err;

	err = index_begin(indexing->db, entry, evidence_meta(evidence));
	if (err)
		return err;
	indexing->err = SGB_OK;
	err = texts_run(indexing->texts, indexing->audit, fd, evidence,
		indexing->screen);
	if (!err)
		err = commands_run(indexing->commands, indexing->audit, fd,
			indexing->shell);
	if (!err)
		err = indexing->err;
	if (!err)
		err = index_commit(indexing->db);
	if (err)
		index_rollback(indexing->db);
	return err;
}

static void add_entry(struct indexing *indexing, const struct store *store,
	const struct store_entry *entry)
{
	struct evidence *evidence = NULL;
	int fd = store_open_file(store, entry);
	enum sgb_err err;

	if (fd < 0)
		return;
	err = audit_evidence(indexing->audit, fd, &evidence);
	if (!err)
		err = add_evidence(indexing, entry, fd, evidence);
	evidence_free(evidence);
	close(fd);
	if (!err) {
		indexing->added++;
		return;
	}
	if (err == SGB_ERR_CLOSED || err == SGB_ERR_TIMEOUT)
		audit_fatal(EX_SOFTWARE,
			"the emulator did not survive %s; what came before "
			"is in the index",
			entry->id);
	indexing->failed++;
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
	if (emulator_start(&handlers[0], &indexing->screen) ||
		emulator_start(&handlers[1], &indexing->shell))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
}

int cmd_index(struct audit *audit, int argc, char **argv)
{
	struct indexing indexing = {.audit = audit};
	struct filter filter;
	struct store *store;
	char why[300];
	size_t i;

	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "index takes no names");
	start(&indexing);
	audit_places(audit);
	audit_identities(audit, true);
	filter_init(audit, &filter);
	store = select_store(audit);
	audit_viewed(audit, "", "index");
	if (index_open(audit, true, &indexing.db, why, sizeof(why)))
		audit_fatal(EX_CANTCREAT, "%s", why);
	for (i = 0; i < store->count; i++) {
		const struct store_entry *entry = &store->entries[i];

		if (entry->present && entry->state != STORE_RUNNING &&
			filter_entry(audit, &filter, entry) &&
			!index_has(indexing.db, entry))
			add_entry(&indexing, store, entry);
		if (isatty(STDERR_FILENO))
			(void)fprintf(
				stderr, "\r%zu of %zu", i + 1, store->count);
	}
	(void)printf("%zu recordings added, %zu failed\n", indexing.added,
		indexing.failed);
	index_close(indexing.db);
	store_free(store);
	emulator_free(indexing.screen);
	emulator_free(indexing.shell);
	texts_free(indexing.texts);
	commands_free(indexing.commands);
	return indexing.failed ? EX_DATAERR : 0;
}
