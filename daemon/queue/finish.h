/*
 * finish.h - result, acknowledgement and removal of finished jobs, as commands
 *
 * commit.c decides when; here stands what is said to Redis and what its answers
 * mean. A batch is of one queue and one kind:
 *
 *	FINISH_PLAIN   ok, nobody to answer and no progress told: MULTI, SET NX PX for
 *	               each, one XACK, one XDEL, one HDEL of the ids that are not their
 *	               entries', EXEC; the cheapest (no script), and safe to repeat. For
 *	               those with retries also ZREM, HDEL and DEL of what another daemon
 *	               may have put off
 *	FINISH_SCRIPT  everything else that ends a job: scripts/finish.lua
 *	FINISH_RELEASE back to the queue: scripts/release.lua
 *	FINISH_ASIDE   its handler is at its limit: scripts/aside.lua
 *	FINISH_RETRY   failed, and tried again later: scripts/retry.lua
 */
#ifndef QUEUE_FINISH_H
#define QUEUE_FINISH_H

#include <stddef.h>
#include "daemon/queue/attempt.h"
#include "daemon/queue/fault.h"
#include "daemon/redis/script.h"

enum {
	/* Redis reaches its best rate with 64 to 128 in a batch; more gains nothing. */
	FINISH_BATCH_MAX = 128,
	REPLIES_MAX = 1000, /* kept in one reply stream, about */
};

struct finish_who {
	const struct redis_scripts *scripts;
	const char *consumer;
};

enum finish_kind finish_kind(const struct attempt *a);

/* Write the commands for @list, which is not empty; all of one queue and kind (PLAIN
 * ones may also be sent as SCRIPT). */
void finish_write(struct redis_batch *b, enum finish_kind kind,
	const struct finish_who *who, const struct attempt_list *list);

/* What became of one attempt. */
enum finish_answer {
	FINISH_RECORDED,  /* also: handed back, put aside, put off for a retry */
	FINISH_DUPLICATE, /* a result was there, it stands */
	FINISH_LOST,      /* not held by this daemon any more: nothing changed */
};

enum { FINISH_NO_REPLY = 1, FINISH_NO_LETTER = 2 };

/**
 * finish_fault() - was the batch carried out
 * @ret_why: the error reply, when it was not
 *
 * Return: FAULT_NONE: carried out, finish_answer() tells the rest; else nothing of it
 * was.
 */
enum fault finish_fault(enum finish_kind kind, const struct redis_reply *replies,
	size_t count, const struct redis_reply **ret_why);

/* The answer for the @i-th attempt of the batch (@nth_set: the how manyeth that is
 * stored, for PLAIN). @ret_flags: FINISH_NO_REPLY, FINISH_NO_LETTER. */
enum finish_answer finish_answer(enum finish_kind kind, const struct redis_reply *replies,
	size_t count, size_t i, const struct attempt *a, size_t *nth_set, int *ret_flags);

/* In how many ms the first of the queue's delayed jobs is due, 0: now; -1: the batch does
 * not tell (it is not of FINISH_RETRY). */
int64_t finish_next_due_ms(
	enum finish_kind kind, const struct redis_reply *replies, size_t count);

#endif
