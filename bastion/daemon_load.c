/*
 * Settings and policy: read together, used together or not at all. Monitors
 * get sealed copies of exactly what was accepted here, so that a file edited
 * later cannot be half in force.
 */
#include "daemon.h"

#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "core/file.h"
#include "core/log.h"
#include "core/policy_reduce.h"
#include "core/priv.h"
#include "cert.h"
#include "hostkey.h"
#include "keys_command.h"
#include "private_key.h"

#include <openssl/evp.h>

struct loaded {
	struct conf *conf;
	struct policy_source *source;
	struct policy *policy;
	int conf_fd, policy_fd;
};

static enum sgb_err load_conf(
	const char *path, struct loaded *out, struct diag *diag)
{
	char why[PATH_MAX + 200];
	struct buf text;
	enum sgb_err err;

	buf_init(&text, CONF_MAX_BYTES);
	err = file_read(path, FILE_TRUST_ROOT, &text, why, sizeof(why));
	if (err) {
		/* why names the file itself. */
		fprintf(stderr, "sgbridged: %s\n", why);
	} else {
		err = conf_parse(path, (const char *)text.data, text.len,
			&out->conf, diag);
		if (!err)
			err = file_memfd("sgbridge.conf", text.data, text.len,
				&out->conf_fd);
	}
	buf_done(&text);
	return err;
}

static enum sgb_err load_policy(struct loaded *out, struct diag *diag)
{
	struct buf bundle;
	enum sgb_err err;

	err = policy_source_read(out->conf->policy, &out->source, diag);
	if (!err)
		err = policy_compile(out->source, &out->policy, diag);
	if (err)
		return err;
	buf_init(&bundle, POLICY_SEALED_MAX);
	err = policy_source_encode(out->source, &bundle);
	if (!err)
		err = file_memfd(
			"policy", bundle.data, bundle.len, &out->policy_fd);
	buf_done(&bundle);
	return err;
}

static void loaded_done(struct loaded *loaded)
{
	conf_free(loaded->conf);
	policy_free(loaded->policy);
	policy_source_free(loaded->source);
	if (loaded->conf_fd >= 0)
		close(loaded->conf_fd);
	if (loaded->policy_fd >= 0)
		close(loaded->policy_fd);
}

static enum sgb_err load_all(
	const char *path, struct loaded *out, struct diag *diag)
{
	enum sgb_err err;

	memset(out, 0, sizeof(*out));
	out->conf_fd = out->policy_fd = -1;
	err = load_conf(path, out, diag);
	if (!err)
		err = load_policy(out, diag);
	if (!err)
		err = daemon_check_files(out->conf);
	return err;
}

/* For logins through PAM, which else parse all of it. */
static void mark_good(const struct loaded *loaded)
{
	const char *path = loaded->conf->policy_mark;
	enum sgb_err err = policy_mark_write(path, loaded->source);

	if (err)
		log_put(LOG_WARNING, "%s: %s: logins read the whole policy",
			path, sgb_err_text(err));
}

/* The old ones are freed by the caller's loaded_done. */
static void swap_in(struct daemon *d, struct loaded *loaded)
{
	struct loaded old = {
		.conf = d->conf,
		.policy = d->policy,
		.conf_fd = d->conf_fd,
		.policy_fd = d->policy_fd,
	};

	d->conf = loaded->conf;
	d->policy = loaded->policy;
	d->conf_fd = loaded->conf_fd;
	d->policy_fd = loaded->policy_fd;
	old.source = loaded->source;
	*loaded = old;
}

static enum sgb_err set_fronts(struct daemon *d, const struct conf *conf)
{
	const char *bad = "";
	enum sgb_err err = daemon_proxy_set(d, &conf->proxy_from, &bad);

	if (err)
		fprintf(stderr,
			"sgbridged: %s: proxy-protocol-from \"%s\": expected "
			"at "
			"most %d networks of front ends, such as 10.0.0.7/32\n",
			d->conf_path, bad, PROXY_NETS_MAX);
	return err;
}

enum sgb_err daemon_load(struct daemon *d)
{
	struct loaded loaded;
	const char *bad = NULL;
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = load_all(d->conf_path, &loaded, &diag);
	if (!err) {
		err = sources_set_exempt(
			d->sources, &loaded.conf->penalty_exempt, &bad);
		if (!err)
			err = set_fronts(d, loaded.conf);
		else
			fprintf(stderr,
				"sgbridged: %s: penalty-exempt \"%s\": "
				"expected a network such as 10.0.0.0/8\n",
				d->conf_path, bad);
	}
	if (!err) {
		mark_good(&loaded);
		swap_in(d, &loaded);
	}
	diag_print(&diag, stderr, isatty(STDERR_FILENO));
	loaded_done(&loaded);
	diag_done(&diag);
	return err;
}

void daemon_tell_policy(struct daemon *d, struct connection *conn)
{
	struct msg msg;

	msg_init(&msg, MSG_MON_RELOAD);
	if (msg_put_fd(&msg, d->conf_fd) || msg_put_fd(&msg, d->policy_fd) ||
		msg_send(conn->control, &msg))
		log_put(LOG_WARNING, "%s: monitor cannot be told of the policy",
			conn->id);
	msg_done(&msg);
}

static void tell_monitors(struct daemon *d)
{
	struct connection *conn;

	TAILQ_FOREACH (conn, &d->connections, link)
		daemon_tell_policy(d, conn);
}

enum sgb_err daemon_reload(struct daemon *d, char *text, size_t text_len)
{
	struct loaded loaded;
	const char *bad = NULL;
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = load_all(d->conf_path, &loaded, &diag);
	if (!err)
		err = sources_set_exempt(
			d->sources, &loaded.conf->penalty_exempt, &bad);
	if (!err) {
		err = set_fronts(d, loaded.conf);
		/* All or nothing: the old networks were good. */
		if (err && sources_set_exempt(
				   d->sources, &d->conf->penalty_exempt, &bad))
			log_put(LOG_ERR, "penalty-exempt is not restored");
	}
	if (!err) {
		mark_good(&loaded);
		swap_in(d, &loaded);
		daemon_starter_reload(d);
		/* New connections go by the new policy; should there be no
		 * nursery, the next of them tries again. */
		if (daemon_nursery_start(d) && d->nursery >= 0)
			daemon_nursery_gone(d);
		tell_monitors(d);
		snprintf(text, text_len, "reloaded");
	} else {
		diag_first_line(&diag, text, text_len);
		if (!*text)
			snprintf(text, text_len, "%s", sgb_err_text(err));
		log_put(LOG_ERR, "reload refused, the old policy stays: %s",
			text);
	}
	if (err)
		d->counters.reloads_failed++;
	else
		d->counters.reloads++;
	daemon_event(d, NULL, !err, EVENT_CONFIG, "reload", err ? text : NULL);
	loaded_done(&loaded);
	diag_done(&diag);
	return err;
}

/* The monitor of each connection will read it. */
static enum sgb_err check_host_key(const char *path)
{
	char why[PATH_MAX + 200];
	struct private_key key;
	enum sgb_err err = private_key_load(path, &key, why, sizeof(why));

	if (err)
		fprintf(stderr, "sgbridged: %s\n", why);
	private_key_done(&key);
	return err;
}

static enum sgb_err check_some(
	const char *setting, const struct conf_list *list)
{
	if (list->count)
		return SGB_OK;
	fprintf(stderr, "sgbridged: %s: at least one is needed\n", setting);
	return SGB_ERR_NOTFOUND;
}

static enum sgb_err check_folder(const char *path)
{
	char why[PATH_MAX + 200];
	int fd;

	if (file_open_dir(path, FILE_TRUST_ROOT, &fd, why, sizeof(why))) {
		fprintf(stderr, "sgbridged: %s\n", why);
		return SGB_ERR_UNSAFE;
	}
	close(fd);
	return SGB_OK;
}

/* Without it libpam would fall back to the service "other". */
static enum sgb_err check_pam(const struct conf *conf)
{
	char path[PATH_MAX], why[PATH_MAX + 200];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", conf->pam_directory,
		    conf->pam_service) >= sizeof(path))
		return SGB_ERR_LIMIT;
	if (file_open(path, FILE_TRUST_ROOT, &fd, why, sizeof(why))) {
		fprintf(stderr,
			"sgbridged: %s; install conf/pam.d/sgbridge there\n",
			why);
		return SGB_ERR_NOTFOUND;
	}
	close(fd);
	return SGB_OK;
}

static enum sgb_err check_program(const struct conf *conf, const char *name)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s",
		    conf->program_directory, name) >= sizeof(path) ||
		access(path, X_OK)) {
		fprintf(stderr,
			"sgbridged: %s/%s: no such program; set "
			"program-directory\n",
			conf->program_directory, name);
		return SGB_ERR_NOTFOUND;
	}
	return SGB_OK;
}

static enum sgb_err check_user(const char *setting, const char *user)
{
	unsigned int uid, gid;
	enum sgb_err err = conf_user(user, &uid, &gid);

	if (err)
		fprintf(stderr,
			"sgbridged: %s %s: expected a user other than root, by "
			"name or as uid:gid; create it with: useradd -r %s\n",
			setting, user, user);
	return err;
}

static enum sgb_err check_known_hosts(const char *path)
{
	char why[PATH_MAX + 200];
	enum sgb_err err = hostkey_check_file(path, why, sizeof(why));

	if (err)
		fprintf(stderr, "sgbridged: %s\n", why);
	return err;
}

/* Else its first use would say so, to somebody who cannot log on. */
static enum sgb_err check_keys_command(const struct conf *conf)
{
	char why[PATH_MAX + 200];
	enum sgb_err err = keys_command_check(conf, why, sizeof(why));

	if (err)
		fprintf(stderr, "sgbridged: %s\n", why);
	if (err || !conf->keys_command.count)
		return err;
	/* Given up at the start if there was no command, and not the shipped
	 * unit's to give. */
	if (!priv_has_cap(CAP_SETUID) || !priv_has_cap(CAP_SETGID) ||
		!priv_has_cap(CAP_KILL)) {
		fprintf(stderr,
			"sgbridged: authorized-keys-command: it runs as "
			"another user, for which this process has not the "
			"power; give it to the unit (sgbridge.conf(5), "
			"authorized-keys-command) and restart\n");
		err = SGB_ERR_DENIED;
	}
	return err;
}

/* Everything is checked, so that one run names all that is missing. */
enum sgb_err daemon_check_files(const struct conf *conf)
{
	char why[PATH_MAX + 200];
	enum sgb_err result = SGB_OK, err;
	EVP_PKEY *ca = NULL;
	size_t i;

#define CHECK(call) \
	do { \
		err = (call); \
		if (err && !result) \
			result = err; \
	} while (0)
	CHECK(check_some("listen", &conf->listen));
	CHECK(daemon_check_listen(conf));
	CHECK(check_some("host-key", &conf->host_keys));
	for (i = 0; i < conf->host_keys.count; i++)
		CHECK(check_host_key(conf->host_keys.items[i]));
	CHECK(cert_ca_load(conf->user_ca, &ca, why, sizeof(why)));
	if (err)
		fprintf(stderr, "sgbridged: %s\n", why);
	EVP_PKEY_free(ca);
	for (i = 0; i < conf->known_hosts.count; i++)
		CHECK(check_known_hosts(conf->known_hosts.items[i]));
	CHECK(check_folder(conf->authorized_keys));
	CHECK(check_keys_command(conf));
	CHECK(check_folder(conf->empty_root));
	CHECK(check_pam(conf));
	CHECK(check_program(conf, "sgbridge-monitor"));
	CHECK(check_program(conf, "sgbridge-session"));
	CHECK(check_program(conf, "sgbridge-starter"));
	CHECK(check_user("session-user", conf->session_user));
#undef CHECK
	return result;
}
