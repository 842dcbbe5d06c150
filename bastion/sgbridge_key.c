/*
 * sgbridge key: stored keys for instances that take no certificates. They are
 * sealed at once and never printed; whoever wants one back has none. Trusts
 * root, who runs it.
 */
#include "sgbridge_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/conf.h"
#include "core/event.h"
#include "core/file.h"
#include "core/log.h"
#include "privkey.h"

#define FILE_MAX 65536

/* ---- the policy ---- */

static bool names(const struct policy *policy, const struct policy_logon *logon,
	const char *key)
{
	return logon->set && logon->kind == POLICY_STORED_KEY &&
	       !strcmp(policy_symbol_text(policy, logon->key), key);
}

const char *key_user(const struct policy *policy, const char *name)
{
	uint32_t i;

	for (i = 0; i < policy->nodes.count; i++)
		if (names(policy, &policy->nodes.at[i].logon, name))
			return policy_symbol_text(
				policy, policy->nodes.at[i].sym);
	for (i = 0; i < policy->sgs.count; i++)
		if (names(policy, &policy->sgs.at[i].logon, name))
			return policy_symbol_text(
				policy, policy->sgs.at[i].sym);
	return NULL;
}

static bool is_purpose(const struct targetkey *key, const char *name)
{
	size_t i;

	for (i = 0; i < key->purpose_count; i++)
		if (!strcmp(key->purposes[i], name))
			return true;
	return false;
}

bool key_is_for(const struct policy *policy, const struct policy_node *node,
	const struct targetkey *key)
{
	bool good = is_purpose(key, policy_symbol_text(policy, node->sym));
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++) {
		uint32_t sg = policy->ids.at[node->sgs.first + i];

		good |= is_purpose(key,
			policy_symbol_text(policy, policy->sgs.at[sg].sym));
	}
	return good;
}

const char *key_stranger(
	const struct policy *policy, const struct targetkey *key)
{
	uint32_t i;

	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		if (names(policy, &node->logon, key->name) &&
			!key_is_for(policy, node, key))
			return policy_symbol_text(policy, node->sym);
	}
	return NULL;
}

static bool known_purpose(const struct policy *policy, const char *name)
{
	uint32_t sym = policy_symbol_find(policy, name);

	return policy_named(policy, sym, NAME_NODE) != POLICY_NONE ||
	       policy_named(policy, sym, NAME_SG) != POLICY_NONE;
}

/* "web1,SG_Db" as copies; a name that the policy does not have is a slip. */
static bool take_purposes(
	struct cli *cli, const char *list, struct targetkey *key)
{
	char *copy = list ? strdup(list) : NULL, *at = copy, *name;
	bool good = copy != NULL;

	if (!list)
		cli_fail("--for: expected the instances or security groups "
			 "that the key is for, with commas between");
	while (good && (name = strsep(&at, ","))) {
		if (!known_purpose(cli->policy, name)) {
			const char *near = policy_nearest(cli->policy, name,
				1u << NAME_NODE | 1u << NAME_SG);

			cli_fail("--for: the policy has no instance or "
				 "security group \"%s\"%s%s%s",
				name, near ? ": did you mean \"" : "",
				near ? near : "", near ? "\"?" : "");
			good = false;
		} else if (key->purpose_count == TARGETKEY_PURPOSES) {
			cli_fail("--for: at most %d names", TARGETKEY_PURPOSES);
			good = false;
		} else {
			key->purposes[key->purpose_count] = strdup(name);
			good = key->purposes[key->purpose_count] != NULL;
			key->purpose_count += good;
		}
	}
	free(copy);
	return good;
}

/* ---- the store ---- */

/* One at a time; the descriptor holds the lock until it is closed. */
static int lock_folder(const struct conf *conf)
{
	char why[TARGETKEY_WHY];
	int fd;

	if (mkdir(conf->target_keys, 0700) && errno != EEXIST) {
		cli_fail("%s: %s", conf->target_keys, strerror(errno));
		return -1;
	}
	if (file_open_dir(conf->target_keys, FILE_TRUST_SECRET, &fd, why,
		    sizeof(why))) {
		cli_fail("%s", why);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		cli_fail("%s: somebody else is changing keys",
			conf->target_keys);
		close(fd);
		return -1;
	}
	return fd;
}

static bool save(const struct conf *conf, const struct targetkey *key)
{
	char why[TARGETKEY_WHY];

	if (!targetkey_save(
		    conf->target_keys, key, conf->master_key, why, sizeof(why)))
		return true;
	cli_fail("%s", why);
	return false;
}

static struct targetkey *load(const struct conf *conf, const char *name)
{
	struct targetkey *key = NULL;
	char why[TARGETKEY_WHY];

	if (targetkey_load(conf->target_keys, name, conf->master_key, &key, why,
		    sizeof(why)))
		cli_fail("%s", why);
	return key;
}

/* What the key is and what it is for; "" where it could not be read. */
static void describe(const struct targetkey *key, char *out, size_t len)
{
	size_t i, used = 0;

	*out = '\0';
	for (i = 0; key && i < key->count && used < len; i++)
		used += (size_t)snprintf(out + used, len - used, "%s%s",
			i ? ", and " : "", key->versions[i].parsed.fingerprint);
	for (i = 0; key && i < key->purpose_count && used < len; i++)
		used += (size_t)snprintf(out + used, len - used, "%s %s",
			i ? "," : "; for", key->purposes[i]);
}

/* To the log and the trail. A recorder that is down hinders nobody: the key
 * may have to go. */
static void note(const struct conf *conf, const char *name, const char *what,
	const struct targetkey *key)
{
	char done[160], which[1000];
	struct event event = {.kind = EVENT_CONFIG,
		.ok = true,
		.user = cli_operator(),
		.what = done,
		.reason = which};

	snprintf(done, sizeof(done), "stored key %s: %s", name, what);
	describe(key, which, sizeof(which));
	log_put(LOG_NOTICE, "%s by %s", done, cli_operator());
	if (!cli_tell(conf, &event))
		cli_fail("note: the event trail does not know of it: no "
			 "recorder answers");
}

void key_put_public(
	const struct targetkey *key, size_t version, struct buf *out)
{
	const struct targetkey_version *one = &key->versions[version];
	uint8_t *room;

	buf_printf(out, "%s ", one->parsed.name);
	room = buf_extend(out, (one->blob_len + 2) / 3 * 4 + 1);
	if (!room)
		return;
	EVP_EncodeBlock(room, one->blob, (int)one->blob_len);
	out->len--; /* its NUL */
	buf_printf(out, " sgbridge:%s\n", key->name);
}

static void print_public(const struct targetkey *key, size_t first)
{
	struct buf out;
	size_t i;

	buf_init(&out, FILE_MAX);
	for (i = first; i < key->count; i++)
		key_put_public(key, i, &out);
	cli_print(&out);
	buf_done(&out);
}

/* ---- commands ---- */

static bool read_private(const char *path, EVP_PKEY **ret)
{
	char why[TARGETKEY_WHY];
	struct buf text;
	enum sgb_err err;

	buf_init(&text, FILE_MAX);
	err = file_read(path, FILE_TRUST_SECRET, &text, why, sizeof(why));
	if (err)
		cli_fail("%s", why);
	else if ((err = privkey_parse(
			  text.data, text.len, ret, why, sizeof(why))))
		cli_fail("%s: %s", path, why);
	buf_done(&text);
	return !err;
}

static bool make_private(struct cli *cli, EVP_PKEY **ret)
{
	const char *type = cli->type ? cli->type : "ed25519";
	enum sgb_err err = privkey_generate(type, ret);

	if (err)
		cli_fail(err == SGB_ERR_UNSUPPORTED
				 ? "--type %s: expected ed25519, ecdsa or rsa"
				 : "--type %s: no key could be made",
			type);
	return !err;
}

static bool absent(const struct conf *conf, const char *name)
{
	struct targetkey *key = NULL;
	char why[TARGETKEY_WHY];
	enum sgb_err err = targetkey_load(conf->target_keys, name,
		conf->master_key, &key, why, sizeof(why));

	targetkey_free(key);
	if (err == SGB_ERR_NOTFOUND)
		return true;
	if (err)
		cli_fail("%s", why);
	else
		cli_fail("there is a stored key \"%s\"; to replace it: "
			 "sgbridge key rotate %s",
			name, name);
	return false;
}

/* file NULL: a new one. */
static int add(struct cli *cli, const struct conf *conf, const char *name,
	const char *file)
{
	struct targetkey *key = calloc(1, sizeof(*key));
	EVP_PKEY *pkey = NULL;
	int status = CLI_ERROR;

	if (!key || !absent(conf, name) ||
		!take_purposes(cli, cli->instance, key) ||
		!(file ? read_private(file, &pkey) : make_private(cli, &pkey)))
		goto out;
	snprintf(key->name, sizeof(key->name), "%s", name);
	if (targetkey_add(key, pkey, time(NULL))) {
		cli_fail("%s: the key is of no kind that SSH knows", name);
		goto out;
	}
	if (!save(conf, key))
		goto out;
	note(conf, name, file ? "imported" : "made", key);
	print_public(key, 0);
	fprintf(stderr,
		"sgbridge: the line above belongs into authorized_keys on the "
		"instance, and into the\npolicy: credential key %s%s%s\n",
		name, file ? "; now delete " : "", file ? file : "");
	status = CLI_YES;
out:
	targetkey_free(key);
	return status;
}

static int rotate(struct cli *cli, const struct conf *conf, const char *name)
{
	struct targetkey *key = load(conf, name);
	EVP_PKEY *pkey = NULL;
	int status = CLI_ERROR;

	if (!key)
		return CLI_ERROR;
	if (cli->finish == (key->count == 1)) {
		cli_fail(cli->finish
				 ? "%s: no rotation is under way"
				 : "%s: a rotation is under way; finish it: "
				   "sgbridge key rotate %s --finish",
			name, name);
		status = CLI_NO;
		goto out;
	}
	if (cli->finish)
		targetkey_finish(key);
	else if (!make_private(cli, &pkey) ||
		 targetkey_add(key, pkey, time(NULL)))
		goto out;
	if (!save(conf, key))
		goto out;
	note(conf, name, cli->finish ? "old one forgotten" : "new one made",
		key);
	if (cli->finish) {
		printf("%s: the new key alone is used now; take the old line "
		       "out of authorized_keys\n",
			name);
	} else {
		key->count = 1;
		print_public(key, 0);
		key->count = 2;
		fprintf(stderr,
			"sgbridge: add the line above beside the old one; the "
			"new key is tried first, then\nthe old one. When key "
			"list says that the new one is used everywhere: "
			"sgbridge key\nrotate %s --finish\n",
			name);
	}
	status = CLI_YES;
out:
	targetkey_free(key);
	return status;
}

static int delete (struct cli *cli, const struct conf *conf, const char *name)
{
	const char *user = key_user(cli->policy, name);
	char why[TARGETKEY_WHY];

	if (user)
		return cli_fail("%s is named by %s in the policy: take "
				"\"credential key %s\" out first",
			name, user, name);
	if (targetkey_delete(conf->target_keys, name, why, sizeof(why)))
		return cli_fail("%s", why);
	note(conf, name, "deleted", NULL);
	printf("%s: deleted; its line in authorized_keys is still there\n",
		name);
	return CLI_YES;
}

static int print_key(const struct conf *conf, const char *name)
{
	struct targetkey *key = load(conf, name);

	if (!key)
		return CLI_ERROR;
	print_public(key, 0);
	targetkey_free(key);
	return CLI_YES;
}

/* A verb that is none is refused where it would be done. */
static bool takes_options(struct cli *cli)
{
	static const char *const verbs[][2] = {
		{"key generate", "for type "},
		{"key import", "for type "},
		{"key list", "max-age unused events "},
		{"key show", ""},
		{"key public", ""},
		{"key rotate", "finish type "},
		{"key delete", ""},
	};
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i][0] + strlen("key "), cli->argv[0]))
			return cli_takes(cli, verbs[i][0], verbs[i][1]);
	return true;
}

static int run(struct cli *cli, const struct conf *conf)
{
	const char *verb = cli->argv[0];
	const char *name = cli->argc > 1 ? cli->argv[1] : NULL;
	int words = cli->argc, fd, status = CLI_ERROR;

	if (!strcmp(verb, "list") && words == 1)
		return key_list(cli, conf);
	if (!strcmp(verb, "show") && words == 2)
		return key_show(cli, conf, name);
	if (!strcmp(verb, "public") && words == 2)
		return print_key(conf, name);
	fd = lock_folder(conf);
	if (fd < 0)
		return CLI_ERROR;
	if (!strcmp(verb, "generate") && words == 2)
		status = add(cli, conf, name, NULL);
	else if (!strcmp(verb, "import") && words == 3)
		status = add(cli, conf, name, cli->argv[2]);
	else if (!strcmp(verb, "rotate") && words == 2)
		status = rotate(cli, conf, name);
	else if (!strcmp(verb, "delete") && words == 2)
		status = delete (cli, conf, name);
	else
		cli_fail("expected generate NAME, import NAME FILE, list, show "
			 "NAME, public NAME, rotate NAME or delete NAME; see "
			 "sgbridge key --help");
	close(fd);
	return status;
}

int cmd_key(struct cli *cli)
{
	struct conf *conf = NULL;
	int status = CLI_ERROR;

	if (takes_options(cli) && cli_conf(cli, &conf) && cli_load(cli)) {
		log_init("sgbridge", false);
		status = run(cli, conf);
	}
	conf_free(conf);
	return status;
}
