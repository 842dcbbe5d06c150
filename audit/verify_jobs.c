/*
 * Many recordings at once. Each thread takes the next one; whoever has the
 * earliest result that is not printed yet prints it and those that follow.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "suite.h"
#include "verify.h"

#define JOBS_MAX 64

struct jobs {
	struct audit *audit;
	const struct store *store;
	const struct verify_trust *trust;
	pthread_mutex_t lock;
	struct verified **results; /* by place in the store; NULL: not yet */
	size_t next, printed;
	int status;
	bool progress;
};

static void print_verdict(
	const struct audit *audit, const struct verified *result)
{
	if (audit->json) {
		(void)printf("{\"rec\":");
		print_json(stdout, result->id);
		(void)printf(",\"verdict\":");
		print_json(stdout, sgr_verdict_text(result->verdict));
		(void)printf(",\"level\":%u,\"pinned\":%s,\"writer\":\"%s\","
			     "\"ended_by\":\"%s\",\"text\":",
			result->level, result->pinned ? "true" : "false",
			result->writer, result->ended_by);
		print_json(stdout, result->text);
		if (result->segments)
			(void)printf(",\"opened\":%u,\"segments\":%u",
				result->opened, result->segments);
		(void)printf("}\n");
		return;
	}
	(void)printf("%s  %s: ", result->id, sgr_verdict_text(result->verdict));
	print_cstring(stdout, result->text);
	if (result->segments)
		(void)printf(" (opened, as disclosed: %u of %u segments)",
			result->opened, result->segments);
	(void)printf("%s\n", result->level ? " (opened with your key)" : "");
}

int verify_report(const struct audit *audit, const struct verified *result)
{
	print_verdict(audit, result);
	return sgr_verdict_exit(result->verdict);
}

int verify_worse(int a, int b)
{
	/* altered, missing, unverifiable, open, intact */
	static const int order[] = {4, 5, 6, 3, 0};
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return a;
}

/* With the lock. */
static void print_ready(struct jobs *jobs)
{
	if (jobs->progress)
		(void)fprintf(stderr, "\r\033[K");
	while (jobs->printed < jobs->store->count &&
		jobs->results[jobs->printed]) {
		struct verified *result = jobs->results[jobs->printed];

		jobs->status = verify_worse(
			jobs->status, verify_report(jobs->audit, result));
		free(result);
		jobs->results[jobs->printed++] = NULL;
	}
	if (!jobs->progress)
		return;
	(void)fflush(stdout);
	(void)fprintf(stderr, "%zu of %zu", jobs->printed, jobs->store->count);
	if (jobs->printed == jobs->store->count)
		(void)fprintf(stderr, "\r\033[K");
}

static void *work(void *data)
{
	struct jobs *jobs = data;
	struct verify_place place = {
		.store = jobs->store, .trust = jobs->trust};

	for (;;) {
		struct verified *result = malloc(sizeof(*result));
		size_t at;

		if (!result)
			audit_fatal(EX_OSERR, "out of memory");
		(void)pthread_mutex_lock(&jobs->lock);
		at = jobs->next < jobs->store->count ? jobs->next++
						     : jobs->store->count;
		(void)pthread_mutex_unlock(&jobs->lock);
		if (at == jobs->store->count) {
			free(result);
			suite_thread_done();
			return NULL;
		}
		place.entry = &jobs->store->entries[at];
		verify_entry(jobs->audit, &place, result);
		(void)pthread_mutex_lock(&jobs->lock);
		jobs->results[at] = result;
		if (at == jobs->printed)
			print_ready(jobs);
		(void)pthread_mutex_unlock(&jobs->lock);
	}
}

int verify_store(struct audit *audit, const struct store *store,
	const struct verify_trust *trust, unsigned int count)
{
	struct jobs jobs = {.audit = audit,
		.store = store,
		.trust = trust,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.progress = isatty(STDERR_FILENO)};
	pthread_t threads[JOBS_MAX];
	unsigned int started, i;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!count)
		count = cores > 0 ? (unsigned int)cores : 1;
	count = count < JOBS_MAX ? count : JOBS_MAX;
	jobs.results = calloc(store->count + 1, sizeof(struct verified *));
	if (!jobs.results)
		audit_fatal(EX_OSERR, "out of memory");
	/* This thread is one of them. */
	for (started = 0; started + 1 < count; started++)
		if (pthread_create(&threads[started], NULL, work, &jobs))
			break;
	(void)work(&jobs);
	for (i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	free(jobs.results);
	return jobs.status;
}
