/*
 * test_lanes.c - handlers with a limit: who runs, who waits, who is put aside
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "daemon/core/lanes.h"
#include "tests/unit/config_fixture.h"

enum { JOBS_MAX = 4096, LINE = 64 };

struct bench {
	struct config *config;
	struct lanes *lanes;
	struct queue queues[4];
	struct attempt_list in_flight;
	struct attempt *jobs[JOBS_MAX];
	size_t count;
};

static struct config *
limits(int workers, const char *few, const char *some)
{
	char text[256];

	snprintf(text, sizeof text,
		"concurrency: %d\n"
		"handlers:\n"
		"  few: { command: [x], concurrency: %s }\n"
		"  some: { command: [x], concurrency: %s }\n"
		"  free: { command: [x] }\n",
		workers, few, some);
	return config_of(text);
}

static void
bench_open(struct bench *b, struct config *config)
{
	*b = (struct bench){.config = config};
	TAILQ_INIT(&b->in_flight);
	for (unsigned i = 0; i < ARRAY_LEN(b->queues); i++)
		b->queues[i].rank = i;
	assert_int_equal(lanes_new(&b->lanes), 0);
	assert_int_equal(lanes_set_config(b->lanes, config, &b->in_flight), 0);
}

static void
bench_close(struct bench *b)
{
	lanes_free(b->lanes);
	for (size_t i = 0; i < b->count; i++)
		attempt_free(b->jobs[i]);
	config_unref(b->config);
}

static void
bench_reload(struct bench *b, struct config *config)
{
	config_unref(b->config);
	b->config = config;
	assert_int_equal(lanes_set_config(b->lanes, config, &b->in_flight), 0);
}

static struct attempt *
read_one(struct bench *b, struct queue *q, const char *handler, size_t bytes)
{
	const struct bytes fields[] = {
		{"handler", 7}, {handler, strlen(handler)}, {"payload", 7}, {"p", 1}};
	struct job *job = job_new("1-1", fields, ARRAY_LEN(fields));
	struct attempt *a;

	assert_non_null(job);
	job->block_bytes = bytes;
	a = attempt_new(job, q, b->config);
	assert_non_null(a);
	assert_true(b->count < JOBS_MAX);
	b->jobs[b->count++] = a;
	assert_int_equal(stint_ctx_with_cancel(stint_ctx_background(), &a->ctx), 0);
	TAILQ_INSERT_TAIL(&b->in_flight, a, in_flight);
	return a;
}

static enum lanes_verdict
add(struct bench *b, unsigned queue, const char *handler)
{
	return lanes_add(b->lanes, read_one(b, &b->queues[queue], handler, 1), false);
}

/* How many of @n get this verdict; the rest another. */
static int
count_of(struct bench *b, unsigned queue, const char *handler, int n,
	enum lanes_verdict verdict)
{
	int found = 0;

	for (int i = 0; i < n; i++)
		found += add(b, queue, handler) == verdict;
	return found;
}

static void
end(struct bench *b, struct attempt *a)
{
	lanes_end(b->lanes, a);
	atomic_store(&a->slot, ATTEMPT_ENDED);
}

static void
at_most_so_many_run_and_then_the_next_in_order(void **state)
{
	struct bench b;
	struct attempt *next;

	(void)state;
	bench_open(&b, limits(8, "2", "3"));
	assert_int_equal(count_of(&b, 0, "few", 10, LANES_RUN), 2);
	assert_int_equal(lanes_waiting_count(b.lanes), 8);
	assert_null(lanes_next(b.lanes));
	assert_int_equal(count_of(&b, 0, "some", 3, LANES_RUN), 3);
	assert_int_equal(count_of(&b, 0, "free", 100, LANES_RUN), 100);
	for (size_t i = 0; i < 8; i++) {
		lanes_end(b.lanes, b.jobs[i]);
		next = lanes_next(b.lanes);
		assert_ptr_equal(next, b.jobs[i + 2]);
		assert_null(lanes_next(b.lanes));
	}
	assert_int_equal(lanes_waiting_count(b.lanes), 0);
	lanes_end(b.lanes, b.jobs[8]);
	assert_null(lanes_next(b.lanes));
	assert_int_equal(add(&b, 0, "few"), LANES_RUN);
	bench_close(&b);
}

static void
a_line_is_short_and_the_rest_is_put_aside(void **state)
{
	struct bench b;
	size_t room;

	(void)state;
	bench_open(&b, limits(8, "1", "none"));
	assert_false(lanes_has_limit(b.lanes, &b.queues[0], "free", &room));
	assert_false(lanes_has_limit(b.lanes, &b.queues[0], "some", &room));
	assert_true(lanes_has_limit(b.lanes, &b.queues[0], "few", &room));
	assert_int_equal(room, LINE);
	assert_int_equal(add(&b, 0, "few"), LANES_RUN);
	assert_int_equal(count_of(&b, 0, "few", 200, LANES_WAIT), LINE);
	assert_int_equal(count_of(&b, 0, "few", 200, LANES_ASIDE), 200);
	/* taken again only once half of it is free, and then all of that */
	for (int i = 0; i < LINE / 2; i++) {
		assert_true(lanes_has_limit(b.lanes, &b.queues[0], "few", &room));
		assert_int_equal(room, 0);
		assert_non_null(lanes_pop(b.lanes, &b.queues[0]));
	}
	lanes_has_limit(b.lanes, &b.queues[0], "few", &room);
	assert_int_equal(room, LINE / 2);
	/* another queue has a line of its own */
	assert_int_equal(count_of(&b, 1, "few", 200, LANES_WAIT), LINE);
	bench_close(&b);
}

static void
newer_ones_go_where_older_ones_are(void **state)
{
	struct bench b;
	struct attempt *a;

	(void)state;
	bench_open(&b, limits(8, "1", "1"));
	a = read_one(&b, &b.queues[0], "few", 1);
	assert_int_equal(lanes_add(b.lanes, a, true), LANES_ASIDE);
	a = read_one(&b, &b.queues[0], "few", 1);
	a->was_aside = true; /* it is the oldest */
	assert_int_equal(lanes_add(b.lanes, a, true), LANES_RUN);
	a = read_one(&b, &b.queues[0], "free", 1);
	assert_int_equal(lanes_add(b.lanes, a, true), LANES_RUN);
	bench_close(&b);
}

static void
what_waits_is_bounded_in_bytes_and_in_all(void **state)
{
	struct bench b;
	struct attempt *a;
	size_t waiting = 0;

	(void)state;
	bench_open(&b, limits(8, "1", "1"));
	assert_int_equal(add(&b, 0, "few"), LANES_RUN);
	for (int i = 0; i < 10; i++) {
		a = read_one(&b, &b.queues[0], "few", 3 << 20);
		waiting += lanes_add(b.lanes, a, false) == LANES_WAIT;
	}
	assert_int_equal(waiting, 3);
	/* one may wait in each line, whatever it weighs */
	a = read_one(&b, &b.queues[1], "few", (size_t)1 << 30);
	assert_int_equal(lanes_add(b.lanes, a, false), LANES_WAIT);
	assert_int_equal(count_of(&b, 2, "few", 10, LANES_WAIT), 1);
	bench_close(&b);
}

static void
lines_are_served_by_the_priority_of_their_queues(void **state)
{
	struct bench b;
	struct attempt *next;

	(void)state;
	bench_open(&b, limits(8, "1", "1"));
	assert_int_equal(add(&b, 2, "few"), LANES_RUN);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(add(&b, (2 * i) % 3, "few"), LANES_WAIT);
	for (unsigned i = 0; i < 30; i++) {
		lanes_end(b.lanes, i == 0 ? b.jobs[0] : next);
		next = lanes_next(b.lanes);
		assert_non_null(next);
		assert_int_equal(next->queue->rank, i / 10);
	}
	bench_close(&b);
}

static void
lines_are_served_by_the_weight_of_their_queues(void **state)
{
	struct bench b;
	struct attempt *next = NULL;
	int served[2] = {0};

	(void)state;
	bench_open(&b, limits(8, "1", "1"));
	b.queues[0].weight = 1;
	b.queues[1].weight = 3;
	assert_int_equal(add(&b, 0, "few"), LANES_RUN);
	for (unsigned i = 0; i < 2 * 60; i++)
		assert_int_equal(add(&b, i % 2, "few"), LANES_WAIT);
	for (int i = 0; i < 60; i++) {
		lanes_end(b.lanes, i == 0 ? b.jobs[0] : next);
		next = lanes_next(b.lanes);
		served[next->queue == &b.queues[1]]++;
	}
	assert_in_range(served[1], 44, 46);
	assert_in_range(served[0], 14, 16);
	bench_close(&b);
}

static void
lanes_take_turns(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, limits(8, "2", "2"));
	assert_int_equal(count_of(&b, 0, "few", 6, LANES_RUN), 2);
	assert_int_equal(count_of(&b, 0, "some", 6, LANES_RUN), 2);
	for (int i = 0; i < 2; i++) {
		lanes_end(b.lanes, b.jobs[i]);
		lanes_end(b.lanes, b.jobs[6 + i]);
	}
	for (int i = 0; i < 2; i++) {
		assert_string_equal(lanes_next(b.lanes)->handler->name, "few");
		assert_string_equal(lanes_next(b.lanes)->handler->name, "some");
	}
	assert_null(lanes_next(b.lanes));
	bench_close(&b);
}

static void
one_that_no_worker_has_begun_is_the_first_again(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, limits(8, "2", "1"));
	assert_int_equal(count_of(&b, 0, "few", 4, LANES_RUN), 2);
	lanes_put_back(b.lanes, b.jobs[1]);
	lanes_put_back(b.lanes, b.jobs[0]);
	assert_int_equal(lanes_waiting_count(b.lanes), 4);
	assert_ptr_equal(lanes_next(b.lanes), b.jobs[0]);
	assert_ptr_equal(lanes_next(b.lanes), b.jobs[1]);
	assert_null(lanes_next(b.lanes));
	bench_close(&b);
}

static void
one_that_waits_can_be_taken_out(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, limits(8, "1", "1"));
	assert_int_equal(count_of(&b, 0, "few", 4, LANES_WAIT), 3);
	assert_false(lanes_remove(b.lanes, b.jobs[0]));
	assert_true(lanes_remove(b.lanes, b.jobs[1]));
	assert_false(lanes_remove(b.lanes, b.jobs[1]));
	lanes_end(b.lanes, b.jobs[0]);
	assert_ptr_equal(lanes_next(b.lanes), b.jobs[2]);
	assert_null(lanes_pop(b.lanes, &b.queues[1]));
	assert_ptr_equal(lanes_pop(b.lanes, NULL), b.jobs[3]);
	assert_null(lanes_pop(b.lanes, NULL));
	bench_close(&b);
}

static void
limits_go_up_and_down(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, limits(8, "3", "1"));
	assert_int_equal(count_of(&b, 0, "few", 10, LANES_RUN), 3);
	bench_reload(&b, limits(8, "1", "1"));
	end(&b, b.jobs[0]);
	end(&b, b.jobs[1]);
	assert_null(lanes_next(b.lanes));
	bench_reload(&b, limits(8, "2", "1"));
	assert_ptr_equal(lanes_next(b.lanes), b.jobs[3]);
	assert_null(lanes_next(b.lanes));
	bench_reload(&b, limits(8, "none", "1"));
	for (int i = 4; i < 10; i++)
		assert_ptr_equal(lanes_next(b.lanes), b.jobs[i]);
	assert_int_equal(add(&b, 0, "few"), LANES_RUN);
	bench_close(&b);
}

static void
what_runs_when_a_limit_comes_counts(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, limits(8, "none", "1"));
	assert_int_equal(count_of(&b, 0, "few", 3, LANES_RUN), 3);
	atomic_store(&b.jobs[0]->slot, ATTEMPT_ENDED);
	bench_reload(&b, limits(8, "2", "1"));
	assert_int_equal(add(&b, 0, "few"), LANES_WAIT);
	lanes_end(b.lanes, b.jobs[0]); /* not counted */
	assert_null(lanes_next(b.lanes));
	lanes_end(b.lanes, b.jobs[1]);
	assert_ptr_equal(lanes_next(b.lanes), b.jobs[3]);
	bench_close(&b);
}

static void
a_limit_that_is_not_less_than_the_workers_is_none(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, limits(4, "4", "3"));
	assert_true(lanes_is_limited(b.lanes));
	assert_int_equal(count_of(&b, 0, "few", 100, LANES_RUN), 100);
	bench_reload(&b, limits(3, "4", "3"));
	assert_false(lanes_is_limited(b.lanes));
	assert_int_equal(count_of(&b, 0, "some", 10, LANES_RUN), 10);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_most_so_many_run_and_then_the_next_in_order),
		cmocka_unit_test(a_line_is_short_and_the_rest_is_put_aside),
		cmocka_unit_test(newer_ones_go_where_older_ones_are),
		cmocka_unit_test(what_waits_is_bounded_in_bytes_and_in_all),
		cmocka_unit_test(lines_are_served_by_the_priority_of_their_queues),
		cmocka_unit_test(lines_are_served_by_the_weight_of_their_queues),
		cmocka_unit_test(lanes_take_turns),
		cmocka_unit_test(one_that_no_worker_has_begun_is_the_first_again),
		cmocka_unit_test(one_that_waits_can_be_taken_out),
		cmocka_unit_test(limits_go_up_and_down),
		cmocka_unit_test(what_runs_when_a_limit_comes_counts),
		cmocka_unit_test(a_limit_that_is_not_less_than_the_workers_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
