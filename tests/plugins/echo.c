/* echo.c - for the benchmark: a plugin that gives its payload back */
#include <stint/plugin.h>

static int
echo(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx;
	return stint_reply_write(reply, job->payload, job->payload_len);
}
STINT_PLUGIN(echo);
