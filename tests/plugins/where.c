/* where.c - a plugin that says where the functions come from that it calls */
#include <dlfcn.h>
#include <string.h>
#include <stint/stint.h>

static const char *
name_of(void *address)
{
	Dl_info info;

	if (!dladdr(address, &info) || !info.dli_fname)
		return "?";
	return strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1
					    : info.dli_fname;
}

static int
where(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx, (void)job;
	/* the last is one that the programs do not use themselves */
	return stint_reply_printf(reply, "%s %s %s",
		name_of((void *)(uintptr_t)stint_ctx_err),
		name_of((void *)(uintptr_t)stint_reply_printf),
		name_of((void *)(uintptr_t)stint_pipeline_run_at));
}
STINT_PLUGIN(where);
