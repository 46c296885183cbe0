/*
 * cmd_queues.c - stintctl queues
 */
#include <errno.h>
#include <string.h>
#include "daemon/ctl/all_queues.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"

static const char *const columns[] = {"queue", "waiting", "running", "delayed", "dead",
	"dead_lost", "consumers", "paused"};

static int
add_row(struct client *c, json_t *rows, const char *queue, struct stint_err *err)
{
	struct client_queue_stats s;
	const int r = client_queue_stats(c, queue, &s, err);

	if (r < 0)
		return r;
	if (json_array_append_new(rows,
		    json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", columns[0],
			    queue, columns[1], (json_int_t)s.waiting_count, columns[2],
			    (json_int_t)s.running_count, columns[3],
			    (json_int_t)s.delayed_count, columns[4],
			    (json_int_t)s.dead_count, columns[5],
			    (json_int_t)s.dead_lost_count, columns[6],
			    (json_int_t)s.consumer_count, columns[7], s.is_paused)) < 0)
		return stint_err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(client_names_fini) struct client_names queues = {0};
	cleanup(json_decrefp) json_t *rows = json_array();
	struct stint_err err = {0};
	int code, r = 0;

	(void)args, (void)count;
	code = where_connect(o, &c);
	if (code == 0)
		code = all_queues(o, c, &queues);
	if (code != 0)
		return code;
	for (size_t i = 0; r == 0 && i < queues.count; i++)
		r = add_row(c, rows, queues.names[i], &err);
	if (r < 0)
		return ctl_fail(&err);
	if (o->is_json)
		return out_json(rows);
	out_table(rows, columns, ARRAY_LEN(columns));
	return EXIT_OK;
}

static const char help[] =
	"Usage: stintctl queues [OPTION]...\n"
	"\n"
	"List the queues of the configuration, if one is used, and those that have had\n"
	"jobs: how many jobs wait, run, are delayed (retries, too) and are dead "
	"letters,\n"
	"how many dead letters had to go for newer ones, how many consumers (daemons)\n"
	"read from the queue, and whether it is paused.\n";

const struct ctl_command cmd_queues = {
	.name = "queues",
	.takes = "",
	.min_args = 0,
	.max_args = 0,
	.help = help,
	.run = run,
};
