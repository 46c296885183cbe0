/*
 * thread.c - runs a plugin in the worker's own thread (`isolation: thread`)
 *
 * No process, no pipe, no copy of the payload. Nothing ends it but itself: what ignores
 * its context is the loop's to deal with (core/stuck.h), and what crashes takes the
 * daemon with it.
 */
#include <stdio.h>
#include <string.h>
#include "daemon/handler/ending.h"
#include "daemon/handler/slot.h"
#include "lib/base/units.h"
#include "lib/plugin/reply.h"

enum { X_NAME_BYTES = sizeof "x-" + JOB_NAME_MAX };

/* Names are kept without their x-. */
static void
fill_fields(const struct job *job, struct stint_field fields[JOB_X_FIELDS_MAX],
	char names[JOB_X_FIELDS_MAX][X_NAME_BYTES])
{
	for (size_t i = 0; i < job->x_count; i++) {
		const struct job_x_field *x = &job->x[i];

		snprintf(names[i], X_NAME_BYTES, "x-%s", x->name.p);
		fields[i] = (struct stint_field){names[i], x->value.p, x->value.n};
	}
}

static void
on_progress(void *arg, int percent, const char *note)
{
	const struct handler_call *call = arg;
	struct progress told;
	char digits[16];
	int n = snprintf(digits, sizeof digits, "%d", percent);

	if (progress_set(&told, (struct bytes){digits, (size_t)n},
		    (struct bytes){note, strlen(note)}))
		call->on_progress(call->arg, &told);
}

static void
conclude(struct stint_ctx *ctx, const struct handler_call *call,
	struct stint_reply *reply, struct outcome *out)
{
	char text[UNITS_TEXT_BYTES];

	if (reply->end == REPLY_OVER)
		outcome_fail(out, JOB_ERROR, "output over %s (output_limit)",
			units_format_size(call->conf->output_limit_bytes, text));
	else if (reply->end != REPLY_OK)
		outcome_fail(out, JOB_ERROR, "%s", reply->error);
	else {
		buf_fini(&out->output);
		out->output = reply->output;
		reply->output = (struct buf){0};
	}
	out->for_good = reply->end == REPLY_FAIL || reply->end == REPLY_OVER;
	if (stint_ctx_err(ctx) < 0) {
		out->for_good = false; /* it says nothing about the job */
		ending_conclude(ctx, call, reply->end == REPLY_OK, out);
	}
}

void
thread_run(struct stint_ctx *ctx, const struct handler_call *call, struct outcome *out)
{
	char names[JOB_X_FIELDS_MAX][X_NAME_BYTES];
	struct stint_field fields[JOB_X_FIELDS_MAX];
	const struct job *job = call->job;
	const struct stint_job told = {.id = job->id.p,
		.queue = call->queue,
		.handler = call->conf->name,
		.attempt = job->attempt,
		.deadline_unix_ms = call->deadline_unix_ms,
		.payload = job->payload.p ? job->payload.p : "",
		.payload_len = job->payload.n,
		.traceparent = job->traceparent.p,
		.fields = fields,
		.field_count = job->x_count};
	struct stint_reply reply;

	fill_fields(job, fields, names);
	reply_init(&reply, (size_t)call->conf->output_limit_bytes);
	if (call->on_progress) {
		reply.on_progress = on_progress;
		reply.arg = (void *)call; /* only read from */
	}
	reply_settle(&reply, call->conf->run(ctx, &told, &reply));
	conclude(ctx, call, &reply, out);
	reply_fini(&reply);
}
