/*
 * sgbridge topology: brings the security groups of a cloud into the policy's
 * language, shows and checks what a policy declares, and says where a fresh
 * export differs from it. Reads files that the administrator names; changes
 * nothing, and never talks to a cloud.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>

#include "core/event.h"

#define OUT_MAX (64u * 1024 * 1024)

static bool read_all(
	struct topology *topology, const char *format, int count, char **paths)
{
	int i;

	if (count > TOPOLOGY_MAX_FILES) {
		cli_fail("more than %d files", TOPOLOGY_MAX_FILES);
		return false;
	}
	for (i = 0; i < count; i++)
		(void)topology_read_file(topology, format, paths[i]);
	if (topology->failed)
		cli_fail("out of memory, or too many things in one file");
	return !topology->failed && !topology->errors;
}

bool topology_read_policy(struct topology *topology, const char *format,
	int count, char **paths, struct buf *text,
	struct policy_source **source, struct policy **policy)
{
	return read_all(topology, format, count, paths) &&
	       topology_compile(topology, text, source, policy) &&
	       !topology->errors;
}

static void print_import(struct cli *cli, const struct topology *topology,
	const struct buf *text)
{
	struct buf out;

	if (!cli->json) {
		cli_print(text);
		return;
	}
	buf_init(&out, 4 * OUT_MAX);
	buf_printf(&out, "{\"unexpressed\":%zu,\"policy\":", topology->lost);
	json_put_string(
		&out, text->len ? (const char *)text->data : "", text->len);
	buf_printf(&out, "}\n");
	cli_print(&out);
	buf_done(&out);
}

static int import(struct cli *cli)
{
	const char *format = cli->argc > 1 ? cli->argv[1] : "";
	struct topology topology;
	struct buf text;
	int status = CLI_ERROR;

	if (cli->argc < 3 ||
		(strcmp(format, "aliyun") && strcmp(format, "aws")))
		return cli_fail(
			"usage: sgbridge topology import aliyun|aws FILES...");
	topology_init(&topology);
	buf_init(&text, OUT_MAX);
	if (topology_read_policy(&topology, format, cli->argc - 2,
		    cli->argv + 2, &text, &cli->source, &cli->policy)) {
		print_import(cli, &topology, &text);
		status = topology.lost ? CLI_NO : CLI_YES;
	}
	if (topology.lost || topology.errors)
		cli_fail("%zu not expressed, %zu errors", topology.lost,
			topology.errors);
	buf_done(&text);
	topology_done(&topology);
	return status;
}

static const struct {
	const char *name;
	int (*run)(struct cli *cli);
	const char *takes;
} verbs[] = {
	{"topology import", import, ""},
	{"topology show", topology_show, "dot svg "},
	{"topology check", topology_check, ""},
	{"topology drift", topology_drift, ""},
	{"topology reach", topology_reach, ""},
	{"topology nftables", topology_nftables, "for diff "},
	{"topology apply", topology_apply, "dry-run confirm-within for "},
	{"topology confirm", topology_confirm, ""},
	{"topology restore", topology_restore, "confirm-within "},
};

int cmd_topology(struct cli *cli)
{
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(strchr(verbs[i].name, ' ') + 1, cli->argv[0]))
			return cli_takes(cli, verbs[i].name, verbs[i].takes)
				       ? verbs[i].run(cli)
				       : CLI_ERROR;
	return cli_fail("unknown command \"topology %s\": sgbridge topology "
			"--help lists them",
		cli->argv[0]);
}
