/*
 * The options of a line of authorized_keys. A row for each one that is
 * honoured; what has no row refuses its line. Trusts nothing: lines are pasted
 * by hand, or printed by somebody else's program.
 */
#include "authkeys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One option and its unquoted value. */
struct option {
	char name[32];
	char value[AUTHKEYS_TEXT_MAX];
	bool has_value;
};

struct state {
	const struct authkeys_query *query;
	struct authkeys_limits limits;
	unsigned int seen; /* rows, as bits */
	bool cert_authority;
	char principals[AUTHKEYS_TEXT_MAX];
};

/* Reads one option at *at; leaves *at behind it, at ',' or a blank. */
static bool read_option(const char **at, struct option *option)
{
	size_t n = strcspn(*at, "=, \t");
	size_t i = 0;

	memset(option, 0, sizeof(*option));
	if (!n || n >= sizeof(option->name))
		return false;
	memcpy(option->name, *at, n);
	*at += n;
	if (**at != '=')
		return true;
	option->has_value = true;
	if (*++*at != '"')
		return false;
	for (++*at; **at && **at != '"'; ++*at) {
		/* sshd(8): a quote inside is written \" */
		if (**at == '\\' && (*at)[1] == '"')
			++*at;
		if (i + 1 >= sizeof(option->value))
			return false;
		option->value[i++] = **at;
	}
	if (**at != '"')
		return false;
	++*at;
	return true;
}

static enum sgb_err opt_from(const struct option *option, struct state *state)
{
	char copy[AUTHKEYS_TEXT_MAX];
	char *at = copy, *item;
	bool inside = false;

	strcpy(copy, option->value);
	while ((item = strsep(&at, ","))) {
		struct addr_net net;
		bool negated = *item == '!';

		/* Names and wildcards would need DNS or guessing: refused. */
		if (addr_net_parse(item + negated, &net))
			return SGB_ERR_UNSUPPORTED;
		if (!addr_in_net(state->query->source, &net))
			continue;
		if (negated)
			return SGB_ERR_DENIED;
		inside = true;
	}
	return inside ? SGB_OK : SGB_ERR_DENIED;
}

/* YYYYMMDD[HHMM[SS]][Z]; without Z in the bastion's own time zone. */
static enum sgb_err opt_expiry(const struct option *option, struct state *state)
{
	const char *text = option->value;
	size_t len = strspn(text, "0123456789");
	bool utc = !strcmp(text + len, "Z");
	struct tm tm = {.tm_isdst = -1};
	const char *format = len == 8	 ? "%Y%m%d"
			     : len == 12 ? "%Y%m%d%H%M"
			     : len == 14 ? "%Y%m%d%H%M%S"
					 : NULL;
	char digits[16];
	const char *end;
	time_t when;

	if (!format || (text[len] && !utc))
		return SGB_ERR_UNSUPPORTED;
	memcpy(digits, text, len);
	digits[len] = '\0';
	end = strptime(digits, format, &tm);
	if (!end || *end)
		return SGB_ERR_UNSUPPORTED;
	when = utc ? timegm(&tm) : mktime(&tm);
	state->limits.until = when;
	return when != (time_t)-1 && state->query->now < when ? SGB_OK
							      : SGB_ERR_DENIED;
}

static enum sgb_err opt_flag(const struct option *option, struct state *state)
{
	struct authkeys_limits *limits = &state->limits;
	bool off = !strncasecmp(option->name, "no-", 3);
	const char *name = option->name + (off ? 3 : 0);

	if (!strcasecmp(name, "restrict"))
		limits->no_pty = limits->no_forward = limits->no_agent =
			limits->no_x11 = true;
	else if (!strcasecmp(name, "pty"))
		limits->no_pty = off;
	else if (!strcasecmp(name, "port-forwarding"))
		limits->no_forward = off;
	else if (!strcasecmp(name, "agent-forwarding"))
		limits->no_agent = off;
	else if (!strcasecmp(name, "X11-forwarding"))
		limits->no_x11 = off;
	else if (!strcasecmp(name, "touch-required"))
		limits->no_touch = off;
	else if (!strcasecmp(name, "verify-required"))
		limits->verify_required = true;
	else if (!strcasecmp(name, "cert-authority"))
		state->cert_authority = true;
	return SGB_OK;
}

static enum sgb_err opt_command(
	const struct option *option, struct state *state)
{
	/* Empty would read as "none". */
	if (!option->value[0])
		return SGB_ERR_UNSUPPORTED;
	strcpy(state->limits.command, option->value);
	return SGB_OK;
}

static enum sgb_err opt_principals(
	const struct option *option, struct state *state)
{
	if (!option->value[0])
		return SGB_ERR_UNSUPPORTED;
	strcpy(state->principals, option->value);
	return SGB_OK;
}

/* "host:port", "[v6]:port", "*:port", "host:*"; exact otherwise, as sshd
 * compares. A listener may be a port alone. */
static bool place_valid(const char *text, bool port_alone)
{
	const char *colon = strrchr(text, ':');
	const char *port = colon ? colon + 1 : text;
	char *end;

	if (strpbrk(text, ", \t") || (!colon && !port_alone) || colon == text)
		return false;
	if (!strcmp(port, "*"))
		return true;
	if (*port < '1' || *port > '9' || strlen(port) > 5)
		return false;
	return strtoul(port, &end, 10) <= 65535 && !*end;
}

static enum sgb_err add_place(
	char list[AUTHKEYS_TEXT_MAX], const char *text, bool port_alone)
{
	size_t used = strlen(list);
	bool bare = port_alone && !strchr(text, ':');

	if (!place_valid(text, port_alone) ||
		(size_t)snprintf(list + used, AUTHKEYS_TEXT_MAX - used,
			"%s%s%s", used ? "," : "", bare ? "*:" : "",
			text) >= AUTHKEYS_TEXT_MAX - used)
		return SGB_ERR_UNSUPPORTED;
	return SGB_OK;
}

static enum sgb_err opt_permit_open(
	const struct option *option, struct state *state)
{
	return add_place(state->limits.permit_open, option->value, false);
}

static enum sgb_err opt_permit_listen(
	const struct option *option, struct state *state)
{
	return add_place(state->limits.permit_listen, option->value, true);
}

/*
 * Not here, so that their lines are refused: environment= (what the gate lets
 * through is the policy's), tunnel= (there are none), agent=, and whatever a
 * newer sshd adds.
 */
static const struct option_row {
	const char *name;
	bool has_value, often;
	enum sgb_err (*apply)(const struct option *, struct state *);
	bool widens; /* asks less, or lets in more, than a line without it */
} rows[] = {
	{"from", true, false, opt_from, false},
	{"expiry-time", true, false, opt_expiry, false},
	{"command", true, false, opt_command, false},
	{"principals", true, false, opt_principals, false},
	{"permitopen", true, true, opt_permit_open, false},
	{"permitlisten", true, true, opt_permit_listen, false},
	{"cert-authority", false, true, opt_flag, true},
	{"verify-required", false, true, opt_flag, false},
	{"no-touch-required", false, true, opt_flag, true},
	{"restrict", false, true, opt_flag, false},
	{"no-pty", false, true, opt_flag, false},
	{"pty", false, true, opt_flag, false},
	{"no-port-forwarding", false, true, opt_flag, false},
	{"port-forwarding", false, true, opt_flag, false},
	{"no-agent-forwarding", false, true, opt_flag, false},
	{"agent-forwarding", false, true, opt_flag, false},
	{"no-X11-forwarding", false, true, opt_flag, false},
	{"X11-forwarding", false, true, opt_flag, false},
	/* There is no user's rc file on the way. */
	{"no-user-rc", false, true, opt_flag, false},
	{"user-rc", false, true, opt_flag, false},
};

static enum sgb_err apply(const struct option *option, struct state *state,
	const struct option_row **ret)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct option_row *row = &rows[i];

		/* sshd compares option names without regard to case. */
		if (strcasecmp(row->name, option->name) ||
			row->has_value != option->has_value)
			continue;
		if (!row->often && (state->seen & (1u << i)))
			return SGB_ERR_UNSUPPORTED;
		state->seen |= 1u << i;
		*ret = row;
		return row->apply(option, state);
	}
	return SGB_ERR_UNSUPPORTED;
}

/* A line for a CA is for certificates, any other for the key itself. */
static enum sgb_err check_kind(
	const struct state *state, char *why, size_t why_len)
{
	const struct usercert *cert = state->query->cert;
	char copy[AUTHKEYS_TEXT_MAX];
	char *at = copy, *item;

	if (state->cert_authority != (cert != NULL)) {
		snprintf(why, why_len,
			cert ? "the CA's line lacks option cert-authority"
			     : "option cert-authority: the key is a CA's");
		return SGB_ERR_DENIED;
	}
	if (!cert && state->principals[0]) {
		snprintf(why, why_len,
			"option principals without cert-authority");
		return SGB_ERR_DENIED;
	}
	if (!cert)
		return SGB_OK;
	snprintf(copy, sizeof(copy), "%s",
		state->principals[0] ? state->principals : state->query->user);
	while ((item = strsep(&at, ",")))
		if (*item && usercert_names(cert, item))
			return SGB_OK;
	snprintf(why, why_len, "the certificate has none of the principals");
	return SGB_ERR_DENIED;
}

enum sgb_err authkeys_options(const char **at,
	const struct authkeys_query *query, struct authkeys_limits *ret,
	char *why, size_t why_len)
{
	struct state state = {.query = query};
	const struct option_row *row;
	struct option option;
	enum sgb_err err;

	while (**at != ' ' && **at != '\t') {
		if (!read_option(at, &option)) {
			snprintf(why, why_len, "malformed options");
			return SGB_ERR_DENIED;
		}
		err = apply(&option, &state, &row);
		if (err) {
			snprintf(why, why_len,
				err == SGB_ERR_DENIED
					? "option %s forbids this login"
					: "option %s, or its value, is not "
					  "supported here",
				option.name);
			return SGB_ERR_DENIED;
		}
		if (**at == ',' && (*at)[1] != ' ' && (*at)[1] != '\t')
			++*at;
		else if (**at != ' ' && **at != '\t') {
			snprintf(why, why_len, "malformed options");
			return SGB_ERR_DENIED;
		}
	}
	err = check_kind(&state, why, why_len);
	if (!err)
		*ret = state.limits;
	return err;
}

/* How many of the line's restrictions stand. */
static unsigned int taken(const struct authkeys_limits *limits)
{
	return (unsigned int)limits->no_pty + limits->no_forward +
	       limits->no_agent + limits->no_x11;
}

static enum authkeys_effect effect_of(
	const struct option *option, struct state *state)
{
	unsigned int before = taken(&state->limits);
	const struct option_row *row = NULL;
	enum sgb_err err = apply(option, state, &row);

	if (err == SGB_ERR_DENIED && row && row->apply == opt_expiry)
		return AUTHKEYS_EXPIRED;
	/* Whose source is nobody's is denied, and that is as it should be. */
	if (err && err != SGB_ERR_DENIED)
		return AUTHKEYS_REFUSED;
	if (row->widens)
		return AUTHKEYS_WIDENS;
	return taken(&state->limits) < before ? AUTHKEYS_GIVES_BACK
					      : AUTHKEYS_NARROWS;
}

void authkeys_options_judge(const char *at, time_t now,
	void (*tell)(void *arg, enum authkeys_effect, const char *option),
	void *arg)
{
	const struct addr nobody = {0};
	const struct authkeys_query query = {.source = &nobody, .now = now};
	struct state state = {.query = &query};
	struct option option;

	while (*at && *at != ' ' && *at != '\t') {
		if (!read_option(&at, &option)) {
			tell(arg, AUTHKEYS_REFUSED, option.name);
			return;
		}
		tell(arg, effect_of(&option, &state), option.name);
		if (*at != ',')
			break;
		at++;
	}
	if (state.principals[0] && !state.cert_authority)
		tell(arg, AUTHKEYS_REFUSED, "principals");
}
