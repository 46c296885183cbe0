/*
 * meet.c - where two threads meet that are both awake, at a channel without a ring
 */
#include "lib/conc/meet.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include "lib/conc/ctx.h"
#include "lib/conc/race.h"
#include "lib/conc/spin.h"

enum {
	MEET_FREE,
	MEET_RECV,
	MEET_SEND,
	MEET_BUSY,
	MEET_DONE,
	MEET_ENDED,
	MEET_STATE = 7,
	MEET_SHUT = 8, /* a bit of its own, beside any state */
};

enum {
	LOOK_GAP_NS = 50, /* time for the other one to write all it has to */
	SENDER_NS = 200,
};

/* While the other one has only a few instructions to go. If it has lost its processor
 * between them, it may need this one's. */
enum { BUSY_LOOKS = 100, BUSY_GAP_NS = 100, BUSY_SLEEP_NS = 50000 };

void
meet_init(struct meet *meet, size_t item_bytes)
{
	atomic_init(&meet->state, MEET_FREE);
	RACE_ATOMIC(&meet->state);
	meet->item_bytes = (uint32_t)item_bytes;
	meet->ctx = NULL;
}

static uint32_t
look(struct meet *meet)
{
	/* Acquire: with DONE come the item and everything before it. */
	return atomic_load_explicit(&meet->state, memory_order_acquire);
}

/* From @from, with or without MEET_SHUT as @seen has it, to @to. */
static bool
step(struct meet *meet, uint32_t seen, uint32_t to)
{
	/* Acquire: what the one before left in the line is ours. */
	return atomic_compare_exchange_strong_explicit(&meet->state, &seen,
		(seen & MEET_SHUT) | to, memory_order_acquire, memory_order_relaxed);
}

/* From @from, which is ours, to @to, whatever becomes of MEET_SHUT meanwhile. */
static void
hand_on(struct meet *meet, uint32_t from, uint32_t to)
{
	RACE_BEFORE(&meet->state);
	/* Release: the line is the next one's. */
	atomic_fetch_xor_explicit(&meet->state, from ^ to, memory_order_release);
}

static void
wait_while(struct meet *meet, uint32_t state)
{
	const struct timespec nap = {.tv_nsec = BUSY_SLEEP_NS};

	for (int i = 0; (look(meet) & MEET_STATE) == state; i++)
		if (i >= BUSY_LOOKS || !spin_pause(BUSY_GAP_NS))
			nanosleep(&nap, NULL);
}

void
meet_fini(struct meet *meet)
{
	uint32_t state;

	while ((state = look(meet) & MEET_STATE) != MEET_FREE)
		wait_while(meet, state);
	RACE_AFTER(&meet->state);
}

bool
meet_is_shut(struct meet *meet)
{
	return look(meet) & MEET_SHUT;
}

void
meet_shut(struct meet *meet, bool is_shut)
{
	if (meet_is_shut(meet) == is_shut)
		return;
	if (is_shut)
		atomic_fetch_or_explicit(&meet->state, MEET_SHUT, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(
			&meet->state, ~(uint32_t)MEET_SHUT, memory_order_relaxed);
}

static uint32_t
other_half(enum stint_case_op op)
{
	return op == STINT_SEND ? MEET_RECV : MEET_SEND;
}

bool
meet_is_ready(struct meet *meet, enum stint_case_op op)
{
	return (look(meet) & MEET_STATE) == other_half(op);
}

static void
copy(const struct meet *meet, void *to, const void *from)
{
	if (!to || !from)
		return;
	/* Most items are a pointer: one move in place of a call. */
	if (meet->item_bytes == sizeof(void *))
		memcpy(to, from, sizeof(void *));
	else
		memcpy(to, from, meet->item_bytes);
}

/* The other half, for who was @seen to be there. */
static bool
do_half(struct meet *meet, uint32_t seen, enum stint_case_op op, void *item)
{
	if (!step(meet, seen, MEET_BUSY))
		return false;
	RACE_AFTER(&meet->state);
	if (ctx_has_ended(meet->ctx)) {
		hand_on(meet, MEET_BUSY, MEET_ENDED);
		return false;
	}
	if (op == STINT_SEND)
		copy(meet, meet->item, item);
	else
		copy(meet, item, meet->item);
	hand_on(meet, MEET_BUSY, MEET_DONE);
	return true;
}

bool
meet_try(struct meet *meet, enum stint_case_op op, void *item)
{
	return look(meet) == other_half(op) && do_half(meet, other_half(op), op, item);
}

bool
meet_do(struct meet *meet, enum stint_case_op op, void *item)
{
	uint32_t seen = look(meet);

	return (seen & MEET_STATE) == other_half(op) && do_half(meet, seen, op, item);
}

/* Leave one's own wish. */
static bool
enter(struct meet *meet, struct stint_ctx *ctx, enum stint_case_op op, const void *item)
{
	if (!step(meet, MEET_FREE, MEET_BUSY))
		return false;
	RACE_AFTER(&meet->state);
	meet->ctx = ctx;
	if (op == STINT_SEND)
		copy(meet, meet->item, item);
	hand_on(meet, MEET_BUSY, op == STINT_SEND ? MEET_SEND : MEET_RECV);
	return true;
}

static bool
is_answered(uint32_t seen)
{
	return (seen & MEET_STATE) == MEET_DONE || (seen & MEET_STATE) == MEET_ENDED;
}

/* Take one's wish back; false: it was answered. */
static bool
leave(struct meet *meet, uint32_t wish)
{
	for (;;) {
		uint32_t seen = look(meet);

		if (is_answered(seen))
			return false;
		if ((seen & MEET_STATE) == MEET_BUSY)
			wait_while(meet, MEET_BUSY);
		else if (step(meet, (seen & MEET_SHUT) | wish, MEET_FREE))
			return true;
	}
}

/* Until one's wish is answered (0) or it is time to leave. */
static int
stay(struct meet *meet, struct stint_ctx *ctx, uint32_t wish, struct spin *spin)
{
	uint32_t seen;
	int r = 0;

	do {
		seen = look(meet);
		if (is_answered(seen))
			return 0;
		if (seen & MEET_SHUT)
			break;
		r = stint_ctx_err(ctx);
	} while (r == 0 && spin_again(spin, LOOK_GAP_NS));
	if (!leave(meet, wish))
		return 0;
	return r < 0 ? r : -EAGAIN;
}

/* For one who has entered. */
static int
wait_inside(struct meet *meet, struct stint_ctx *ctx, enum stint_case_op op, void *item,
	struct spin *spin)
{
	int r = stay(meet, ctx, op == STINT_SEND ? MEET_SEND : MEET_RECV, spin);
	uint32_t answer;

	if (r < 0)
		return r;
	answer = look(meet) & MEET_STATE;
	RACE_AFTER(&meet->state);
	if (answer == MEET_ENDED)
		r = stint_ctx_err(ctx);
	else if (op == STINT_RECV)
		copy(meet, item, meet->item);
	hand_on(meet, answer, MEET_FREE);
	return r;
}

/* To receive at once; to send only when nobody has come for a while: a receiver that is
 * there when the sender comes is half the way of one that comes to a sender. */
static bool
may_enter(enum stint_case_op op, const struct spin *spin)
{
	return op == STINT_RECV || spin->seen_ns - spin->begun_ns >= SENDER_NS;
}

int
meet_wait(struct meet *meet, struct stint_ctx *ctx, enum stint_case_op op, void *item,
	struct spin *spin)
{
	do {
		uint32_t seen = look(meet);
		/* After the look: so who came after a cancel finds nobody. */
		int r = stint_ctx_err(ctx);

		if (r < 0)
			return r;
		if (seen & MEET_SHUT)
			break;
		if (seen == other_half(op) && do_half(meet, seen, op, item))
			return 0;
		if (seen == MEET_FREE && may_enter(op, spin) &&
			enter(meet, ctx, op, item))
			return wait_inside(meet, ctx, op, item, spin);
	} while (spin_again(spin, LOOK_GAP_NS));
	return -EAGAIN;
}
