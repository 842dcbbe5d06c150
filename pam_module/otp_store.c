/*
 * Records on disk: names, locks, slots. Trusts the folder (checked by file.h
 * at each opening) and root; follows no link, removes no lock, and reports
 * success only for what has reached the disk.
 */
#include "otp_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/policy.h"

#define LOCK_TRIES    1000
#define LOCK_PAUSE_NS 5000000
#define RECORD_MAX    16384

enum sgb_err otp_store_open(
	const struct conf *conf, struct otp_store *ret, char *why)
{
	struct otp_store store = {.dir = -1};
	enum sgb_err err;

	store.window = conf->otp_window > OTP_WINDOW_MAX
			       ? OTP_WINDOW_MAX
			       : (unsigned int)conf->otp_window;
	/* A setting of thousands would switch the throttle off. */
	store.tries = conf->otp_tries > 20 ? 20 : (unsigned int)conf->otp_tries;
	if (!store.tries)
		store.tries = 1;
	err = file_open_dir(conf->otp_directory, FILE_TRUST_SECRET, &store.dir,
		why, OTP_WHY_MAX);
	if (!err)
		err = secret_keys_load(
			conf->master_key, &store.keys, why, OTP_WHY_MAX);
	if (err)
		otp_store_close(&store);
	else
		*ret = store;
	return err;
}

void otp_store_close(struct otp_store *store)
{
	if (store->dir >= 0)
		close(store->dir);
	secret_keys_free(store->keys);
	store->dir = -1;
	store->keys = NULL;
}

static enum sgb_err complain(char *why, const struct otp_entry *entry,
	const char *suffix, enum sgb_err err)
{
	snprintf(why, OTP_WHY_MAX, "%s%s: %s", entry->user, suffix,
		err == SGB_ERR_SYSTEM ? strerror(errno) : sgb_err_text(err));
	return err;
}

static void file_name(
	const struct otp_entry *entry, const char *suffix, char name[NAME_MAX])
{
	snprintf(name, NAME_MAX, "%s%s", entry->user, suffix);
}

static void state_name(const struct otp_entry *entry,
	const struct otp_token *token, char name[NAME_MAX])
{
	char id[2 * OTP_ID_LEN + 1];
	size_t i;

	for (i = 0; i < OTP_ID_LEN; i++)
		snprintf(id + 2 * i, 3, "%02x", token->id[i]);
	snprintf(name, NAME_MAX, "%s.%s.state", entry->user, id);
}

/* The folder is root's alone, so what is in it is root's; yet a link, a
 * second name or another type is no accident. */
static enum sgb_err open_checked(
	const struct otp_entry *entry, const char *name, int flags, int *ret)
{
	struct stat st;
	int fd;

	fd = openat(entry->store->dir, name,
		flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return errno == ENOENT	? SGB_ERR_NOTFOUND
		       : errno == ELOOP ? SGB_ERR_UNSAFE
					: SGB_ERR_SYSTEM;
	if (fstat(fd, &st)) {
		close(fd);
		return SGB_ERR_SYSTEM;
	}
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || (st.st_mode & 077) ||
		st.st_uid != geteuid()) {
		close(fd);
		return SGB_ERR_UNSAFE;
	}
	*ret = fd;
	return SGB_OK;
}

static enum sgb_err take_lock(int fd)
{
	const struct timespec pause = {0, LOCK_PAUSE_NS};
	unsigned int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return SGB_OK;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return SGB_ERR_SYSTEM;
		(void)nanosleep(&pause, NULL);
	}
	return SGB_ERR_BUSY;
}

static enum sgb_err read_token(
	struct otp_entry *entry, const char *suffix, struct otp_token *ret)
{
	char name[NAME_MAX];
	struct buf record;
	enum sgb_err err;
	int fd;

	file_name(entry, suffix, name);
	err = open_checked(entry, name, O_RDONLY, &fd);
	if (err)
		return err;
	buf_init(&record, RECORD_MAX);
	err = file_read_fd(fd, &record);
	if (!err)
		err = otp_token_open(record.data, record.len,
			entry->store->keys, entry->user, ret);
	buf_done(&record);
	close(fd);
	return err;
}

static enum sgb_err read_state(struct otp_entry *entry)
{
	uint8_t file[OTP_FILE_SIZE];
	char name[NAME_MAX];
	enum sgb_err err;
	ssize_t got;
	int fd;

	state_name(entry, &entry->token, name);
	err = open_checked(entry, name, O_RDONLY, &fd);
	if (err)
		return err == SGB_ERR_NOTFOUND ? SGB_ERR_STALE : err;
	got = pread(fd, file, sizeof(file), 0);
	if (got < 0)
		err = SGB_ERR_SYSTEM;
	else if (got != sizeof(file))
		err = SGB_ERR_FORMAT;
	else
		err = otp_state_pick(file, &entry->token, entry->user,
			&entry->state, &entry->slot);
	close(fd);
	return err;
}

static enum sgb_err load(struct otp_entry *entry, char *why)
{
	enum sgb_err err = read_token(entry, ".token", &entry->token);

	if (err == SGB_ERR_NOTFOUND)
		return SGB_OK;
	if (err)
		return complain(why, entry, ".token", err);
	err = read_state(entry);
	if (err)
		return complain(why, entry, " (state)", err);
	entry->enrolled = true;
	return SGB_OK;
}

/* Everything that has a default action and does not tell of a defect of our
 * own; SIGKILL is what the two slots are for. */
static void hold_signals(struct otp_entry *entry)
{
	static const int through[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t held;
	size_t i;

	sigfillset(&held);
	for (i = 0; i < sizeof(through) / sizeof(through[0]); i++)
		sigdelset(&held, through[i]);
	(void)sigprocmask(SIG_SETMASK, &held, &entry->signals);
}

/* On failure nothing is locked. */
static enum sgb_err open_lock(struct otp_entry *entry, bool create, char *why)
{
	char name[NAME_MAX];
	enum sgb_err err;

	if (!policy_name_valid(entry->user)) {
		snprintf(why, OTP_WHY_MAX, "not a valid user name");
		return SGB_ERR_FORMAT;
	}
	file_name(entry, ".lock", name);
	err = open_checked(
		entry, name, O_RDWR | (create ? O_CREAT : 0), &entry->lock);
	if (err) {
		entry->lock = -1;
		return complain(why, entry, ".lock", err);
	}
	hold_signals(entry);
	err = take_lock(entry->lock);
	if (err) {
		(void)complain(why, entry, ".lock", err);
		otp_entry_unlock(entry);
	}
	return err;
}

enum sgb_err otp_entry_lock(const struct otp_store *store, const char *user,
	bool create, struct otp_entry *ret, char *why)
{
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	ret->store = store;
	ret->user = user;
	ret->lock = -1;
	err = open_lock(ret, create, why);
	if (err)
		return err;
	err = load(ret, why);
	if (err)
		otp_entry_unlock(ret);
	return err;
}

void otp_entry_unlock(struct otp_entry *entry)
{
	sigset_t signals = entry->signals;
	bool held = entry->lock >= 0;

	if (held)
		close(entry->lock);
	secret_wipe(entry, sizeof(*entry));
	entry->lock = -1;
	if (held)
		(void)sigprocmask(SIG_SETMASK, &signals, NULL);
}

static enum sgb_err write_slot(int fd, const uint8_t *slot, unsigned int at)
{
	ssize_t put;

	do {
		put = pwrite(
			fd, slot, OTP_SLOT_SIZE, (off_t)at * OTP_SLOT_SIZE);
	} while (put < 0 && errno == EINTR);
	if (put >= 0 && put != OTP_SLOT_SIZE)
		errno = ENOSPC;
	if (put != OTP_SLOT_SIZE || fdatasync(fd))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

enum sgb_err otp_entry_save(struct otp_entry *entry)
{
	uint8_t slot[OTP_SLOT_SIZE];
	unsigned int other = (entry->slot + 1) % OTP_SLOTS;
	char name[NAME_MAX];
	enum sgb_err err;
	int fd;

	entry->state.generation++;
	err = otp_state_encode(&entry->state, &entry->token, entry->user, slot);
	if (err)
		return err;
	state_name(entry, &entry->token, name);
	err = open_checked(entry, name, O_WRONLY, &fd);
	if (err)
		return err;
	err = write_slot(fd, slot, other);
	close(fd);
	if (!err)
		entry->slot = other;
	return err;
}

/* Both slots are written in full, so that no block is missing later. */
static enum sgb_err create_state(struct otp_entry *entry,
	const struct otp_token *token, const struct otp_state *first)
{
	uint8_t file[OTP_FILE_SIZE];
	struct otp_state state = *first;
	char name[NAME_MAX];
	enum sgb_err err = SGB_OK;
	unsigned int i;

	for (i = 0; i < OTP_SLOTS && !err; i++) {
		state.generation = i + 1;
		err = otp_state_encode(&state, token, entry->user,
			file + (size_t)i * OTP_SLOT_SIZE);
	}
	if (err)
		return err;
	state_name(entry, token, name);
	return file_replace(entry->store->dir, name, 0600, file, sizeof(file));
}

enum sgb_err otp_entry_put_text(struct otp_entry *entry, const struct buf *text)
{
	char name[NAME_MAX];
	struct buf record;
	enum sgb_err err;

	file_name(entry, ".invite", name);
	buf_init(&record, RECORD_MAX);
	err = secret_seal(
		entry->store->keys, name, text->data, text->len, &record);
	if (!err)
		err = file_replace(
			entry->store->dir, name, 0600, record.data, record.len);
	buf_done(&record);
	return err;
}

enum sgb_err otp_entry_get_text(struct otp_entry *entry, struct buf *out)
{
	char name[NAME_MAX];
	struct buf record;
	enum sgb_err err;
	int fd;

	file_name(entry, ".invite", name);
	err = open_checked(entry, name, O_RDONLY, &fd);
	if (err)
		return err;
	buf_init(&record, RECORD_MAX);
	err = file_read_fd(fd, &record);
	if (!err)
		err = secret_open(
			entry->store->keys, name, record.data, record.len, out);
	buf_done(&record);
	close(fd);
	return err;
}

static enum sgb_err write_token(struct otp_entry *entry, const char *suffix,
	const struct otp_token *token)
{
	char name[NAME_MAX];
	struct buf record;
	enum sgb_err err;

	file_name(entry, suffix, name);
	buf_init(&record, RECORD_MAX);
	err = otp_token_seal(token, entry->store->keys, entry->user, &record);
	if (!err)
		err = file_replace(
			entry->store->dir, name, 0600, record.data, record.len);
	buf_done(&record);
	return err;
}

static void unlink_name(struct otp_entry *entry, const char *name)
{
	(void)unlinkat(entry->store->dir, name, 0);
}

/* The new token's state lies under another name than the old one's, so the
 * rename of the token is the one moment of change. */
static enum sgb_err activate(struct otp_entry *entry,
	const struct otp_token *token, const struct otp_state *first)
{
	char old[NAME_MAX] = "";
	struct otp_token active = *token;
	enum sgb_err err;

	if (entry->enrolled && !memcmp(entry->token.id, token->id, OTP_ID_LEN))
		return SGB_ERR_BUSY;
	if (entry->enrolled)
		state_name(entry, &entry->token, old);
	active.expires = 0;
	err = create_state(entry, &active, first);
	if (!err)
		err = write_token(entry, ".token", &active);
	otp_token_wipe(&active);
	if (err)
		return err;
	if (*old)
		unlink_name(entry, old);
	err = read_token(entry, ".token", &entry->token);
	if (!err)
		err = read_state(entry);
	entry->enrolled = !err;
	return err;
}

enum sgb_err otp_entry_activate(
	struct otp_entry *entry, const struct otp_token *token)
{
	struct otp_state first;

	otp_state_init(&first, token);
	return activate(entry, token, &first);
}

enum sgb_err otp_entry_rewrite(struct otp_entry *entry)
{
	return write_token(entry, ".token", &entry->token);
}

enum sgb_err otp_entry_put_pending(
	struct otp_entry *entry, const struct otp_token *token)
{
	return write_token(entry, ".pending", token);
}

enum sgb_err otp_entry_get_pending(
	struct otp_entry *entry, struct otp_token *ret)
{
	return read_token(entry, ".pending", ret);
}

void otp_entry_drop_pending(struct otp_entry *entry)
{
	char name[NAME_MAX];

	file_name(entry, ".pending", name);
	unlink_name(entry, name);
	file_name(entry, ".invite", name);
	unlink_name(entry, name);
}

enum sgb_err otp_entry_confirm(struct otp_entry *entry,
	const struct otp_token *token, const struct otp_question *question,
	struct otp_outcome *out)
{
	struct otp_state state, first;
	enum sgb_err err;

	otp_state_init(&state, token);
	first = state;
	err = otp_check(token, &state, question, out);
	if (err || out->result != OTP_RIGHT)
		return err;
	if (!strcmp(out->method, "scratch")) {
		out->result = OTP_WRONG;
		return SGB_OK;
	}
	/* Spent before the token counts: a crash in between costs nothing. */
	first.used = state.used;
	err = activate(entry, token, &first);
	if (err)
		out->result = OTP_WRONG;
	else
		otp_entry_drop_pending(entry);
	return err;
}

/* Is name "USER.<16 digits>.state"? */
static bool is_state_of(const char *name, const char *user)
{
	size_t len = strlen(user);

	return !strncmp(name, user, len) && name[len] == '.' &&
	       strspn(name + len + 1, "0123456789abcdef") ==
		       2 * (size_t)OTP_ID_LEN &&
	       !strcmp(name + len + 1 + 2 * OTP_ID_LEN, ".state");
}

static enum sgb_err remove_states(struct otp_entry *entry)
{
	int fd = openat(
		entry->store->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *found;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return SGB_ERR_SYSTEM;
	}
	while ((found = readdir(dir)))
		if (is_state_of(found->d_name, entry->user))
			unlink_name(entry, found->d_name);
	closedir(dir);
	return SGB_OK;
}

/* Token first: without it the rest means nothing. */
static enum sgb_err remove_all(struct otp_entry *entry)
{
	char name[NAME_MAX];
	bool there, pending;

	file_name(entry, ".token", name);
	there = !unlinkat(entry->store->dir, name, 0);
	if (!there && errno != ENOENT)
		return SGB_ERR_SYSTEM;
	file_name(entry, ".pending", name);
	pending = !unlinkat(entry->store->dir, name, 0);
	otp_entry_drop_pending(entry);
	if (!there && !pending)
		return SGB_ERR_NOTFOUND;
	if (remove_states(entry) || fsync(entry->store->dir))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

enum sgb_err otp_store_remove(const struct otp_store *store, const char *user)
{
	struct otp_entry entry = {.store = store, .user = user, .lock = -1};
	char why[OTP_WHY_MAX];
	enum sgb_err err = open_lock(&entry, false, why);

	if (!err) {
		err = remove_all(&entry);
		otp_entry_unlock(&entry);
	}
	return err;
}
