/*
 * cmd_dead_list.c - stintctl dead list
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/ctl/dead.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"
#include "lib/client/letters.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000000 };

static const char *const columns[] = {
	"letter", "died", "id", "handler", "attempt", "status", "error"};

struct list {
	json_t *rows;
	int64_t limit;
	bool has_more;
};

static int
add_row(void *arg, const struct client_letter *l, struct stint_err *err)
{
	struct list *list = arg;
	char died[DEAD_TIME_BYTES];
	json_t *row;

	if (json_array_size(list->rows) == (size_t)list->limit) {
		list->has_more = true;
		return 0;
	}
	row = json_pack("{s:s, s:s, s:o, s:o, s:I, s:o, s:o}", columns[0], l->letter_id,
		columns[1], dead_time(l->letter_id, died), columns[2],
		out_harmless(l->job_id), columns[3], out_harmless(l->handler), columns[4],
		(json_int_t)strtoll(l->attempt.p, NULL, 10), columns[5],
		out_harmless(l->status), columns[6], out_harmless(l->error));
	if (json_array_append_new(list->rows, row) < 0)
		return stint_err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int
parse_limit(const char *text, int64_t *ret)
{
	*ret = LIMIT_DEFAULT;
	if (text && units_parse_int(text, strlen(text), 1, LIMIT_MAX, ret) < 0)
		return ctl_say(EX_USAGE,
			"--limit: expected a number from 1 to %d, got \"%s\"", LIMIT_MAX,
			text);
	return 0;
}

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(json_decrefp) json_t *rows = json_array();
	struct list list = {.rows = rows};
	struct client_letters which = {.queue = o->queue, .is_newest_first = true};
	struct stint_err err = {0};
	int code;

	(void)args, (void)count;
	code = parse_limit(o->limit, &list.limit);
	if (code == 0)
		code = where_connect(o, &c);
	if (code != 0)
		return code;
	which.max_count = list.limit + 1; /* one more: to see whether there are more */
	if (client_letters_each(c, &which, add_row, &list, &err) < 0)
		return ctl_fail(&err);
	if (o->is_json)
		return out_json(rows);
	out_table(rows, columns, ARRAY_LEN(columns));
	if (list.has_more)
		ctl_say(EXIT_OK, "there are more than these %lld; see --limit",
			(long long)list.limit);
	return EXIT_OK;
}

static const char help[] =
	"Usage: stintctl dead list [OPTION]...\n"
	"\n"
	"List dead letters, the newest first: the letter's id, when it was written, the\n"
	"job's id and handler, its last attempt, and how that ended.\n"
	"\n"
	"  -q, --queue QUEUE  of which queue; default if left out\n"
	"  --limit N          so many of them; 100 if left out\n";

const struct ctl_command cmd_dead_list = {
	.name = "dead list",
	.takes = "ql",
	.min_args = 0,
	.max_args = 0,
	.help = help,
	.run = run,
};
