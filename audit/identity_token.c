/*
 * A P-256 key on a token, through PKCS#11: ten functions of the vendor's
 * module, called directly. OpenSSL's engines and providers would do it too,
 * with a configuration of the whole process and the possibility to fall back
 * on software; here it is this token or an error. p11-kit reads the URI and
 * loads the module, which is the auditor's own choice and is trusted with
 * what this process knows.
 */
#include "identity.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include "core/file.h"
#include "core/secret.h"

#define SLOTS_MAX 64
#define PIN_MAX	  256
#define ID_MAX	  256

struct token {
	struct identity identity; /* first: freed through it */
	P11KitUri *uri;
	CK_FUNCTION_LIST *module;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
	pthread_mutex_t lock; /* one session, and several recordings at once */
	char why[200];
};

static enum sgb_err fail(struct token *token, const char *what, CK_RV rv)
{
	(void)snprintf(token->why, sizeof(token->why), "%s: %s", what,
		p11_kit_strerror(rv));
	return SGB_ERR_SYSTEM;
}

static enum sgb_err say(struct token *token, const char *what)
{
	(void)snprintf(token->why, sizeof(token->why), "%s", what);
	return SGB_ERR_NOTFOUND;
}

static enum sgb_err token_agree(struct identity *identity,
	const uint8_t rec_id[SGR_ID_LEN], const uint8_t *prefix, size_t len,
	uint8_t ret[SUITE_KEY_LEN])
{
	struct token *token = (struct token *)identity;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG want = SUITE_KEY_LEN;
	CK_ATTRIBUTE wanted[] = {
		{CKA_CLASS, &class, sizeof(class)},
		{CKA_KEY_TYPE, &type, sizeof(type)},
		{CKA_TOKEN, &no, sizeof(no)},
		{CKA_SENSITIVE, &no, sizeof(no)},
		{CKA_EXTRACTABLE, &yes, sizeof(yes)},
		{CKA_VALUE_LEN, &want, sizeof(want)},
	};
	CK_ATTRIBUTE value = {CKA_VALUE, ret, SUITE_KEY_LEN};
	CK_ECDH1_DERIVE_PARAMS params = {.kdf = CKD_NULL,
		.ulPublicDataLen = len,
		.pPublicData = (CK_BYTE *)prefix};
	CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &params, sizeof(params)};
	CK_OBJECT_HANDLE shared;
	CK_RV rv;

	(void)rec_id;
	if (len != SUITE_POINT_LEN)
		return SGB_ERR_FORMAT;
	(void)pthread_mutex_lock(&token->lock);
	rv = token->module->C_DeriveKey(token->session, &mechanism, token->key,
		wanted, sizeof(wanted) / sizeof(wanted[0]), &shared);
	if (rv == CKR_OK) {
		rv = token->module->C_GetAttributeValue(
			token->session, shared, &value, 1);
		(void)token->module->C_DestroyObject(token->session, shared);
	}
	(void)pthread_mutex_unlock(&token->lock);
	return rv == CKR_OK && value.ulValueLen == SUITE_KEY_LEN
		       ? SGB_OK
		       : SGB_ERR_DENIED;
}

static void token_destroy(struct identity *identity)
{
	struct token *token = (struct token *)identity;

	if (token->session)
		(void)token->module->C_CloseSession(token->session);
	if (token->module) {
		(void)p11_kit_module_finalize(token->module);
		p11_kit_module_release(token->module);
	}
	p11_kit_uri_free(token->uri);
	(void)pthread_mutex_destroy(&token->lock);
	free(token);
}

static enum sgb_err load_module(struct token *token)
{
	const char *path = p11_kit_uri_get_module_path(token->uri);
	CK_FUNCTION_LIST *module;
	CK_RV rv;

	if (!path)
		return say(token, "the URI needs ?module-path=FILE");
	module = p11_kit_module_load(path, 0);
	if (!module)
		return say(token, "its module-path cannot be loaded");
	rv = p11_kit_module_initialize(module);
	if (rv != CKR_OK) {
		p11_kit_module_release(module);
		return fail(token, "the module does not start", rv);
	}
	token->module = module;
	return SGB_OK;
}

static enum sgb_err open_session(struct token *token, CK_TOKEN_INFO *ret)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX, i;
	CK_RV rv = token->module->C_GetSlotList(CK_TRUE, slots, &count);

	if (rv != CKR_OK)
		return fail(token, "no slots", rv);
	for (i = 0; i < count; i++) {
		if (token->module->C_GetTokenInfo(slots[i], ret) != CKR_OK ||
			!p11_kit_uri_match_token_info(token->uri, ret))
			continue;
		rv = token->module->C_OpenSession(slots[i], CKF_SERIAL_SESSION,
			NULL, NULL, &token->session);
		return rv == CKR_OK
			       ? SGB_OK
			       : fail(token, "the token does not open", rv);
	}
	return say(token, "no such token is present");
}

/* Without echo; the terminal is as before whatever happened. */
static enum sgb_err ask_pin(char pin[PIN_MAX])
{
	struct termios before, quiet;
	FILE *tty = fopen("/dev/tty", "r+");
	bool got = false;

	if (!tty)
		return SGB_ERR_NOTFOUND;
	if (!tcgetattr(fileno(tty), &before)) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
		(void)fputs("PIN of the token: ", tty);
		(void)fflush(tty);
		got = fgets(pin, PIN_MAX, tty) != NULL;
		(void)tcsetattr(fileno(tty), TCSAFLUSH, &before);
		(void)fputs("\n", tty);
	}
	(void)fclose(tty);
	return got ? SGB_OK : SGB_ERR_NOTFOUND;
}

static enum sgb_err read_pin(struct token *token, char pin[PIN_MAX])
{
	const char *source = p11_kit_uri_get_pin_source(token->uri);
	enum sgb_err err;
	struct buf file;

	/* Everybody may see a command line: pin-value= is not for us. */
	if (p11_kit_uri_get_pin_value(token->uri))
		return say(token, "no PIN in the URI; use pin-source=FILE");
	if (!source) {
		err = ask_pin(pin);
		if (err)
			return say(token, "no terminal to ask for the PIN; use "
					  "pin-source=FILE");
	} else {
		buf_init(&file, PIN_MAX - 1);
		if (!strncmp(source, "file:", 5))
			source += 5;
		err = file_read(source, FILE_TRUST_SECRET, &file, token->why,
			sizeof(token->why));
		if (!err && file.len)
			memcpy(pin, file.data, file.len);
		pin[err ? 0 : file.len] = '\0';
		buf_done(&file);
		if (err)
			return err;
	}
	pin[strcspn(pin, "\r\n")] = '\0';
	return SGB_OK;
}

static enum sgb_err login(struct token *token, const CK_TOKEN_INFO *info)
{
	char pin[PIN_MAX] = "";
	enum sgb_err err = SGB_OK;
	CK_RV rv;

	if (!(info->flags & CKF_LOGIN_REQUIRED))
		return SGB_OK;
	if (info->flags & CKF_PROTECTED_AUTHENTICATION_PATH) {
		rv = token->module->C_Login(token->session, CKU_USER, NULL, 0);
	} else {
		err = read_pin(token, pin);
		if (err)
			return err;
		rv = token->module->C_Login(token->session, CKU_USER,
			(CK_UTF8CHAR *)pin, strlen(pin));
	}
	secret_wipe(pin, sizeof(pin));
	if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN)
		err = fail(token, "the token refuses the PIN", rv);
	return err;
}

/* Exactly one, or it is not clear which key is meant. */
static enum sgb_err find_one(struct token *token, CK_ATTRIBUTE *attributes,
	CK_ULONG count, CK_OBJECT_HANDLE *ret)
{
	CK_OBJECT_HANDLE found[2];
	CK_ULONG got = 0;
	CK_RV rv;

	rv = token->module->C_FindObjectsInit(
		token->session, attributes, count);
	if (rv != CKR_OK)
		return fail(token, "objects cannot be listed", rv);
	rv = token->module->C_FindObjects(token->session, found, 2, &got);
	(void)token->module->C_FindObjectsFinal(token->session);
	if (rv != CKR_OK)
		return fail(token, "objects cannot be listed", rv);
	if (got != 1)
		return say(token, got ? "several P-256 keys fit; name one with "
					"object= or id="
				      : "no such P-256 key is on the token");
	*ret = found[0];
	return SGB_OK;
}

static CK_ULONG describe(struct token *token, CK_ATTRIBUTE *rows,
	CK_OBJECT_CLASS *class, CK_KEY_TYPE *type)
{
	static const CK_ATTRIBUTE_TYPE kinds[] = {CKA_LABEL, CKA_ID};
	CK_ULONG count = 0;
	size_t i;

	rows[count++] = (CK_ATTRIBUTE){CKA_CLASS, class, sizeof(*class)};
	rows[count++] = (CK_ATTRIBUTE){CKA_KEY_TYPE, type, sizeof(*type)};
	for (i = 0; i < 2; i++) {
		CK_ATTRIBUTE *one = p11_kit_uri_get_attribute(
			token->uri, kinds[i]);

		if (one)
			rows[count++] = *one;
	}
	return count;
}

/* CKA_EC_POINT is the point in a DER OCTET STRING. */
static enum sgb_err read_point(struct token *token, CK_OBJECT_HANDLE object)
{
	uint8_t der[SUITE_POINT_LEN + 2];
	CK_ATTRIBUTE value = {CKA_EC_POINT, der, sizeof(der)};
	struct sgr_recipient *half = &token->identity.public_half;

	if (token->module->C_GetAttributeValue(
		    token->session, object, &value, 1) != CKR_OK ||
		value.ulValueLen != sizeof(der) || der[0] != 4 ||
		der[1] != SUITE_POINT_LEN || suite_p256_check(der + 2))
		return say(token, "its public key is not on P-256");
	half->kind = SGR_KIND_P256;
	half->key_len = SUITE_POINT_LEN;
	memcpy(half->key, der + 2, SUITE_POINT_LEN);
	return SGB_OK;
}

static enum sgb_err find_keys(struct token *token)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_KEY_TYPE type = CKK_EC;
	CK_ATTRIBUTE rows[4];
	uint8_t id[ID_MAX];
	CK_ATTRIBUTE own = {CKA_ID, id, sizeof(id)};
	CK_OBJECT_HANDLE public_key;
	enum sgb_err err;

	err = find_one(
		token, rows, describe(token, rows, &class, &type), &token->key);
	if (err)
		return err;
	if (token->module->C_GetAttributeValue(
		    token->session, token->key, &own, 1) != CKR_OK)
		return say(token, "the private key has no id");
	class = CKO_PUBLIC_KEY;
	rows[0] = (CK_ATTRIBUTE){CKA_CLASS, &class, sizeof(class)};
	rows[1] = own;
	err = find_one(token, rows, 2, &public_key);
	if (err)
		return say(token, "its public half is not on the token");
	return read_point(token, public_key);
}

static enum sgb_err open_token(struct token *token, const char *text)
{
	CK_TOKEN_INFO info;
	enum sgb_err err;

	token->uri = p11_kit_uri_new();
	if (!token->uri)
		return SGB_ERR_NOMEM;
	if (p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, token->uri) !=
			P11_KIT_URI_OK ||
		p11_kit_uri_any_unrecognized(token->uri))
		return say(token, "not a PKCS#11 URI (RFC 7512)");
	err = load_module(token);
	if (!err)
		err = open_session(token, &info);
	if (!err)
		err = login(token, &info);
	return err ? err : find_keys(token);
}

enum sgb_err identity_token(
	const char *uri, struct identity **ret, char *why, size_t why_len)
{
	struct token *token = calloc(1, sizeof(*token));
	enum sgb_err err;

	if (!token)
		return SGB_ERR_NOMEM;
	(void)pthread_mutex_init(&token->lock, NULL);
	token->identity.agree = token_agree;
	token->identity.destroy = token_destroy;
	err = open_token(token, uri);
	if (err) {
		(void)snprintf(why, why_len, "%.200s: %s", uri,
			*token->why ? token->why : sgb_err_text(err));
		token_destroy(&token->identity);
	} else {
		*ret = &token->identity;
	}
	return err;
}
