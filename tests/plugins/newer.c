/* newer.c - a plugin whose header had more in a job than ours */
#include <stint/plugin.h>

static int
run(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx, (void)job, (void)reply;
	return 0;
}

STINT_API extern const struct stint_plugin stint_plugin;
const struct stint_plugin stint_plugin = {
	STINT_PLUGIN_ABI, sizeof stint_plugin, sizeof(struct stint_job) + 8, run};
