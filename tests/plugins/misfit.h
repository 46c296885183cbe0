/*
 * misfit.h - the rest of a plugin that was compiled with another stint/plugin.h: before
 * it is included, MISFIT_ABI and MISFIT_JOB_BYTES say what that said
 */
#include <stint/plugin.h>

static int
run(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx, (void)job, (void)reply;
	return 0;
}

STINT_API extern const struct stint_plugin stint_plugin;
const struct stint_plugin stint_plugin = {
	MISFIT_ABI, sizeof stint_plugin, MISFIT_JOB_BYTES, run};
