/*
 * What the tests of pam_sgbridge.so share: a room in a temporary folder with
 * services, store and policy, and logins as sshd, sudo, su and the proxy's
 * monitor do them, through the real libpam (pam_start_confdir); no root.
 *
 * getpwnam_r, time, clock_nanosleep, fdatasync and __syslog_chk of the module
 * resolve to the ones here: accounts, the clock, and a log that can be read.
 */
#ifndef SGB_TEST_PAM_ROOM_H
#define SGB_TEST_PAM_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <security/pam_appl.h>
#include <stdbool.h>
#include <time.h>

#include <cmocka.h>

#include "../../pam_module/otp_store.h"
#include "core/err.h"
#include "files.h"

#define CONNECTION "192.0.2.7 40000 192.0.2.1 22"
#define ELSEWHERE  "198.51.100.9 40000 192.0.2.1 22"

#define ED_B64 \
	"AAAAC3NzaC1lZDI1NTE5AAAAIL+qO2GwWMn3EfK3S1rcop5dJnP7I5hUmZyU" \
	"GiRFmav8"

#define RSA_B64 \
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQC5Al/eaVN30XoPft5I9WuYgo1T5+4W" \
	"on3EXREmY3kJ8a3XpcHy283mHoGzAvnbN4/o/Q5HidPilSgdgGuBaaXRqDqp" \
	"wQ69RAfx9ex0cryh0z9k54pVpxJxeuV+O5nEe9WFegzICiJoLPaMpKG4Utj6" \
	"RaH2XjOyKELchJ13MxFF3Tyxi+TvfGoAP3fZeVwxS4DSrXp/VAQdD9EohOFR" \
	"Y95rgRCdS+JT3HpFHrpZoYtwyevvYrF4hIEuyxMufquFlho51vEHE5NlMDiY" \
	"u7cTS2AlJ/RteuJjeUDlhZJGTXtvPn4gEPj6OG0+rw9VBNSFSoSd+lSWuEYa" \
	"vyEHvhOeqeIJ"

#define CERT_B64 \
	"AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIBJXSbMx" \
	"MkN+JI0yg+WcDSQcJW+Ln4c+MboE8SHQdlzmAAAAIL+qO2GwWMn3EfK3S1rc" \
	"op5dJnP7I5hUmZyUGiRFmav8AAAAAAAAAAAAAAABAAAAAmlkAAAACQAAAAVh" \
	"bGljZQAAAABeC+EAAAAAAHDb2IAAAAAXAAAAD3ZlcmlmeS1yZXF1aXJlZAAA" \
	"AAAAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0" \
	"LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRp" \
	"bmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAA" \
	"AAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIKPVVmNgYngNiibxM9LmaWvL" \
	"cGbxt1IfZtPjBbSc57QwAAAAUwAAAAtzc2gtZWQyNTUxOQAAAECN50j0T5ax" \
	"RRWqazlcA2KCiuQBRt7wrNfWybyjZC3OcmBshm4CCS41RUA0MMmsrQm2Tki/" \
	"NNuEL5mpIzxXDlcI"

#define EC_B64 \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHepFy0E" \
	"bpK+saNeXKjIXSzKuuaVetkWApd8j+QzQjcUzlq89ltd+zvGTBnvy4uMBHAe" \
	"zxJZOWV41+pw0hX+Z3E="

#define CA_B64 \
	"AAAAC3NzaC1lZDI1NTE5AAAAIKPVVmNgYngNiibxM9LmaWvLcGbxt1IfZtPj" \
	"BbSc57Qw"

#define ED_LINE	  "publickey ssh-ed25519 " ED_B64 "\n"
#define EC_LINE	  "publickey ecdsa-sha2-nistp256 " EC_B64 "\n"
#define RSA_LINE  "publickey ssh-rsa " RSA_B64 "\n"
#define CERT_LINE "publickey ssh-ed25519-cert-v01@openssh.com " CERT_B64 "\n"
#define PAM_LINE  "keyboard-interactive/pam\n"

extern struct conf *conf;
extern time_t fake_now;
extern char log_text[65536];
extern unsigned int waits; /* refusals that were held back */
extern char shown[2048];   /* what the person saw, prompts included */
extern const char *root_login;
extern const char *room_settings; /* further lines of sgbridge.conf */
/* Called where the module writes its state, and where it asks for an account:
 * true makes that call fail. */
extern bool (*room_fails)(const char *call, const void *caller);

/* One login as an application would do it. */
struct flow {
	const char *service;
	const char *user;
	const char *ruser;
	const char *rhost;
	const char *connection;
	const char *auth_info;	/* in auth and account */
	const char *final_info; /* in session; NULL: as auth_info */
	const char *mfa;
	const char *answer; /* NULL: the conversation fails */
	const char *then;   /* to further prompts; NULL: as answer */
	int flags;
	bool skip_auth;
	int prompts;	 /* counted */
	char factor[20]; /* SGB_FACTOR, or "" */
	int auth, account, session, setcred;
};

int setup(void **state);
int teardown(void **state);
struct flow sshd_flow(const char *user, const char *answer);
struct flow proxy_flow(const char *user, const char *answer);
pam_handle_t *start(struct flow *flow);
/* Runs all phases, whatever the earlier ones said; what auth said. */
int run(struct flow *flow);
/* For child processes, which must not come back into the test. */
_Noreturn void attempt_and_exit(struct flow *flow);
/* The code of user's token, steps away from now. */
const char *code_of(const char *user, int steps);
/* A step on, so that every test has a fresh code. */
const char *fresh_code(const char *user);
void put_env(pam_handle_t *pamh, const char *name, const char *value);
void write_service(const char *name, const char *arguments);
/* The module among others: lines of a service, OWN standing for it. */
void write_stack(const char *name, const char *lines);
void write_policy(const char *carol);
void enrol(const char *user, enum otp_kind kind);
void assert_logged(const char *text);

#endif
