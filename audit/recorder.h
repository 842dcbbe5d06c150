/*
 * sgbridge-recorder's own state: one process, one loop, many recordings. See
 * recorder.c for what the program is.
 */
#ifndef SGB_RECORDER_H
#define SGB_RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "core/conf.h"
#include "core/event.h"
#include "core/msg.h"

#include "header.h"
#include "journal.h"
#include "recipients.h"
#include "syncer.h"
#include "writer.h"

struct recording;
struct peer;
struct recorder;

/* What an epoll event points to. */
struct watch {
	enum watch_kind {
		WATCH_NONE = 0,
		WATCH_LISTEN,
		WATCH_SIGNAL,
		WATCH_PEER,
		WATCH_STREAM,
		WATCH_SYNC,
	} kind;
	void *owner;
};

TAILQ_HEAD(peer_list, peer);
TAILQ_HEAD(recording_list, recording);

/* A journal that many lines go to and one sync serves. */
struct gate {
	struct recorder *recorder;
	const char *name;
	struct journal *journal;
	struct sync_job job;
	uint64_t failures; /* groups that were lost */
	void (*settled)(struct recorder *recorder, enum sgb_err err);
};

/* Of the day, in which recordings are made. Syncs are counted: a file needs
 * the first that begins after it was made. */
struct folder {
	char path[10]; /* 2026/11/23 */
	int fd;	       /* or -1 */
	uint64_t wanted, flying, synced;
	struct sync_job job;
};

/* Whose recordings are of today, noted in a file; see recorder_keep.c. */
struct keep {
	int fd; /* or -1: there are no quotas, or they are in memory alone */
	uint64_t day;
	uint64_t size;
	bool torn; /* a part of a line stands behind that */
	bool unsynced;
	struct sync_job job;
};

struct recorder {
	struct conf *conf;
	bool privileged; /* started as root */
	uid_t uid;	 /* what it becomes */
	gid_t gid;
	struct suite_key *key;
	struct suite_key *old_keys[8]; /* open recordings may sign with them */
	size_t old_count;
	/* Named by the trail as the next one, and not in force yet; or "". */
	char announced[JOURNAL_WRITER_LEN + 1];
	char writer_id[JOURNAL_WRITER_LEN + 1];
	char writer_name[SGR_NAME_MAX];
	uint8_t boot_id[16];
	struct recipients recipients;
	int recordings_fd, index_fd, events_fd;
	struct journal *trail, *index;
	uint8_t prev_head[SUITE_HASH_LEN]; /* of the recording closed last */
	struct peer_list peers, dead;
	struct peer_list owing;	       /* with events that are not durable */
	struct recording_list waiting; /* for the disk, to open or end */
	struct watch listen_watch, signal_watch, sync_watch;
	struct syncer *syncer;
	int sync_fd;
	uint64_t disk_us; /* when the disk last finished something, or began */
	struct gate trail_gate, index_gate;
	struct folder folder;
	int listen_fd, signal_fd, epoll_fd;
	bool deaf; /* no descriptor is left for another connection */
	uint64_t open_count;
	bool disk_low;	       /* new ones are refused until disk-resume */
	struct quotas *quotas; /* of persons; NULL: none yet */
	struct keep keep;
	uint64_t heads_us; /* when heads were sent last */
	uint64_t heads_seq[2];
	bool stopping;
	bool kernel_audit; /* it takes our records */
	/* Shared by all recordings, one after the other. */
	struct writer_scratch scratch;
	struct buf out;
	bool worked, rested; /* since the last tick; memory was given back */
};

/* Clocks, read when they are needed. */
uint64_t recorder_wall_ns(void);
uint64_t recorder_mono_us(void);
uint64_t recorder_day(void); /* UTC, since 1970 */
/* Free bytes where recordings are; 0 if that can't be told or no inode is
 * left. */
uint64_t recorder_free_bytes(const struct recorder *recorder);

/* recorder_setup.c: all that can be refused before anything is started. Each
 * logs one line and exits on failure. */
void recorder_setup(struct recorder *recorder, const char *conf_path);
/* The recipients again, for recordings that begin from now on. A file that is
 * wrong changes nothing; both are events. */
void recorder_reload(struct recorder *recorder);
void recorder_open_journals(struct recorder *recorder);

/* recorder_limits.c: is the peer root? Does the disk have no room for what
 * runs? */
bool recorder_allows(const struct recorder *recorder, int sock);
bool recorder_space_is_out(const struct recorder *recorder);
/* Below the mark for new recordings, which is higher once it was? One that
 * waits for room goes on no sooner: near a single mark it would wait again at
 * once, and again. */
bool recorder_space_is_low(struct recorder *recorder);
/* May a recording of this class begin, by room and by quota? If not, why says
 * so. Tells, once, when room for new ones ends and when it is back. */
struct recording;
enum sgb_err recorder_limits(struct recorder *recorder, struct recording *rec,
	const char *retention, const uint8_t *meta, size_t meta_len, char *why,
	size_t why_len) SGB_MUST_CHECK;
void recorder_watch_space(struct recorder *recorder);

/* recorder_quota.c: counts a recording for the person in its META. False: that
 * person has no more. */
bool recorder_quota_take(struct recorder *recorder, struct recording *rec,
	const uint8_t *meta, size_t meta_len);
/* What it has grown by is counted: now, and when it ends. */
void recorder_quota_count(struct recorder *recorder, struct recording *rec);
/* Counts. Why it must end now, or NULL. */
const char *recorder_quota_over(
	struct recorder *recorder, struct recording *rec);

/* So many bytes of today that are known from before. SGB_ERR_LIMIT: too many
 * persons. */
#define QUOTA_NAME_MAX 64
enum sgb_err recorder_quota_add(struct recorder *recorder, const char *name,
	uint64_t bytes) SGB_MUST_CHECK;
/* Of a recording that has a person. */
const char *recorder_quota_name(
	const struct recorder *recorder, const struct recording *rec);

/* recorder_keep.c: what the quotas of today rest on, for a recorder that starts
 * again. The first reads it, when no recording is open; what is damaged is told
 * and left out, for nobody would get in without a recorder. */
void recorder_keep_load(struct recorder *recorder);
/* A recording of a person begins; on failure it must not. It ends; and it goes
 * on, perhaps on another day. */
enum sgb_err recorder_keep_begin(
	struct recorder *recorder, struct recording *rec) SGB_MUST_CHECK;
void recorder_keep_end(struct recorder *recorder, struct recording *rec);
void recorder_keep_day(struct recorder *recorder, struct recording *rec);
/* Once a round. */
void recorder_keep_commit(struct recorder *recorder);

/* recorder_key.c: signs with the key in fd (PEM) from now on, once the trail
 * says so under the old one; closes fd. On failure the old key stays.
 * SGB_ERR_LIMIT: too often since the start. SGB_ERR_BUSY: the trail names it
 * already, but the disk does not take what the old key has still to sign; asked
 * again with the same key, it goes on there. */
enum sgb_err recorder_take_key(
	struct recorder *recorder, int fd) SGB_MUST_CHECK;
void recorder_free_keys(struct recorder *recorder);

/* recorder_sandbox.c: after everything is open; there is no way back. */
enum sgb_err recorder_confine(void) SGB_MUST_CHECK;

/* recorder_heads.c: heads of journals and recordings to syslog and to the
 * kernel audit log, from which this host cannot recall them. */
void recorder_head(struct recorder *recorder, const char *what, const char *id,
	uint64_t number, const uint8_t hash[SUITE_HASH_LEN]);
/* The journals', if they moved; at most once a minute unless forced. */
void recorder_heads(struct recorder *recorder, bool now);

/* recorder_peer.c: connections of monitors. */
void recorder_accept(struct recorder *recorder);
void recorder_peer_ready(struct recorder *recorder, struct peer *peer);
void recorder_stream_ready(
	struct recorder *recorder, struct peer *peer, uint32_t epoll_events);
/* The trail: answers what is durable by now, or drops who waits for it. */
void recorder_trail_settled(struct recorder *recorder, enum sgb_err err);
/* Once a second: checkpoints, segments, space, and a sign to those who wait. */
void recorder_tick(struct recorder *recorder);
bool recorder_busy(const struct recorder *recorder);
/* Ends all recordings and connections. */
void recorder_stop(struct recorder *recorder);
void recorder_bury(struct recorder *recorder);
/* recorder_event.c: an event of the recorder's own; logs if it can't be taken.
 * The second tells, and which line of the trail it becomes. */
void recorder_event(struct recorder *recorder, const struct event *event);
enum sgb_err recorder_event_add(struct recorder *recorder,
	const struct event *event, uint64_t *ret_seq) SGB_MUST_CHECK;

/* recorder_disk.c: what waits for the disk. */
void recorder_gate_init(struct recorder *recorder, struct gate *gate,
	const char *name, struct journal *journal,
	void (*settled)(struct recorder *recorder, enum sgb_err err));
void recorder_folder_init(struct recorder *recorder);
bool recorder_folder_is(const struct recorder *recorder, const char *path);
/* Takes fd. On failure nothing has changed. */
enum sgb_err recorder_folder_set(
	struct recorder *recorder, const char *path, int fd) SGB_MUST_CHECK;
/* Asks for a sync of it; which one. */
uint64_t recorder_folder_want(struct recorder *recorder);
void recorder_sync(struct recorder *recorder, struct sync_job *job);
/* What the disk has done. */
void recorder_collect(struct recorder *recorder);
/* Once a round: what was asked for goes to the disk, unless it is busy with
 * what was asked for before. */
void recorder_commit(struct recorder *recorder);
/* Waits until nothing is left to be done. For start and stop. */
void recorder_settle(struct recorder *recorder);
/* The disk does not get on. */
bool recorder_stalled(const struct recorder *recorder);

/* recorder_session.c: the disk has finished something of this recording, of
 * the day's folder up to this turn, or of the index. */
void recorder_synced(struct recording *rec);
void recorder_folder_settled(
	struct recorder *recorder, uint64_t turn, int error);
void recorder_index_settled(struct recorder *recorder, enum sgb_err err);

/* recorder_index.c: lines of the index, not durable before it is settled. */
struct recorder_end {
	unsigned int reason;
	uint32_t frames;
	uint64_t bytes, discarded;
	uint8_t head[SUITE_HASH_LEN];
};
enum sgb_err recorder_index_open(struct recorder *recorder, const char *id,
	const uint8_t first_link[SUITE_HASH_LEN],
	const uint8_t prev_head[SUITE_HASH_LEN],
	uint64_t *ret_seq) SGB_MUST_CHECK;
enum sgb_err recorder_index_end(struct recorder *recorder, const char *op,
	const char *id, const struct recorder_end *end,
	uint64_t *ret_seq) SGB_MUST_CHECK;

/* recorder_stray.c: files that a crash left between their making and their
 * line in the index. Those with a whole header get their line, and their ids
 * go to found; others are removed, and that is an event. day is "2026/11/23";
 * known is sorted. */
void recorder_strays(struct recorder *recorder, const char *day,
	const char (*known)[SGR_ID_TEXT], size_t known_count,
	void (*found)(void *data, const char *id), void *data);

/* recorder_recover.c: ends the recordings that a crash left open, and finds the
 * head of the recording that was closed last. */
void recorder_recover(struct recorder *recorder);

#endif
