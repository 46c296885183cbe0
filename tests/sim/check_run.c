/*
 * check_run.c - what must hold when a job is about to run
 */
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/queue/retry.h"
#include "tests/sim/sim.h"

/* NULL: it does not hold it. */
static const struct held *
held_by(const struct node *n, const struct attempt *a)
{
	const struct object *o = sim_object(a->queue->name, "jobs", NULL, OBJECT_STREAM);
	const struct group *g = o ? o->stream.group : NULL;

	for (size_t i = 0; g && i < g->held_count; i++) {
		char entry[ENTRY_ID_BYTES];

		sid_print(g->held[i].id, entry);
		if (!strcmp(entry, a->job->entry_id))
			return bytes_is(g->held[i].owner->name, n->daemon.consumer)
				       ? &g->held[i]
				       : NULL;
	}
	return NULL;
}

/* Redis has lost the entry since it was read: nobody can know yet. */
static bool
is_stale(const struct attempt *a)
{
	return strtoll(a->job->entry_id, NULL, 10) <= world.flushed_unix_ms;
}

/* One that was suspended may still be ending its run, and even get the job again, as
 * another entry. */
static bool
is_excused(const struct sim_run *r, const struct node *n, const struct attempt *a)
{
	return r->is_over || !r->node->is_alive || r->is_stale || is_stale(a) ||
	       (r->node->was_frozen &&
		       (r->node != n || strcmp(r->entry, a->job->entry_id) != 0));
}

/* May what it ran run again: did anything go wrong for it since? */
static bool
is_explained(const struct sim_run *r)
{
	const struct node *n = r->node;

	return !n->is_alive || n->daemon.drain.state != DRAIN_RUNNING ||
	       trouble_since(n, r->begin_ms);
}

static void
check_others(const struct sim_job *job, const struct node *n, const struct attempt *a)
{
	for (size_t i = 0; i < jobs.run_count; i++) {
		const struct sim_run *r = &jobs.runs[i];

		if (r->job != job)
			continue;
		if (!is_excused(r, n, a))
			sim_fail("%s: starts on node %d, and runs on node %d", job->id,
				n->number, r->node->number);
		if (r->attempt == a->job->attempt && !is_explained(r))
			sim_fail("%s: attempt %d a second time, though nothing had "
				 "happened to node %d",
				job->id, a->job->attempt, r->node->number);
	}
}

static void
check_start(const struct sim_job *job, struct node *n, const struct attempt *a)
{
	const int64_t now = stint_unix_ms();

	if (a->job->attempt > retry_limit(a->job, a->handler) + 1)
		return sim_fail(
			"%s: attempt %d, after all retries", job->id, a->job->attempt);
	check_others(job, n, a);
	if (is_stale(a))
		return;
	/* a late success of the one before took it away */
	if (!held_by(n, a) && !(job->results > 0 && a->job->deliveries > 1))
		return sim_fail(
			"%s: starts, but is not held by node %d", job->id, n->number);
	if (now < job->due_unix_ms || now < job->first_due_unix_ms)
		return sim_fail("%s: starts %lld ms before its time", job->id,
			(long long)(job->first_due_unix_ms - now));
	/* ... or one that was running when Redis lost it */
	if (job->results > 0 && a->job->deliveries == 1 && !a->job->is_copy &&
		!job->was_lost)
		return sim_fail("%s: starts, but has a result", job->id);
	if (control_is_cancelled(
		    n->daemon.control, a->queue, a->job->id, a->job->submitted_unix_ms))
		return sim_fail("%s: starts, but is cancelled", job->id);
}

void
check_ended_by_lease(const struct node *n, const struct attempt *a)
{
	const struct held *h = held_by(n, a);

	if (h && !trouble_explains(n, h->delivered_ms))
		sim_fail("%s: is ended on node %d for its lease, though nothing had "
			 "happened to it",
			a->job->id.p, n->number);
}

struct sim_run *
check_run(struct node *n, const struct attempt *a)
{
	const struct bytes queue = {a->queue->name, strlen(a->queue->name)};
	struct sim_job *job = jobs_find(queue, a->job->id);
	struct sim_run *run;

	if (!job || jobs.run_count == RUNS_MAX) {
		sim_fail("%s: a job that nobody submitted, or too many runs",
			a->job->id.p);
		return NULL;
	}
	check_start(job, n, a);
	run = &jobs.runs[jobs.run_count++];
	*run = (struct sim_run){.job = job, .node = n, .attempt = a->job->attempt};
	run->begin_ms = world.now_ms;
	run->is_stale = is_stale(a);
	strcpy(run->entry, a->job->entry_id);
	job->runs++;
	return run;
}
