/*
 * What waits for the disk. Whoever asks shares a sync with all who asked while
 * the one before was under way: the trail, the index and the day's folder have
 * one at a time each, recordings as many as there are. Nothing here decides
 * what is said afterwards; and nothing is said before.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

#include "recorder.h"

/* A disk that finishes nothing for so long counts as hung. */
#define STALL_SECONDS 15

void recorder_sync(struct recorder *recorder, struct sync_job *job)
{
	if (!syncer_flying(recorder->syncer))
		recorder->disk_us = recorder_mono_us();
	syncer_add(recorder->syncer, job);
}

void recorder_collect(struct recorder *recorder)
{
	if (syncer_collect(recorder->syncer))
		recorder->disk_us = recorder_mono_us();
}

bool recorder_stalled(const struct recorder *recorder)
{
	return syncer_flying(recorder->syncer) &&
	       recorder_mono_us() - recorder->disk_us >
		       STALL_SECONDS * 1000000ULL;
}

static void gate_settle(struct gate *gate, enum sgb_err err)
{
	if (err)
		gate->failures++;
	if (err)
		log_put(LOG_ERR, "the %s cannot be written: %s", gate->name,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	gate->settled(gate->recorder, err);
}

static void gate_done(struct sync_job *job)
{
	struct gate *gate = job->owner;

	errno = job->error;
	journal_settle(gate->journal, !job->error);
	gate_settle(gate, job->error ? SGB_ERR_SYSTEM : SGB_OK);
}

void recorder_gate_init(struct recorder *recorder, struct gate *gate,
	const char *name, struct journal *journal,
	void (*settled)(struct recorder *recorder, enum sgb_err err))
{
	gate->recorder = recorder;
	gate->name = name;
	gate->journal = journal;
	gate->settled = settled;
	gate->job.owner = gate;
	gate->job.done = gate_done;
}

static void gate_start(struct gate *gate)
{
	enum sgb_err err;

	if (gate->job.flying || !journal_pending(gate->journal))
		return;
	err = journal_write(gate->journal, recorder_wall_ns(), &gate->job.fd);
	if (err)
		gate_settle(gate, err);
	else
		recorder_sync(gate->recorder, &gate->job);
}

static void folder_start(struct recorder *recorder)
{
	struct folder *folder = &recorder->folder;

	if (folder->job.flying || folder->wanted == folder->synced)
		return;
	folder->flying = folder->wanted;
	folder->job.fd = folder->fd;
	recorder_sync(recorder, &folder->job);
}

static void folder_done(struct sync_job *job)
{
	struct recorder *recorder = job->owner;
	struct folder *folder = &recorder->folder;

	/* The day may have changed meanwhile. */
	if (job->fd != folder->fd)
		close(job->fd);
	if (folder->synced < folder->flying)
		folder->synced = folder->flying;
	recorder_folder_settled(recorder, folder->flying, job->error);
}

void recorder_folder_init(struct recorder *recorder)
{
	recorder->folder.fd = -1;
	recorder->folder.job.whole = true;
	recorder->folder.job.owner = recorder;
	recorder->folder.job.done = folder_done;
}

bool recorder_folder_is(const struct recorder *recorder, const char *path)
{
	const struct folder *folder = &recorder->folder;

	return folder->fd >= 0 &&
	       !memcmp(folder->path, path, sizeof(folder->path));
}

/* At midnight: what still waits for the old one does so here. */
enum sgb_err recorder_folder_set(
	struct recorder *recorder, const char *path, int fd)
{
	struct folder *folder = &recorder->folder;

	if (folder->fd >= 0 && folder->wanted != folder->synced &&
		fsync(folder->fd)) {
		int saved = errno;

		close(fd);
		errno = saved;
		return SGB_ERR_SYSTEM;
	}
	folder->synced = folder->wanted;
	if (folder->fd >= 0 && !folder->job.flying)
		close(folder->fd);
	folder->fd = fd;
	memcpy(folder->path, path, sizeof(folder->path));
	return SGB_OK;
}

uint64_t recorder_folder_want(struct recorder *recorder)
{
	struct folder *folder = &recorder->folder;

	/* One that is under way may have begun before this file was made. */
	if (folder->wanted == folder->synced ||
		folder->wanted == folder->flying)
		folder->wanted++;
	return folder->wanted;
}

void recorder_commit(struct recorder *recorder)
{
	folder_start(recorder);
	gate_start(&recorder->trail_gate);
	gate_start(&recorder->index_gate);
	recorder_keep_commit(recorder);
}

void recorder_settle(struct recorder *recorder)
{
	struct pollfd fd = {.fd = recorder->sync_fd, .events = POLLIN};

	recorder_commit(recorder);
	while (syncer_flying(recorder->syncer)) {
		(void)poll(&fd, 1, -1);
		recorder_collect(recorder);
		recorder_commit(recorder);
	}
}
