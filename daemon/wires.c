/*
 * wires.c - who tells whom
 *
 * The parts know nothing of each other but what their tables of callbacks say. Read from
 * top to bottom, it is the way of a job.
 */
#include "daemon/daemon_priv.h"

#include "daemon/handler/handler.h"
#include "daemon/obs/log.h"

void
daemon_on_change(void *arg)
{
	daemon_poke(arg);
}

static void
wake_at(struct daemon *d, enum daemon_wake who, int64_t at_ms)
{
	loop_timer_set_earlier(&d->wakes[who], at_ms);
}

/* ---- jobs come in: fetch and claim ---- */

static size_t
on_credit(void *arg)
{
	struct daemon *d = arg;

	if (d->drain.state != DRAIN_RUNNING || !commit_is_open(d->commit) ||
		intake_is_full(d->intake))
		return 0;
	return dispatch_credit(d->dispatch);
}

static bool
on_may_read(void *arg, const struct queue *q)
{
	struct daemon *d = arg;

	return !q->is_paused && control_is_ready(d->control, q);
}

static bool
on_is_known(void *arg, const struct queue *q, const char *entry_id)
{
	struct daemon *d = arg;

	return flight_find(d->flight, q, entry_id) != NULL;
}

static void
on_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	struct daemon *d = arg;

	intake_add(d->intake, q, job, leased_at_ms);
}

/* All jobs of one reply have been given. */
static void
on_read(void *arg)
{
	struct daemon *d = arg;

	if (d->is_closing)
		return; /* some connections are gone */
	dispatch_flush(d->dispatch);
	lease_poke(d->lease); /* with nothing in flight before, nothing would wake it */
	admit_poke(d->admit);
	commit_poke(d->commit);
	drain_poke(&d->drain); /* it may have been waiting for this read */
}

static void
on_groups_ready(void *arg)
{
	struct daemon *d = arg;

	d->has_groups = true;
	daemon_note_back(d);
	daemon_poke(d);
}

static void
fetch_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_FETCH, at_ms);
}

const struct fetch_ops daemon_fetch_ops = {
	.credit = on_credit,
	.may_read = on_may_read,
	.is_known = on_is_known,
	.on_job = on_job,
	.on_read = on_read,
	.on_ready = on_groups_ready,
	.wake_at = fetch_wake_at,
};

/* A job of somebody else may have been cancelled: that must be known first. */
static size_t
on_claim_credit(void *arg)
{
	return daemon_has_read_control(arg) ? on_credit(arg) : 0;
}

static void
on_lost_reply(void *arg)
{
	struct daemon *d = arg;

	fetch_compare(d->fetch);
}

static void
on_claimed_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	struct daemon *d = arg;

	flight_counts(d->flight)->reclaimed++;
	log_debug("job taken over", F_STR("job", job->id.p), F_STR("queue", q->name),
		F_INT("deliveries", job->deliveries));
	on_job(d, q, job, leased_at_ms);
}

static void
claim_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_CLAIM, at_ms);
}

const struct claim_ops daemon_claim_ops = {
	.credit = on_claim_credit,
	.is_known = on_is_known,
	.on_job = on_claimed_job,
	.on_read = on_read,
	.on_lost_reply = on_lost_reply,
	.on_noscript = daemon_on_change,
	.wake_at = claim_wake_at,
};

/* ---- jobs of handlers at their limit ---- */

static struct aside_room
on_room(void *arg, const struct queue *q, const char *handler)
{
	struct daemon *d = arg;

	if (d->is_quiet || !on_may_read(d, q) || d->drain.state != DRAIN_RUNNING ||
		!commit_is_open(d->commit) || intake_is_full(d->intake))
		return (struct aside_room){0};
	return intake_room(d->intake, q, handler);
}

static bool
on_is_limited(void *arg)
{
	struct daemon *d = arg;

	return dispatch_is_limited(d->dispatch);
}

static void
on_aside_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	struct daemon *d = arg;

	intake_add_aside(d->intake, q, job, leased_at_ms);
}

static void
aside_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_ASIDE, at_ms);
}

const struct aside_ops daemon_aside_ops = {
	.room = on_room,
	.is_limited = on_is_limited,
	.is_known = on_is_known,
	.on_job = on_aside_job,
	.on_read = on_read,
	.on_lost_reply = on_lost_reply,
	.on_noscript = daemon_on_change,
	.wake_at = aside_wake_at,
};

/* ---- jobs with an id of their own, or for later ---- */

static void
on_admitted(void *arg, struct attempt *a, enum admit_answer answer)
{
	struct daemon *d = arg;

	intake_admitted(d->intake, a, answer);
}

static void
on_due(void *arg, struct queue *q, int64_t in_ms)
{
	struct daemon *d = arg;

	delayed_note_due(d->delayed, q, in_ms);
	delayed_poke(d->delayed);
}

static void
admit_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_ADMIT, at_ms);
}

const struct admit_ops daemon_admit_ops = {
	.on_admitted = on_admitted,
	.on_batch = on_read,
	.on_due = on_due,
	.on_noscript = daemon_on_change,
	.wake_at = admit_wake_at,
};

static void
delayed_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_DELAYED, at_ms);
}

const struct delayed_ops daemon_delayed_ops = {
	.on_noscript = daemon_on_change,
	.wake_at = delayed_wake_at,
};

/* ---- held jobs: their lease ---- */

static struct attempt_list *
on_list(void *arg)
{
	struct daemon *d = arg;

	return flight_list(d->flight);
}

static struct attempt *
on_find(void *arg, const struct queue *q, const char *entry_id)
{
	struct daemon *d = arg;

	return flight_find(d->flight, q, entry_id);
}

static void
give_up(struct daemon *d, struct attempt *a, const char *why)
{
	if (dispatch_remove(d->dispatch, a)) {
		flight_put_aside(d->flight, a); /* if it is ours all the same */
		return commit_poke(d->commit);
	}
	/* Not with a worker yet: its admission tells, which may be what took it away, its
	 * answer lost. */
	if (!a->ctx)
		return;
	log_warn(why, F_ATTEMPT(a));
	stint_ctx_cancel_cause(a->ctx, HANDLER_CAUSE_LEASE, why);
}

static void
on_lease_lost(void *arg, struct attempt *a)
{
	give_up(arg, a, "the job is not held by this daemon any more");
}

static void
on_lease_expiring(void *arg, struct attempt *a)
{
	give_up(arg, a, "the lease could not be renewed in time");
}

static size_t
on_write_control(void *arg, struct redis_batch *b)
{
	struct daemon *d = arg;

	return control_write_read(d->control, b);
}

static void
on_take_control(void *arg, const struct redis_reply *reply)
{
	struct daemon *d = arg;

	control_take_read(d->control, reply);
}

static void
lease_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_LEASE, at_ms);
}

const struct lease_ops daemon_lease_ops = {
	.list = on_list,
	.find = on_find,
	.on_lost = on_lease_lost,
	.on_expiring = on_lease_expiring,
	.write_control = on_write_control,
	.take_control = on_take_control,
	.on_noscript = daemon_on_change,
	.wake_at = lease_wake_at,
};

/* ---- running jobs tell how far they are ---- */

void
daemon_on_news(void *arg)
{
	struct daemon *d = arg;

	reports_note(d->reports);
}

static void
on_listen(void *arg)
{
	struct daemon *d = arg;

	workers_listen(d->workers);
}

static void
reports_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_REPORTS, at_ms);
}

const struct reports_ops daemon_reports_ops = {
	.listen = on_listen,
	.on_noscript = daemon_on_change,
	.wake_at = reports_wake_at,
};

/* ---- cancel, pause, resume ---- */

static void
on_cancel(void *arg, struct queue *q, const char *id, int64_t unix_ms)
{
	struct daemon *d = arg;

	intake_cancel(d->intake, q, id, unix_ms);
	commit_poke(d->commit); /* those that waited have their result */
}

/* Other queues may be read than before. */
static void
read_others(struct daemon *d)
{
	fetch_refresh(d->fetch);
	daemon_unblock(d);
	daemon_poke(d);
}

static void
on_pause(void *arg, struct queue *q, bool is_paused)
{
	struct daemon *d = arg;

	log_info(is_paused ? "queue is paused: nothing is fetched" : "queue is resumed",
		F_STR("queue", q->name));
	if (is_paused)
		dispatch_put_aside(d->dispatch, q);
	read_others(d); /* without it, or with it again */
}

static void
on_control_ready(void *arg, struct queue *q)
{
	struct daemon *d = arg;

	(void)q;
	read_others(d);
}

static void
on_pulled_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	on_job(arg, q, job, leased_at_ms);
	on_read(arg);
}

static void
on_hastened(void *arg, struct queue *q)
{
	on_due(arg, q, 0);
}

static void
control_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_CONTROL, at_ms);
}

const struct control_ops daemon_control_ops = {
	.on_cancel = on_cancel,
	.on_pause = on_pause,
	.on_ready = on_control_ready,
	.on_job = on_pulled_job,
	.on_lost_reply = on_lost_reply,
	.on_due = on_hastened,
	.on_noscript = daemon_on_change,
	.wake_at = control_wake_at,
};

/* ---- jobs are done ---- */

static void
on_done(void *arg, struct attempt *a, enum finish_answer answer, int flags)
{
	struct daemon *d = arg;

	if (a->is_put_aside)
		aside_note(a->queue, a->job->handler.p);
	if (a->retry_delay_ms >= 0 || a->outcome.status == JOB_HANDED_BACK)
		control_recall(d->control, a->queue, a->job->id);
	flight_done(d->flight, a, answer, flags);
}

static void
commit_wake_at(void *arg, int64_t at_ms)
{
	wake_at(arg, WAKE_COMMIT, at_ms);
}

const struct commit_ops daemon_commit_ops = {
	.on_done = on_done,
	.on_due = on_due,
	.on_settled = daemon_on_change,
	.wake_at = commit_wake_at,
};
