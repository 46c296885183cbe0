/*
 * pipeline_util.h - stages for the tests of pipelines, and items that are counted
 */
#ifndef TESTS_PIPELINE_UTIL_H
#define TESTS_PIPELINE_UTIL_H

#include "tests/unit/conc_util.h"

enum { STAGES_MAX = 32, THREAD_NAME_BYTES = 16 };

/* Items that own memory, counted: none may be left when a pipeline has ended. */
struct parcel {
	int number;
};

static _Atomic int parcels_alive, parcels_dropped;

static inline struct parcel *
parcel_new(int number)
{
	struct parcel *parcel = malloc(sizeof(*parcel));

	if (!parcel)
		abort();
	parcel->number = number;
	atomic_fetch_add(&parcels_alive, 1);
	return parcel;
}

static inline void
parcel_free(struct parcel *parcel)
{
	free(parcel);
	atomic_fetch_sub(&parcels_alive, 1);
}

static inline void
parcel_drop(void *item)
{
	struct parcel *parcel;

	memcpy(&parcel, item, sizeof(parcel));
	parcel_free(parcel);
	atomic_fetch_add(&parcels_dropped, 1);
}

/* What the stages of a test share. */
static struct probe {
	int count;                /* to generate; 0: without end */
	_Atomic int sent;         /* by the first stage */
	_Atomic int received;     /* by the last one */
	_Atomic int64_t sum;      /* of what it received */
	int fail_after;           /* items that a failing stage takes or makes */
	struct stint_ctx *ctx;    /* of the whole */
	_Atomic bool is_shut;     /* a slow stage waits while it is set */
	_Atomic bool has_drained; /* the last stage saw the end of its channel */
	char names[4][THREAD_NAME_BYTES];
} probe;

static inline int
setup(void **state)
{
	(void)state;
	memset(&probe, 0, sizeof(probe));
	atomic_store(&parcels_dropped, 0);
	return 0;
}

static inline int
teardown(void **state)
{
	int alive = atomic_exchange(&parcels_alive, 0);

	stint_ctx_free(probe.ctx);
	if (alive != 0)
		print_error("%d parcels are left\n", alive);
	return alive != 0 ? -1 : reset_clock(state);
}

/* ---- stages ---- */

static inline int
clean_end(int r)
{
	return r == -EPIPE ? 0 : r;
}

static inline int
send_parcel(struct stint_ctx *ctx, const struct stint_flow *flow, struct parcel *parcel)
{
	int r = stint_sender_send(ctx, flow->out, &parcel);

	if (r < 0)
		parcel_free(parcel);
	return r;
}

static inline int
generate(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	int r = 0;

	(void)err;
	for (int i = 1; r == 0 && (probe.count == 0 || i <= probe.count); i++) {
		r = send_parcel(ctx, flow, parcel_new(i));
		if (r == 0)
			atomic_fetch_add(&probe.sent, 1);
	}
	return clean_end(r);
}

static inline int
pass_on(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	struct parcel *parcel;
	int r;

	(void)err;
	STINT_RECEIVER_EACH (ctx, flow->in, &parcel, r) {
		r = send_parcel(ctx, flow, parcel);
		if (r < 0)
			break;
	}
	return clean_end(r);
}

static inline int
add_up(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	struct parcel *parcel;
	int r;

	(void)err;
	STINT_RECEIVER_EACH (ctx, flow->in, &parcel, r) {
		while (atomic_load(&probe.is_shut) && stint_ctx_err(ctx) == 0)
			usleep(LOOK_EVERY_US);
		atomic_fetch_add(&probe.sum, parcel->number);
		atomic_fetch_add(&probe.received, 1);
		parcel_free(parcel);
	}
	if (r == -EPIPE)
		atomic_store(&probe.has_drained, true);
	return clean_end(r);
}

static inline struct stint_stage
stage(const char *name, stint_stage_fn fn, size_t workers, size_t capacity)
{
	return (struct stint_stage){.name = name,
		.fn = fn,
		.workers = workers,
		.out_bytes = sizeof(struct parcel *),
		.out_capacity = capacity,
		.drop = parcel_drop};
}

/* The first number that comes is a prime; of the rest, its multiples stay here. */
static inline int
sieve(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	int *prime = flow->arg;
	struct parcel *parcel;
	int r;

	(void)err;
	STINT_RECEIVER_EACH (ctx, flow->in, &parcel, r) {
		if (*prime == 0 && parcel->number > 1)
			*prime = parcel->number;
		if (*prime == 0 || parcel->number % *prime == 0)
			parcel_free(parcel);
		else
			r = send_parcel(ctx, flow, parcel);
		if (r < 0 || (*prime && !flow->out.ch))
			break;
	}
	return clean_end(r);
}

static inline size_t
sieve_stages(struct stint_stage *stages, int *primes, size_t count)
{
	stages[0] = stage("numbers", generate, 1, 0);
	for (size_t i = 0; i < count; i++) {
		stages[i + 1] = stage("sieve", sieve, 1, i % 3);
		stages[i + 1].arg = &primes[i];
		primes[i] = 0;
	}
	return count + 1;
}

#define PIPELINE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
