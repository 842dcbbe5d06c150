/*
 * Exports of clouds: what becomes of them in the policy's language, what is
 * reported, and that no name, number or type of theirs gets further.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "topology.h"

struct result {
	struct topology topology;
	struct buf text;
	struct policy_source *source;
	struct policy *policy;
	bool read, compiled;
};

static void begin(struct result *result)
{
	memset(result, 0, sizeof(*result));
	topology_init(&result->topology);
	result->topology.quiet = true;
	buf_init(&result->text, 1 << 20);
	result->read = true;
}

static void feed(struct result *result, const char *format, const char *json)
{
	result->read = topology_read_text(&result->topology, format, "test",
			       json, strlen(json)) &&
		       result->read;
}

static void finish(struct result *result)
{
	result->compiled = topology_compile(&result->topology, &result->text,
		&result->source, &result->policy);
	buf_put_u8(&result->text, 0);
	assert_int_equal(buf_error(&result->text), SGB_OK);
}

static void done(struct result *result)
{
	policy_free(result->policy);
	policy_source_free(result->source);
	buf_done(&result->text);
	topology_done(&result->topology);
}

static bool says(const struct result *result, const char *text)
{
	return strstr((const char *)result->text.data, text) != NULL;
}

#define GROUP(id, name, rules) \
	"{\"SecurityGroupId\":\"" id "\",\"SecurityGroupName\":\"" name \
	"\",\"InnerAccessPolicy\":\"Accept\",\"Permissions\":" \
	"{\"Permission\":[" rules "]}}"
#define RULE(rest) \
	"{\"Direction\":\"ingress\",\"IpProtocol\":\"TCP\"," \
	"\"PortRange\":\"22/22\",\"Policy\":\"Accept\",\"Priority\":1," rest \
	"}"

static void test_aliyun_rules(void **state)
{
	static const struct {
		const char *rule, *expected; /* NULL: reported, not written */
		size_t lost;
	} cases[] = {
		{RULE("\"SourceCidrIp\":\"10.0.0.0/8\""),
			"accept   tcp 22 from 10.0.0.0/8 priority 1\n", 0},
		{RULE("\"SourceCidrIp\":\"10.1.2.3/8\""),
			"accept   tcp 22 from 10.0.0.0/8 priority 1\n", 0},
		{RULE("\"Ipv6SourceCidrIp\":\"2001:db8::/32\""),
			"accept   tcp 22 from 2001:db8::/32 priority 1\n", 0},
		{RULE("\"SourceGroupId\":\"sg-a\""),
			"accept   tcp 22 from A priority 1\n", 0},
		{"{\"IpProtocol\":\"all\",\"PortRange\":\"-1/-1\",\"Policy\":"
		 "\"DROP\",\"Priority\":\"100\",\"SourceCidrIp\":\"0.0.0.0/"
		 "0\"}",
			"drop     all from 0.0.0.0/0 priority 100\n", 0},
		{"{\"IpProtocol\":\"UDP\",\"PortRange\":\"53/60\",\"Policy\":"
		 "\"accept\",\"Priority\":7,\"SourceCidrIp\":\"10.0.0.1\"}",
			"accept   udp 53-60 from 10.0.0.1/32 priority 7\n", 0},
		{"{\"IpProtocol\":\"ICMP\",\"PortRange\":\"-1/-1\",\"Policy\":"
		 "\"accept\",\"SourceCidrIp\":\"10.0.0.1\"}",
			NULL, 1},
		{RULE("\"SourcePrefixListId\":\"pl-1\""), NULL, 1},
		{RULE("\"SourceGroupId\":\"sg-unknown\""), NULL, 1},
		{RULE("\"SourceCidrIp\":\"10.0.0.1\",\"NicType\":"
		      "\"internet\""),
			NULL, 1},
		{RULE("\"SourceCidrIp\":\"10.0.0.1\",\"SourcePortRange\":"
		      "\"53/53\""),
			NULL, 1},
		{RULE("\"SourceCidrIp\":\"10.0.0.1\",\"Weekdays\":\"Mon\""),
			NULL, 1},
		/* A drop that cannot be said becomes wider, never less. */
		{"{\"IpProtocol\":\"TCP\",\"PortRange\":\"22/22\",\"Policy\":"
		 "\"Drop\",\"Priority\":2,\"SourcePrefixListId\":\"pl-1\"}",
			"drop     tcp 22 from any priority 2\n", 1},
		{"{\"IpProtocol\":\"TCP\",\"PortRange\":\"22/22\",\"Policy\":"
		 "\"Drop\",\"Priority\":2,\"SourceGroupId\":\"sg-unknown\"}",
			"drop     tcp 22 from any priority 2\n", 1},
		{"{\"Direction\":\"egress\",\"IpProtocol\":\"ALL\","
		 "\"PortRange\":\"-1/-1\",\"Policy\":\"Accept\","
		 "\"DestCidrIp\":\"0.0.0.0/0\"}",
			NULL, 0},
		{"{\"Direction\":\"egress\",\"IpProtocol\":\"ALL\","
		 "\"PortRange\":\"-1/-1\",\"Policy\":\"Drop\","
		 "\"DestCidrIp\":\"0.0.0.0/0\"}",
			NULL, 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result result;
		char json[1000];

		snprintf(json, sizeof(json), GROUP("sg-a", "A", "%s"),
			cases[i].rule);
		begin(&result);
		feed(&result, "aliyun", json);
		finish(&result);
		assert_true(result.read && result.compiled);
		assert_int_equal(result.topology.lost, cases[i].lost);
		if (cases[i].expected)
			assert_true(says(&result, cases[i].expected));
		assert_int_equal(result.policy->sg_rules.count,
			cases[i].expected ? 1 : 0);
		done(&result);
	}
}

/* What no export holds is an error, and nothing is printed. */
static void test_wrong(void **state)
{
	static const char *const cases[] = {
		"",
		"[]",
		"{",
		"{}",
		"null",
		"{\"SecurityGroupId\":1}",
		"{\"SecurityGroups\":3}",
		"{\"SecurityGroups\":{\"SecurityGroup\":[3]}}",
		"{\"SecurityGroups\":{\"SecurityGroup\":[{}]}}",
		"{\"Instances\":{\"Instance\":[{\"InstanceId\":[]}]}}",
		"{\"Instances\":{\"Instance\":[{\"InstanceId\":\"i\","
		"\"SecurityGroupIds\":{\"SecurityGroupId\":[{}]}}]}}",
		"{\"Instances\":{\"Instance\":[{\"InstanceId\":\"i\","
		"\"InnerIpAddress\":{\"IpAddress\":[\"10.0.0.256\"]}}]}}",
		GROUP("sg-a", "A", "7"),
		GROUP("sg-a", "A", RULE("\"SourceCidrIp\":\"host.example\"")),
		GROUP("sg-a", "A", RULE("\"SourceCidrIp\":\"10.0.0.0/33\"")),
		GROUP("sg-a", "A", RULE("\"SourceCidrIp\":17")),
		GROUP("sg-a", "A", RULE("\"Description\":\"no source\"")),
		GROUP("sg-a", "A",
			"{\"IpProtocol\":\"TCP\",\"PortRange\":\"22/21\","
			"\"Policy\":\"Accept\",\"SourceCidrIp\":\"10.0.0.1\"}"),
		GROUP("sg-a", "A",
			"{\"IpProtocol\":\"TCP\",\"PortRange\":\"22/65536\","
			"\"Policy\":\"Accept\",\"SourceCidrIp\":\"10.0.0.1\"}"),
		GROUP("sg-a", "A",
			"{\"IpProtocol\":\"TCP\",\"PortRange\":\"22/22 \","
			"\"Policy\":\"Accept\",\"SourceCidrIp\":\"10.0.0.1\"}"),
		GROUP("sg-a", "A",
			"{\"IpProtocol\":\"TCP\",\"PortRange\":\"22/22\","
			"\"Policy\":\"Allow\",\"SourceCidrIp\":\"10.0.0.1\"}"),
		GROUP("sg-a", "A",
			"{\"IpProtocol\":\"TCP\",\"PortRange\":\"22/22\","
			"\"Policy\":\"Accept\",\"Priority\":101,"
			"\"SourceCidrIp\":\"10.0.0.1\"}"),
		GROUP("sg-a", "A",
			"{\"IpProtocol\":\"TCP\",\"IpProtocol\":\"UDP\"}"),
		"{\"SecurityGroups\":[{\"GroupId\":\"sg-1\"},"
		"{\"GroupId\":\"sg-1\"}]}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result result;

		begin(&result);
		feed(&result, NULL, cases[i]);
		assert_false(result.read);
		assert_true(result.topology.errors > 0);
		done(&result);
	}
}

static void test_names(void **state)
{
	struct result result;

	(void)state;
	begin(&result);
	feed(&result, "aliyun", GROUP("sg-a", "any", ""));
	feed(&result, "aliyun", GROUP("sg-b", "web", ""));
	feed(&result, "aliyun", GROUP("sg-c", "web", ""));
	feed(&result, "aliyun", GROUP("sg-d", "10.0.0.1", ""));
	feed(&result, "aliyun",
		GROUP("sg-e", "a\\\"; }\\npermit any from any to any", ""));
	feed(&result, "aliyun", GROUP("\\u0007", "\\u7f51\\u7ad9", ""));
	finish(&result);
	assert_true(result.read && result.compiled);
	assert_int_equal(result.topology.notes, 5);
	assert_int_equal(result.policy->sgs.count, 6);
	assert_int_equal(result.policy->rules.count, 0);
	assert_true(says(&result, "security-group sg-a {\n"));
	assert_true(says(&result, "security-group web {\n"));
	assert_true(says(&result, "security-group sg-c {\n"));
	assert_true(says(&result, "security-group sg-d {\n"));
	assert_true(says(
		&result, "security-group a_permit_any_from_any_to_any {\n"));
	assert_true(says(&result, "\\u{a}permit any from any to any\n"));
	assert_true(says(&result, "# \\u{7} \xe7\xbd\x91\xe7\xab\x99\n"));
	done(&result);
}

static void test_pages(void **state)
{
	struct result result;

	(void)state;
	begin(&result);
	feed(&result, "aliyun",
		"{\"TotalCount\":2,\"SecurityGroups\":{\"SecurityGroup\":"
		"[{\"SecurityGroupId\":\"sg-a\",\"SecurityGroupName\":\"A\"}]}"
		"}");
	feed(&result, "aliyun", GROUP("sg-a", "A", ""));
	finish(&result);
	assert_true(result.compiled);
	assert_int_equal(result.topology.lost, 1);
	done(&result);
}

/* Enterprise groups are isolated unless they say that they are not; Amazon's
 * always are. */
static void test_inner(void **state)
{
	static const struct {
		const char *json;
		bool isolated;
	} cases[] = {
		{"{\"SecurityGroupId\":\"sg-a\",\"SecurityGroupType\":"
		 "\"enterprise\"}",
			true},
		{"{\"SecurityGroupId\":\"sg-a\",\"SecurityGroupType\":"
		 "\"normal\"}",
			false},
		{"{\"SecurityGroupId\":\"sg-a\",\"SecurityGroupType\":"
		 "\"enterprise\",\"InnerAccessPolicy\":\"Accept\"}",
			false},
		{"{\"SecurityGroupId\":\"sg-a\",\"InnerAccessPolicy\":"
		 "\"drop\"}",
			true},
		{"{\"SecurityGroups\":[{\"GroupId\":\"sg-a\"}]}", true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct result result;

		begin(&result);
		feed(&result, NULL, cases[i].json);
		finish(&result);
		assert_true(result.compiled);
		assert_int_equal(result.policy->sgs.count, 1);
		assert_int_equal(
			result.policy->sgs.at[0].isolated, cases[i].isolated);
		done(&result);
	}
}

static void test_aws(void **state)
{
	struct result result;

	(void)state;
	begin(&result);
	feed(&result, "aws",
		"{\"SecurityGroups\":[{\"GroupId\":\"sg-1\",\"GroupName\":"
		"\"web\",\"IpPermissions\":[{\"IpProtocol\":\"tcp\","
		"\"FromPort\":0,\"ToPort\":23,\"IpRanges\":[{\"CidrIp\":"
		"\"10.0.0.0/8\"}],\"Ipv6Ranges\":[{\"CidrIpv6\":\"::/0\"}],"
		"\"UserIdGroupPairs\":[{\"GroupId\":\"sg-1\"}]},"
		"{\"IpProtocol\":\"-1\",\"UserIdGroupPairs\":[{\"GroupId\":"
		"\"sg-2\"}],\"PrefixListIds\":[{\"PrefixListId\":\"pl\"}]}],"
		"\"IpPermissionsEgress\":[],\"Tags\":[{\"Key\":\"zone\","
		"\"Value\":\"production\"}]}]}");
	feed(&result, "aws",
		"{\"Reservations\":[{\"Instances\":[{\"InstanceId\":\"i-1\","
		"\"Platform\":\"windows\",\"PrivateIpAddress\":\"10.0.0.9\","
		"\"SecurityGroups\":[{\"GroupId\":\"sg-1\"}],\"Tags\":"
		"[{\"Key\":\"Name\",\"Value\":\"win1\"}]}]}]}");
	finish(&result);
	assert_true(result.read && result.compiled);
	/* Another account's group, a prefix list, nothing may go out. */
	assert_int_equal(result.topology.lost, 3);
	assert_int_equal(result.policy->sg_rules.count, 3);
	assert_true(says(&result, "accept   tcp 1-23 from 10.0.0.0/8"));
	assert_true(says(&result, "accept   tcp 1-23 from ::/0"));
	assert_true(says(&result, "accept   tcp 1-23 from web"));
	assert_true(says(&result, "zone     production\n"));
	assert_true(says(&result, "instance win1 10.0.0.9 { port 3389 }\n"));
	done(&result);
}

/* Two networks of one account may use an address twice; a bastion cannot. */
static void test_twins(void **state)
{
	struct result result;

	(void)state;
	begin(&result);
	feed(&result, "aliyun", GROUP("sg-a", "A", ""));
	feed(&result, "aliyun",
		"{\"Instances\":{\"Instance\":["
		"{\"InstanceId\":\"i-1\",\"SecurityGroupIds\":{"
		"\"SecurityGroupId\":[\"sg-a\",\"sg-a\"]},\"InnerIpAddress\":{"
		"\"IpAddress\":[\"10.0.0.9\",\"169.254.1.1\"]}},"
		"{\"InstanceId\":\"i-2\",\"SecurityGroupIds\":{"
		"\"SecurityGroupId\":[\"sg-a\"]},\"InnerIpAddress\":{"
		"\"IpAddress\":[\"10.0.0.9\"]}}]}}");
	finish(&result);
	assert_true(result.compiled);
	assert_int_equal(result.policy->nodes.count, 1);
	/* The metadata address; the twin, which is then without any. */
	assert_int_equal(result.topology.lost, 3);
	done(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aliyun_rules),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_inner),
		cmocka_unit_test(test_aws),
		cmocka_unit_test(test_twins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
