/*
 * Unit tests of lines of known_hosts: as OpenSSH reads them (and ssh-keygen -F,
 * asked beside us), and mistakes in them.
 */
#include "hostkey_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bastion/knownhosts.h"

static void count_line(const struct knownhosts_line *line, void *arg)
{
	(void)line;
	++*(int *)arg;
}

/* How many lines of text are about the name; -1 for a mistake. */
static int about(const char *text, const char *name, uint16_t port,
	struct knownhosts_mistake *ret)
{
	struct knownhosts_mistake mistake = {0};
	int count = 0;

	if (knownhosts_each(text, strlen(text), name, port, count_line, &count,
		    &mistake)) {
		if (ret)
			*ret = mistake;
		return -1;
	}
	return count;
}

static int one(const char *names, const char *name, uint16_t port)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s %s\n", names, key_text[0]);
	return about(line, name, port, NULL);
}

static void test_names(void **state)
{
	static const struct {
		const char *names, *name;
		uint16_t port;
		int found;
	} rows[] = {
		{"web1", "web1", 22, 1},
		{"WEB1", "web1", 22, 1},
		{"web1", "WEB1", 22, 1},
		{"web1", "web10", 22, 0},
		{"web10", "web1", 22, 0},
		{"db1,web1", "web1", 22, 1},
		{"*", "web1", 22, 1},
		{"web?", "web1", 22, 1},
		{"web?", "web", 22, 0},
		{"w*1", "web1", 22, 1},
		{"w*1*", "web1", 22, 1},
		{"*b*b*", "web1", 22, 0},
		{"*,!web1", "web1", 22, 0},
		{"!web1,*", "web1", 22, 0},
		{"!web2,*", "web1", 22, 1},
		{"!web1", "web1", 22, 0},
		{"web1,!web*", "web1", 22, 0},
		/* Another port: [name]:port, and the plain name. */
		{"[web1]:2222", "web1", 2222, 1},
		{"[web1]:2222", "web1", 22, 0},
		{"[web1]:22", "web1", 22, 0},
		{"[web1]:2222", "web1", 2223, 0},
		{"web1", "web1", 2222, 1},
		{"[web*]:*", "web1", 2222, 1},
		{"*,![web1]:2222", "web1", 2223, 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (one(rows[i].names, rows[i].name, rows[i].port) !=
			rows[i].found)
			fail_msg("%s and %s port %u", rows[i].names,
				rows[i].name, rows[i].port);
}

/* ssh-keygen -F finds the same lines. It says so with its exit status. */
static void test_as_ssh_keygen(void **state)
{
	static const char *const lists[] = {"web1", "w*", "*,!web1", "!web2,*",
		"Web1,db?", "[web1]:2222", "[w?b1]:22*", "*.example.org",
		"web1.example.org,!*.org", "a,b,c,web1", "?eb?", "[web1]:22"};
	static const char *const names[] = {"web1", "web2", "WEB1",
		"web1.example.org", "[web1]:2222", "[web1]:2223", "db1"};
	char line[1024], plain[64];
	size_t i, j;
	int ours;

	(void)state;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			uint16_t port = 22;

			snprintf(line, sizeof(line), "%s %s\n", lists[i],
				key_text[0]);
			put_file("kh", line, 0644);
			snprintf(plain, sizeof(plain), "%s", names[j]);
			if (*names[j] == '[') {
				port = (uint16_t)atoi(
					strchr(names[j], ':') + 1);
				snprintf(plain, sizeof(plain), "%.*s",
					(int)strcspn(names[j], "]") - 1,
					names[j] + 1);
			}
			ours = one(lists[i], plain, port);
			/* The plain name is ours to look for, too. */
			if (port != 22 && ours && one(lists[i], plain, 22))
				continue;
			sh("ssh-keygen -F '%s' -f kh >out; test $? = %d",
				names[j], !ours);
		}
}

static void test_hashed(void **state)
{
	char line[1024];
	size_t len;
	char *text;

	(void)state;
	snprintf(line, sizeof(line), "web1 %s\n[db1]:2222 %s\n", key_text[0],
		key_text[1]);
	put_file("hashed", line, 0644);
	sh("ssh-keygen -q -H -f hashed >out 2>&1");
	text = get_file("hashed", &len);
	assert_null(strstr(text, "web1"));
	assert_int_equal(about(text, "web1", 22, NULL), 1);
	assert_int_equal(about(text, "WEB1", 22, NULL), 1);
	assert_int_equal(about(text, "web1", 2222, NULL), 1);
	assert_int_equal(about(text, "db1", 2222, NULL), 1);
	assert_int_equal(about(text, "db1", 22, NULL), 0);
	assert_int_equal(about(text, "web2", 22, NULL), 0);
	free(text);
}

/* Line by line: what is wrong, and that it is said. %s is a good key. */
static void test_mistakes(void **state)
{
	static const char key[] = "expected names, a key type and a key";
	static const struct {
		const char *line, *text;
	} rows[] = {
		{"@cert_authority web1 %s", "expected @cert-authority, "
					    "@revoked or names"},
		{"@revoked @cert-authority * %s",
			"expected one marker on a line"},
		{"@revoked", key},
		{"web1", key},
		{"web1 ssh-ed25519", key},
		{"web1 # %s", key},
		{"web1 ssh-rsa AAAAC3NzaC1lZDI1NTE5",
			"the key is of another type than the line says"},
		{"web1 ssh-ed25519 AAAA=", "the key is not whole base64"},
		{"web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
			"the key is malformed"},
		{"web1,,web2 %s", "expected names with single commas between"},
		{",web1 %s", "expected names with single commas between"},
		{"web1, %s", "expected names with single commas between"},
		{"! %s", "expected names with single commas between"},
		{"[web1] %s", "expected [NAME]:PORT"},
		{"[web1]:,web2 %s", "expected [NAME]:PORT"},
		{"[]:22 %s", "expected [NAME]:PORT"},
		{"![web1 %s", "expected [NAME]:PORT"},
		{"|1|x|y %s", "expected |1|SALT|HASH, as ssh-keygen -H writes "
			      "it, and no other name beside it"},
		{"|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA= %s",
			"expected |1|SALT|HASH, as ssh-keygen -H writes it, "
			"and no other name beside it"},
		{"|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA="
		 ",web1 %s",
			"expected |1|SALT|HASH, as ssh-keygen -H writes it, "
			"and no other name beside it"},
		{"web1,|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|"
		 "AAAAAAAAAAAAAAAAAAAAAAAAA"
		 "AA= %s",
			"a hashed name stands alone on its line"},
		{"web1 %s\r", "expected plain lines of text (no CR, no NUL)"},
		{"web1 ssh-ed25519-cert-v01@openssh.com "
		 "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t",
			"expected a plain key, not a certificate"},
	};
	struct knownhosts_mistake mistake;
	char text[2048];
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *hole = strstr(rows[i].line, "%s");

		used = (size_t)snprintf(text, sizeof(text),
			"# a comment\n\n  \tweb9 %s more words\n", key_text[0]);
		snprintf(text + used, sizeof(text) - used, "%.*s%s%s\n",
			hole ? (int)(hole - rows[i].line)
			     : (int)strlen(rows[i].line),
			rows[i].line, hole ? key_text[0] : "",
			hole ? hole + 2 : "");
		mistake.text = NULL;
		if (about(text, NULL, 22, &mistake) != -1)
			fail_msg("taken: %s", rows[i].line);
		assert_string_equal(mistake.text, rows[i].text);
		assert_int_equal(mistake.line, 4);
	}
}

/* Kinds of keys that mean nothing here, as ssh passes them over. */
static void test_passed_over(void **state)
{
	(void)state;
	assert_int_equal(about("web1 1024 65537 1234567\n"
			       "web1 ssh-dss AAAAB3NzaC1kc3MAAAAA\n",
				 "web1", 22, NULL),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_as_ssh_keygen),
		cmocka_unit_test(test_hashed),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_passed_over),
	};

	return cmocka_run_group_tests(tests, setup, files_remove);
}
