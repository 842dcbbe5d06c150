/*
 * Bytes for readers, through one window. Not mmap: a file that is cut while it
 * is read must be an error and not a signal. The window is small, so that what
 * was copied is still in the cache when it is hashed, and grows for a frame
 * that needs it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scan.h"

#define WINDOW	   (256 * 1024)
#define WINDOW_MAX (2 * 1024 * 1024)

struct sgr_source {
	int fd; /* -1: memory */
	const uint8_t *memory;
	uint64_t size;
	uint8_t *window;
	uint64_t at; /* offset of the window */
	size_t have;
	size_t cap;
};

enum sgb_err sgr_source_file(int fd, struct sgr_source **ret)
{
	struct sgr_source *source = calloc(1, sizeof(*source));
	struct stat st;

	if (!source)
		return SGB_ERR_NOMEM;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		free(source);
		return SGB_ERR_SYSTEM;
	}
	source->fd = fd;
	source->size = (uint64_t)st.st_size;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	/* Most recordings are small: no window larger than the file. */
	source->cap = source->size < WINDOW ? (size_t)source->size : WINDOW;
	source->window = malloc(source->cap ? source->cap : 1);
	if (!source->window) {
		free(source);
		return SGB_ERR_NOMEM;
	}
	*ret = source;
	return SGB_OK;
}

enum sgb_err sgr_source_memory(
	const void *data, size_t len, struct sgr_source **ret)
{
	struct sgr_source *source = calloc(1, sizeof(*source));

	if (!source)
		return SGB_ERR_NOMEM;
	source->fd = -1;
	source->memory = data;
	source->size = len;
	*ret = source;
	return SGB_OK;
}

void sgr_source_free(struct sgr_source *source)
{
	if (!source)
		return;
	free(source->window);
	free(source);
}

enum sgb_err sgr_source_refresh(struct sgr_source *source)
{
	struct stat st;

	if (source->fd < 0 || fstat(source->fd, &st))
		return SGB_ERR_SYSTEM;
	/* One that shrinks is cut: what was read stays good, and the scan will
	 * say where it ends. */
	source->size = (uint64_t)st.st_size;
	return SGB_OK;
}

uint64_t sgr_source_size(const struct sgr_source *source)
{
	return source->size;
}

/* Room for len bytes. */
static bool grow(struct sgr_source *source, size_t len)
{
	uint8_t *window;

	if (len <= source->cap)
		return true;
	if (len > WINDOW_MAX)
		return false;
	window = realloc(source->window, len);
	if (!window)
		return false;
	source->window = window;
	source->cap = len;
	return true;
}

static bool fill(struct sgr_source *source, uint64_t offset)
{
	source->at = offset;
	source->have = 0;
	while (source->have < source->cap) {
		ssize_t got = pread(source->fd, source->window + source->have,
			source->cap - source->have,
			(off_t)(offset + source->have));

		if (got < 0)
			return false;
		if (!got)
			break;
		source->have += (size_t)got;
	}
	return true;
}

const uint8_t *sgr_source_get(
	struct sgr_source *source, uint64_t offset, size_t len)
{
	if (offset > source->size || len > source->size - offset)
		return NULL;
	if (source->fd < 0)
		return source->memory + offset;
	if (!grow(source, len))
		return NULL;
	if (offset < source->at || offset + len > source->at + source->have)
		if (!fill(source, offset))
			return NULL;
	if (offset + len > source->at + source->have)
		return NULL;
	return source->window + (offset - source->at);
}
