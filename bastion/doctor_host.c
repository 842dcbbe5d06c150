/*
 * doctor: what the host has to be: users, running services, kernel audit, a
 * clock that is right. Asks the kernel directly; changes nothing.
 */
#include "doctor.h"

#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <unistd.h>

#include "core/file.h"
#include "core/msg.h"

static bool check_user(struct doctor *doctor, const char *setting,
	const char *name, unsigned int *ret_uid)
{
	unsigned int gid;

	if (!conf_user(name, ret_uid, &gid))
		return true;
	doctor_find(doctor, DOCTOR_USER, "systemd-sysusers",
		"%s \"%s\": no such user, or it is root", setting, name);
	return false;
}

static void check_program(struct doctor *doctor, const char *name)
{
	char path[PATH_MAX], why[PATH_MAX + 300], fix[2 * PATH_MAX + 100];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", doctor->conf->program_directory,
		name);
	if (file_open(path, FILE_TRUST_ROOT, &fd, why, sizeof(why))) {
		snprintf(fix, sizeof(fix),
			"install it again; chown root:root %s && chmod 0755 %s",
			path, path);
		doctor_find(doctor, DOCTOR_PROGRAM, fix, "%s", why);
		return;
	}
	close(fd);
}

void doctor_users(struct doctor *doctor)
{
	const struct conf *conf = doctor->conf;
	unsigned int session = 0, recorder = 0;
	bool both;

	both = check_user(doctor, "session-user", conf->session_user, &session);
	both = check_user(doctor, "recorder-user", conf->recorder_user,
		       &recorder) &&
	       both;
	if (both && session == recorder)
		doctor_find(doctor, DOCTOR_USER_SAME,
			"give session-user and recorder-user different users",
			"session-user and recorder-user are both uid %u",
			session);
	check_program(doctor, "sgbridge-monitor");
	check_program(doctor, "sgbridge-session");
}

/* ---- services ---- */

static void check_socket(struct doctor *doctor, const char *path,
	enum doctor_code code, const char *fix)
{
	int sock;

	if (msg_connect(path, &sock))
		doctor_find(doctor, code, fix, "nobody answers at %s", path);
	else
		close(sock);
}

bool doctor_systemd(void)
{
	return !access("/run/systemd/system", F_OK);
}

bool doctor_enabled(const char *target, const char *unit)
{
	static const char *const folders[] = {"/etc/systemd/system",
		"/lib/systemd/system", "/usr/lib/systemd/system"};
	char path[PATH_MAX];
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s.target.wants/%s",
			folders[i], target, unit);
		if (!lstat(path, &st))
			return true;
	}
	return false;
}

static void check_enabled(struct doctor *doctor, const char *unit)
{
	char fix[200];

	if (doctor_enabled("multi-user", unit))
		return;
	snprintf(fix, sizeof(fix), "systemctl enable --now %s", unit);
	doctor_find(doctor, DOCTOR_UNIT, fix, "%s is not enabled", unit);
}

void doctor_services(struct doctor *doctor)
{
	check_socket(doctor, doctor->conf->recorder_socket,
		DOCTOR_RECORDER_DOWN,
		"systemctl start sgbridge-recorder; journalctl -u "
		"sgbridge-recorder says why it stopped");
	check_socket(doctor, doctor->conf->control_socket, DOCTOR_DAEMON_DOWN,
		"sgbridged -t, then: systemctl start sgbridged");
	if (!doctor_systemd())
		return;
	check_enabled(doctor, "sgbridge-recorder.service");
	check_enabled(doctor, "sgbridged.service");
}

/* ---- kernel audit ---- */

/* One question, one answer: AUDIT_GET (linux/audit.h). */
static int audit_status(struct audit_status *ret)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = 2};
	struct nlmsghdr ask = {.nlmsg_len = NLMSG_LENGTH(0),
		.nlmsg_type = AUDIT_GET,
		.nlmsg_flags = NLM_F_REQUEST,
		.nlmsg_seq = 1};
	_Alignas(struct nlmsghdr) char answer[8192];
	const struct nlmsghdr *head = (const struct nlmsghdr *)answer;
	ssize_t got;
	int error = 0;
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

	if (sock < 0)
		return errno;
	(void)setsockopt(
		sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (sendto(sock, &ask, ask.nlmsg_len, 0, (struct sockaddr *)&kernel,
		    sizeof(kernel)) < 0)
		error = errno;
	memset(ret, 0, sizeof(*ret));
	while (!error) {
		got = recv(sock, answer, sizeof(answer), 0);
		if (got < (ssize_t)sizeof(*head)) {
			error = got < 0 ? errno : EPROTO;
		} else if (head->nlmsg_type == AUDIT_GET) {
			size_t len = (size_t)got - NLMSG_HDRLEN;

			memcpy(ret, answer + NLMSG_HDRLEN,
				len < sizeof(*ret) ? len : sizeof(*ret));
			break;
		} else if (head->nlmsg_type == NLMSG_ERROR &&
			   (size_t)got >= NLMSG_LENGTH(sizeof(int))) {
			memcpy(&error, answer + NLMSG_HDRLEN, sizeof(error));
			error = -error;
		}
	}
	close(sock);
	return error;
}

void doctor_audit(struct doctor *doctor)
{
	static const char fix[] =
		"apt-get install auditd; boot with audit=1; auditctl -e 1";
	enum conf_audit wanted = doctor->conf ? doctor->conf->audit
					      : CONF_AUDIT_TRY;
	struct audit_status status = {.enabled = 0};
	int error;

	if (wanted == CONF_AUDIT_OFF) {
		doctor_find(doctor, DOCTOR_AUDIT_OFF,
			"set \"audit try\" in sgbridge.conf",
			"the setting audit is off");
		return;
	}
	error = audit_status(&status);
	if (error)
		doctor_find(doctor,
			wanted == CONF_AUDIT_REQUIRED ? DOCTOR_AUDIT_REQUIRED
						      : DOCTOR_AUDIT_UNKNOWN,
			fix, "kernel audit cannot be asked: %s",
			strerror(error));
	else if (!status.enabled)
		doctor_find(doctor, DOCTOR_AUDIT_OFF, fix,
			"kernel audit is not enabled");
	else if (!status.pid)
		doctor_find(doctor, DOCTOR_AUDIT_OFF,
			"systemctl enable --now auditd",
			"no audit daemon keeps the kernel's records");
	if (!error && status.lost)
		doctor_find(doctor, DOCTOR_AUDIT_LOST,
			"raise the backlog: auditctl -b 8192",
			"kernel audit lost %u records", status.lost);
}

/* ---- clock ---- */

void doctor_clock(struct doctor *doctor)
{
	struct timex timex = {.modes = 0};

	if (adjtimex(&timex) == TIME_ERROR || (timex.status & STA_UNSYNC))
		doctor_find(doctor, DOCTOR_CLOCK,
			"apt-get install chrony; chronyc tracking",
			"the kernel says that the clock is not synchronised");
}
