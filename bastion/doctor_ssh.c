/*
 * doctor INSTANCE: what stock ssh and the instance's `sshd -T` say, compared
 * with tables. The lines come from an instance, which may say anything: they
 * are looked through for words that we know, and shown with what is no text
 * replaced.
 */
#include "doctor_instance.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#define SSH	  "/usr/bin/ssh"
#define OPT(text) "-o", text

void instance_ssh(
	struct instance *look, bool with_certificate, const char *command)
{
	char known[100], leaf[100];
	const char *argv[40] = {SSH, "-F", "none", OPT("BatchMode=yes"),
		OPT("ConnectTimeout=5"), OPT("ServerAliveInterval=5"),
		OPT("GlobalKnownHostsFile=none"),
		OPT("StrictHostKeyChecking=yes"),
		OPT("HostKeyAlias=" INSTANCE_ALIAS), OPT("IdentityAgent=none"),
		OPT("IdentitiesOnly=yes"), OPT(known), "-p", look->port, "-l",
		*look->login ? look->login : "nobody"};
	size_t at = 0;

	while (argv[at])
		at++;
	snprintf(known, sizeof(known), "UserKnownHostsFile=%s/known_hosts",
		look->dir);
	snprintf(leaf, sizeof(leaf), "%s/leaf", look->dir);
	if (with_certificate) {
		argv[at++] = "-i";
		argv[at++] = leaf;
	} else {
		argv[at++] = "-vv";
		argv[at++] = "-o";
		argv[at++] = "PreferredAuthentications=none";
	}
	argv[at++] = look->address;
	argv[at++] = command;
	buf_reset(&look->out);
	(void)cli_run(argv, &look->out);
	buf_put_u8(&look->out, 0);
}

static const char *text_of(const struct instance *look)
{
	return !look->out.len || buf_error(&look->out)
		       ? ""
		       : (const char *)look->out.data;
}

/* A printable copy of one line. */
static const char *plain(const char *line, char *ret, size_t size)
{
	size_t i, len = strcspn(line, "\r\n");

	for (i = 0; i < len && i + 1 < size; i++)
		ret[i] = isprint((unsigned char)line[i]) ? line[i] : '?';
	ret[i] = '\0';
	return ret;
}

const char *instance_last_line(struct instance *look)
{
	static char line[240];
	const char *text = text_of(look), *at = text, *next;

	while ((next = strchr(at, '\n')) && next[1])
		at = next + 1;
	return plain(at, line, sizeof(line));
}

/* ---- what is offered ---- */

/* What nobody should still offer: CBC and what is older, MACs over less than
 * SHA-256, groups of 1024 bits, signatures with SHA-1. */
static bool is_weak(const char *name)
{
	static const char *const starts[] = {"3des", "arcfour", "blowfish",
		"cast128", "rijndael", "hmac-md5", "hmac-sha1", "umac-64",
		"diffie-hellman-group1-", "diffie-hellman-group14-sha1",
		"diffie-hellman-group-exchange-sha1", "ssh-dss"};
	size_t i, len = strlen(name);

	for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (!strncmp(name, starts[i], strlen(starts[i])))
			return true;
	return !strcmp(name, "ssh-rsa") ||
	       (len > 4 && !strcmp(name + len - 4, "-cbc"));
}

static void check_list(struct instance *look, const char *what,
	const char *list, const char *keyword)
{
	char copy[4096], *name, *rest = copy, fix[300];
	struct buf weak;

	buf_init(&weak, sizeof(copy));
	plain(list, copy, sizeof(copy));
	while ((name = strsep(&rest, ",")))
		if (is_weak(name))
			buf_printf(&weak, "%s%s", weak.len ? "," : "", name);
	buf_put_u8(&weak, 0);
	snprintf(fix, sizeof(fix),
		"on the instance, in /etc/ssh/sshd_config.d/00-sgbridge.conf: "
		"%s -%.160s",
		keyword, (const char *)weak.data);
	if (weak.len > 1)
		doctor_find(look->doctor, DOCTOR_INSTANCE_ALGORITHMS, fix,
			"%s: offers %s %s", look->name, what,
			(const char *)weak.data);
	buf_done(&weak);
}

/* Who may prove himself otherwise than by key needs no bastion. */
static void check_methods(struct instance *look, const char *text)
{
	static const char before[] = "Authentications that can continue: ";
	const char *at = strstr(text, before);
	char methods[200], fix[300];

	if (!at)
		return;
	plain(at + strlen(before), methods, sizeof(methods));
	snprintf(fix, sizeof(fix),
		"sgbridge instance-setup %s | ssh root@%s sh", look->name,
		look->name);
	if (strcmp(methods, "publickey"))
		doctor_find(look->doctor, DOCTOR_INSTANCE_METHODS, fix,
			"%s: offers to anybody: %s", look->name, methods);
}

void instance_offers(struct instance *look)
{
	static const struct {
		const char *before, *what, *keyword;
	} lists[] = {
		{"debug2: KEX algorithms: ", "key exchanges", "KexAlgorithms"},
		{"debug2: host key algorithms: ", "host key algorithms",
			"HostKeyAlgorithms"},
		{"debug2: ciphers stoc: ", "ciphers", "Ciphers"},
		{"debug2: MACs stoc: ", "MACs", "MACs"}};
	static const char says[] = "remote software version ";
	const char *text, *offer, *at;
	char line[200];
	size_t i;

	instance_ssh(look, false, "true");
	text = text_of(look);
	at = strstr(text, says);
	if (at)
		doctor_find(look->doctor, DOCTOR_INSTANCE_BANNER,
			"compare with what your distribution ships now",
			"%s: says it is %s", look->name,
			plain(at + strlen(says), line, sizeof(line)));
	/* The proposal before this one is our own. */
	offer = strstr(text, "peer server KEXINIT proposal");
	for (i = 0; offer && i < sizeof(lists) / sizeof(lists[0]); i++) {
		at = strstr(offer, lists[i].before);
		if (at)
			check_list(look, lists[i].what,
				at + strlen(lists[i].before), lists[i].keyword);
	}
	check_methods(look, text);
}

/* ---- sshd -T ---- */

static const struct setting {
	const char *keyword, *good, *also[2]; /* values that will do */
} settings[] = {
	{"authorizedkeysfile", "none", {NULL}},
	{"authorizedkeyscommand", "none", {NULL}},
	{"passwordauthentication", "no", {NULL}},
	{"kbdinteractiveauthentication", "no", {NULL}},
	{"hostbasedauthentication", "no", {NULL}},
	{"permitemptypasswords", "no", {NULL}},
	/* The same, by its old and its new name. */
	{"permitrootlogin", "no", {"without-password", "prohibit-password"}},
	{"permituserenvironment", "no", {NULL}},
};

/* In small letters up to OpenSSH 10.2 or so, as people write it after. */
static bool value_of(
	const char *text, const char *keyword, char *ret, size_t size)
{
	size_t len = strlen(keyword);
	const char *at;

	for (at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncasecmp(at, keyword, len) && at[len] == ' ') {
			plain(at + len + 1, ret, size);
			return true;
		}
	}
	return false;
}

/* One item of sshd's list: an address, a network or a pattern. */
static bool item_names(const char *item, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	struct addr_net net;

	if (!addr_net_parse(item, &net))
		return addr_in_net(addr, &net);
	return !fnmatch(item, addr_text(addr, text), 0);
}

/* An exclamation mark takes an address out again, wherever it stands. */
static bool list_names(char *list, const struct addr *addr)
{
	bool named = false;
	char *item;

	while ((item = strsep(&list, ","))) {
		if (*item == '!' && item_names(item + 1, addr))
			return false;
		named = named || (*item != '!' && item_names(item, addr));
	}
	return named;
}

/* Before 9.8 sshd had none, and prints no line about them. */
static void check_penalties(
	struct instance *look, const char *text, const char *fix)
{
	char value[4096], from[ADDR_TEXT_MAX];

	if (!value_of(text, "persourcepenalties", value, sizeof(value)) ||
		!strcmp(value, "no") || !look->source.family)
		return;
	if (value_of(
		    text, "persourcepenaltyexemptlist", value, sizeof(value)) &&
		list_names(value, &look->source))
		return;
	doctor_find(look->doctor, DOCTOR_INSTANCE_PENALTIES, fix,
		"%s: sshd's PerSourcePenaltyExemptList does not name %s, which "
		"is this bastion",
		look->name, addr_text(&look->source, from));
}

static bool will_do(const struct setting *setting, const char *value)
{
	size_t i;

	for (i = 0; i < 2; i++)
		if (setting->also[i] && !strcmp(value, setting->also[i]))
			return true;
	return !strcmp(value, setting->good);
}

void instance_settings(struct instance *look, const char *fix)
{
	const char *text = strstr(text_of(look), INSTANCE_MARK "\n");
	char value[300];
	size_t i;

	if (!text ||
		!value_of(text, "trustedusercakeys", value, sizeof(value))) {
		doctor_find(look->doctor, DOCTOR_INSTANCE_UNSEEN,
			"on the instance, as root: sshd -T",
			"%s: %s may not run sshd -T there", look->name,
			look->login);
		return;
	}
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (value_of(text, settings[i].keyword, value, sizeof(value)) &&
			!will_do(&settings[i], value))
			doctor_find(look->doctor, DOCTOR_INSTANCE_SSHD, fix,
				"%s: sshd's %s is \"%s\", not \"%s\"",
				look->name, settings[i].keyword, value,
				settings[i].good);
	check_penalties(look, text, fix);
}
