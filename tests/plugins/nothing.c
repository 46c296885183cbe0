/* nothing.c - for the benchmark: a plugin that does nothing, as its handler `bench` */
#include <stint/plugin.h>

static int
nothing(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx, (void)job, (void)reply;
	return 0;
}
STINT_PLUGIN(nothing);
