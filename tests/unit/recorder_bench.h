/*
 * What the tests of sgbridge-recorder share: a recorder started on a private
 * configuration, with the test as monitor and session. Needs no root; as root
 * the recorder drops to a numeric user. Whatever fails ends the test.
 */
#ifndef SGB_TEST_RECORDER_BENCH_H
#define SGB_TEST_RECORDER_BENCH_H

#include <sys/resource.h>

#include "core/msg.h"
#include "core/record.h"

#include "../../audit/identity.h"
#include "../../audit/journal.h"
#include "../../audit/scan.h"
#include "files.h"

struct bench {
	char notify[128];
	int notify_fd;
	pid_t pid;
	int monitor;
	struct suite_key *reader, *writer;
	struct identity *identity; /* owns reader */
	rlim_t limit;		   /* of descriptors; 0: as they are */
	bool slow; /* its fsync takes what the file "slow" says */
};

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_bench, remove_bench)

/* The usual settings and these lines. */
void put_conf(const char *more);
/* Its stderr goes to the file log. */
void start(struct bench *b);
/* Ready, and b->monitor connected. */
void start_and_wait(struct bench *b);
/* Its exit code, or minus its signal. */
int wait_exit(struct bench *b);
/* In order, which must succeed. */
void stop_recorder(struct bench *b);
int make_bench(void **state);
int remove_bench(void **state);
/* Sends a request and receives its answer into *msg. */
void call(int sock, struct msg *msg, enum msg_type expect);
/* The session's end of the stream; its name in id. The caller closes. */
int open_recording(int sock, char id[SGR_ID_TEXT], const char *meta);
/* An item of a message, for several in one. */
void put_item(struct buf *out, uint32_t channel, enum record_kind kind,
	const void *data, size_t len);
/* A message of one item. */
void send_item(int stream, uint32_t channel, enum record_kind kind,
	const void *data, size_t len);
/* Waits until the n-th message is acknowledged; 0 if the stream closed. */
uint64_t await_ack(int stream, uint64_t n);
void close_recording(int sock, uint32_t reason, const char *text);
/* All bytes of a kind, and the verdict. */
enum sgr_verdict collect(const struct bench *b, const char *id,
	enum record_kind kind, struct buf *out);
/* Somebody logged on; its number is above expect_after. */
void send_event(int sock, const char *user, uint64_t expect_after);
/* Lines of all journals of a folder, the chain checked. */
uint64_t check_chain(const struct bench *b, const char *where,
	enum journal_form form, char *last, size_t last_len);
/* How many recordings are open, as the recorder says. */
uint64_t open_count(struct bench *b);
/* How often text is in the files of a folder. */
size_t count_text(const char *where, const char *text);

#endif
