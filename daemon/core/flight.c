/*
 * flight.c - the table of jobs in flight, and how they leave it
 */
#define HASH_NONFATAL_OOM 1 /* uthash would end the process */
#include "daemon/core/flight.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/obs/log_ids.h"
#include "daemon/queue/retry.h"

struct flight {
	struct commit *commit;
	const char *name;
	struct attempt_list list;
	size_t count;
	uint64_t random; /* of the back-off's jitter */
	struct flight_counts counts;
};

/* ---- in ---- */

struct attempt *
flight_begin(struct flight *f, struct queue *q, struct job *job, struct config *config,
	int64_t leased_at_ms)
{
	struct attempt *a = attempt_new(job, q, config);

	if (!a) {
		log_error("no memory for a job", F_STR("queue", q->name));
		return NULL;
	}
	a->leased_at_ms = leased_at_ms;
	TAILQ_INSERT_TAIL(&f->list, a, in_flight);
	HASH_ADD_KEYPTR(by_entry, q->held, a->job->entry_id, strlen(a->job->entry_id), a);
	f->count++;
	return a;
}

struct attempt *
flight_find(const struct flight *f, const struct queue *q, const char *entry_id)
{
	struct attempt *a;

	(void)f;
	HASH_FIND(by_entry, q->held, entry_id, strlen(entry_id), a);
	return a;
}

/* ---- out ---- */

/* What a command said when it failed. The lines of a worker have been told already. */
static void
log_stderr(const struct attempt *a)
{
	const struct buf *tail = &a->outcome.stderr_tail;
	char text[OUTCOME_STDERR_BYTES + 1];

	if (tail->len == 0 || tail->len >= sizeof text || tail->failed || !a->handler ||
		a->handler->is_worker)
		return;
	for (size_t i = 0; i < tail->len; i++) /* a NUL would end the text */
		text[i] = tail->data[i] ? tail->data[i] : '?';
	text[tail->len] = '\0';
	log_info("command printed", F_ATTEMPT(a), F_STR("on", "stderr"),
		F_STR(LOG_PRINTED, text));
}

static void
log_retry(const struct attempt *a)
{
	log_info("job failed, it will be tried again", F_ATTEMPT(a),
		F_STR("status", job_status_name(a->outcome.status)),
		F_STR("error", a->outcome.error), F_INT("in_ms", a->retry_delay_ms));
}

void
flight_end(struct flight *f, struct attempt *a)
{
	atomic_store_explicit(&a->slot, ATTEMPT_ENDED, memory_order_relaxed);
	if (a->outcome.status != JOB_OK) {
		a->retry_delay_ms = retry_delay_ms(a, stint_unix_ms(), &f->random);
		if (a->outcome.status != JOB_HANDED_BACK)
			log_stderr(a);
		if (a->retry_delay_ms >= 0)
			log_retry(a);
	}
	commit_add(f->commit, a);
}

void
flight_conclude(struct flight *f, struct attempt *a)
{
	a->outcome.finished_unix_ms = stint_unix_ms();
	if (a->outcome.status != JOB_HANDED_BACK)
		attempt_tell(a, f->name);
	flight_end(f, a);
}

void
flight_fail(
	struct flight *f, struct attempt *a, enum job_status status, const char *fmt, ...)
{
	char text[OUTCOME_ERROR_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	outcome_fail(&a->outcome, status, "%s", text);
	a->outcome.for_good = true;
	flight_conclude(f, a);
}

void
flight_hand_back(struct flight *f, struct attempt *a)
{
	a->outcome.status = JOB_HANDED_BACK;
	flight_conclude(f, a);
}

void
flight_put_aside(struct flight *f, struct attempt *a)
{
	a->is_put_aside = true;
	flight_hand_back(f, a);
}

void
flight_drop(struct flight *f, struct attempt *a)
{
	HASH_DELETE(by_entry, a->queue->held, a);
	TAILQ_REMOVE(&f->list, a, in_flight);
	f->count--;
	attempt_drop(a);
}

void
flight_released(struct flight *f, struct attempt *a)
{
	(void)f;
	a->is_kept = false;
	if (a->is_dropped)
		attempt_free(a);
}

/* ---- stored ---- */

static void
log_result(const struct attempt *a, enum finish_answer answer, int flags)
{
	const enum job_status status = a->outcome.status;

	if (answer == FINISH_LOST)
		log_warn("result dropped: the job is not held by this daemon any more",
			F_ATTEMPT(a));
	else if (answer == FINISH_DUPLICATE)
		log_warn("result dropped: there was one for this id, it stands",
			F_ATTEMPT(a));
	else if (status == JOB_HANDED_BACK)
		log_debug("job handed back", F_ATTEMPT(a));
	else if (status == JOB_OK)
		log_debug("job done", F_ATTEMPT(a),
			F_STR("status", job_status_name(status)),
			F_INT("run_us", a->run_us));
	else if (a->retry_delay_ms < 0)
		log_info("job failed", F_MESSAGE_ID(LOG_ID_JOB_FAILED), F_ATTEMPT(a),
			F_STR("status", job_status_name(status)),
			F_STR("error", a->outcome.error));
	if (flags & FINISH_NO_REPLY)
		log_warn("reply could not be added, its key is no stream", F_ATTEMPT(a),
			F_STR("reply_to", a->job->reply_to.p));
	if (flags & FINISH_NO_LETTER)
		log_warn("dead letter could not be added: larger than "
			 "dead_letters.max_size, or its key is no stream",
			F_ATTEMPT(a));
}

static void
count_result(struct flight *f, const struct attempt *a, enum finish_answer answer)
{
	if (answer != FINISH_RECORDED)
		return;
	if (a->is_put_aside) {
		f->counts.put_aside++;
	} else if (a->outcome.status == JOB_HANDED_BACK) {
		f->counts.handed_back++;
	} else if (a->retry_delay_ms >= 0) {
		f->counts.retried++;
	} else {
		f->counts.done++;
		f->counts.failed += a->outcome.status != JOB_OK;
	}
}

void
flight_done(struct flight *f, struct attempt *a, enum finish_answer answer, int flags)
{
	/* the answer to the first sending was lost; it was carried out */
	if (a->is_sent_again)
		answer = FINISH_RECORDED;
	log_result(a, answer, flags);
	count_result(f, a, answer);
	flight_drop(f, a);
}

/* ---- from outside ---- */

struct attempt_list *
flight_list(struct flight *f)
{
	return &f->list;
}

size_t
flight_count(const struct flight *f)
{
	return f->count;
}

struct flight_counts *
flight_counts(struct flight *f)
{
	return &f->counts;
}

void
flight_log(const struct flight *f)
{
	const int64_t now = stint_now_ms();
	const struct attempt *a;

	TAILQ_FOREACH (a, &f->list, in_flight) {
		const int slot = atomic_load_explicit(&a->slot, memory_order_relaxed);
		const int64_t at =
			atomic_load_explicit(&a->started_at_ms, memory_order_relaxed);

		if (slot < 0)
			log_info(slot == ATTEMPT_WAITS ? "job waits"
						       : "job ended, not stored yet",
				F_ATTEMPT(a));
		else
			log_info("job runs", F_INT("worker", slot), F_ATTEMPT(a),
				F_INT("for_ms", now - at));
	}
}

int
flight_new(struct commit *commit, const char *name, struct flight **ret)
{
	struct flight *f = calloc(1, sizeof *f);

	if (!f)
		return -ENOMEM;
	f->commit = commit;
	f->name = name;
	f->random = (uint64_t)stint_now_us();
	TAILQ_INIT(&f->list);
	*ret = f;
	return 0;
}

void
flight_free(struct flight *f)
{
	struct attempt *a;

	if (!f)
		return;
	while ((a = TAILQ_FIRST(&f->list)))
		flight_drop(f, a);
	free(f);
}
