/*
 * flight.h - the jobs in flight: all that were read and are not stored yet
 *
 * An attempt begins here when its job was read, and ends here when Redis has taken its
 * outcome. In between it is with intake, admit, the dispatcher, a worker, or the outbox;
 * whoever has it gives it back through one of the calls below, once. Thread: the loop's.
 */
#ifndef CORE_FLIGHT_H
#define CORE_FLIGHT_H

#include <stddef.h>
#include <stdint.h>
#include "daemon/core/commit.h"
#include "daemon/queue/attempt.h"

struct flight_counts {
	uint64_t done;   /* results recorded, of whatever status */
	uint64_t failed; /* of these, not ok */
	uint64_t retried;
	uint64_t handed_back;
	uint64_t put_aside; /* while its handler was at its limit */
	uint64_t delayed;
	uint64_t duplicates; /* dropped: there was a job of the same id */
	uint64_t reclaimed;  /* taken over from another daemon */
};

struct flight;

/* @name: this daemon's, for results; the caller's, outlives it. 0 or -ENOMEM. */
int flight_new(struct commit *commit, const char *name, struct flight **ret);
void flight_free(struct flight *f); /* and every attempt; the workers must be gone */

/* A job was read. Takes it. NULL: no memory, it stays in the pending list. */
struct attempt *flight_begin(struct flight *f, struct queue *q, struct job *job,
	struct config *config, int64_t leased_at_ms);

/* The outcome and the result are written, by a worker: retry, or store it. */
void flight_end(struct flight *f, struct attempt *a);

/* The same; its result is not written yet. */
void flight_conclude(struct flight *f, struct attempt *a);

/* The worker that had an attempt that was given up does not need it any more. */
void flight_released(struct flight *f, struct attempt *a);

/* The same for an outcome that no worker has written. */
void flight_fail(struct flight *f, struct attempt *a, enum job_status status,
	const char *fmt, ...) STINT_PRINTF(4, 5);

/* Back to the queue, where any daemon can take it. */
void flight_hand_back(struct flight *f, struct attempt *a);

/* Its handler is at its limit: it keeps its place in the queue, and is taken up again
 * when there is room (aside.h). */
void flight_put_aside(struct flight *f, struct attempt *a);

/* It is dealt with in Redis, or somebody else's: forget it. */
void flight_drop(struct flight *f, struct attempt *a);

/* From commit: Redis has answered. */
void flight_done(
	struct flight *f, struct attempt *a, enum finish_answer answer, int flags);

struct attempt *flight_find(
	const struct flight *f, const struct queue *q, const char *entry_id);

/* All of them, the oldest first. */
struct attempt_list *flight_list(struct flight *f);
size_t flight_count(const struct flight *f);
struct flight_counts *flight_counts(struct flight *f);

/* One line for each (SIGUSR1). */
void flight_log(const struct flight *f);

#endif
