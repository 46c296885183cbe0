/*
 * conformance.c - the handler that lib/sdk/conformance.py knows, as a plugin
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/stint.h>

static int
take_orders(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	const char *payload = (const char *)job->payload;
	const char *blank = strchr(payload, ' '), *rest = blank ? blank + 1 : "", *colour;
	size_t n = blank ? (size_t)(blank - payload) : strlen(payload);
	size_t rest_len = blank ? job->payload_len - n - 1 : 0;
	int64_t left_ms;

	if (n == 4 && memcmp(payload, "echo", n) == 0)
		return stint_reply_write(reply, rest, rest_len);
	if (n == 5 && memcmp(payload, "error", n) == 0)
		return stint_reply_error(reply, "%s", rest);
	if (n == 4 && memcmp(payload, "fail", n) == 0)
		return stint_reply_fail(reply, "%s", rest);
	if (n == 4 && memcmp(payload, "wait", n) == 0) {
		stint_reply_progress(reply, 1, "waiting");
		(void)!stint_select(ctx, NULL, 0);
		return stint_reply_printf(reply, "cancelled");
	}
	if (n == 8 && memcmp(payload, "progress", n) == 0)
		stint_reply_progress(reply, 50, "half way");
	if (n == 5 && memcmp(payload, "print", n) == 0)
		printf("%s\n", rest);
	colour = stint_job_field(job, "x-colour", NULL);
	if (n == 7 && memcmp(payload, "context", n) == 0) {
		left_ms = stint_ctx_deadline(ctx) - stint_now_ms();
		return stint_reply_printf(reply, "%s %d %" PRId64 " %" PRId64 " %s",
			job->id, job->attempt, left_ms > 0 ? left_ms : 0,
			job->deadline_unix_ms, colour ? colour : "none");
	}
	if (n == 3 && memcmp(payload, "big", n) == 0)
		for (long i = strtol(rest, NULL, 10); i > 0; i--)
			if (stint_reply_write(reply, "x", 1) < 0)
				break;
	return 0;
}
STINT_PLUGIN(take_orders);
