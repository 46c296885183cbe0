/*
 * cmd_submit.c - stintctl submit
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/ctl/bar.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/payload.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"

static int
check(const struct ctl_opts *o, const struct client_job *job)
{
	struct stint_err err = {0};

	if (!keys_is_queue_name(job->handler, strlen(job->handler)))
		return ctl_say(EX_USAGE,
			"HANDLER: expected 1 to %d of A-Za-z0-9_.-, got \"%s\"",
			JOB_NAME_MAX, job->handler);
	if (o->wait_timeout && !o->is_waiting)
		return ctl_say(EX_USAGE, "--wait-timeout goes with --wait");
	return client_job_check(job, &err) < 0 ? ctl_fail(&err) : 0;
}

static int
add(struct client *c, const struct client_job *job, char **ret_id)
{
	struct stint_err err = {0};
	const int r = client_submit(c, job, ret_id, &err);

	if (r == -EIO)
		stint_err_wrap(&err, r, "the job may or may not have been added");
	return r < 0 ? ctl_fail(&err) : 0;
}

static int
submit(struct client *c, const struct ctl_opts *o, const struct client_job *job)
{
	cleanup(json_decrefp) json_t *doc = NULL;
	cleanup(freep) char *id = NULL;
	const int code = add(c, job, &id);

	if (code != 0)
		return code;
	if (o->is_json) {
		doc = json_pack("{s:s, s:s}", "id", id, "queue", o->queue);
		return out_json(doc);
	}
	puts(id);
	return EXIT_OK;
}

/* ---- waiting ---- */

static char parting[2 * JOB_NAME_MAX + JOB_ID_MAX + 80];

static void
on_interrupt(int number)
{
	const ssize_t told = write(STDERR_FILENO, parting, strlen(parting));

	(void)told;
	raise(number); /* by SA_RESETHAND the end of us, once this returns */
}

/* Who interrupts the wait has not seen the id yet, and the job goes on. */
static void
tell_id_on_interrupt(const char *queue, const char *id)
{
	const struct sigaction action = {
		.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};

	snprintf(parting, sizeof parting,
		"%sstintctl: the job goes on; stintctl wait --queue %s %s\n",
		isatty(STDERR_FILENO) ? "\n" : "", queue, id);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int
wait_for(struct client *c, const struct ctl_opts *o, struct client_wait *w)
{
	cleanup(buf_fini) struct buf result = {0};
	struct bar bar = {.id = w->id, .is_json = o->is_json};
	struct stint_err err = {0};
	int r;

	w->on_progress = bar_show;
	w->arg = &bar;
	r = client_wait(c, w, &result, &err);
	bar_close(&bar);
	if (r < 0 && r != -ETIMEDOUT)
		stint_err_wrap(&err, r, "waiting for %s, which is submitted", w->id);
	return r < 0 ? ctl_fail(&err) : out_result(&result, w->id, o->is_json);
}

/* A stream that was named to us may hold other replies, also older ones of this id. */
static int
submit_and_wait(struct client *c, const struct ctl_opts *o, const struct client_job *job,
	int64_t wait_ms)
{
	cleanup(freep) char *id = NULL;
	struct client_wait w = {.queue = o->queue, .after = "0-0"};
	struct client_job replied = *job;
	char private_name[CLIENT_REPLY_NAME_BYTES];
	struct stint_err err = {0};
	int code, r;

	r = o->reply_to ? client_reply_end(c, o->queue, o->reply_to, w.after, &err)
			: client_reply_name(private_name, &err);
	w.reply_to = replied.reply_to = o->reply_to ? o->reply_to : private_name;
	code = r < 0 ? ctl_fail(&err) : add(c, &replied, &id);
	if (code != 0)
		return code;
	w.id = id;
	w.at_ms = stint_at_ms(wait_ms);
	tell_id_on_interrupt(o->queue, id);
	code = wait_for(c, o, &w);
	if (!o->reply_to) /* as a courtesy: it also expires by itself */
		client_reply_drop(c, o->queue, private_name, NULL);
	return code;
}

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(buf_fini) struct buf input = {0};
	struct client_job job = {.queue = o->queue,
		.handler = args[0],
		.id = o->id,
		.delay = o->delay,
		.at = o->at,
		.timeout = o->timeout,
		.retries = o->retries,
		.deadline = o->deadline,
		.reply_to = o->reply_to,
		.traceparent = o->traceparent,
		.x = o->x,
		.x_count = o->x_count};
	int64_t wait_ms;
	int code = check(o, &job);

	if (code == 0)
		code = ctl_span("--wait-timeout", o->wait_timeout, &wait_ms);
	if (code == 0 && count == 2)
		code = payload_read(args[1], &input, &job.payload);
	if (code == 0)
		code = where_connect(o, &c);
	if (code != 0)
		return code;
	return o->is_waiting ? submit_and_wait(c, o, &job, wait_ms) : submit(c, o, &job);
}

static const char help[] =
	"Usage: stintctl submit [OPTION]... HANDLER [PAYLOAD | -]\n"
	"\n"
	"Add a job for HANDLER and print its id. PAYLOAD is the argument as it is; left\n"
	"out, it is empty; - is standard input to its end, any bytes up to 512MiB.\n"
	"\n"
	"  -q, --queue QUEUE    where to; default if left out\n"
	"  --id ID              the job's own id: while a job of this id waits, runs or\n"
	"                       has a result, another one is dropped\n"
	"  --delay SPAN         do not start before this has passed (500ms, 1h 30min)\n"
	"  --at UNIX_MS         do not start before this time\n"
	"  --retries N          try again so often when it fails, at most as often as\n"
	"                       the handler allows\n"
	"  --timeout SPAN       how long an attempt may run; only ever lowers the\n"
	"                       handler's own\n"
	"  --deadline UNIX_MS   when the job must have ended\n"
	"  --reply-to NAME      also add the result to this reply stream\n"
	"  --traceparent T      W3C trace context\n"
	"  -x NAME=VALUE        field x-NAME, handed to the handler; up to 24 of them\n"
	"  --wait               wait for the result and print it: output as it is; of a\n"
	"                       failure also error and standard error, then exit 1;\n"
	"                       meanwhile show its progress, as \"stintctl wait\" does\n"
	"  --wait-timeout SPAN  wait no longer, then exit 75; the job goes on\n";

const struct ctl_command cmd_submit = {
	.name = "submit",
	.takes = "qiDAtdnrpxwW",
	.min_args = 1,
	.max_args = 2,
	.help = help,
	.run = run,
};
