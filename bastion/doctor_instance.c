/*
 * doctor INSTANCE: what an instance shows to whoever comes, and whether it
 * lets the bastion in and nobody round it. The keys that it shows are judged
 * as the monitor judges them before anything else is said to it. The login is
 * made as the bastion makes one, with a certificate of a minute for a key that
 * is made here, and it is in the event trail first. Stock ssh speaks the
 * protocol: nothing here parses what an instance sends but lines of its output.
 */
#include "doctor_instance.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cert.h"
#include "core/event.h"
#include "core/secret.h"
#include "core/sshkey.h"
#include "hostkey.h"

#define KEYSCAN	     "/usr/bin/ssh-keyscan"
#define CERT_SECONDS 60
#define CLOCK_SKEW   60
#define KEY_MAX	     16384

/* ---- a folder for what ssh reads ---- */

static bool put_file(
	const struct instance *look, const char *name, const struct buf *text)
{
	char path[100];
	FILE *file;
	bool good;

	snprintf(path, sizeof(path), "%s/%s", look->dir, name);
	file = fopen(path, "we");
	good = file && fwrite(text->data, 1, text->len, file) == text->len;
	if (file && fclose(file))
		good = false;
	return good && !chmod(path, 0600);
}

static void forget_files(const struct instance *look)
{
	static const char *const names[] = {
		"known_hosts", "leaf", "leaf-cert.pub"};
	char path[100];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", look->dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(look->dir);
}

/* ---- the host key ---- */

/* As the monitor would judge it. */
static enum hostkey_verdict judge(
	const struct instance *look, const uint8_t *blob, size_t len)
{
	struct hostkey_result result;
	struct hostkey_node node;

	cli_hostkey_node(look->doctor->cli->policy, look->node,
		look->doctor->conf, &node);
	hostkey_judge(&node, blob, len, time(NULL), &result);
	return result.verdict;
}

/* "ADDRESS TYPE BASE64": what is no key is passed over. */
static const char *key_of(const char *line, uint8_t **ret, size_t *ret_len)
{
	const char *type = strchr(line, ' ');
	const char *base64 = type ? strchr(type + 1, ' ') : NULL;

	if (*line == '#' || !base64 ||
		sshkey_base64_decode(
			base64 + 1, strcspn(base64 + 1, " \r"), ret, ret_len))
		return NULL;
	return type + 1;
}

/* Those of the keys that are known become ssh's known_hosts. */
static bool sort_keys(
	struct instance *look, char *text, struct buf *known, struct buf *shown)
{
	char fingerprint[SSHKEY_FP_MAX];
	enum hostkey_verdict verdict;
	const char *key;
	uint8_t *blob;
	size_t len;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		key = key_of(line, &blob, &len);
		if (!key)
			continue;
		verdict = judge(look, blob, len);
		if (!sshkey_fingerprint(blob, len, fingerprint))
			buf_printf(shown, "%s%s", shown->len ? ", " : "",
				fingerprint);
		free(blob);
		if (verdict == HOSTKEY_ACCEPTED)
			buf_printf(known, "%s %s\n", INSTANCE_ALIAS, key);
		look->by_certificate |= verdict == HOSTKEY_WANTED;
	}
	return known->len && !buf_error(known) &&
	       put_file(look, "known_hosts", known);
}

static bool check_key(struct instance *look)
{
	const char *argv[] = {KEYSCAN, "-T", "5", "-p", look->port, "-t",
		"ed25519,ecdsa,rsa", look->address, NULL};
	struct buf out, known, shown;
	char fix[300];
	bool good;

	buf_init(&out, INSTANCE_OUTPUT);
	buf_init(&known, KEY_MAX);
	buf_init(&shown, 1024);
	(void)cli_run(argv, &out);
	buf_put_u8(&out, 0);
	good = !buf_error(&out) &&
	       sort_keys(look, (char *)out.data, &known, &shown);
	buf_put_u8(&shown, 0);
	if (!good && shown.len <= 1) {
		doctor_find(look->doctor, DOCTOR_INSTANCE_SSH,
			"on the instance: systemctl status ssh; ss -ltnp",
			"%s: nothing at %s port %s speaks SSH", look->name,
			look->address, look->port);
	} else if (!good && look->by_certificate) {
		doctor_find(look->doctor, DOCTOR_INSTANCE_UNSEEN,
			"sgbridge host-keys; ssh through the bastion tries it",
			"%s: is known by its host certificate, which is not "
			"asked for here",
			look->name);
	} else if (!good) {
		snprintf(fix, sizeof(fix),
			"compare on the instance's console: ssh-keygen -lf "
			"/etc/ssh/ssh_host_ed25519_key.pub; if it is its own, "
			"write it where the old one stands (sgbridge host-keys "
			"says "
			"where), then: sgbridge reload");
		doctor_find(look->doctor, DOCTOR_INSTANCE_KEY, fix,
			"%s: shows %s, none of which is known", look->name,
			(const char *)shown.data);
	}
	buf_done(&out);
	buf_done(&known);
	buf_done(&shown);
	return good;
}

/* ---- the login ---- */

static bool source_of(struct instance *look, char ret[ADDR_TEXT_MAX])
{
	struct sockaddr_storage ss, own = {0};
	socklen_t len = addr_to_sockaddr(look->addr, 22, &ss);
	socklen_t own_len = sizeof(own);
	uint16_t port;
	int sock = socket(look->addr->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good = sock >= 0 && !connect(sock, (struct sockaddr *)&ss, len) &&
		    !getsockname(sock, (struct sockaddr *)&own, &own_len) &&
		    !addr_from_sockaddr(&own, &look->source, &port);

	if (sock >= 0)
		close(sock);
	if (good)
		addr_text(&look->source, ret);
	return good;
}

static bool put_certificate(struct instance *look, EVP_PKEY *leaf,
	const struct cert_request *request)
{
	unsigned char text[8192];
	struct buf blob, file;
	bool good;

	buf_init(&blob, 4096);
	buf_init(&file, KEY_MAX);
	good = !cert_sign(request, &blob) &&
	       !cert_private_text(leaf, "", &file) &&
	       put_file(look, "leaf", &file);
	buf_reset(&file);
	if (good) {
		(void)EVP_EncodeBlock(text, blob.data, (int)blob.len);
		buf_printf(&file, "ssh-ed25519-cert-v01@openssh.com %s\n",
			(const char *)text);
		good = put_file(look, "leaf-cert.pub", &file);
	}
	buf_done(&blob);
	buf_done(&file);
	return good;
}

/* A certificate that the CA in this file signs, for this login alone. */
static bool make_certificate(struct instance *look, const char *ca_path)
{
	char why[4400], source[ADDR_TEXT_MAX], key_id[200];
	uint64_t now = (uint64_t)time(NULL);
	struct cert_request request = {.key_id = key_id,
		.principal = look->login,
		.source_address = source,
		.valid_after = now - CLOCK_SKEW,
		.valid_before = now + CERT_SECONDS};
	EVP_PKEY *leaf = NULL;
	bool good;

	snprintf(key_id, sizeof(key_id), "%s by sgbridge doctor",
		cli_operator());
	if (cert_ca_load(ca_path, &request.ca, why, sizeof(why))) {
		cli_fail("%s", why);
		return false;
	}
	good = source_of(look, source) && !cert_new_key(&leaf) &&
	       !secret_random(&request.serial, sizeof(request.serial));
	request.leaf = leaf;
	good = good && put_certificate(look, leaf, &request);
	EVP_PKEY_free(leaf);
	EVP_PKEY_free(request.ca);
	return good;
}

/* Nothing is signed that the trail does not know of. */
static bool announce(const struct instance *look, const char *what)
{
	struct event event = {.kind = EVENT_CERT_SIGNED,
		.ok = true,
		.user = cli_operator(),
		.target = look->name,
		.target_addr = *look->addr,
		.login = look->login,
		.what = what,
		.reason = "sgbridge doctor"};

	return cli_tell(look->doctor->conf, &event);
}

static bool try_ca(struct instance *look, const char *ca_path, const char *what)
{
	static const char command[] = "echo " INSTANCE_MARK
				      "; { /usr/sbin/sshd -T || sudo -n "
				      "/usr/sbin/sshd -T; } 2>/dev/null; true";

	buf_reset(&look->out);
	if (!announce(look, what) || !make_certificate(look, ca_path)) {
		doctor_find(look->doctor, DOCTOR_INSTANCE_UNSEEN,
			"systemctl start sgbridge-recorder",
			"%s: no login was tried: the event trail cannot be "
			"written, or a key not be read",
			look->name);
		return true;
	}
	instance_ssh(look, true, command);
	return look->out.data &&
	       strstr((const char *)look->out.data, INSTANCE_MARK "\n");
}

/* Where the bastion is not trusted yet, there is another way in. */
static void first_fix(const struct instance *look, char ret[300])
{
	snprintf(ret, 300, "sgbridge instance-setup %s | ssh root@%s sh",
		look->name, look->name);
}

/* Where it is, that is the only one. */
static void again_fix(const struct instance *look, char ret[300])
{
	snprintf(ret, 300,
		"sgbridge instance-setup %s >%s.sh, and from where you work "
		"ssh -p 30022 YOU+%s@%s@BASTION sudo sh <%s.sh",
		look->name, look->name, look->login, look->name, look->name);
}

static void check_next(struct instance *look, const char *ca)
{
	char path[4096], fix[300];

	snprintf(path, sizeof(path), "%s.new", ca);
	again_fix(look, fix);
	if (access(path, F_OK) || try_ca(look, path, "next CA"))
		return;
	doctor_find(look->doctor, DOCTOR_INSTANCE_NEXT_CA, fix,
		"%s: refuses %s with the CA's next key", look->name,
		look->login);
}

static void check_login(struct instance *look)
{
	const char *ca = look->doctor->conf->user_ca;
	char fix[300];

	if (!*look->login) {
		doctor_find(look->doctor, DOCTOR_INSTANCE_UNSEEN,
			"sgbridge doctor LOGIN@INSTANCE",
			"%s: the policy names no login, so none was tried",
			look->name);
		return;
	}
	if (look->node->logon.kind == POLICY_STORED_KEY) {
		doctor_find(look->doctor, DOCTOR_INSTANCE_UNSEEN,
			"log in through the bastion, and look at sshd -T there",
			"%s: a stored key logs on there, so no login was tried",
			look->name);
		return;
	}
	if (look->node->logon.kind == POLICY_OWN_AGENT) {
		doctor_find(look->doctor, DOCTOR_INSTANCE_UNSEEN,
			"log in through the bastion, and look at sshd -T there",
			"%s: people's own keys log on there, so no login was "
			"tried",
			look->name);
		return;
	}
	if (try_ca(look, ca, "present CA")) {
		again_fix(look, fix);
		instance_settings(look, fix);
	} else {
		first_fix(look, fix);
		doctor_find(look->doctor, DOCTOR_INSTANCE_CA, fix,
			"%s: refuses %s with a certificate of the bastion's "
			"CA: %.200s",
			look->name, look->login, instance_last_line(look));
	}
	check_next(look, ca);
}

/* ---- which instance, as whom ---- */

/* The policy's login for it, or the first that a rule names. */
static const char *login_of(
	const struct policy *policy, const struct policy_node *node)
{
	uint32_t i, j, k;

	if (node->login != POLICY_NONE)
		return policy->symbols.at[node->login].text;
	for (i = 0; i < policy->rules.count; i++) {
		const struct policy_rule *rule = &policy->rules.at[i];

		for (j = 0; j < rule->objects.count && rule->logins.count; j++)
			for (k = 0; k < node->objects.count; k++)
				if (policy->ids.at[rule->objects.first + j] ==
					policy->ids.at[node->objects.first + k])
					return policy->symbols
						.at[policy->ids.at[rule->logins
									   .first]]
						.text;
	}
	return "";
}

static bool find(struct instance *look, char *word)
{
	const struct policy *policy = look->doctor->cli->policy;
	char *login, *name;
	uint16_t port;
	uint32_t i;

	if (!cli_target(word, &login, &name, &port))
		return cli_fail("%s: expected [LOGIN@]INSTANCE", word) == 0;
	i = policy_named(policy, policy_symbol_find(policy, name), NAME_NODE);
	if (i == POLICY_NONE || policy->nodes.at[i].subnet ||
		!policy->nodes.at[i].nets.count)
		return cli_fail("no instance \"%s\" with an address", name) ==
		       0;
	look->node = &policy->nodes.at[i];
	look->name = name;
	look->addr = &policy->nets.at[look->node->nets.first].base;
	addr_text(look->addr, look->address);
	snprintf(look->port, sizeof(look->port), "%u",
		port		   ? port
		: look->node->port ? look->node->port
				   : 22);
	snprintf(look->login, sizeof(look->login), "%.60s",
		login ? login : login_of(policy, look->node));
	return !strchr(look->login, '-') || *look->login != '-';
}

bool doctor_instance(struct doctor *doctor, char *word)
{
	struct instance look = {
		.doctor = doctor, .dir = "/tmp/sgbridge-doctor.XXXXXX"};

	if (!find(&look, word))
		return false;
	if (!doctor_node(doctor, look.node))
		return true; /* no key to expect, or nobody there */
	if (look.node->via != POLICY_NONE) {
		doctor_find(doctor, DOCTOR_INSTANCE_UNSEEN,
			"log in through the bastion, and look at sshd -T there",
			"%s: is behind a jump host, and was not looked at",
			look.name);
		return true;
	}
	if (!mkdtemp(look.dir))
		return cli_fail("%s: no folder can be made", look.dir) == 0;
	buf_init(&look.out, INSTANCE_OUTPUT);
	if (check_key(&look)) {
		instance_offers(&look);
		check_login(&look);
	}
	buf_done(&look.out);
	forget_files(&look);
	return true;
}
