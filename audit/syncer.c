/* One thread, one queue. It knows descriptors and ids, and nothing else. */
#include "syncer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE 1024

struct job {
	int fd;
	char id[SGR_ID_TEXT];
};

struct syncer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job jobs[QUEUE]; /* a ring */
	size_t first, count;
	char failed[QUEUE][SGR_ID_TEXT];
	size_t failed_count;
	int event;
	bool stopping;
};

static void note_failure(struct syncer *syncer, const struct job *job)
{
	uint64_t one = 1;

	(void)pthread_mutex_lock(&syncer->lock);
	if (syncer->failed_count < QUEUE)
		memcpy(syncer->failed[syncer->failed_count++], job->id,
			SGR_ID_TEXT);
	(void)pthread_mutex_unlock(&syncer->lock);
	(void)!write(syncer->event, &one, sizeof(one));
}

static bool take_job(struct syncer *syncer, struct job *ret)
{
	bool has;

	(void)pthread_mutex_lock(&syncer->lock);
	while (!syncer->count && !syncer->stopping)
		(void)pthread_cond_wait(&syncer->wake, &syncer->lock);
	has = syncer->count > 0;
	if (has) {
		*ret = syncer->jobs[syncer->first];
		syncer->first = (syncer->first + 1) % QUEUE;
		syncer->count--;
	}
	(void)pthread_mutex_unlock(&syncer->lock);
	return has;
}

static void *run(void *data)
{
	struct syncer *syncer = data;
	struct job job;

	while (take_job(syncer, &job)) {
		if (fdatasync(job.fd))
			note_failure(syncer, &job);
		close(job.fd);
	}
	return NULL;
}

enum sgb_err syncer_start(struct syncer **ret, int *ret_event)
{
	struct syncer *syncer = calloc(1, sizeof(*syncer));

	if (!syncer)
		return SGB_ERR_NOMEM;
	(void)pthread_mutex_init(&syncer->lock, NULL);
	(void)pthread_cond_init(&syncer->wake, NULL);
	syncer->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (syncer->event < 0 ||
		pthread_create(&syncer->thread, NULL, run, syncer)) {
		if (syncer->event >= 0)
			close(syncer->event);
		free(syncer);
		return SGB_ERR_SYSTEM;
	}
	*ret = syncer;
	*ret_event = syncer->event;
	return SGB_OK;
}

void syncer_stop(struct syncer *syncer)
{
	if (!syncer)
		return;
	(void)pthread_mutex_lock(&syncer->lock);
	syncer->stopping = true;
	(void)pthread_cond_signal(&syncer->wake);
	(void)pthread_mutex_unlock(&syncer->lock);
	(void)pthread_join(syncer->thread, NULL);
	close(syncer->event);
	(void)pthread_cond_destroy(&syncer->wake);
	(void)pthread_mutex_destroy(&syncer->lock);
	free(syncer);
}

enum sgb_err syncer_add(
	struct syncer *syncer, int fd, const char id[SGR_ID_TEXT])
{
	struct job job = {.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
	bool full;

	if (job.fd < 0)
		return SGB_ERR_AGAIN;
	memcpy(job.id, id, SGR_ID_TEXT);
	(void)pthread_mutex_lock(&syncer->lock);
	full = syncer->count == QUEUE;
	if (!full) {
		syncer->jobs[(syncer->first + syncer->count) % QUEUE] = job;
		syncer->count++;
		(void)pthread_cond_signal(&syncer->wake);
	}
	(void)pthread_mutex_unlock(&syncer->lock);
	if (!full)
		return SGB_OK;
	close(job.fd);
	return SGB_ERR_AGAIN;
}

bool syncer_failed(struct syncer *syncer, char ret_id[SGR_ID_TEXT])
{
	uint64_t count;
	bool has;

	(void)!read(syncer->event, &count, sizeof(count));
	(void)pthread_mutex_lock(&syncer->lock);
	has = syncer->failed_count > 0;
	if (has)
		memcpy(ret_id, syncer->failed[--syncer->failed_count],
			SGR_ID_TEXT);
	(void)pthread_mutex_unlock(&syncer->lock);
	return has;
}
