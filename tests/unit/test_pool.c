/*
 * test_pool.c - worker pools: start, work, resize, stop
 */
#include "tests/unit/task_util.h"

#include <signal.h>
#include "lib/base/cleanup.h"

/* Workers that leave keep their slots until they have ended: more than ever run. */
enum { SLOTS = 1024, NAME_SIZE = 16 };

/* What the workers saw, and the gate that holds them inside run(). */
struct probe {
	pthread_mutex_t lock;
	int started[SLOTS]; /* times start() ran, by slot */
	int stopped;
	char name[SLOTS][NAME_SIZE]; /* the thread's, by slot */
	bool has_signal_blocked;
	int fail_slot; /* start() fails there; -1: nowhere */
	_Atomic int ran;
	_Atomic bool is_shut; /* workers wait in run() while it is set */
};

struct probe_state {
	size_t slot;
};

static int
probe_start(void *arg, size_t slot, void **ret_state)
{
	struct probe *p = arg;
	struct probe_state *s;
	sigset_t mask;

	if ((int)slot == p->fail_slot)
		return -EIO;
	if (slot >= SLOTS)
		return -ENOSPC;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->slot = slot;
	pthread_mutex_lock(&p->lock);
	p->started[slot]++;
	pthread_getname_np(pthread_self(), p->name[slot], NAME_SIZE);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	p->has_signal_blocked = sigismember(&mask, SIGUSR2);
	pthread_mutex_unlock(&p->lock);
	*ret_state = s;
	return 0;
}

static void
probe_run(void *arg, void *state, void *item)
{
	struct probe *p = arg;

	if (!state || *(int *)item < 0)
		abort();
	while (atomic_load(&p->is_shut))
		usleep(LOOK_EVERY_US);
	atomic_fetch_add(&p->ran, 1);
}

static void
probe_stop(void *arg, void *state)
{
	struct probe *p = arg;

	pthread_mutex_lock(&p->lock);
	p->stopped++;
	pthread_mutex_unlock(&p->lock);
	free(state);
}

static const struct stint_pool_ops probe_ops = {probe_start, probe_run, probe_stop};

static int
probe_started(struct probe *p)
{
	int n = 0;

	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < SLOTS; i++)
		n += p->started[i];
	pthread_mutex_unlock(&p->lock);
	return n;
}

static int
probe_stopped(struct probe *p)
{
	int n;

	pthread_mutex_lock(&p->lock);
	n = p->stopped;
	pthread_mutex_unlock(&p->lock);
	return n;
}

struct fixture {
	struct probe probe;
	struct stint_chan *ch;
	struct stint_pool *pool;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	pthread_mutex_init(&f->probe.lock, NULL);
	f->probe.fail_slot = -1;
	f->ch = new_chan(sizeof(int), 1000);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->probe.is_shut, false);
	stint_pool_free(f->pool);
	stint_chan_free(f->ch);
	pthread_mutex_destroy(&f->probe.lock);
	free(f);
	return 0;
}

static void
make_pool(struct fixture *f, const char *name, size_t size)
{
	assert_int_equal(
		stint_pool_new(name, size, f->ch, &probe_ops, &f->probe, &f->pool, NULL),
		0);
}

static void
send_items(struct fixture *f, int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(stint_chan_send(BACKGROUND, f->ch, &i), 0);
}

static void
new_starts_all_workers_with_name_and_slot(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "averylongname", 12);
	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(f->probe.started[i], i < 12);
	assert_string_equal(f->probe.name[0], "averylongn/0");
	assert_string_equal(f->probe.name[11], "averylongn/11");
	assert_int_equal(stint_pool_size(f->pool), 12);
	assert_int_equal(stint_pool_busy(f->pool), 0);
}

static void
workers_inherit_the_callers_signal_mask(void **state)
{
	struct fixture *f = *state;
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	make_pool(f, "w", 1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	assert_true(f->probe.has_signal_blocked);
}

static void
every_item_is_run_once(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "w", 4);
	send_items(f, 5000);
	wait_until(atomic_load(&f->probe.ran) == 5000);
	stint_chan_close(f->ch);
	wait_until(probe_stopped(&f->probe) == 4);
	assert_int_equal(stint_pool_stop(BACKGROUND, f->pool), 0);
	assert_int_equal(atomic_load(&f->probe.ran), 5000);
}

static void
failed_start_leaves_no_worker_and_says_which(void **state)
{
	struct fixture *f = *state;
	struct stint_err err = {0};

	f->probe.fail_slot = 2;
	assert_int_equal(
		stint_pool_new("pick", 4, f->ch, &probe_ops, &f->probe, &f->pool, &err),
		-EIO);
	assert_null(f->pool);
	assert_int_equal(err.code, -EIO);
	assert_string_equal(err.msg, "cannot start worker pick/2: Input/output error");
	assert_int_equal(probe_stopped(&f->probe), 3);
}

static int
start_with_a_positive_errno(void *arg, size_t slot, void **ret_state)
{
	(void)arg;
	(void)slot;
	(void)ret_state;
	return EIO;
}

static void
positive_answer_of_start_is_a_failure(void **state)
{
	static const struct stint_pool_ops ops = {
		.start = start_with_a_positive_errno, .run = probe_run};
	struct fixture *f = *state;
	struct stint_err err = {0};

	assert_int_equal(
		stint_pool_new("w", 2, f->ch, &ops, &f->probe, &f->pool, &err), -EINVAL);
	assert_null(f->pool);
	assert_string_equal(err.msg, "cannot start worker w/0: Invalid argument");
	assert_int_equal(
		stint_pool_new(NULL, 1, f->ch, &ops, &f->probe, &f->pool, &err), -EINVAL);
	assert_string_equal(err.msg, "cannot start worker worker/0: Invalid argument");
}

static void
failed_start_in_resize_keeps_those_that_run(void **state)
{
	struct fixture *f = *state;
	struct stint_err err = {0};

	make_pool(f, "w", 2);
	f->probe.fail_slot = 3;
	assert_int_equal(stint_pool_resize(f->pool, 6, &err), -EIO);
	assert_string_equal(err.msg, "cannot start worker w/3: Input/output error");
	assert_int_equal(stint_pool_size(f->pool), 5);
	f->probe.fail_slot = -1;
	assert_int_equal(stint_pool_resize(f->pool, 6, NULL), 0);
	assert_int_equal(stint_pool_size(f->pool), 6);
	assert_int_equal(f->probe.started[3], 1); /* the free slot was used */
	assert_int_equal(f->probe.started[6], 0);
}

static void
busy_counts_workers_inside_run(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "w", 3);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 2);
	wait_until(stint_pool_busy(f->pool) == 2);
	send_items(f, 2);
	wait_until(stint_pool_busy(f->pool) == 3);
	assert_int_equal(stint_chan_len(f->ch), 1);
	atomic_store(&f->probe.is_shut, false);
	wait_until(stint_pool_busy(f->pool) == 0 && atomic_load(&f->probe.ran) == 4);
}

static void
growing_starts_workers_at_once(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "w", 1);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 6);
	wait_until(stint_pool_busy(f->pool) == 1);
	assert_int_equal(stint_pool_resize(f->pool, 6, NULL), 0);
	wait_until(stint_pool_busy(f->pool) == 6);
	assert_int_equal(f->probe.started[5], 1);
}

static void
sleeping_workers_leave_first_from_the_top(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "w", 6);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 1);
	wait_until(stint_pool_busy(f->pool) == 1);
	assert_int_equal(stint_pool_resize(f->pool, 2, NULL), 0);
	wait_until(probe_stopped(&f->probe) == 4);
	assert_int_equal(stint_pool_busy(f->pool), 1);
	/* Their numbers are free again, the lowest are used first. */
	assert_int_equal(stint_pool_resize(f->pool, 4, NULL), 0);
	assert_int_equal(f->probe.started[2] + f->probe.started[3] + f->probe.started[1] +
				 f->probe.started[0],
		6);
	assert_int_equal(f->probe.started[4], 1);
	assert_int_equal(f->probe.started[5], 1);
}

static void
busy_workers_leave_as_they_become_free(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "w", 4);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 10);
	wait_until(stint_pool_busy(f->pool) == 4);
	assert_int_equal(stint_pool_resize(f->pool, 1, NULL), 0);
	assert_int_equal(stint_pool_size(f->pool), 1);
	assert_int_equal(stint_pool_busy(f->pool), 4);
	assert_int_equal(probe_stopped(&f->probe), 0);
	atomic_store(&f->probe.is_shut, false);
	wait_until(probe_stopped(&f->probe) == 3);
	wait_until(atomic_load(&f->probe.ran) == 10); /* the last one goes on */
}

static void
surplus_is_forgiven_when_the_pool_grows_again(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "w", 4);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 4);
	wait_until(stint_pool_busy(f->pool) == 4);
	assert_int_equal(stint_pool_resize(f->pool, 1, NULL), 0);
	assert_int_equal(stint_pool_resize(f->pool, 4, NULL), 0);
	atomic_store(&f->probe.is_shut, false);
	wait_until(atomic_load(&f->probe.ran) == 4);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 4);
	wait_until(stint_pool_busy(f->pool) == 4);
	assert_int_equal(probe_stopped(&f->probe), 0);
	assert_int_equal(f->probe.started[4], 0);
}

static void
resizing_under_load_loses_nothing_and_ends_at_the_size(void **state)
{
	enum { ROUNDS = 150, EACH = 20 };
	struct fixture *f = *state;
	uint64_t seed = 99;

	make_pool(f, "w", 3);
	for (int round = 0; round < ROUNDS; round++) {
		send_items(f, EACH);
		assert_int_equal(
			stint_pool_resize(f->pool, random_next(&seed) % 8, NULL), 0);
	}
	assert_int_equal(stint_pool_resize(f->pool, 5, NULL), 0);
	wait_until(atomic_load(&f->probe.ran) == ROUNDS * EACH);
	wait_until(probe_started(&f->probe) - probe_stopped(&f->probe) == 5);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 20);
	wait_until(stint_pool_busy(f->pool) == 5);
	atomic_store(&f->probe.is_shut, false);
	assert_int_equal(stint_pool_stop(BACKGROUND, f->pool), 0);
	assert_int_equal(f->probe.stopped, probe_started(&f->probe));
}

static void
stop_waits_for_the_item_but_takes_no_new_one(void **state)
{
	struct fixture *f = *state;
	struct stint_ctx *ctx;

	make_pool(f, "w", 2);
	atomic_store(&f->probe.is_shut, true);
	send_items(f, 5);
	wait_until(stint_pool_busy(f->pool) == 2);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 10, &ctx), 0);
	assert_int_equal(stint_pool_stop(ctx, f->pool), -ETIMEDOUT);
	assert_int_equal(stint_pool_busy(f->pool), 2);
	atomic_store(&f->probe.is_shut, false);
	assert_int_equal(stint_pool_stop(BACKGROUND, f->pool), 0);
	assert_int_equal(atomic_load(&f->probe.ran), 2);
	assert_int_equal(stint_chan_len(f->ch), 3);
	assert_int_equal(f->probe.stopped, 2);
	assert_int_equal(stint_pool_size(f->pool), 0);
	assert_int_equal(stint_pool_stop(ctx, f->pool), 0); /* nothing to wait for */
	stint_ctx_free(ctx);
}

static void
stopped_pool_can_be_started_again(void **state)
{
	struct fixture *f = *state;

	make_pool(f, "w", 3);
	assert_int_equal(stint_pool_stop(BACKGROUND, f->pool), 0);
	send_items(f, 3);
	assert_int_equal(stint_pool_resize(f->pool, 2, NULL), 0);
	wait_until(atomic_load(&f->probe.ran) == 3);
	assert_int_equal(f->probe.started[0], 2);
	assert_int_equal(f->probe.started[2], 1);
}

static void
count_run(void *arg, void *state, void *item)
{
	(void)item;
	if (state)
		abort();
	atomic_fetch_add((_Atomic int *)arg, 1);
}

static void
start_and_stop_may_be_left_out(void **state)
{
	static const struct stint_pool_ops ops = {.run = count_run};
	struct fixture *f = *state;
	_Atomic int ran = 0;
	struct stint_chan *events = new_chan(0, 0);

	assert_int_equal(stint_pool_new("w", 2, events, &ops, &ran, &f->pool, NULL), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(stint_chan_send(BACKGROUND, events, NULL), 0);
	wait_until(atomic_load(&ran) == 10);
	stint_pool_free(take_ptr(f->pool));
	stint_chan_free(events);
	stint_pool_free(NULL);
}

struct own {
	struct stint_pool *pool;
	_Atomic bool has_returned;
};

static void
free_own_pool(void *arg, void *state, void *item)
{
	struct own *own = arg;

	(void)state;
	(void)item;
	stint_pool_free(own->pool);
	atomic_store(&own->has_returned, true);
}

static void
worker_that_would_free_its_own_pool_does_not(void **state)
{
	static const struct stint_pool_ops ops = {.run = free_own_pool};
	struct stint_chan *events = new_chan(0, 0);
	struct own own = {0};
	struct heard heard;

	(void)state;
	assert_int_equal(stint_pool_new("w", 2, events, &ops, &own, &own.pool, NULL), 0);
	listen_to_stderr(&heard);
	assert_int_equal(stint_chan_send(BACKGROUND, events, NULL), 0);
	wait_until(atomic_load(&own.has_returned));
	stop_listening(&heard);
	assert_non_null(strstr(heard.text, "not freed: one of its own workers"));
	assert_int_equal(stint_pool_stop(BACKGROUND, own.pool), 0);
	stint_pool_free(own.pool);
	stint_chan_free(events);
}

int
main(void)
{
#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		POOL_TEST(new_starts_all_workers_with_name_and_slot),
		POOL_TEST(workers_inherit_the_callers_signal_mask),
		POOL_TEST(every_item_is_run_once),
		POOL_TEST(failed_start_leaves_no_worker_and_says_which),
		POOL_TEST(positive_answer_of_start_is_a_failure),
		POOL_TEST(failed_start_in_resize_keeps_those_that_run),
		POOL_TEST(busy_counts_workers_inside_run),
		POOL_TEST(growing_starts_workers_at_once),
		POOL_TEST(sleeping_workers_leave_first_from_the_top),
		POOL_TEST(busy_workers_leave_as_they_become_free),
		POOL_TEST(surplus_is_forgiven_when_the_pool_grows_again),
		POOL_TEST(resizing_under_load_loses_nothing_and_ends_at_the_size),
		POOL_TEST(stop_waits_for_the_item_but_takes_no_new_one),
		POOL_TEST(stopped_pool_can_be_started_again),
		POOL_TEST(start_and_stop_may_be_left_out),
		POOL_TEST(worker_that_would_free_its_own_pool_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
