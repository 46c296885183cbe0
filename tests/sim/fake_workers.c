/*
 * fake_workers.c - in place of core/workers.c and the handlers: how long a run takes and
 * how it ends is decided by the seed
 *
 * When its context ends a run ends as handler_run() lets it end: within kill_grace, some
 * all the same with success.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/core/begin.h"
#include "daemon/handler/handler.h"
#include "daemon/handler/plugins.h"
#include "daemon/queue/lease.h"
#include "lib/base/cleanup.h"

enum { WORKERS_MAX = 16 };

enum verdict { GOES_WELL, FAILS, FAILS_FOR_GOOD, CRASHES };

struct one {
	struct attempt *attempt;
	struct sim_run *run; /* NULL: it was not started at all */
	enum verdict verdict;
	int64_t end_at_ms;
	int64_t tell_at_ms;  /* its progress; STINT_NEVER */
	int64_t asked_at_ms; /* to end */
	int64_t timeout_at_ms;
	bool may_begin; /* else the outcome says why not */
	struct allowance allowance;
	bool is_ended; /* by its context, or its time */
	int cause;
};

struct workers {
	struct node *node;
	const char *name;
	size_t concurrency;
	struct attempt_list waiting, done;
	struct one busy[WORKERS_MAX];
	size_t busy_count;
	bool has_news; /* told of, not looked at yet */
	bool is_told;  /* it is in the channel */
};

int
workers_new(size_t concurrency, struct zygote *zygote, const char *name,
	struct workers **ret, struct stint_err *err)
{
	struct workers *w = calloc(1, sizeof *w);

	(void)err;
	if (!w || concurrency > WORKERS_MAX)
		abort();
	w->node = (struct node *)zygote; /* the daemon only passes it on */
	w->node->workers = w;
	w->name = name;
	w->concurrency = concurrency;
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->done);
	*ret = w;
	return 0;
}

/* What was not collected is gone with its process. */
void
workers_free(struct workers *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->busy_count; i++)
		if (w->busy[i].run)
			w->busy[i].run->is_over = true;
	w->node->workers = NULL;
	free(w);
}

int
workers_resize(struct workers *w, size_t concurrency, struct stint_err *err)
{
	(void)err;
	w->concurrency = concurrency;
	return 0;
}

int
workers_set_stuck(struct workers *w, size_t stuck, struct stint_err *err)
{
	(void)w, (void)stuck, (void)err;
	abort(); /* there are no plugins */
}

void
workers_leave(struct workers *w)
{
	(void)w;
	abort();
}

int
plugins_load(struct config *config, struct buf *faults)
{
	(void)config, (void)faults;
	return 0;
}

size_t
workers_count(const struct workers *w)
{
	return w->concurrency;
}

size_t
workers_busy(const struct workers *w)
{
	return w->busy_count;
}

int
workers_fd(struct workers *w)
{
	(void)w;
	return -1;
}

/* How many jobs of a handler it has, begun or not. */
static int
count_of(const struct workers *w, const char *handler)
{
	const struct attempt *a;
	int n = 0;

	TAILQ_FOREACH (a, &w->waiting, link)
		n += !strcmp(a->handler->name, handler);
	for (size_t i = 0; i < w->busy_count; i++)
		n += !strcmp(w->busy[i].attempt->handler->name, handler);
	return n;
}

/* By the configuration of now: those that are here already may be too many for it. */
static void
check_limit(const struct workers *w, const char *handler)
{
	const struct config *c = w->node->daemon.config;
	const struct handler_conf *h = config_handler(c, handler, strlen(handler));
	const int n = count_of(w, handler);

	if (h && h->concurrency > 0 && h->concurrency < c->concurrency &&
		n > h->concurrency)
		sim_fail("node %d: %d jobs of \"%s\" at once", w->node->number, n,
			handler);
}

size_t
workers_push(struct workers *w, struct attempt **attempts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		TAILQ_INSERT_TAIL(&w->waiting, attempts[i], link);
		check_limit(w, attempts[i]->handler->name);
	}
	return n;
}

static size_t
take(struct attempt_list *list, struct attempt **ret, size_t n)
{
	size_t taken = 0;

	while (taken < n && (ret[taken] = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, ret[taken], link);
		taken++;
	}
	return taken;
}

size_t
workers_take_back(struct workers *w, struct attempt **ret, size_t n)
{
	/* it may have a worker already, and lose its place for nothing */
	if (w->node->daemon.drain.state == DRAIN_RUNNING && !TAILQ_EMPTY(&w->waiting) &&
		!TAILQ_EMPTY(&w->done))
		sim_fail("node %d: hands back what waits while outcomes do, too",
			w->node->number);
	return take(&w->waiting, ret, n);
}

size_t
workers_collect(struct workers *w, struct attempt **ret, size_t n)
{
	if (!w->is_told)
		return take(&w->done, ret, n);
	w->is_told = false;
	ret[0] = NULL;
	return 1 + take(&w->done, ret + 1, n - 1);
}

void
workers_listen(struct workers *w)
{
	w->has_news = false;
}

/* ---- a run ---- */

bool
workers_can_begin(const struct workers *w)
{
	return w->busy_count < w->concurrency && !TAILQ_EMPTY(&w->waiting);
}

static int64_t
draw_duration_ms(int64_t budget)
{
	switch (sim_random(6)) {
	case 0:
	case 1:
		return 0;
	case 2:
	case 3:
		return sim_random(50);
	case 4:
		return sim_random((uint32_t)(budget < 1000 ? budget : 1000) + 1);
	default:
		return sim_random((uint32_t)(2 * (budget < 20000 ? budget : 20000)));
	}
}

/* One in two tells of its progress, at any time, and again. */
static int64_t
draw_tell_at_ms(const struct one *one)
{
	const int64_t left_ms = one->end_at_ms - stint_now_ms();

	if (left_ms < 0 || sim_chance(2))
		return STINT_NEVER;
	return stint_now_ms() + sim_random((uint32_t)left_ms + 1);
}

static void
begin_run(struct workers *w, struct one *one)
{
	static const enum verdict verdicts[] = {GOES_WELL, GOES_WELL, GOES_WELL,
		GOES_WELL, FAILS, FAILS, FAILS_FOR_GOOD, CRASHES};
	struct attempt *a = one->attempt;
	int64_t duration;

	one->run = check_run(w->node, a);
	duration = draw_duration_ms(one->allowance.budget_ms);
	one->verdict = verdicts[sim_random(ARRAY_LEN(verdicts))];
	one->end_at_ms = stint_now_ms() + duration;
	one->timeout_at_ms = stint_now_ms() + one->allowance.budget_ms;
	one->tell_at_ms = draw_tell_at_ms(one);
	sim_trace("node %d worker: runs %s, entry %s, attempt %d, for %lld ms",
		w->node->number, a->job->id.p, a->job->entry_id, a->job->attempt,
		(long long)duration);
}

void
workers_begin_one(struct workers *w)
{
	struct attempt *a = TAILQ_FIRST(&w->waiting);
	struct one *one = &w->busy[w->busy_count++];

	TAILQ_REMOVE(&w->waiting, a, link);
	*one = (struct one){
		.attempt = a, .end_at_ms = stint_now_ms(), .tell_at_ms = STINT_NEVER};
	a->outcome.started_unix_ms = stint_unix_ms();
	atomic_store(&a->started_at_ms, stint_now_ms());
	atomic_store(&a->slot, (int)w->busy_count - 1);
	one->may_begin = begin_attempt(a, &a->outcome, &one->allowance);
	if (one->may_begin && stint_ctx_err(a->ctx) == 0)
		begin_run(w, one);
}

static int
ended_cause(const struct one *one)
{
	if (stint_ctx_err(one->attempt->ctx) < 0)
		return stint_ctx_cause(one->attempt->ctx, NULL);
	return one->timeout_at_ms <= stint_now_ms() ? -ETIMEDOUT : 0;
}

/* Killed when the lease ends, also in its grace, as kill_at_ms() in handler/exec.c. */
static int64_t
end_at_ms(const struct one *one)
{
	const struct attempt *a = one->attempt;
	const int64_t lease_ms = a->config->lease_ms;
	int64_t lease_at_ms = a->leased_at_ms + lease_hold_ms(lease_ms);

	if (lease_at_ms < one->asked_at_ms + lease_grace_ms(lease_ms))
		lease_at_ms = one->asked_at_ms + lease_grace_ms(lease_ms);
	return one->is_ended && lease_at_ms < one->end_at_ms ? lease_at_ms
							     : one->end_at_ms;
}

static bool
is_due(const struct one *one)
{
	return end_at_ms(one) <= stint_now_ms() ||
	       (!one->is_ended && ended_cause(one) != 0);
}

bool
workers_can_end(const struct workers *w)
{
	for (size_t i = 0; i < w->busy_count; i++)
		if (is_due(&w->busy[i]))
			return true;
	return false;
}

int64_t
workers_next_ms(const struct workers *w)
{
	int64_t next = STINT_NEVER;

	for (size_t i = 0; i < w->busy_count; i++) {
		const struct one *one = &w->busy[i];

		if (end_at_ms(one) < next)
			next = end_at_ms(one);
		if (one->tell_at_ms < next)
			next = one->tell_at_ms;
		if (one->run && !one->is_ended && one->timeout_at_ms < next)
			next = one->timeout_at_ms;
	}
	return next;
}

/* As conclude_ended() in handler/exec.c. */
static void
conclude_ended(struct one *one, bool is_well)
{
	struct outcome *out = &one->attempt->outcome;
	struct stint_err cause = {0};

	stint_ctx_cause(one->attempt->ctx, &cause);
	if (one->cause == -ETIMEDOUT)
		outcome_fail(out, JOB_TIMEOUT, "timed out");
	else if (one->cause != HANDLER_CAUSE_SHUTDOWN &&
		 one->cause != HANDLER_CAUSE_LEASE)
		outcome_fail(out, JOB_CANCELLED, "%s", cause.msg);
	else if (!is_well)
		outcome_fail(out, JOB_HANDED_BACK, "%s", cause.msg);
}

static void
conclude(struct one *one)
{
	struct outcome *out = &one->attempt->outcome;
	const int number = one->run ? (int)(one->run - jobs.runs) : -1;

	if (!one->may_begin)
		return;
	buf_fmt(&out->output, "run %d.", number);
	if (!one->run || one->is_ended) {
		one->cause = one->is_ended ? one->cause : ended_cause(one);
		conclude_ended(one, one->run && one->verdict == GOES_WELL);
		if (out->status == JOB_TIMEOUT && one->allowance.is_by_deadline)
			outcome_fail(
				out, JOB_CANCELLED, "its deadline passed while it ran");
	} else if (one->verdict == CRASHES) {
		outcome_fail(out, JOB_CRASHED, "killed by SIGSEGV");
	} else if (one->verdict != GOES_WELL) {
		outcome_fail(out, JOB_ERROR, "exit code 1");
		out->for_good = one->verdict == FAILS_FOR_GOOD;
	}
}

/* The context has ended: the run has its grace. */
static void
heed(const struct workers *w, struct one *one)
{
	const struct attempt *a = one->attempt;
	const int64_t grace_ms = a->handler->kill_grace_ms;

	one->is_ended = true;
	one->asked_at_ms = stint_now_ms();
	one->cause = ended_cause(one);
	if (one->cause == HANDLER_CAUSE_LEASE)
		check_ended_by_lease(w->node, a);
	one->verdict = sim_chance(3) ? GOES_WELL : FAILS;
	one->end_at_ms = stint_now_ms() + sim_random((uint32_t)grace_ms + 1);
}

static void
end_run(struct workers *w, struct one *one)
{
	struct attempt *a = one->attempt;

	conclude(one);
	sim_trace("node %d worker: %s of %s", w->node->number,
		job_status_name(a->outcome.status), a->job->id.p);
	a->run_us = 1000 * (stint_now_ms() - atomic_load(&a->started_at_ms));
	a->outcome.finished_unix_ms = stint_unix_ms();
	if (a->outcome.status != JOB_HANDED_BACK)
		attempt_tell(a, w->name);
	if (one->run) {
		one->run->is_over = true;
		one->run->status = a->outcome.status;
	}
	TAILQ_INSERT_TAIL(&w->done, a, link);
	*one = w->busy[--w->busy_count];
}

void
workers_end_one(struct workers *w)
{
	for (size_t i = 0; i < w->busy_count; i++) {
		struct one *one = &w->busy[i];

		if (!is_due(one))
			continue;
		if (one->run && !one->is_ended && ended_cause(one) != 0)
			return heed(w, one);
		return end_run(w, one);
	}
}

bool
workers_have_outcomes(const struct workers *w)
{
	return w->is_told || !TAILQ_EMPTY(&w->done);
}

/* ---- its progress ---- */

static struct one *
next_teller(const struct workers *w)
{
	for (size_t i = 0; i < w->busy_count; i++)
		if (w->busy[i].tell_at_ms <= stint_now_ms())
			return (struct one *)&w->busy[i];
	return NULL;
}

bool
workers_can_tell(const struct workers *w)
{
	return next_teller(w) != NULL;
}

/* As in core/workers.c. */
void
workers_tell_one(struct workers *w)
{
	struct one *one = next_teller(w);
	struct progress progress = {.percent = (int)sim_random(PROGRESS_MAX + 1)};

	snprintf(progress.note, sizeof progress.note, "run %d",
		(int)(one->run - jobs.runs));
	sim_trace("node %d worker: %s is at %d%%", w->node->number,
		one->attempt->job->id.p, progress.percent);
	attempt_report(one->attempt, &progress);
	one->tell_at_ms = draw_tell_at_ms(one);
	w->is_told = w->is_told || !w->has_news;
	w->has_news = true;
}

pid_t
zygote_pid(const struct zygote *zygote)
{
	(void)zygote;
	return 0;
}
