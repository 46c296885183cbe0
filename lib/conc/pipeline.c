/*
 * pipeline.c - stages in a row, channels between
 *
 * A channel is closed from either side: by its senders when the last of them is done,
 * and by its receivers when the last of them has had enough. It is never closed after
 * a failure: the worker that failed is not counted as done, so the others of its stage
 * cannot make the end of its output look like the end of the data. What wakes
 * everybody then is the context, which wins over items in channels.
 *
 * What is left in the channels when all have ended goes to the stage's drop().
 */
#include <stint/pipeline.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <stint/group.h>
#include "lib/base/cleanup.h"
#include "lib/conc/name.h"
#include "lib/conc/race.h"
#include "lib/conc/task.h"

struct stage {
	const struct stint_stage *conf;
	size_t worker_count;
	_Atomic size_t undone_count; /* workers that have not returned 0 */
	struct stint_chan *in;       /* the stage before has it; NULL: this is first */
	struct stint_chan *out;      /* NULL: this is last */
};

struct worker {
	struct stage *stage;
	struct stint_flow flow;
};

struct pipeline {
	const char *where;
	struct stint_group *group;
	struct stage *stages;
	size_t stage_count;
	struct worker *workers;
	void *dropped; /* room for one item of any size */
};

/* ---- in the threads ---- */

static void
stage_close(struct stage *stage)
{
	if (stage->out)
		stint_chan_close(stage->out);
	if (stage->in)
		stint_chan_close(stage->in);
}

static int
worker_main(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct worker *w = arg;
	struct stage *stage = w->stage;
	int r = stage->conf->fn(ctx, &w->flow, err);

	/* Why it ended is more than that it did. */
	if (r < 0 && !err->msg[0] && r == stint_ctx_err(ctx))
		stint_ctx_cause(ctx, err);
	r = task_settle(r, err);
	if (r < 0)
		return stint_err_wrap(err, r, "%s", stage->conf->name);
	/* acq_rel: whoever closes has what all the others did behind it */
	RACE_BEFORE(&stage->undone_count);
	if (atomic_fetch_sub_explicit(&stage->undone_count, 1, memory_order_acq_rel) ==
		1) {
		RACE_AFTER(&stage->undone_count);
		stage_close(stage);
	}
	return 0;
}

/* ---- in the caller's thread ---- */

static void
stage_drain(struct stage *stage, void *room)
{
	if (!stage->out || !stage->conf->drop)
		return;
	while (stint_chan_try_recv(stage->out, room) == 0)
		stage->conf->drop(room);
}

/* The threads first: they use all the rest. */
static void
pipeline_fini(struct pipeline *p)
{
	stint_group_free(p->group);
	for (size_t i = 0; i < p->stage_count; i++) {
		stage_drain(&p->stages[i], p->dropped);
		stint_chan_free(p->stages[i].out);
	}
	free(p->stages);
	free(p->workers);
	free(p->dropped);
}

static size_t
worker_count(const struct stint_stage *conf)
{
	return conf->workers > 0 ? conf->workers : 1;
}

static int
stage_check(const struct stint_stage *conf, size_t number, struct stint_err *err)
{
	if (!conf->name)
		return stint_err_set(err, -EINVAL, "stage %zu has no name", number);
	if (!conf->fn)
		return stint_err_set(err, -EINVAL, "%s: has no function", conf->name);
	return 0;
}

static int
pipeline_init(struct pipeline *p, const struct stint_stage *confs, size_t count,
	struct stint_err *err)
{
	size_t workers = 0;
	bool is_too_many = false;
	int r = 0;

	if (count == 0)
		return stint_err_set(err, -EINVAL, "a pipeline without stages");
	for (size_t i = 0; i < count && r == 0; i++) {
		r = stage_check(&confs[i], i, err);
		is_too_many |= __builtin_add_overflow(
			workers, worker_count(&confs[i]), &workers);
	}
	if (r < 0)
		return r;
	if (!is_too_many) {
		p->stages = calloc(count, sizeof(*p->stages));
		p->workers = calloc(workers, sizeof(*p->workers));
		p->dropped = malloc(STINT_CHAN_ITEM_MAX);
	}
	if (!p->stages || !p->workers || !p->dropped)
		return stint_err_set(err, -ENOMEM, "pipeline: out of memory");
	p->stage_count = count;
	return 0;
}

/* The stages and the channels between, nobody running yet. */
static int
pipeline_connect(
	struct pipeline *p, const struct stint_stage *confs, struct stint_err *err)
{
	int r = 0;

	for (size_t i = 0; i < p->stage_count && r == 0; i++) {
		struct stage *stage = &p->stages[i];

		stage->conf = &confs[i];
		stage->worker_count = worker_count(&confs[i]);
		atomic_init(&stage->undone_count, stage->worker_count);
		RACE_ATOMIC(&stage->undone_count);
		stage->in = i > 0 ? p->stages[i - 1].out : NULL;
		if (i + 1 == p->stage_count)
			break;
		r = stint_chan_new_at(
			confs[i].out_bytes, confs[i].out_capacity, &stage->out, p->where);
		if (r < 0)
			stint_err_wrap(err, r, "%s: no channel of %zu items of %zu bytes",
				confs[i].name, confs[i].out_capacity, confs[i].out_bytes);
	}
	return r;
}

static int
pipeline_start_worker(struct pipeline *p, struct worker *w)
{
	const struct stint_stage *conf = w->stage->conf;
	const char *name = conf->name;
	char numbered[NAME_BUF_BYTES];

	if (w->stage->worker_count > 1)
		name = name_numbered(numbered, name, w->flow.worker);
	return stint_group_go_at(
		stint_ctx_background(), p->group, name, worker_main, w, p->where);
}

static int
pipeline_start(struct pipeline *p, struct stint_err *err)
{
	struct worker *w = p->workers;
	int r;

	for (size_t i = 0; i < p->stage_count; i++) {
		struct stage *stage = &p->stages[i];

		for (size_t k = 0; k < stage->worker_count; k++, w++) {
			w->stage = stage;
			w->flow = (struct stint_flow){.arg = stage->conf->arg,
				.worker = k,
				.in = stint_chan_receiver(stage->in),
				.out = stint_chan_sender(stage->out)};
			r = pipeline_start_worker(p, w);
			if (r < 0)
				return stint_err_wrap(err, r,
					"%s: cannot start worker %zu", stage->conf->name,
					k);
		}
	}
	return 0;
}

/* The first failure of a stage; there is none that the caller does not get to see. */
static int
pipeline_wait(struct pipeline *p, struct stint_err *err)
{
	struct stint_err first;
	/* cannot fail: the background never ends */
	int r = stint_group_wait(stint_ctx_background(), p->group, &first);

	if (r < 0 || first.code == 0)
		return r;
	if (err)
		*err = first;
	return first.code;
}

static int
pipeline_run(struct pipeline *p, struct stint_ctx *ctx, const struct stint_stage *confs,
	struct stint_err *err)
{
	struct stint_err ended;
	int r;

	r = pipeline_connect(p, confs, err);
	if (r < 0)
		return r;
	r = stint_group_new_at(ctx, &p->group, p->where);
	if (r < 0)
		return stint_err_wrap(err, r, "pipeline");
	r = pipeline_start(p, err);
	if (r == 0)
		return pipeline_wait(p, err);
	/* Those that run end for want of the others: that is no news to the caller. */
	stint_ctx_cancel(stint_group_ctx(p->group));
	pipeline_wait(p, &ended);
	return r;
}

int
stint_pipeline_run_at(struct stint_ctx *ctx, const struct stint_stage *stages,
	size_t count, struct stint_err *ret_err, const char *where)
{
	cleanup(pipeline_fini) struct pipeline p = {.where = where};
	int r;

	/* What is wrapped below is not what the caller has left in it. */
	if (ret_err)
		*ret_err = (struct stint_err){0};
	r = pipeline_init(&p, stages, count, ret_err);
	if (r < 0)
		return r;
	return pipeline_run(&p, ctx, stages, ret_err);
}
