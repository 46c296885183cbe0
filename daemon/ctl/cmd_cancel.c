/*
 * cmd_cancel.c - stintctl cancel
 */
#include <stdio.h>
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"
#include "lib/client/admin.h"

static int
tell_json(const struct ctl_opts *o, const char *id, enum client_job_state state)
{
	cleanup(json_decrefp) json_t *doc = json_pack("{s:s, s:s, s:s, s:b}", "id", id,
		"queue", o->queue, "state", client_job_state_name(state), "requested",
		state != CLIENT_JOB_FINISHED);
	const int code = out_json(doc);

	return code == EXIT_OK && state == CLIENT_JOB_FINISHED ? EXIT_NONE : code;
}

/* Where it was; of a running job also how far it had come, if it told. */
static void
tell_text(const char *id, enum client_job_state state, const struct progress *progress)
{
	printf("%s: cancel requested, it was %s", id, client_job_state_name(state));
	if (state == CLIENT_JOB_RUNNING && progress)
		printf(", %d%%%s%s", progress->percent, *progress->note ? ": " : "",
			progress->note);
	putchar('\n');
}

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	enum client_job_state state;
	struct stint_err err = {0}, unknown = {0};
	const char *id = args[0];
	struct progress progress;
	bool has_told;
	int code;

	(void)count;
	code = ctl_check_id(id);
	if (code == 0)
		code = where_connect(o, &c);
	if (code != 0)
		return code;
	/* before: a daemon may be so quick that it is gone after */
	has_told =
		!o->is_json && client_progress(c, o->queue, id, &progress, &unknown) == 0;
	if (client_cancel(c, o->queue, id, &state, &err) < 0)
		return ctl_fail(&err);
	if (o->is_json)
		return tell_json(o, id, state);
	if (state == CLIENT_JOB_FINISHED)
		return ctl_say(
			EXIT_NONE, "%s has finished, there is nothing to cancel", id);
	if (state == CLIENT_JOB_UNKNOWN)
		printf("%s: cancel requested; not found, unless it has an id of its own "
		       "and no daemon has read it yet\n",
			id);
	else
		tell_text(id, state, has_told ? &progress : NULL);
	return EXIT_OK;
}

static const char help[] =
	"Usage: stintctl cancel [OPTION]... ID\n"
	"\n"
	"Ask the daemons to cancel a job, and print where it was: waiting, running,\n"
	"delayed, retrying, or unknown. They do so within moments, and its result is\n"
	"then \"cancelled\"; \"stintctl wait ID\" waits for it. One under an id of its "
	"own\n"
	"that no daemon has read yet is unknown, too: it is cancelled when its turn\n"
	"comes. Exit 3 if it has finished.\n"
	"\n"
	"  -q, --queue QUEUE  where the job is; default if left out\n";

const struct ctl_command cmd_cancel = {
	.name = "cancel",
	.takes = "q",
	.min_args = 1,
	.max_args = 1,
	.help = help,
	.run = run,
};
