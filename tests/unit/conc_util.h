/*
 * conc_util.h - threads in the tests of contexts, channels, wait groups and pools
 *
 * A task runs a function in a thread of its own. Assertions belong in the test's
 * thread: a task writes down what it saw, and the test looks after task_join().
 */
#ifndef TESTS_CONC_UTIL_H
#define TESTS_CONC_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <stint/stint.h>
#include "lib/base/random.h"
#include "tests/unit/leak_util.h"

#define BACKGROUND stint_ctx_background()

enum { WAIT_AT_MOST_MS = 30000, LOOK_EVERY_US = 100 };

/* Teardown: nothing is left, and the next test begins with the real clock. */
static inline int
reset_clock(void **state)
{
	stint_clock_reset();
	return check_leaks(state);
}

/* The real clock: tests script the library's. */
static inline int64_t
real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* How often to repeat what is left to chance: @usual times, or a STINT_TEST_SHARE-th of
 * it in the environment, for what makes each instruction dear. */
static inline int
test_rounds(int usual)
{
	const char *share = getenv("STINT_TEST_SHARE");
	int rounds = share ? usual / atoi(share) : usual;

	return rounds > 0 ? rounds : 1;
}

#define wait_until(cond)                                                                 \
	do {                                                                             \
		int64_t give_up_at_ms_ = real_ms() + WAIT_AT_MOST_MS;                    \
		while (!(cond)) {                                                        \
			if (real_ms() > give_up_at_ms_)                                  \
				fail_msg("waited in vain for: %s", #cond);               \
			usleep(LOOK_EVERY_US);                                           \
		}                                                                        \
	} while (0)

struct task {
	pthread_t thread;
	_Atomic pid_t tid;
	void (*fn)(void *arg);
	void *arg;
};

static inline void *
task_main(void *arg)
{
	struct task *t = arg;

	atomic_store(&t->tid, gettid());
	t->fn(t->arg);
	return NULL;
}

static inline void
task_start(struct task *t, void (*fn)(void *arg), void *arg)
{
	t->fn = fn;
	t->arg = arg;
	atomic_init(&t->tid, 0);
	assert_int_equal(pthread_create(&t->thread, NULL, task_main, t), 0);
}

static inline void
task_join(struct task *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
}

/* Asleep in the kernel, as the scheduler sees it: so it has parked. */
static inline bool
task_sleeps(struct task *t)
{
	pid_t tid = atomic_load(&t->tid);
	char path[64], line[256] = "", *state;
	FILE *f;

	if (tid == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	state = strrchr(line, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

static inline bool
fd_is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static inline struct stint_ctx *
new_ctx(struct stint_ctx *parent)
{
	struct stint_ctx *ctx = NULL;

	assert_int_equal(stint_ctx_with_cancel(parent, &ctx), 0);
	return ctx;
}

static inline struct stint_ctx *
new_ctx_until(struct stint_ctx *parent, int64_t at_ms)
{
	struct stint_ctx *ctx = NULL;

	assert_int_equal(stint_ctx_with_deadline(parent, at_ms, &ctx), 0);
	return ctx;
}

static inline struct stint_chan *
new_chan(size_t item_bytes, size_t capacity)
{
	struct stint_chan *ch = NULL;

	assert_int_equal(stint_chan_new(item_bytes, capacity, &ch), 0);
	return ch;
}

/* One blocking send or receive of an int, for a task. */
struct op {
	struct stint_ctx *ctx;
	struct stint_chan *ch;
	int item;
	int result;
};

static inline void
op_send(void *arg)
{
	struct op *op = arg;

	op->result = stint_chan_send(op->ctx, op->ch, &op->item);
}

static inline void
op_recv(void *arg)
{
	struct op *op = arg;

	op->result = stint_chan_recv(op->ctx, op->ch, &op->item);
}

#endif
