/*
 * What `sgbridge check` and `sgbridge doctor` ask sgbridge-forward: whether its
 * lines of the settings are good, and how it goes with each receiver. It is run
 * with -t and --status, which read only; its own user reads its keys, not this
 * program.
 */
#include "doctor.h"

#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#define PROGRAM	    "sgbridge-forward"
#define OUT_MAX	    (64 * 1024)
#define LAG_SECONDS 600
#define CERT_DAYS   30
#define DAY	    86400

static int ask(const char *conf_path, const char *const words[2], char *ret,
	size_t size)
{
	char program[PATH_MAX];
	const char *argv[] = {
		program, words[0], "-c", conf_path, words[1], NULL};
	struct buf out;
	int status;

	cli_beside(PROGRAM, program, sizeof(program));
	buf_init(&out, OUT_MAX);
	status = cli_run(argv, &out);
	buf_put_u8(&out, 0);
	snprintf(
		ret, size, "%s", buf_error(&out) ? "" : (const char *)out.data);
	buf_done(&out);
	return status;
}

bool cli_forward_wanted(const struct conf *conf)
{
	return conf && (conf->syslog.count || conf->journald);
}

bool cli_forward_test(const char *conf_path, char *ret, size_t size)
{
	static const char *const words[] = {"-t", NULL};
	int status = ask(conf_path, words, ret, size);
	char *text = !strncmp(ret, PROGRAM "[", strlen(PROGRAM "["))
			     ? strstr(ret, "]: ")
			     : NULL;

	ret[strcspn(ret, "\n")] = '\0';
	/* Who says it, and its process, is known. */
	if (text)
		memmove(ret, text + 3, strlen(text + 3) + 1);
	if (status && !*ret)
		snprintf(ret, size, "sgbridge-forward -t: status %d", status);
	return status == 0;
}

/* ---- doctor ---- */

#define FIX_STATUS "sgbridge-forward --status"

static void check_cert(struct doctor *doctor, const char *receiver,
	const char *whose, json_int_t expires)
{
	json_int_t now = (json_int_t)time(NULL);
	struct tm tm;
	char day[16];
	time_t when = (time_t)expires;

	if (!expires || expires > now + (json_int_t)CERT_DAYS * DAY ||
		!gmtime_r(&when, &tm) ||
		!strftime(day, sizeof(day), "%Y-%m-%d", &tm))
		return;
	doctor_find(doctor, DOCTOR_FORWARD_CERT,
		"put the new one in its place, then: systemctl reload "
		"sgbridge-forward",
		"%s: %s %s on %s", receiver, whose,
		expires <= now ? "expired" : "expires", day);
}

static void check_receiver(struct doctor *doctor, json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "receiver"));
	const char *state = json_string_value(json_object_get(row, "state"));
	const char *since = json_string_value(json_object_get(row, "since"));
	const char *text = json_string_value(json_object_get(row, "text"));
	json_int_t behind = json_integer_value(json_object_get(row, "behind"));
	json_int_t lag = json_integer_value(json_object_get(row, "lag"));

	if (!name || !state || !since || !text)
		return;
	if (strcmp(state, "up") != 0)
		doctor_find(doctor, DOCTOR_FORWARD_AWAY, FIX_STATUS,
			"%s is away since %s: %s; %lld events wait", name,
			since, text, (long long)behind);
	else if (behind && lag >= LAG_SECONDS)
		doctor_find(doctor, DOCTOR_FORWARD_BEHIND, FIX_STATUS,
			"%s: %lld events wait, the first for %lld s", name,
			(long long)behind, (long long)lag);
	check_cert(doctor, name, "client-cert",
		json_integer_value(json_object_get(row, "own_expires")));
	check_cert(doctor, name, "the receiver's certificate",
		json_integer_value(json_object_get(row, "peer_expires")));
}

static void check_status(struct doctor *doctor)
{
	static const char *const words[] = {"--status", "--json"};
	char text[OUT_MAX];
	json_t *root, *row;
	size_t i;

	(void)ask(doctor->conf_path, words, text, sizeof(text));
	root = json_loads(text, 0, NULL);
	if (!json_is_true(json_object_get(root, "running")))
		doctor_find(doctor, DOCTOR_FORWARD_DOWN,
			"systemctl enable --now sgbridge-forward; journalctl "
			"-u sgbridge-forward says why it stopped",
			"sgbridge-forward does not run, and the settings name "
			"%zu receivers",
			doctor->conf->syslog.count +
				(doctor->conf->journald ? 1 : 0));
	json_array_foreach(json_object_get(root, "receivers"), i, row)
		check_receiver(doctor, row);
	json_decref(root);
}

void doctor_forward(struct doctor *doctor)
{
	char why[2048];

	if (!cli_forward_wanted(doctor->conf))
		return;
	if (cli_forward_test(doctor->conf_path, why, sizeof(why)))
		check_status(doctor);
	else
		doctor_find(doctor, DOCTOR_FORWARD_SETTINGS,
			"sgbridge-forward -t", "%s", why);
}
