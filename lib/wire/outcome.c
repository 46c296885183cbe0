/*
 * outcome.c - filling an outcome, and its JSON
 */
#include "lib/wire/outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "lib/base/json.h"

static const char *const status_names[] = {
	[JOB_OK] = "ok",
	[JOB_ERROR] = "error",
	[JOB_TIMEOUT] = "timeout",
	[JOB_CANCELLED] = "cancelled",
	[JOB_CRASHED] = "crashed",
	[JOB_EXPIRED] = "expired",
	[JOB_REJECTED] = "rejected",
	[JOB_HANDED_BACK] = "handed back",
};

void
outcome_init(struct outcome *o)
{
	memset(o, 0, sizeof *o);
	o->exit_code = -1;
	o->cpu_ms = -1;
}

void
outcome_fini(struct outcome *o)
{
	buf_fini(&o->output);
	buf_fini(&o->stderr_tail);
}

void
outcome_fail(struct outcome *o, enum job_status status, const char *fmt, ...)
{
	va_list ap;

	o->status = status;
	va_start(ap, fmt);
	vsnprintf(o->error, sizeof o->error, fmt, ap);
	va_end(ap);
	/* handler names and the like come from outside: one line stays one line */
	for (char *p = o->error; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
}

const char *
job_status_name(enum job_status s)
{
	return status_names[s];
}

static const char *
signal_name(int sig, char fallback[16])
{
	const char *abbrev = sigabbrev_np(sig);

	if (abbrev)
		snprintf(fallback, 16, "SIG%s", abbrev);
	else
		snprintf(fallback, 16, "SIG%d", sig);
	return fallback;
}

static void
used_json(struct buf *b, const struct outcome *o)
{
	if (o->cpu_ms >= 0)
		json_int(b, "cpu_ms", o->cpu_ms);
	if (o->max_rss_bytes > 0)
		json_int(b, "max_rss_bytes", o->max_rss_bytes);
	if (o->memory_peak_bytes > 0)
		json_int(b, "memory_peak_bytes", o->memory_peak_bytes);
}

void
outcome_json(struct buf *b, const struct outcome *o, const struct job *job,
	const char *queue, const char *daemon)
{
	char sig[16];

	json_open(b);
	json_str(b, "id", job->id.p, job->id.n);
	json_cstr(b, "status", status_names[o->status]);
	json_bytes(b, "output", o->output.data, o->output.len);
	if (o->status != JOB_OK) {
		json_str_lossy(b, "error", o->error, strlen(o->error));
		if (o->stderr_tail.len > 0)
			json_str_lossy(
				b, "stderr", o->stderr_tail.data, o->stderr_tail.len);
		if (o->signal != 0)
			json_cstr(b, "signal", signal_name(o->signal, sig));
		else if (o->exit_code >= 0)
			json_int(b, "exit_code", o->exit_code);
	}
	json_str_lossy(
		b, "handler", job->handler.p ? job->handler.p : "", job->handler.n);
	json_cstr(b, "queue", queue);
	json_int(b, "attempt", job->attempt);
	json_cstr(b, "daemon", daemon);
	json_int(b, "submitted_ms", job->submitted_unix_ms);
	if (o->started_unix_ms != 0)
		json_int(b, "started_ms", o->started_unix_ms);
	json_int(b, "finished_ms", o->finished_unix_ms);
	used_json(b, o);
	json_close(b);
}
