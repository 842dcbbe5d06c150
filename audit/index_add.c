/*
 * Putting recordings into the index. A recording is packed in memory first, and
 * written when it is whole; one that is too large for that gets a transaction
 * of its own. Many share one, because the trigrams of a transaction are written
 * together.
 */
#include "index_db.h"

#include <stdlib.h>
#include <string.h>

#include "index_own.h"

#define GROUP_BYTES (64 * 1024 * 1024)

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	(void)sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

static enum sgb_err run(struct index_db *index, const char *sql)
{
	int code = sqlite3_exec(index->db, sql, NULL, NULL, NULL);

	index_check(index, code);
	return code == SQLITE_BUSY ? SGB_ERR_BUSY
	       : code		   ? SGB_ERR_SYSTEM
				   : SGB_OK;
}

bool index_has(struct index_db *index, const struct store_entry *entry)
{
	sqlite3_stmt *statement = NULL;
	bool has = false;
	int code;

	code = sqlite3_prepare_v2(index->db,
		"SELECT size FROM recording WHERE id = ?", -1, &statement,
		NULL);
	index_check(index, code);
	if (code)
		return false;
	bind_text(statement, 1, entry->id);
	code = sqlite3_step(statement);
	index_check(index, code);
	if (code == SQLITE_ROW)
		has = (uint64_t)sqlite3_column_int64(statement, 0) ==
		      entry->size;
	sqlite3_finalize(statement);
	return has;
}

static enum sgb_err step(struct index_db *index, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	index_check(index, code);
	return code == SQLITE_DONE ? SGB_OK : SGB_ERR_SYSTEM;
}

static enum sgb_err forget(struct index_db *index, const char *id)
{
	/* Not triggers: a file's own code is never run. */
	static const char *const rows[] = {
		("DELETE FROM block WHERE rec = (SELECT n FROM recording WHERE "
		 "id = ?)"),
		"DELETE FROM recording WHERE id = ?"};
	enum sgb_err err = SGB_OK;
	size_t i;

	for (i = 0; !err && i < sizeof(rows) / sizeof(rows[0]); i++) {
		sqlite3_stmt *statement = NULL;
		int code = sqlite3_prepare_v2(
			index->db, rows[i], -1, &statement, NULL);

		index_check(index, code);
		if (code)
			return SGB_ERR_SYSTEM;
		bind_text(statement, 1, id);
		err = step(index, statement);
		sqlite3_finalize(statement);
	}
	return err;
}

/* Stays when the last recording that has it goes: then it finds nothing. */
static enum sgb_err add_name(struct index_db *index, int kind, const char *text)
{
	enum sgb_err err;

	(void)sqlite3_bind_int(index->name, 1, kind);
	bind_text(index->name, 2, text);
	err = step(index, index->name);
	(void)sqlite3_reset(index->name);
	return err;
}

static enum sgb_err add_recording(struct index_db *index)
{
	const struct store_entry *entry = &index->entry;
	sqlite3_stmt *statement = NULL;
	enum sgb_err err = SGB_OK;
	size_t i;

	if (sqlite3_prepare_v2(index->db,
		    "INSERT INTO recording VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, "
		    "?, ?, ?, ?, ?, ?)",
		    -1, &statement, NULL))
		return SGB_ERR_SYSTEM;
	bind_text(statement, 1, entry->id);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)entry->start_ns);
	(void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)entry->end_s);
	(void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)entry->size);
	(void)sqlite3_bind_int(statement, 5, (int)entry->state);
	(void)sqlite3_bind_int(statement, 6, (int)entry->reason);
	(void)sqlite3_bind_int(statement, 7, index->given_up);
	for (i = 0; !err && i < INDEX_COLUMNS; i++) {
		char *text = json_member(index->meta, index_columns[i]);

		bind_text(statement, 8 + (int)i, text);
		err = add_name(index, (int)i, text);
		free(text);
	}
	bind_text(statement, 13, index->meta);
	if (!err)
		err = step(index, statement);
	sqlite3_finalize(statement);
	index->rec = sqlite3_last_insert_rowid(index->db);
	return err;
}

static enum sgb_err prepare(struct index_db *index)
{
	if (!index->add &&
		sqlite3_prepare_v2(index->db,
			"INSERT INTO block(rec, lines, text) VALUES (?, ?, ?)",
			-1, &index->add, NULL))
		return SGB_ERR_SYSTEM;
	if (!index->gram && sqlite3_prepare_v2(index->db,
				    "INSERT INTO gram(rowid, t) VALUES (?, ?)",
				    -1, &index->gram, NULL))
		return SGB_ERR_SYSTEM;
	if (!index->name && sqlite3_prepare_v2(index->db,
				    "INSERT OR IGNORE INTO name VALUES (?, ?)",
				    -1, &index->name, NULL))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

/* Its row, in a transaction. alone: in one of its own. */
static enum sgb_err start(struct index_db *index, bool alone)
{
	enum sgb_err err = SGB_OK;

	if (index->begun)
		return SGB_OK;
	if (alone && index->group_bytes)
		err = index_flush(index);
	if (!err && !index->open) {
		err = run(index, "BEGIN IMMEDIATE");
		index->open = !err;
		index->group_bytes = 0;
	}
	if (err)
		return err;
	index->begun = true;
	err = prepare(index);
	if (!err)
		err = forget(index, index->entry.id);
	return err ? err : add_recording(index);
}

static enum sgb_err write_block(
	struct index_db *index, const struct text_block *block)
{
	enum sgb_err err;

	(void)sqlite3_bind_int64(index->add, 1, index->rec);
	(void)sqlite3_bind_blob(index->add, 2, block->lines.data,
		(int)block->lines.len, SQLITE_STATIC);
	(void)sqlite3_bind_blob(index->add, 3, block->text.data,
		(int)block->text.len, SQLITE_STATIC);
	err = step(index, index->add);
	(void)sqlite3_reset(index->add);
	(void)sqlite3_clear_bindings(index->add);
	if (err)
		return err;
	(void)sqlite3_bind_int64(
		index->gram, 1, sqlite3_last_insert_rowid(index->db));
	(void)sqlite3_bind_text(index->gram, 2,
		block->grams.len ? (const char *)block->grams.data : "",
		(int)block->grams.len, SQLITE_STATIC);
	err = step(index, index->gram);
	(void)sqlite3_reset(index->gram);
	(void)sqlite3_clear_bindings(index->gram);
	index->group_bytes += block->text_len + 1;
	return err;
}

static void drop_held(struct index_db *index)
{
	while (index->held_count)
		text_block_done(&index->held[--index->held_count]);
}

static enum sgb_err write_held(struct index_db *index)
{
	enum sgb_err err = SGB_OK;
	size_t i;

	for (i = 0; !err && i < index->held_count; i++)
		err = write_block(index, &index->held[i]);
	drop_held(index);
	return err;
}

static enum sgb_err seal(struct index_db *index)
{
	enum sgb_err err = SGB_OK;

	if (text_packer_empty(index->packer))
		return SGB_OK;
	if (index->held_count == INDEX_HELD) {
		err = start(index, true);
		if (!err)
			err = write_held(index);
	}
	if (!err)
		err = text_packer_seal(
			index->packer, &index->held[index->held_count]);
	if (!err)
		index->held_count++;
	return err;
}

static void end_recording(struct index_db *index)
{
	drop_held(index);
	free(index->meta);
	index->meta = NULL;
	index->begun = false;
}

enum sgb_err index_begin(struct index_db *index,
	const struct store_entry *entry, const char *meta, bool given_up)
{
	if (!index->packer)
		index->packer = text_packer_new();
	end_recording(index);
	index->meta = strdup(meta);
	if (!index->packer || !index->meta)
		return SGB_ERR_NOMEM;
	text_packer_reset(index->packer);
	index->entry = *entry;
	index->given_up = given_up;
	return SGB_OK;
}

enum sgb_err index_add(struct index_db *index, const struct found_text *found)
{
	enum sgb_err err = SGB_OK;

	if (text_packer_full(index->packer, found))
		err = seal(index);
	return err ? err : text_packer_add(index->packer, found);
}

enum sgb_err index_commit(struct index_db *index)
{
	enum sgb_err err = seal(index);

	if (!err)
		err = start(index, false);
	if (!err)
		err = write_held(index);
	if (err)
		return err;
	end_recording(index);
	index->group_bytes++; /* also one without a text */
	return index->group_bytes < GROUP_BYTES ? SGB_OK : index_flush(index);
}

void index_before(
	struct index_db *index, void (*before)(void *data), void *data)
{
	index->before = before;
	index->before_data = data;
}

enum sgb_err index_flush(struct index_db *index)
{
	enum sgb_err err;

	if (!index->open)
		return SGB_OK;
	if (index->before)
		index->before(index->before_data);
	err = run(index, "COMMIT");
	if (err)
		(void)run(index, "ROLLBACK");
	index->open = false;
	index->group_bytes = 0;
	return err;
}

void index_rollback(struct index_db *index)
{
	/* What was not begun yet is in memory alone. */
	if (index->begun || (index->open && index->damaged)) {
		(void)run(index, "ROLLBACK");
		index->open = false;
		index->group_bytes = 0;
	}
	end_recording(index);
}

void index_add_done(struct index_db *index)
{
	end_recording(index);
	/* Who wanted to know has flushed it. */
	if (index->open && index_flush(index))
		index->open = false;
	sqlite3_finalize(index->add);
	sqlite3_finalize(index->gram);
	sqlite3_finalize(index->name);
	text_packer_free(index->packer);
}
