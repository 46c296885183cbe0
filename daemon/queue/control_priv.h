/*
 * control_priv.h - the inside of the control streams' reader, for the files that share it
 *
 *	control.c            the queues, and what is known of them
 *	control_read.c       reads the streams
 *	control_messages.c   what the entries say           cancels.c   the ids
 *	recall.c             what follows for jobs that wait, and tidying, on the writer
 */
#ifndef QUEUE_CONTROL_PRIV_H
#define QUEUE_CONTROL_PRIV_H

#include "daemon/queue/cancels.h"
#include "daemon/queue/control.h"
#include "daemon/queue/fetch.h"
#include "daemon/queue/tries.h"

enum { RECALL_BATCH_MAX = 64 };

/* An entry's id as a number; 0-0: before all. */
struct stream_id {
	uint64_t ms;
	uint64_t seq;
};

/* A read on its way: entries behind @from. */
struct control_read {
	bool is_asked;
	struct stream_id from;
};

struct control_queue {
	struct queue *queue;
	struct stream_id last;  /* read up to here */
	struct stream_id state; /* the last pause or resume; 0-0: none */
	bool wants_pause;       /* what it said; in force when all was read */
	bool is_ready;          /* read to the end once, or it cannot be read */
	bool is_faulty;         /* it cannot be read: told once */
	struct control_read own;
	struct control_read guest; /* in a renewal's batch */
	struct cancels cancels;

	/* kept by recall.c */
	struct tries recall_tries;
	struct tries tidy_tries;
	int64_t tidy_at_ms;
};

enum control_step { STEP_IDLE, STEP_CHECK, STEP_BLOCK };

/* One request to the writer at a time. */
struct recall {
	struct tries_conf recall_conf;
	struct tries_conf tidy_conf;
	struct queue *asked; /* NULL: nothing is on its way */
	size_t turn;
	int64_t sent_at_ms;
	char ids[RECALL_BATCH_MAX][JOB_ID_MAX + 1];
	size_t count;
};

struct control {
	struct control_opts o;
	struct control_queue *queues[FETCH_QUEUES_MAX];
	size_t count;
	bool is_paused;

	enum control_step step; /* what is on its way */
	struct queue *asked[FETCH_QUEUES_MAX];
	size_t asked_count;
	int64_t check_at_ms;
	int64_t backoff_ms; /* of reads that were refused */
	int64_t not_before_ms;
	bool is_refused; /* told once */

	struct recall recall;
};

/* ---- control.c ---- */

/* NULL: it is not looked after. */
struct control_queue *control_find(const struct control *c, const struct queue *q);

/* ---- control_messages.c ---- */

/* Of an entry in a reply. */
bool stream_id_of(const struct redis_reply *entry, struct stream_id *ret);
bool stream_id_is_before(struct stream_id a, struct stream_id b);

enum { STREAM_ID_BYTES = ENTRY_ID_BYTES };
void stream_id_print(struct stream_id id, char out[STREAM_ID_BYTES]);

/* Take all entries that are behind cq->last. */
void control_take_entries(
	struct control *c, struct control_queue *cq, const struct redis_reply *entries);

/* ---- recall.c ---- */

void recall_init(struct control *c);
void recall_poke(struct control *c);

#endif
