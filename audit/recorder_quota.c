/*
 * How much is recorded of whom, today. META is encrypted, so the recorder could
 * not read off its files whose they are: recorder_keep.c notes that beside the
 * trail, where names are in clear anyway.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#include "recorder.h"
#include "recording_int.h"

#define PERSONS_MAX 65536

struct quotas {
	size_t count, cap;
	struct person {
		char name[QUOTA_NAME_MAX];
		uint64_t day, bytes;
	} * persons;
};

/* META is the monitor's, whose names have no character that JSON escapes; one
 * that has is nobody's. */
static bool take_name(
	const uint8_t *meta, size_t len, char name[QUOTA_NAME_MAX])
{
	static const char member[] = "\"user\":\"";
	const char *at = memmem(meta, len, member, sizeof(member) - 1), *end;
	size_t left;

	if (!at)
		return false;
	at += sizeof(member) - 1;
	left = len - (size_t)((const uint8_t *)at - meta);
	end = memchr(at, '"', left);
	if (!end || end == at || end - at >= QUOTA_NAME_MAX ||
		memchr(at, '\\', (size_t)(end - at)))
		return false;
	memcpy(name, at, (size_t)(end - at));
	name[end - at] = '\0';
	return true;
}

static struct person *add_person(struct quotas *quotas, const char *name)
{
	if (quotas->count == PERSONS_MAX)
		return NULL;
	if (quotas->count == quotas->cap) {
		size_t cap = quotas->cap ? 2 * quotas->cap : 64;
		struct person *persons = reallocarray(
			quotas->persons, cap, sizeof(*persons));

		if (!persons)
			return NULL;
		quotas->persons = persons;
		quotas->cap = cap;
	}
	memset(&quotas->persons[quotas->count], 0, sizeof(struct person));
	strcpy(quotas->persons[quotas->count].name, name);
	return &quotas->persons[quotas->count++];
}

static struct person *find_person(struct recorder *recorder, const char *name)
{
	struct quotas *quotas = recorder->quotas;
	size_t i;

	if (!quotas)
		quotas = recorder->quotas = calloc(1, sizeof(*quotas));
	if (!quotas)
		return NULL;
	for (i = 0; i < quotas->count; i++)
		if (!strcmp(quotas->persons[i].name, name))
			return &quotas->persons[i];
	return add_person(quotas, name);
}

static bool has_left(struct recorder *recorder, struct person *person)
{
	uint64_t day = recorder_day();

	if (person->day != day) {
		person->day = day;
		person->bytes = 0;
	}
	return person->bytes < recorder->conf->user_quota;
}

enum sgb_err recorder_quota_add(
	struct recorder *recorder, const char *name, uint64_t bytes)
{
	struct person *person = find_person(recorder, name);

	if (!person)
		return SGB_ERR_LIMIT;
	(void)has_left(recorder, person);
	person->bytes += bytes;
	return SGB_OK;
}

const char *recorder_quota_name(
	const struct recorder *recorder, const struct recording *rec)
{
	return recorder->quotas->persons[rec->person - 1].name;
}

bool recorder_quota_take(struct recorder *recorder, struct recording *rec,
	const uint8_t *meta, size_t meta_len)
{
	char name[QUOTA_NAME_MAX];
	struct person *person;

	if (!recorder->conf->user_quota)
		return true;
	person = take_name(meta, meta_len, name) ? find_person(recorder, name)
						 : NULL;
	if (!person) {
		log_put(LOG_ERR, "user-quota: whose recording it is, or how "
				 "much, cannot be told");
		return false;
	}
	rec->person = (size_t)(person - recorder->quotas->persons) + 1;
	return has_left(recorder, person);
}

void recorder_quota_count(struct recorder *recorder, struct recording *rec)
{
	struct person *person;

	if (!rec->person)
		return;
	person = &recorder->quotas->persons[rec->person - 1];
	(void)has_left(recorder, person); /* a new day begins with nothing */
	recorder_keep_day(recorder, rec);
	person->bytes += rec->size - rec->counted;
	rec->counted = rec->size;
}

const char *recorder_quota_over(
	struct recorder *recorder, struct recording *rec)
{
	uint64_t most = recorder->conf->recording_quota;

	recorder_quota_count(recorder, rec);
	if (most && rec->size > most)
		return "it is larger than recording-quota";
	if (!rec->person)
		return NULL;
	return has_left(recorder, &recorder->quotas->persons[rec->person - 1])
		       ? NULL
		       : "this person's user-quota is used up for today";
}
