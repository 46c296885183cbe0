/*
 * intake.h - what becomes of a job that was read, before anyone runs it
 *
 *	fetch, ─▶ add ─┬─ own id, or for later ─▶ admit ─┬─ duplicate, delayed: gone
 *	claim          ├◀────────────────────────────────┘
 *	               ├─ malformed, too large, poison, cancelled ──────▶ its result
 *	               ├─ unknown handler ─▶ rejected, or parked ─▶ handed back
 *	               └─▶ dispatch
 *
 * Thread: the loop's.
 */
#ifndef CORE_INTAKE_H
#define CORE_INTAKE_H

#include <stdbool.h>
#include "daemon/core/dispatch.h"
#include "daemon/core/flight.h"
#include "daemon/core/loop.h"
#include "daemon/queue/admit.h"
#include "daemon/queue/control.h"

struct intake_opts {
	struct loop *loop;
	struct flight *flight;
	struct dispatch *dispatch;
	struct admit *admit;
	struct control *control;
	void (*on_change)(void *arg);
	void *arg;
};

struct intake;

int intake_new(
	const struct intake_opts *opts, struct config *config, struct intake **ret);
void intake_free(struct intake *in);

/* New jobs are run by this configuration; those on their way keep theirs. */
void intake_set_config(struct intake *in, struct config *config);

/* One job, from fetch or claim. Call dispatch_flush() when a read is through. */
void intake_add(
	struct intake *in, struct queue *q, struct job *job, int64_t leased_at_ms);

/* One that was put aside before. */
void intake_add_aside(
	struct intake *in, struct queue *q, struct job *job, int64_t leased_at_ms);

/* How many of those, of @q and @handler, there is room for. */
struct aside_room intake_room(
	const struct intake *in, const struct queue *q, const char *handler);

/* From admit. */
void intake_admitted(struct intake *in, struct attempt *a, enum admit_answer answer);

/* From control: a job is to be cancelled; whatever of it is here is. */
void intake_cancel(
	struct intake *in, const struct queue *q, const char *id, int64_t cancel_unix_ms);

/* From now on everything that comes in, and is parked, goes back. */
void intake_drain(struct intake *in);

/* No room for more jobs of unknown handlers. */
bool intake_is_full(const struct intake *in);

#endif
