/*
 * The mark that the auth phase leaves for the account phase of the same PAM
 * transaction. sshd runs both in one child; nobody else can set PAM data.
 * Holds no secret, since its cleanup may never run.
 */
#include "login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_NAME "sgbridge.passed"

struct pass {
	char user[80];
	char service[80];
	struct addr source;
	bool local;
	char method[16];
};

static void pass_cleanup(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh;
	(void)status;
	free(data);
}

static bool pass_fill(const struct login *login, struct pass *pass)
{
	const char *service = login->service ? login->service : "";

	memset(pass, 0, sizeof(*pass));
	if (strlen(login->user) >= sizeof(pass->user) ||
		strlen(service) >= sizeof(pass->service))
		return false;
	strcpy(pass->user, login->user);
	strcpy(pass->service, service);
	pass->source = login->source;
	pass->local = login->local;
	(void)snprintf(pass->method, sizeof(pass->method), "%s", login->method);
	return true;
}

enum reason login_pass_set(struct login *login)
{
	struct pass *pass = malloc(sizeof(*pass));

	if (!pass)
		return REASON_MEMORY;
	if (!pass_fill(login, pass) ||
		pam_set_data(login->pamh, DATA_NAME, pass, pass_cleanup) !=
			PAM_SUCCESS) {
		free(pass);
		return REASON_INTERNAL;
	}
	return REASON_GRANTED;
}

void login_pass_clear(pam_handle_t *pamh)
{
	const void *data;

	if (pam_get_data(pamh, DATA_NAME, &data) == PAM_SUCCESS)
		(void)pam_set_data(pamh, DATA_NAME, NULL, NULL);
}

bool login_pass_there(struct login *login)
{
	const void *data = NULL;
	const struct pass *pass;
	struct pass now;

	if (pam_get_data(login->pamh, DATA_NAME, &data) != PAM_SUCCESS ||
		!data || !pass_fill(login, &now))
		return false;
	pass = data;
	memcpy(login->passed, pass->method, sizeof(login->passed));
	if (strcmp(pass->user, now.user) || strcmp(pass->service, now.service))
		return false;
	if (pass->local || now.local)
		return pass->local && now.local;
	return addr_equal(&pass->source, &now.source);
}
