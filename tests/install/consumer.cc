// consumer.cc - the same library from C++17: every maker, the initialisers and the loops
#include <cerrno>
#include <cstdio>
#include <stint/stint.h>

static stint_once once = STINT_ONCE_INIT;

static int
say(stint_ctx *, void *arg, stint_err *)
{
	return std::puts(static_cast<const char *>(arg)) < 0 ? -EIO : 0;
}

static int
stage(stint_ctx *ctx, const stint_flow *flow, stint_err *)
{
	int number = 42, r;

	if (flow->out.ch)
		return stint_sender_send(ctx, flow->out, &number);
	STINT_RECEIVER_EACH (ctx, flow->in, &number, r)
		std::printf("%d\n", number);
	return r == -EPIPE ? 0 : r;
}

static int
copy(stint_ctx *, void *, const void *input, void *ret_output, stint_err *)
{
	*static_cast<int *>(ret_output) = *static_cast<const int *>(input);
	return 0;
}

int
main()
{
	static char text[] = "once";
	stint_ctx *ctx;
	stint_wg *wg;
	stint_group *group;
	stint_results *results;
	stint_err err;
	stint_stage stages[2] = {};
	stint_run run = {};
	int input = 1, failed = 0;

	if (stint_ctx_with_timeout(stint_ctx_background(), 60000, &ctx) < 0)
		return 1;
	failed |= stint_once_do(ctx, &once, say, text, &err);
	failed |= stint_once_do(ctx, &once, say, text, &err);

	failed |= stint_wg_new(&wg);
	failed |= stint_wg_wait(ctx, wg);
	stint_wg_free(wg);

	failed |= stint_group_new(ctx, &group);
	failed |= stint_group_go(ctx, group, "say", say, text);
	failed |= stint_group_wait(ctx, group, &err);
	failed |= err.code;
	stint_group_free(group);

	stages[0].name = "one";
	stages[0].out_bytes = sizeof(int);
	stages[1].name = "two";
	stages[0].fn = stages[1].fn = stage;
	failed |= stint_pipeline_run(ctx, stages, 2, &err);

	run.fn = copy;
	run.inputs = &input;
	run.count = 1;
	run.input_bytes = run.output_bytes = sizeof(int);
	failed |= stint_pool_run(ctx, 1, &run, &results);
	failed |= stint_results_summary(results, &err);
	stint_results_free(results);
	stint_ctx_free(ctx);
	return failed != 0;
}
