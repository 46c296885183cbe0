/* other_abi.c - a plugin that was compiled for another version of the header */
#include <stint/plugin.h>

static int
run(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx, (void)job, (void)reply;
	return 0;
}

STINT_API extern const struct stint_plugin stint_plugin;
const struct stint_plugin stint_plugin = {
	STINT_PLUGIN_ABI + 1, sizeof stint_plugin, sizeof(struct stint_job), run};
