/*
 * cmd_wait.c - stintctl wait
 */
#include <string.h>
#include <stint/clock.h>
#include "daemon/ctl/bar.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(buf_fini) struct buf result = {0};
	struct bar bar = {.id = args[0], .is_json = o->is_json};
	struct client_wait w = {
		.queue = o->queue, .id = args[0], .on_progress = bar_show, .arg = &bar};
	struct stint_err err = {0};
	int64_t timeout_ms;
	int code, r;

	(void)count;
	code = ctl_check_id(args[0]);
	if (code == 0)
		code = ctl_span("--timeout", o->timeout, &timeout_ms);
	if (code == 0)
		code = where_connect(o, &c);
	if (code != 0)
		return code;
	w.at_ms = stint_at_ms(timeout_ms);
	r = client_wait(c, &w, &result, &err);
	bar_close(&bar);
	if (r < 0)
		return ctl_fail(&err);
	return out_result(&result, args[0], o->is_json);
}

static const char help[] =
	"Usage: stintctl wait [OPTION]... ID\n"
	"\n"
	"Wait until a job has a result, then print it as \"stintctl result\" does. What\n"
	"the job tells of its progress is shown meanwhile, on standard error.\n"
	"\n"
	"  -q, --queue QUEUE  where the job is; default if left out\n"
	"  --timeout SPAN     wait no longer than this, then exit 75\n";

const struct ctl_command cmd_wait = {
	.name = "wait",
	.takes = "qt",
	.min_args = 1,
	.max_args = 1,
	.help = help,
	.run = run,
};
