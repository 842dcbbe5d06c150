/*
 * sgbridge topology show --svg: the security groups as a picture, without
 * another program to draw it. Where connections come from stands in the first
 * column, the bastion in the second, every group to the right of those that
 * reach it. Each arrow ends on a line of its own, with its label beside it, so
 * that no two labels meet. All texts are escaped, also those that no policy
 * could hold today.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX	  (64u * 1024 * 1024)
#define WIDTH	  200 /* of a box */
#define GAP	  260 /* between columns */
#define MARGIN	  24
#define LINE	  16
#define LIST_MAX  40 /* instances named in a box */
#define LABEL_MAX 40 /* bytes of an arrow's label */

struct box {
	uint32_t sg;	  /* or POLICY_NONE: a source */
	const char *name; /* borrowed */
	unsigned int column;
	uint64_t weight; /* mean number of what reaches it, for the order */
	unsigned int left, right; /* arrows that end on either side */
	unsigned int next_left, next_right, next_out;
	unsigned int x, y, height;
};

struct arrow {
	uint32_t from, to; /* boxes */
	bool drop;
	char label[LABEL_MAX + 8];
};

struct picture {
	const struct policy *policy;
	VEC(struct box) boxes; /* groups first, by their number */
	VEC(struct arrow) arrows;
	struct policy memory; /* for vec_add alone */
	unsigned int columns, height;
};

/* ---- what is drawn ---- */

/* The box of a source that is no group, made if need be. Sources are few in
 * number beside rules, and each is looked up by its symbol once made. */
static uint32_t source_box(
	struct picture *picture, uint32_t *by_symbol, uint32_t sym)
{
	/* The last place is that of `any`. */
	uint32_t *slot =
		&by_symbol[sym == POLICY_NONE ? picture->policy->symbols.count
					      : sym];
	struct box *box;

	if (*slot)
		return *slot - 1;
	box = vec_add(&picture->memory, &picture->boxes);
	box->sg = POLICY_NONE;
	box->name = sym == POLICY_NONE
			    ? "any"
			    : policy_symbol_text(picture->policy, sym);
	*slot = picture->boxes.count;
	return *slot - 1;
}

static void rule_label(const struct policy *policy,
	const struct policy_sg_rule *rule, char *ret)
{
	static const char *const protos[] = {"all", "tcp ", "udp "};
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_printf(&text, "%s", protos[rule->proto]);
	if (rule->proto != PROTO_ALL)
		topology_text_ports(policy, rule, &text);
	buf_put_u8(&text, 0);
	snprintf(ret, LABEL_MAX + 1, "%s",
		buf_error(&text) ? "?" : (const char *)text.data);
	if (!buf_error(&text) && text.len > LABEL_MAX + 1)
		strcpy(ret + LABEL_MAX - 3, "...");
	buf_done(&text);
}

static void add_arrow(struct picture *picture, uint32_t from, uint32_t to,
	const struct policy_sg_rule *rule)
{
	struct arrow *arrow = vec_add(&picture->memory, &picture->arrows);

	arrow->from = from;
	arrow->to = to;
	arrow->drop = rule->drop;
	rule_label(picture->policy, rule, arrow->label);
}

static bool collect(struct picture *picture)
{
	const struct policy *policy = picture->policy;
	uint32_t *by_symbol = calloc(
		policy->symbols.count + 1u, sizeof(*by_symbol));
	uint32_t i, j;

	if (!by_symbol)
		return false;
	for (i = 0; i < policy->sgs.count; i++) {
		struct box *box = vec_add(&picture->memory, &picture->boxes);

		box->sg = i;
		box->name = policy_symbol_text(policy, policy->sgs.at[i].sym);
	}
	for (i = 0; i < policy->sg_rules.count; i++) {
		const struct policy_sg_rule *rule = &policy->sg_rules.at[i];

		for (j = 0; j < rule->from.count; j++) {
			const struct policy_elem *elem =
				&policy->elems.at[rule->from.first + j];
			uint32_t sym = elem->kind == ELEM_ANY ? POLICY_NONE
							      : elem->sym;
			uint32_t sg = policy_named(policy, sym, NAME_SG);

			add_arrow(picture,
				sg != POLICY_NONE
					? sg
					: source_box(picture, by_symbol, sym),
				rule->sg, rule);
		}
	}
	free(by_symbol);
	return !picture->memory.failed;
}

/* ---- where it is drawn ---- */

/* To the right of all that reaches it; one round at a time instead of a
 * recursion that an export could make deep. Groups that reach each other in a
 * circle stop at the last column. */
#define COLUMNS_MAX 8

static void choose_columns(struct picture *picture)
{
	const struct policy *policy = picture->policy;
	unsigned int round;
	uint32_t i;

	for (i = 0; i < picture->boxes.count; i++)
		picture->boxes.at[i].column = picture->boxes.at[i].sg !=
					      POLICY_NONE;
	for (round = 2; round < COLUMNS_MAX; round++)
		for (i = 0; i < picture->arrows.count; i++) {
			struct box *to =
				&picture->boxes.at[picture->arrows.at[i].to];
			const struct box *from =
				&picture->boxes.at[picture->arrows.at[i].from];

			if (from->column == round - 1 && from != to &&
				!topology_is_bastion(policy, to->sg) &&
				to->column < round)
				to->column = round;
		}
	for (i = 0; i < picture->boxes.count; i++)
		if (picture->boxes.at[i].column >= picture->columns)
			picture->columns = picture->boxes.at[i].column + 1;
}

static bool goes_right(const struct picture *picture, const struct arrow *arrow)
{
	return picture->boxes.at[arrow->from].column <
	       picture->boxes.at[arrow->to].column;
}

static uint32_t member_count(const struct policy *policy, uint32_t sg)
{
	uint32_t i, count = 0;

	for (i = 0; i < policy->nodes.count; i++)
		count += topology_in_group(policy, &policy->nodes.at[i], sg);
	return count;
}

static void choose_heights(struct picture *picture)
{
	uint32_t i;

	for (i = 0; i < picture->arrows.count; i++) {
		const struct arrow *arrow = &picture->arrows.at[i];
		struct box *to = &picture->boxes.at[arrow->to];

		if (goes_right(picture, arrow))
			to->left++;
		else
			to->right++;
	}
	for (i = 0; i < picture->boxes.count; i++) {
		struct box *box = &picture->boxes.at[i];
		uint32_t lines = box->sg == POLICY_NONE
					 ? 0
					 : member_count(
						   picture->policy, box->sg);
		unsigned int ends = box->left > box->right ? box->left
							   : box->right;

		lines = lines > LIST_MAX ? LIST_MAX + 1 : lines;
		lines = lines > ends ? lines : ends;
		box->height = LINE * (lines + 2);
	}
}

static int place_order(const void *a, const void *b)
{
	const struct box *x = *(const struct box *const *)a;
	const struct box *y = *(const struct box *const *)b;

	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight < y->weight ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Below each other, in the order of what they are reached from. */
static bool choose_places(struct picture *picture)
{
	uint32_t count = picture->boxes.count;
	struct box **order = calloc(count + 1u, sizeof(struct box *));
	unsigned int y = MARGIN;
	uint32_t i;

	if (!order)
		return false;
	for (i = 0; i < count; i++)
		order[i] = &picture->boxes.at[i];
	for (i = 0; i < picture->arrows.count; i++)
		if (goes_right(picture, &picture->arrows.at[i]))
			picture->boxes.at[picture->arrows.at[i].to].weight +=
				picture->arrows.at[i].from;
	for (i = 0; i < count; i++)
		if (order[i]->left)
			order[i]->weight /= order[i]->left;
	qsort(order, count, sizeof(struct box *), place_order);
	for (i = 0; i < count; i++) {
		if (i && order[i]->column != order[i - 1]->column)
			y = MARGIN;
		order[i]->x = MARGIN + order[i]->column * (WIDTH + GAP);
		order[i]->y = y;
		y += order[i]->height + LINE;
		picture->height = y > picture->height ? y : picture->height;
	}
	free(order);
	return true;
}

/* ---- drawing ---- */

static void put_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c >= 0x7f)
			buf_put_u8(out, '?');
		else if (strchr("<>&\"'", c))
			buf_printf(out, "&#%u;", c);
		else
			buf_put_u8(out, c);
	}
}

static void put_line(struct buf *out, unsigned int x, unsigned int y,
	const char *class, const char *text)
{
	buf_printf(out, "<text x=\"%u\" y=\"%u\"%s%s%s>", x, y,
		*class ? " class=\"" : "", class, *class ? "\"" : "");
	put_text(out, text);
	buf_printf(out, "</text>\n");
}

static void put_members(
	struct buf *out, const struct policy *policy, const struct box *box)
{
	uint32_t i, count = 0;
	char more[40], name[2 * POLICY_MAX_NAME + 8];

	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		if (!topology_in_group(policy, node, box->sg))
			continue;
		snprintf(name, sizeof(name), "%s%s%s",
			policy_symbol_text(policy, node->sym),
			node->via == POLICY_NONE ? "" : " via ",
			topology_text_via(policy, node));
		if (count++ < LIST_MAX)
			put_line(out, box->x + 10,
				box->y + LINE * (count + 1) + 10, "", name);
	}
	if (count <= LIST_MAX)
		return;
	snprintf(more, sizeof(more), "and %u more", count - LIST_MAX);
	put_line(out, box->x + 10, box->y + LINE * (LIST_MAX + 2) + 10, "",
		more);
}

static void put_box(
	struct buf *out, const struct policy *policy, const struct box *box)
{
	bool group = box->sg != POLICY_NONE;
	uint32_t zone = group ? policy->sgs.at[box->sg].zone : POLICY_NONE;

	buf_printf(out,
		"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"4\" "
		"class=\"%s\"/>\n",
		box->x, box->y, WIDTH, box->height,
		!group				       ? "from"
		: topology_is_bastion(policy, box->sg) ? "bastion"
		: zone != POLICY_NONE		       ? "zone"
						       : "group");
	put_line(out, box->x + 10, box->y + LINE + 2, "name", box->name);
	if (zone != POLICY_NONE)
		put_line(out, box->x + WIDTH - 8, box->y + LINE + 2, "in",
			policy_symbol_text(policy, zone));
	if (group)
		put_members(out, policy, box);
}

/* Where an arrow begins is shared out over the box; where it ends is a line
 * of its own. */
static void put_arrow(
	struct buf *out, struct picture *picture, const struct arrow *arrow)
{
	struct box *from = &picture->boxes.at[arrow->from];
	struct box *to = &picture->boxes.at[arrow->to];
	bool right = goes_right(picture, arrow);
	unsigned int slot = right ? to->next_left++ : to->next_right++;
	unsigned int x1 = from->x + WIDTH;
	unsigned int y1 = from->y + LINE +
			  from->next_out++ * 5 % (from->height - LINE);
	unsigned int x2 = right ? to->x : to->x + WIDTH;
	unsigned int y2 = to->y + LINE * (slot + 1) + 8;
	unsigned int bend = right ? x2 - 120 : x2 + 120;

	buf_printf(out,
		"<path d=\"M%u %u C%u %u %u %u %u %u\" class=\"%s\" "
		"marker-end=\"url(#%s)\"/>\n",
		x1, y1, x1 + 100, y1, bend, y2, x2, y2,
		arrow->drop ? "drop" : "accept", arrow->drop ? "stop" : "go");
	put_line(out, right ? x2 - 10 : x2 + 12, y2 - 4, right ? "to" : "back",
		arrow->label);
}

static void put_picture(struct buf *out, struct picture *picture)
{
	unsigned int width = 2 * MARGIN + picture->columns * (WIDTH + GAP);
	uint32_t i;

	buf_printf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
		"height=\"%u\" viewBox=\"0 0 %u %u\" role=\"img\">\n"
		"<title>Security groups</title>\n<style>\n"
		"text{font:12px sans-serif;fill:#222}"
		".name{font-weight:bold}.in,.to{text-anchor:end}"
		".to,.back{font-size:11px;fill:#555}\n"
		"rect{fill:#fff;stroke:#444}.from{fill:#eef3f8}"
		".zone{fill:#fff3e0}.bastion{fill:#e6f4ea;stroke-width:2}\n"
		"path{fill:none;stroke:#2b6cb0}"
		".drop{stroke:#c53030;stroke-dasharray:5 4}"
		"marker path{stroke:none;fill:#2b6cb0}#stop path{fill:#c53030}"
		"\n</style>\n<defs>\n",
		width, picture->height + MARGIN, width,
		picture->height + MARGIN);
	for (i = 0; i < 2; i++)
		buf_printf(out,
			"<marker id=\"%s\" viewBox=\"0 0 8 8\" refX=\"8\" "
			"refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" "
			"orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/>"
			"</marker>\n",
			i ? "stop" : "go");
	buf_printf(out, "</defs>\n<rect width=\"100%%\" height=\"100%%\" "
			"style=\"stroke:none\"/>\n");
	for (i = 0; i < picture->arrows.count; i++)
		put_arrow(out, picture, &picture->arrows.at[i]);
	for (i = 0; i < picture->boxes.count; i++)
		put_box(out, picture->policy, &picture->boxes.at[i]);
	buf_printf(out, "</svg>\n");
}

int topology_svg(const struct policy *policy)
{
	struct picture picture = {.policy = policy};
	int status = CLI_ERROR;
	struct buf out;

	buf_init(&out, OUT_MAX);
	if (!collect(&picture)) {
		cli_fail("out of memory");
	} else {
		choose_columns(&picture);
		choose_heights(&picture);
		if (choose_places(&picture)) {
			put_picture(&out, &picture);
			cli_print(&out);
			status = buf_error(&out) ? CLI_ERROR : CLI_YES;
		}
	}
	free(picture.boxes.at);
	free(picture.arrows.at);
	buf_done(&out);
	return status;
}
