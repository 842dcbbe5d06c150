/*
 * pam_driver SERVICE FOLDER USER SECRET COUNT FIRST: runs COUNT authentications
 * with counter-based codes from FIRST on, each in a PAM transaction of its own,
 * and prints microseconds of CPU time (user and system) for one: of batches of
 * ten the best, since other work on the machine only ever adds.
 */
#include <liboath/oath.h>
#include <security/pam_appl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BATCH 10 /* authentications */

static char code[7];

static int converse(int count, const struct pam_message **messages,
	struct pam_response **ret, void *data)
{
	struct pam_response *replies = calloc((size_t)count, sizeof(*replies));
	int i;

	(void)data;
	if (!replies)
		return PAM_BUF_ERR;
	for (i = 0; i < count; i++)
		if (messages[i]->msg_style <= PAM_PROMPT_ECHO_ON)
			replies[i].resp = strdup(code);
	*ret = replies;
	return PAM_SUCCESS;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int authenticate(const char *service, const char *folder,
	const char *user, const char *auth_info)
{
	struct pam_conv conv = {converse, NULL};
	pam_handle_t *pamh;
	int result;

	result = pam_start_confdir(service, user, &conv, folder, &pamh);
	if (result != PAM_SUCCESS)
		return result;
	(void)pam_set_item(pamh, PAM_RHOST, "192.0.2.7");
	(void)pam_putenv(pamh, "SSH_CONNECTION=192.0.2.7 4711 192.0.2.1 22");
	(void)pam_putenv(pamh, auth_info);
	result = pam_authenticate(pamh, 0);
	pam_end(pamh, result);
	return result;
}

int main(int argc, char **argv)
{
	unsigned long i, count, first;
	char *secret, line[512];
	size_t len;
	double before = 0, best = 1e9, spent;

	if (argc != 8 || oath_base32_decode(argv[4], strlen(argv[4]), &secret,
				 &len) != OATH_OK) {
		fprintf(stderr, "usage: pam_driver SERVICE FOLDER USER SECRET "
				"COUNT FIRST KEY\n");
		return 2;
	}
	count = strtoul(argv[5], NULL, 10);
	first = strtoul(argv[6], NULL, 10);
	snprintf(line, sizeof(line), "SSH_AUTH_INFO_0=publickey %s\n", argv[7]);
	/* The first one loads libraries. */
	for (i = 0; i <= count; i++) {
		int result;

		if (i == 0 || (i - 1) % BATCH == 0)
			before = cpu_seconds();
		if (oath_hotp_generate(secret, len, first + i, 6, false,
			    OATH_HOTP_DYNAMIC_TRUNCATION, code) != OATH_OK)
			return 2;
		result = authenticate(argv[1], argv[2], argv[3], line);
		if (result != PAM_SUCCESS) {
			fprintf(stderr, "%s: attempt %lu: %d\n", argv[1], i,
				result);
			return 1;
		}
		spent = cpu_seconds() - before;
		if (i && i % BATCH == 0 && spent < best)
			best = spent;
	}
	printf("%.0f\n", best * 1e6 / BATCH);
	free(secret);
	return 0;
}
