/*
 * ending.c - what the end of a job or of its process means; see ending.h
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "daemon/handler/ending.h"
#include "lib/base/units.h"

void
ending_conclude(struct stint_ctx *ctx, const struct handler_call *call, bool is_ok,
	struct outcome *out)
{
	struct stint_err cause;
	int code = stint_ctx_cause(ctx, &cause);
	char text[UNITS_TEXT_BYTES];

	if (code == -ETIMEDOUT)
		outcome_fail(out, JOB_TIMEOUT, "timed out after %s",
			units_format_span(call->budget_ms, text));
	else if (code != HANDLER_CAUSE_SHUTDOWN && code != HANDLER_CAUSE_LEASE)
		outcome_fail(out, JOB_CANCELLED, "%s", cause.msg);
	else if (!is_ok)
		outcome_fail(out, JOB_HANDED_BACK, "%s", cause.msg);
}

int64_t
ending_kill_at_ms(
	const struct handler_call *call, int64_t asked_at_ms, int64_t kill_at_ms)
{
	int64_t lease_at_ms;

	if (kill_at_ms == STINT_NEVER || !call->leased_at_ms)
		return kill_at_ms;
	/* relaxed: a renewal that is seen late only makes it earlier */
	lease_at_ms = atomic_load_explicit(call->leased_at_ms, memory_order_relaxed) +
		      call->lease_hold_ms;
	if (lease_at_ms < asked_at_ms + call->lease_grace_ms)
		lease_at_ms = asked_at_ms + call->lease_grace_ms;
	return lease_at_ms < kill_at_ms ? lease_at_ms : kill_at_ms;
}

int
ending_poll_ms(int64_t at_ms)
{
	int64_t left_ms;

	if (at_ms == STINT_NEVER)
		return -1;
	left_ms = at_ms - stint_now_ms();
	if (left_ms < 0)
		return 0;
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

void
ending_failed_start(const struct keeper_reply *reply, const struct handler_conf *conf,
	struct outcome *out)
{
	const char *why = strerror(reply->error);

	if (reply->failed_at == KEEPER_DIRECTORY)
		outcome_fail(out, JOB_ERROR, "directory %s: %s", conf->directory, why);
	else if (reply->failed_at == KEEPER_GROUP)
		outcome_fail(out, JOB_ERROR, "cannot make its control group: %s", why);
	else if (reply->failed_at == KEEPER_CONFINE)
		outcome_fail(out, JOB_ERROR, "cannot set its %s: %s",
			confine_step_name(reply->step), why);
	else if (reply->failed_at == KEEPER_EXEC)
		outcome_fail(out, JOB_ERROR, "cannot execute %s: %s", conf->argv[0], why);
	else
		outcome_fail(out, JOB_ERROR, "cannot start a process: %s", why);
}

void
ending_status(const struct keeper_reply *reply, struct outcome *out)
{
	if (reply->failed_at != KEEPER_DONE)
		return;
	if (WIFEXITED(reply->status))
		out->exit_code = WEXITSTATUS(reply->status);
	else
		out->signal = WTERMSIG(reply->status);
}

const char *
ending_text(const struct outcome *out, char text[ENDING_TEXT_BYTES])
{
	const char *name = sigabbrev_np(out->signal);

	if (out->signal && name)
		snprintf(text, ENDING_TEXT_BYTES, "killed by SIG%s", name);
	else if (out->signal)
		snprintf(text, ENDING_TEXT_BYTES, "killed by signal %d", out->signal);
	else
		snprintf(text, ENDING_TEXT_BYTES, "exit code %d", out->exit_code);
	return text;
}

void
ending_add_stderr(struct outcome *out, const char *p, size_t n)
{
	struct buf *tail = &out->stderr_tail;

	buf_add(tail, p, n);
	if (tail->len > OUTCOME_STDERR_BYTES)
		buf_shift(tail, tail->len - OUTCOME_STDERR_BYTES);
}
