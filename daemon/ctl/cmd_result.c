/*
 * cmd_result.c - stintctl result
 */
#include <errno.h>
#include <string.h>
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"

/* There is no result: say how far the job has come, if it tells. */
static int
fail(struct client *c, const struct ctl_opts *o, const char *id,
	const struct stint_err *why)
{
	struct stint_err err = {0};
	struct progress progress;

	if (why->code != -ENOENT || client_progress(c, o->queue, id, &progress, &err) < 0)
		return ctl_fail(why);
	return ctl_say(EXIT_NONE, "no result for %s yet, it runs: %d%%%s%s", id,
		progress.percent, *progress.note ? ": " : "", progress.note);
}

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(buf_fini) struct buf result = {0};
	struct stint_err err = {0};
	int code;

	(void)count;
	code = ctl_check_id(args[0]);
	if (code == 0)
		code = where_connect(o, &c);
	if (code != 0)
		return code;
	if (client_result(c, o->queue, args[0], &result, &err) < 0)
		return fail(c, o, args[0], &err);
	return out_result(&result, args[0], o->is_json);
}

static const char help[] =
	"Usage: stintctl result [OPTION]... ID\n"
	"\n"
	"Print the result of a job: its output as it is; of a failure also error and\n"
	"standard error, on standard error, then exit 1. Exit 3 if there is no result:\n"
	"the job is unknown, queued, delayed or running (then how far it has come, if\n"
	"it tells), or its result has expired.\n"
	"With --json, print the result as it is stored.\n"
	"\n"
	"  -q, --queue QUEUE  where the job is; default if left out\n";

const struct ctl_command cmd_result = {
	.name = "result",
	.takes = "q",
	.min_args = 1,
	.max_args = 1,
	.help = help,
	.run = run,
};
