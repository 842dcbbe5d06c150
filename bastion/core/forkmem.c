/*
 * What a process that forks many does before, so that each of them costs
 * little. Trusts the allocator's own figures; must change nothing that any
 * code could see but by addresses and time.
 */
#include "core/forkmem.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/sanitizer.h"

/* Smaller than what malloc maps for itself. */
#define HOLE_LARGEST  (64 * 1024)
#define HOLE_SMALLEST 24
#define HOLE_STEP     16
#define HOLES_BYTES   (1024 * 1024)
/* The deepest call takes less, and the kernel maps nothing so close below. */
#define STACK_BYTES (256 * 1024)

/* Takes a piece of a hole for good; false if there is none of this size, so
 * that it would come from the end of the heap. */
static bool take(size_t size)
{
	size_t rest = mallinfo2().keepcost;
	/* Or clang would leave out what nobody uses. */
	void *volatile piece = malloc(size);

	if (!piece)
		return false;
	if (mallinfo2().keepcost == rest)
		return true;
	free(piece);
	return false;
}

/*
 * What was freed here lies between what stays. A child that allocates it
 * would have the kernel copy the page around it, once for each child and page:
 * so it stays taken, and children begin with empty pages behind it.
 */
static void fill_holes(void)
{
	size_t size = HOLE_LARGEST, taken = 0;

	while (size >= HOLE_SMALLEST && taken < HOLES_BYTES) {
		if (take(size))
			taken += size;
		else
			size -= size > 4096 ? 1024 : HOLE_STEP;
	}
}

/* Code and constants that were used to begin with, and will not be again. What
 * will is in the page cache, and children do not inherit it anyway. */
static int forget(struct dl_phdr_info *info, size_t len, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;
	int i;

	(void)len;
	(void)arg;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type != PT_LOAD || part->p_flags & PF_W)
			continue;
		from = (info->dlpi_addr + part->p_vaddr) & ~(page - 1);
		to = info->dlpi_addr + part->p_vaddr + part->p_memsz;
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

/* What deeper calls have left behind: the page below this one and all under
 * it, of which the part that is no stack yet is not there to be given back. */
static void forget_stack(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(page - 1);

	(void)madvise((void *)(here - page - STACK_BYTES), STACK_BYTES,
		MADV_DONTNEED);
}

void forkmem_settle(void)
{
	if (SGB_SANITIZER)
		return;
	fill_holes();
	(void)dl_iterate_phdr(forget, NULL);
	forget_stack();
}

void forkmem_rest(void)
{
	malloc_trim(0);
	if (!SGB_SANITIZER)
		forget_stack();
}
