/*
 * warm.h - the process of one `worker` handler in one slot, from start to end
 *
 *	         start           READY            job
 *	NONE ───────────▶ STARTING ─────▶ IDLE ◀──────▶ (has a job)
 *	  ▲                  │              │ end of file on 3: max_jobs, new
 *	  │                  │              ▼ configuration, idle for too long
 *	  └──────────────────┴───────── RETIRING
 *	    killed, or has ended, and all below it is gone
 *
 * A process that fails to start is not started again for a while, twice as long each
 * time; jobs that come meanwhile fail at once, with the reason. All calls are the slot's
 * thread's; none blocks beyond what a context or the kill_grace allows.
 */
#ifndef HANDLER_WARM_H
#define HANDLER_WARM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "daemon/handler/frame.h"
#include "daemon/handler/keeper.h"
#include "daemon/handler/slot.h"
#include "daemon/handler/worker_log.h"
#include "lib/base/backoff.h"

/* Between two starts that fail. */
enum { WARM_RETRY_MIN_MS = 100, WARM_RETRY_MAX_MS = 10000 };

enum warm_state { WARM_NONE, WARM_STARTING, WARM_IDLE, WARM_RETIRING };

struct warm {
	struct warm *next;               /* in the slot's list */
	const struct handler_conf *conf; /* in slot->config; or, of those that have no
					  * handler any more, NULL */
	enum warm_state state;
	int keeper_fd;
	int in_fd;  /* its descriptor 3: frames to it; not blocking, as the next */
	int out_fd; /* its descriptor 4: frames from it */
	struct buf in;
	struct worker_log log;
	struct keeper_pulse *pulse; /* NULL: no idle_timeout */
	int64_t idle_since_ms;      /* as it stands in the pulse; KEEPER_BUSY */
	int64_t ready_by_ms;        /* STARTING */
	int jobs;                   /* it has answered */

	/* of the processes before, too */
	int deaths; /* in a row, with no job answered in between */
	struct backoff backoff;
	int64_t retry_at_ms; /* NONE: not before */
	bool is_failing;     /* the log was told */
	enum job_status why_status;
	char why[OUTCOME_ERROR_BYTES];

	struct buf head, tail, cancel; /* of the frame for a job; kept for their memory */
};

/* The one of the call's handler in this slot, made on first use; NULL: no memory. */
struct warm *warm_of(struct handler_slot *slot, const struct handler_call *call);

/**
 * warm_prepare() - bring it to IDLE, with nothing said or printed that is not yet read
 *
 * Return: 0; 1: it was idle already, no time has passed; -errno: @out says what hinders
 * it. The end of @ctx leaves a process that is starting as it is: the next job finds it
 * further on.
 */
int warm_prepare(struct stint_ctx *ctx, struct handler_slot *slot, struct warm *w,
	const struct handler_call *call, struct outcome *out);

/* A job was answered: IDLE, or RETIRING after max_jobs. */
void warm_release(struct warm *w, const struct worker_log_of *of);

/* What warm_end() may wait for. */
enum warm_end { WARM_KILL, WARM_LET_EXIT };

/**
 * warm_end() - NONE, everything below it gone
 * @how: WARM_LET_EXIT: it has closed its end; unless it is soon gone by itself, it is
 *       killed, too
 *
 * Return: 1: it went by itself, @ret says how; 0: it was killed; -EPIPE: its keeper was.
 */
int warm_end(struct warm *w, enum warm_end how, const struct worker_log_of *of,
	struct keeper_reply *ret);

/* Ask it to end: end of file on 3, KILL after kill_grace. RETIRING, unless it is NONE. */
void warm_retire(struct warm *w);

/* RETIRING: has it gone? NONE then. Never blocks. */
bool warm_is_gone(struct warm *w);

/* One read of frames, so that there may be @need_bytes. Return: 1; 0: end of file;
 * -EAGAIN: nothing there; -errno. */
int warm_fill(struct warm *w, size_t need_bytes);

/* Of its buffers for frames, from job to job. */
enum { WARM_KEPT_BYTES = 65536 };

/* What the frame JOB is written in. */
enum { WARM_JOB_HEAD, WARM_JOB_PAYLOAD, WARM_JOB_TAIL, WARM_JOB_PARTS };

/**
 * warm_build_job() - the frame JOB of a call
 * @part: becomes what is to be written, in this order; it lies in @w, until the next
 *        call, and in the job
 *
 * Return: 0; -ENOMEM; -EMSGSIZE: it is more than a frame may be.
 */
int warm_build_job(struct warm *w, const struct handler_call *call, int64_t remaining_ms,
	struct iovec part[WARM_JOB_PARTS]);

/* It died with a job: when that happens again and again, the next one has to wait. */
void warm_died(struct warm *w, const char *why);

#endif
