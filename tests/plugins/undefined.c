/* undefined.c - a plugin that wants what nobody has */
#include <stint/plugin.h>

int stint_of_another_version(void);

static int
run(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx, (void)job, (void)reply;
	return stint_of_another_version();
}
STINT_PLUGIN(run);
