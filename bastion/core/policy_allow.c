/*
 * What a permitted connection may do, which keys count, and the texts of
 * reasons. Commands are judged by their exact bytes: the target hands them to
 * a shell, so a pattern's star never crosses a byte that a shell acts on.
 */
#include "core/policy_int.h"

#include <string.h>

/* ---- commands ---- */

/* Bytes with which a shell would do more than run one program. */
static bool shell_active(char c)
{
	unsigned char byte = (unsigned char)c;

	return byte < 0x20 || byte == 0x7f ||
	       strchr(";&|<>$`(){}!#\"'\\", c) != NULL;
}

static bool one_matches(char pattern, char c)
{
	return pattern == c || (pattern == '?' && !shell_active(c));
}

/* `*` is any run, `?` any one byte that no shell acts on. Only the last star
 * is ever widened, so the time is at most pattern times command. */
static bool pattern_matches(const char *pattern, const char *command)
{
	const char *star = NULL, *mark = NULL;

	while (*command) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = command;
		} else if (*pattern && one_matches(*pattern, *command)) {
			pattern++;
			command++;
		} else if (star && !shell_active(*mark)) {
			pattern = star;
			command = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* The next word of a command without quotes; NULL at its end. */
static const char *next_word(const char **at, size_t *ret_len)
{
	const char *word;

	*at += strspn(*at, " ");
	word = *at;
	*ret_len = strcspn(word, " ");
	*at += *ret_len;
	return *ret_len ? word : NULL;
}

static bool word_is(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && !memcmp(word, text, len);
}

static bool word_begins(const char *word, size_t len, const char *text)
{
	return strlen(text) <= len && !memcmp(word, text, strlen(text));
}

/* File names may hold wildcards and escaped bytes, nothing else a shell acts
 * on; otherwise "scp -t x; id" would be a file transfer. */
static bool plain_command(const char *command)
{
	for (; *command; command++) {
		if (*command == '\\' && command[1] &&
			(unsigned char)command[1] >= 0x20)
			command++;
		else if (shell_active(*command))
			return false;
	}
	return true;
}

static bool scp_option(const char *word, size_t len, bool *server)
{
	size_t i;

	for (i = 1; i < len; i++) {
		if (!strchr("tfrpdvq", word[i]))
			return false;
		if (word[i] == 't' || word[i] == 'f')
			*server = true;
	}
	return len > 1;
}

/* scp [-rpdvq] -t|-f [--] FILE... : the far end of a copy. */
static bool is_scp(const char *command)
{
	const char *word;
	bool server = false;
	size_t len;

	if (!plain_command(command))
		return false;
	word = next_word(&command, &len);
	if (!word || !word_is(word, len, "scp"))
		return false;
	for (word = next_word(&command, &len); word && word[0] == '-';
		word = next_word(&command, &len)) {
		if (word_is(word, len, "--")) {
			word = next_word(&command, &len);
			break;
		}
		if (!scp_option(word, len, &server))
			return false;
	}
	return server && word;
}

/* rsync --server ...: without the options that would run or write something
 * of their own. */
static bool is_rsync(const char *command)
{
	static const char *const refused[] = {"--daemon", "--config", "--log",
		"--rsh", "--rsync-path", "--dparam", "--sockopts",
		"--password-file", "--write-batch", "--read-batch",
		"--only-write-batch", NULL};
	const char *word;
	size_t len, i;

	if (!plain_command(command))
		return false;
	word = next_word(&command, &len);
	if (!word || !word_is(word, len, "rsync"))
		return false;
	word = next_word(&command, &len);
	if (!word || !word_is(word, len, "--server"))
		return false;
	while ((word = next_word(&command, &len)))
		for (i = 0; refused[i]; i++)
			if (word_begins(word, len, refused[i]))
				return false;
	return true;
}

/* Which options of an scp that is_scp() knows. */
static bool scp_has(const char *command, char option)
{
	const char *word;
	size_t len;

	next_word(&command, &len);
	while ((word = next_word(&command, &len)) && word[0] == '-' &&
		!word_is(word, len, "--"))
		if (memchr(word, option, len))
			return true;
	return false;
}

enum policy_transfer policy_transfer(const char *command)
{
	bool sink, source;

	if (is_rsync(command))
		return POLICY_TRANSFER_RSYNC;
	if (!is_scp(command))
		return POLICY_TRANSFER_NONE;
	sink = scp_has(command, 't');
	source = scp_has(command, 'f');
	if (sink == source)
		return POLICY_TRANSFER_NONE;
	return sink ? POLICY_TRANSFER_SCP_SINK : POLICY_TRANSFER_SCP_SOURCE;
}

/* Without regard to how the rest of it looks: these need bits of their own
 * even where every command is allowed. */
static bool names_tool(const char *command, const char *tool, const char *flag)
{
	size_t len;
	const char *word = next_word(&command, &len);

	if (!word || !word_is(word, len, tool))
		return false;
	while ((word = next_word(&command, &len)))
		if (flag ? word_is(word, len, flag)
			 : word[0] == '-' && len > 1 && word[1] != '-' &&
					(memchr(word, 't', len) ||
						memchr(word, 'f', len)))
			return true;
	return false;
}

static bool allows_exec(
	const struct policy_decision *decision, const char *command)
{
	const char *const *pattern;

	if (!command || !*command)
		return false;
	if (is_scp(command))
		return decision->allow & POLICY_SCP;
	if (is_rsync(command))
		return decision->allow & POLICY_RSYNC;
	if ((names_tool(command, "scp", NULL) &&
		    !(decision->allow & POLICY_SCP)) ||
		(names_tool(command, "rsync", "--server") &&
			!(decision->allow & POLICY_RSYNC)))
		return false;
	if (decision->allow & POLICY_EXEC)
		return true;
	if (!(decision->allow & POLICY_EXEC_PATTERN))
		return false;
	for (pattern = decision->exec_patterns; pattern && *pattern; pattern++)
		if (pattern_matches(*pattern, command))
			return true;
	return false;
}

bool policy_allows(const struct policy_decision *decision,
	enum policy_action action, const char *command)
{
	bool bit = decision->allow & (unsigned int)action;

	if (decision->verdict != POLICY_PERMIT)
		return false;
	switch (action) {
	case POLICY_EXEC:
	case POLICY_EXEC_PATTERN: return allows_exec(decision, command);
	case POLICY_SCP: return bit && (!command || is_scp(command));
	case POLICY_RSYNC: return bit && (!command || is_rsync(command));
	case POLICY_SFTP_READ:
	case POLICY_SFTP_WRITE:
		return bit && (!command || !strcmp(command, "sftp"));
	case POLICY_SHELL:
	case POLICY_FORWARD:
	case POLICY_DYNAMIC:
	case POLICY_REMOTE_FORWARD:
	case POLICY_AGENT:
	case POLICY_X11: return bit;
	}
	return false;
}

/* ---- keys ---- */

static const struct {
	const char *algorithm, *type;
} key_names[] = {
	{"ssh-ed25519", "ed25519"},
	{"ecdsa-sha2-nistp256", "ecdsa"},
	{"ecdsa-sha2-nistp384", "ecdsa"},
	{"ecdsa-sha2-nistp521", "ecdsa"},
	{"sk-ssh-ed25519@openssh.com", "sk-ed25519"},
	{"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa"},
	{"ssh-rsa", "rsa"},
	{"rsa-sha2-256", "rsa"},
	{"rsa-sha2-512", "rsa"},
};

bool policy_key_accepted(
	const struct policy *policy, const char *type, unsigned int bits)
{
	const char *name = NULL;
	uint32_t i;

	if (!policy || !type)
		return false;
	for (i = 0; i < sizeof(key_names) / sizeof(key_names[0]); i++)
		if (!strcmp(key_names[i].algorithm, type))
			name = key_names[i].type;
	for (i = 0; name && i < policy->keys.count; i++)
		if (!strcmp(policy->keys.at[i].type, name))
			return bits >= policy->keys.at[i].min_bits;
	return false;
}

bool policy_root_login(const struct policy *policy)
{
	return policy && policy->root_login;
}

const char *const *policy_user_cas(const struct policy *policy)
{
	return (const char *const *)policy->user_cas.at;
}

const char *policy_reason_text(enum policy_reason reason)
{
	static const char *const texts[POLICY_REASON_COUNT] = {
		[POLICY_NO_PERMIT] = "no rule permits it",
		[POLICY_BAD_REQUEST] = "the request is incomplete or malformed",
		[POLICY_DENY_RULE] = "a rule denies it",
		[POLICY_NO_TARGET] = "there is no such target",
		[POLICY_FORBIDDEN_ADDRESS] = "this address is never a target",
		[POLICY_GROUP_CLOSED] = "the security group does not let it in",
		[POLICY_ROOT] = "root does not log in here",
		[POLICY_EXPIRED] = "the permission has expired",
		[POLICY_HOURS] = "not at this time",
		[POLICY_SOURCE] = "not from this address",
		[POLICY_LOGIN] = "not as this login",
		[POLICY_GRANTED] = "permitted",
	};

	if ((unsigned int)reason >= POLICY_REASON_COUNT)
		return "unknown reason";
	return texts[reason];
}
