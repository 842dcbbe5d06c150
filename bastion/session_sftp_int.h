/*
 * Inside the SFTP observer: its state, and what it tells (session_sftp.h).
 */
#ifndef SGB_SESSION_SFTP_INT_H
#define SGB_SESSION_SFTP_INT_H

#include <openssl/evp.h>
#include <sys/queue.h>

#include "core/buf.h"
#include "session_sftp.h"

/* draft-ietf-secsh-filexfer-02, sections 3 to 7 */
enum {
	FXP_INIT = 1,
	FXP_VERSION = 2,
	FXP_OPEN = 3,
	FXP_CLOSE = 4,
	FXP_READ = 5,
	FXP_WRITE = 6,
	FXP_SETSTAT = 9,
	FXP_FSETSTAT = 10,
	FXP_REMOVE = 13,
	FXP_MKDIR = 14,
	FXP_RMDIR = 15,
	FXP_RENAME = 18,
	FXP_SYMLINK = 20,
	FXP_STATUS = 101,
	FXP_HANDLE = 102,
	FXP_DATA = 103,
	FXP_EXTENDED = 200,
};

#define PACKET_MAX   (40 * 1024) /* that is looked into; the rest passes by */
#define PENDING_HIGH 2048	 /* more should wait */
#define PENDING_MAX  65536	 /* what one read of a full window can bring */
#define PACKET_LIMIT (256 * 1024 + 1024) /* of OpenSSH, and then some */
#define FILES_MAX    1024
#define BUCKETS	     1024
#define HANDLE_MAX   256 /* section 6.2 */
#define PATH_MAX_LEN 4096

struct transfer {
	EVP_MD_CTX *hash;
	uint64_t bytes, next;
	bool broken; /* not in order: no hash of the whole */
};

struct file {
	TAILQ_ENTRY(file) entry;
	uint8_t handle[HANDLE_MAX];
	size_t handle_len;
	char *path; /* escaped */
	struct transfer down, up;
};

struct pending {
	TAILQ_ENTRY(pending) entry;
	uint32_t id;
	uint8_t type;
	const char *op; /* a changing operation, static */
	char *path, *to;
	struct file *file;
	uint64_t offset;
};
TAILQ_HEAD(pendings, pending);

/* One direction: a packet is either gathered whole, or (its head read) passed
 * by, with its payload going to a hash. */
struct side {
	struct buf packet;
	uint32_t skip; /* bytes of the present packet still to pass by */
	struct transfer *into; /* where those go, or NULL */
	uint32_t into_left;
};

struct sftp_watch {
	void (*report)(void *arg, const struct sftp_event *event);
	void *arg;
	struct side client, server;
	struct pendings pending[BUCKETS];
	size_t pending_count, file_count;
	TAILQ_HEAD(, file) files;
	bool lost;
};

/* A name as the inside of a JSON string; the caller frees, NULL without
 * memory. Names that are not UTF-8 are shown byte by byte as U+0080 to
 * U+00FF, so that none is lost. */
char *sftp_escape(const uint8_t *text, size_t len);
const char *sftp_status_text(uint32_t code);
/* One record a direction in which bytes went. */
void sftp_report_file(
	struct sftp_watch *watch, struct file *file, const char *result);
void sftp_report_op(
	struct sftp_watch *watch, const struct pending *p, const char *result);
/* Watching ends here; says so. */
void sftp_lose(struct sftp_watch *watch, const char *why);

#endif
