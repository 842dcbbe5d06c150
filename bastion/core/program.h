/*
 * A program that a daemon goes on starting as it was when the daemon was
 * started: an upgrade puts another file at its path, which may speak to its
 * starter in another way.
 */
#ifndef SGB_PROGRAM_H
#define SGB_PROGRAM_H

#include "core/err.h"

struct program {
	char *path; /* NULL: none yet; cleared memory is a good start */
	int fd;
};

/* Opens folder/name. What is open by this very path stays, whatever lies there
 * by now. On failure *program is unchanged, and errno says why for
 * SGB_ERR_SYSTEM. */
enum sgb_err program_open(struct program *program, const char *folder,
	const char *name) SGB_MUST_CHECK;
/* In a forked child: becomes it, with the descriptors below first, which is at
 * most PROGRAM_FD_MIN. It has to be one that the kernel loads by itself, no
 * script. Returns on failure only. */
#define PROGRAM_FD_MIN 16
void program_exec(const struct program *program, unsigned int first,
	char *const argv[], char *const envp[]);
/* In the program: the name that ps(1) shows. Kernels before 6.14 take it from
 * the path, of which there is none here, and call it by a number. */
void program_name(const char *name);
void program_done(struct program *program);

#endif
