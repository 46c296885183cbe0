/*
 * cmd_pause.c - stintctl pause, stintctl resume
 */
#include <stdio.h>
#include "daemon/ctl/all_queues.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"

/* Each is told as soon as it is done: should the next one fail, people know. */
static int
pause_one(struct client *c, const struct ctl_opts *o, const char *queue, size_t index,
	bool is_paused)
{
	cleanup(json_decrefp) json_t *row = NULL;
	struct stint_err err = {0};

	if (client_pause(c, queue, is_paused, &err) < 0)
		return ctl_fail(&err);
	if (!o->is_json) {
		printf("%s: %s\n", queue, is_paused ? "paused" : "resumed");
		return EXIT_OK;
	}
	row = json_pack("{s:s, s:b}", "queue", queue, "paused", is_paused);
	return out_row(row, index);
}

static int
pause_queues(const struct ctl_opts *o, bool is_paused)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(client_names_fini) struct client_names all = {0};
	const char *const *queues = o->queue_count > 0 ? o->queues : &o->queue;
	size_t count = o->queue_count > 0 ? o->queue_count : 1, done = 0;
	int code;

	if (o->is_all && o->queue_count > 0)
		return ctl_say(EX_USAGE, "expected only one of --queue and --all");
	code = where_connect(o, &c);
	if (code != 0)
		return code;
	if (o->is_all) {
		code = all_queues(o, c, &all);
		queues = (const char *const *)all.names;
		count = all.count;
	}
	while (code == 0 && done < count) {
		code = pause_one(c, o, queues[done], done, is_paused);
		done += code == 0;
	}
	if (o->is_json)
		out_rows_end(done);
	return code;
}

static int
run_pause(const struct ctl_opts *o, char **args, int count)
{
	(void)args, (void)count;
	return pause_queues(o, true);
}

static int
run_resume(const struct ctl_opts *o, char **args, int count)
{
	(void)args, (void)count;
	return pause_queues(o, false);
}

#define HELP_OPTIONS                                                                     \
	"\n"                                                                             \
	"  -q, --queue QUEUE  which; may be given several times; default if left out\n"  \
	"  --all              the queues of the configuration, if one is used, and\n"    \
	"                     those that have had jobs\n"

static const char help_pause[] =
	"Usage: stintctl pause [OPTION]...\n"
	"\n"
	"Stop all daemons from fetching jobs from a queue, also daemons that start\n"
	"later. Jobs that run go on; new ones wait.\n" HELP_OPTIONS;

static const char help_resume[] =
	"Usage: stintctl resume [OPTION]...\n"
	"\n"
	"Let the daemons fetch jobs again from a queue that was paused.\n" HELP_OPTIONS;

const struct ctl_command cmd_pause = {
	.name = "pause",
	.takes = "qa",
	.min_args = 0,
	.max_args = 0,
	.help = help_pause,
	.run = run_pause,
};

const struct ctl_command cmd_resume = {
	.name = "resume",
	.takes = "qa",
	.min_args = 0,
	.max_args = 0,
	.help = help_resume,
	.run = run_resume,
};
