/*
 * warm_job.c - the frame JOB, as a worker process gets it
 *
 *	JOB <id> <attempt> <remaining_ms> <payload> queue <queue>
 *		[traceparent <trace>] [<x-name> <value>]...
 */
#include <errno.h>
#include <stdio.h>
#include "daemon/handler/warm.h"
#include "lib/wire/resp.h"

static void
add_field(struct buf *b, const char *name, const struct bytes *value)
{
	resp_str(b, name);
	resp_bulk(b, value->p, value->n);
}

static void
add_x_field(struct buf *b, const struct job_x_field *x)
{
	char name[sizeof "x-" + JOB_NAME_MAX];

	int n = snprintf(name, sizeof name, "x-%s", x->name.p);

	resp_bulk(b, name, (size_t)n);
	resp_bulk(b, x->value.p, x->value.n);
}

static void
add_head(struct buf *b, const struct job *job, size_t string_count, int64_t remaining_ms)
{
	resp_cmd(b, string_count);
	resp_str(b, "JOB");
	resp_bulk(b, job->id.p, job->id.n);
	resp_int(b, job->attempt);
	resp_int(b, remaining_ms);
	buf_char(b, '$');
	buf_int(b, (int64_t)job->payload.n);
	buf_add(b, "\r\n", 2);
}

int
warm_build_job(struct warm *w, const struct handler_call *call, int64_t remaining_ms,
	struct iovec part[WARM_JOB_PARTS])
{
	const struct job *job = call->job;
	struct buf *head = &w->head, *tail = &w->tail;
	const bool has_trace = job->traceparent.p != NULL;

	buf_reset(head, WARM_KEPT_BYTES);
	buf_reset(tail, WARM_KEPT_BYTES);
	add_head(head, job, 7 + 2 * (job->x_count + has_trace), remaining_ms);
	buf_add(tail, "\r\n", 2);
	resp_str(tail, "queue");
	resp_str(tail, call->queue);
	if (has_trace)
		add_field(tail, "traceparent", &job->traceparent);
	for (size_t i = 0; i < job->x_count; i++)
		add_x_field(tail, &job->x[i]);
	if (head->failed || tail->failed)
		return -ENOMEM;
	if (head->len + job->payload.n + tail->len > FRAME_BYTES_MAX)
		return -EMSGSIZE;
	part[WARM_JOB_HEAD] = (struct iovec){head->data, head->len};
	part[WARM_JOB_PAYLOAD] =
		(struct iovec){(void *)(uintptr_t)job->payload.p, job->payload.n};
	part[WARM_JOB_TAIL] = (struct iovec){tail->data, tail->len};
	return 0;
}
