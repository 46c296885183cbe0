/*
 * attempt.h - one attempt at a job: the job on its way through the daemon
 *
 * fetch.c makes the job, flight.c the attempt around it; a worker fills the
 * outcome; commit.c stores it. It has one owner at a time: the loop (BUFFERED while
 * it waits in the jobs channel, where the loop can take it back), a worker (RUNNING),
 * the loop again (FINISHED, until Redis has answered).
 */
#ifndef QUEUE_ATTEMPT_H
#define QUEUE_ATTEMPT_H

#include <stdatomic.h>
#include <stint/ctx.h>
#include <sys/queue.h>
#include "daemon/config/config.h"
#include "daemon/queue/queue.h"
#include "lib/wire/job.h"
#include "lib/wire/outcome.h"
#include "lib/wire/progress.h"

enum attempt_slot {
	ATTEMPT_WAITS = -1, /* for a worker */
	ATTEMPT_ENDED = -2, /* has its outcome; set by the loop */
};

/* Where the attempt of a plugin in a worker's thread is. */
enum attempt_thread {
	ATTEMPT_IN_NONE,  /* not yet in the plugin, or of another kind */
	ATTEMPT_IN_RUNS,  /* in the plugin */
	ATTEMPT_IN_ENDED, /* the worker has the outcome */
	ATTEMPT_GIVEN_UP, /* the loop has written the outcome; the plugin still runs */
};

struct attempt {
	TAILQ_ENTRY(attempt)
	in_flight;                 /* flight.c: all that were read and not stored */
	UT_hash_handle by_entry;   /* flight.c: in queue->held */
	TAILQ_ENTRY(attempt) link; /* whoever holds it: parked, line, outbox, batch */
	struct job *job;
	struct queue *queue;
	struct config *config; /* a reference: the handler's settings live in it */
	const struct handler_conf *handler; /* NULL: none of that name */
	int64_t due_at_ms;                  /* parked: when it goes back */
	struct lane *lane; /* lanes.c: it is counted in there; NULL: nowhere */
	struct line *line; /* lanes.c: it waits in there; NULL: nowhere */
	bool was_aside;    /* it was put aside before, and has been taken */
	bool is_put_aside; /* how it leaves, when it is handed back */

	/* The lease: idle time in the pending list counts from here, by our clock, since
	 * the read or the renewal was sent before Redis saw it. The worker looks, too. */
	_Atomic int64_t leased_at_ms;
	bool is_renewing;      /* is in a renewal that is on its way */
	bool is_expiring;      /* it was told that its lease runs out (lease.c) */
	bool is_lost;          /* it was told that it is not held any more (lease.c) */
	struct stint_ctx *ctx; /* to end it early; made when workers get it */

	/* written by the worker, looked at by the loop for USR1 */
	_Atomic int slot; /* of the worker that runs it, or one of enum attempt_slot */
	_Atomic int64_t started_at_ms;

	/* Of a plugin in a worker's thread, which cannot be ended (core/stuck.h). Whoever
	 * is first to change RUNS, the worker or the loop, says how it ended. */
	_Atomic int thread; /* enum attempt_thread */
	struct {
		int64_t budget_ms;
		int64_t ends_at_ms;
		bool is_by_deadline; /* of the job */
	} in_thread;                 /* written by the worker before RUNS */
	int64_t asked_at_ms; /* the loop's: since when it should end; 0: it need not */
	bool is_timed_out;   /* likewise: that is since its time was up */
	bool is_kept;        /* likewise: given up, and the worker has it still */
	bool is_dropped;     /* likewise: to be freed when that is over */
	/* The newest that the worker has put there and the loop has not taken yet; NULL:
	 * nothing. Who takes it out owns it. */
	struct progress *_Atomic news;
	/* kept by reports.c */
	struct progress *progress; /* what it has told last; NULL: nothing yet */
	bool is_report_due;        /* it is not written yet */

	bool is_sent_again; /* to Redis, after a first time whose outcome is unknown */
	struct outcome outcome;
	int64_t retry_delay_ms; /* it failed and is tried again after this; -1: it is not
				 */
	int64_t run_us;         /* how long the handler took */
	struct buf result;      /* the outcome as JSON; empty when handed back */
};

/* What every event of an attempt tells (daemon/obs/log.h). */
#define F_ATTEMPT(a)                                                                     \
	F_STR("job", (a)->job->id.p), F_STR("queue", (a)->queue->name),                  \
		F_STR("handler", (a)->job->handler.p ? (a)->job->handler.p : ""),        \
		F_INT("attempt", (a)->job->attempt)

/* Takes @job (also on failure: then it is freed), a reference on @config. NULL: no
 * memory. */
struct attempt *attempt_new(struct job *job, struct queue *queue, struct config *config);
void attempt_free(struct attempt *a); /* takes NULL */

/* Leave @progress for the loop, in place of what it has not taken. Without memory nothing
 * happens. Thread: the worker's. */
void attempt_report(struct attempt *a, const struct progress *progress);

/* Has it told of its progress, or been somebody else's before? Then there may be a state
 * of its job in Redis. Once it has ended, that does not change. Thread: the loop's. */
bool attempt_may_have_state(const struct attempt *a);

/* Free it, unless a worker still has it: then that is noted (is_dropped). */
void attempt_drop(struct attempt *a);

/**
 * attempt_enter() - the worker calls the plugin now; attempt_leave() - it has returned
 * attempt_give_up() - the loop waits for it no longer
 *
 * attempt_leave() is true when the worker is to say how it ended; false: it has been
 * given up, and all that is left to do is to send it back. attempt_give_up() is true
 * when the loop is to say it, and the attempt is kept then; false: the worker has.
 */
void attempt_enter(struct attempt *a);
bool attempt_leave(struct attempt *a);
bool attempt_give_up(struct attempt *a);

/* In the plugin? Then in_thread can be read. */
bool attempt_is_in_thread(const struct attempt *a);

/* Is the outcome stored under the job's result key? (results.store) */
bool attempt_is_stored(const struct attempt *a);
int64_t attempt_ttl_ms(const struct attempt *a);

/* Write a->result from a->outcome. @daemon: who ran it. Thread: the present owner's. */
void attempt_tell(struct attempt *a, const char *daemon);

#endif
