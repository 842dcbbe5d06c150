/*
 * Inside the scp observer: its state, its lines, and what it tells
 * (session_scp.h).
 */
#ifndef SGB_SESSION_SCP_INT_H
#define SGB_SESSION_SCP_INT_H

#include <openssl/evp.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/buf.h"
#include "session_scp.h"

/* What OpenSSH's scp takes itself: a longer one is cut in two there. */
#define SCP_LINE_MAX	  16383
#define SCP_ANSWER_MAX	  2048 /* with the byte before the text */
#define SCP_PATH_MAX	  4096
#define SCP_DEPTH_MAX	  512 /* folders in folders */
#define SCP_QUESTIONS_MAX 16  /* sent and not answered; honest peers have 1 */
#define SCP_EARLY_MAX	  64  /* answers before their questions */
#define SCP_ERRORS_MAX	  65536
#define SCP_OPERANDS_MAX  512 /* bytes that are told of them */

enum scp_kind {
	SCP_NONE = 0,
	SCP_FILE,
	SCP_FOLDER,
	SCP_FOLDER_END,
	SCP_TIMES,
	SCP_START, /* no line: the receiver speaks first */
};

struct scp_line {
	enum scp_kind kind;
	unsigned int mode;
	uint64_t size;
	uint64_t mtime, atime;
	const uint8_t *name; /* inside the line */
	size_t name_len;
};

/* What the sender has sent and the receiver answers, in order. A file is
 * answered twice: before its content and after it. */
struct scp_question {
	TAILQ_ENTRY(scp_question) entry;
	enum scp_kind kind;
	char *path; /* escaped, with the folders it is in */
	unsigned int mode;
	uint64_t size, bytes;
	uint64_t mtime, atime;
	bool timed, accepted, ended;
	char *failure; /* escaped: the sender's own word at the end */
	EVP_MD_CTX *hash;
};
TAILQ_HEAD(scp_questions, scp_question);

enum scp_state {
	SCP_AT_LINE = 0,
	SCP_AT_CONTENT,
	SCP_AT_MARK,   /* the byte after the content */
	SCP_AT_REASON, /* that byte was an error, and this is its text */
};

struct scp_watch {
	void (*report)(void *arg, const struct sftp_event *event);
	void *arg;
	bool upload, lost;
	char *operands; /* escaped */
	enum scp_state state;
	struct buf line, answer; /* as far as they have come */
	struct scp_questions questions;
	size_t question_count;
	struct scp_question *current; /* whose content comes, or NULL */
	unsigned int early, errors;
	bool timed; /* of what comes next */
	uint64_t mtime, atime;
	/* The folder that the next line is in, and how long each part is. */
	uint8_t folder[SCP_PATH_MAX];
	size_t folder_len;
	uint16_t parts[SCP_DEPTH_MAX];
	size_t depth;
};

/* One line of the sender's, without its end. False: it is none that a
 * receiver takes. */
bool scp_line_read(const uint8_t *line, size_t len, struct scp_line *ret_line);
/* The operands of a command of the form that policy_transfer() knows, escaped;
 * the caller frees, NULL without memory. */
char *scp_operands(const char *command);
/* A file with its result; text is escaped. */
void scp_report_file(
	struct scp_watch *watch, struct scp_question *file, const char *result);
/* What is no file, or did not become one. path may be NULL. */
void scp_report_op(struct scp_watch *watch, const char *op, const char *path,
	const char *result);
void scp_report_lost(struct scp_watch *watch, const char *why);

#endif
