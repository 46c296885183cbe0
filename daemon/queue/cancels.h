/*
 * cancels.h - the cancels of one queue: which ids, and when it was said
 *
 * A table by id; the newest cancel of an id replaces older ones. It is bounded: beyond
 * CANCELS_MAX the oldest is forgotten. Those that are still to be applied to queued jobs
 * also stand in a list (recall.c takes them from it), those that are to be applied a
 * second time in another until then. Thread: the loop's.
 */
#ifndef QUEUE_CANCELS_H
#define QUEUE_CANCELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>
#include "lib/wire/keys.h"

enum { CANCELS_MAX = 65536 };

struct cancel {
	char id[JOB_ID_MAX + 1];
	int64_t unix_ms; /* of the control entry: Redis' clock */
	bool is_todo;
	TAILQ_ENTRY(cancel) todo;
	int64_t again_at_ms; /* 0: not planned yet; STINT_NEVER: it was */
	TAILQ_ENTRY(cancel) again;
	UT_hash_handle hh; /* by id; oldest first */
};

TAILQ_HEAD(cancel_list, cancel);

struct cancels {
	struct cancel *by_id;
	size_t count;
	struct cancel_list todo;
	struct cancel_list again; /* by again_at_ms */
};

void cancels_init(struct cancels *c);
void cancels_clear(struct cancels *c); /* forget all, free all */

/* Remember one, as still to be applied. @id: valid (keys.h), @n bytes. 0 or -ENOMEM. */
int cancels_add(struct cancels *c, const char *id, size_t n, int64_t unix_ms);

/* NULL: none of that id. */
struct cancel *cancels_find(const struct cancels *c, const char *id, size_t n);

/* Forget those before @unix_ms. */
void cancels_expire(struct cancels *c, int64_t unix_ms);

/* It is being applied / must be applied (once more). */
void cancels_done(struct cancels *c, struct cancel *one);
void cancels_redo(struct cancels *c, struct cancel *one);

/* Plan that it is applied a second time, and last: not before earlier ones. */
void cancels_plan(struct cancels *c, struct cancel *one, int64_t at_ms);
/* Those whose second time has come are to be applied. Returns when the next one's comes,
 * STINT_NEVER: there is none. */
int64_t cancels_redo_planned(struct cancels *c, int64_t now_ms);

#endif
