/*
 * deadlock_util.h - deadlocks that are begun and ended by the tests of their report
 *
 * What is not reported is looked for beside a deadlock that is: when the report of that
 * one has come, the other would have come, too.
 */
#ifndef TESTS_DEADLOCK_UTIL_H
#define TESTS_DEADLOCK_UTIL_H

#include "tests/unit/conc_util.h"

enum { REPORT_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char told[REPORT_BYTES];

static inline void
on_deadlock(void *arg, const char *text)
{
	size_t used;

	(void)arg;
	pthread_mutex_lock(&lock);
	used = strlen(told);
	snprintf(told + used, sizeof(told) - used, "%s", text);
	pthread_mutex_unlock(&lock);
}

static inline bool
was_told(const char *words)
{
	bool was;

	pthread_mutex_lock(&lock);
	was = strstr(told, words);
	pthread_mutex_unlock(&lock);
	return was;
}

static inline int
listen(void **state)
{
	(void)state;
	told[0] = '\0';
	stint_deadlock_watch(on_deadlock, NULL);
	return 0;
}

/* ---- a group whose owner waits in a thread of its own ---- */

struct waiting {
	struct stint_ctx *ctx;
	struct stint_group *group;
	struct task owner;
	struct stint_err first;
	int result;
};

static inline void
wait_for_group(void *arg)
{
	struct waiting *w = arg;

	w->result = stint_group_wait(w->ctx, w->group, &w->first);
}

static inline void
begin_group(struct waiting *w)
{
	*w = (struct waiting){.ctx = BACKGROUND};
	assert_int_equal(stint_group_new_at(BACKGROUND, &w->group, "owner.c:1"), 0);
}

static inline void
go(struct waiting *w, const char *name, stint_task_fn fn, void *arg)
{
	assert_int_equal(
		stint_group_go_at(BACKGROUND, w->group, name, fn, arg, "owner.c:2"), 0);
}

static inline void
begin_wait(struct waiting *w)
{
	task_start(&w->owner, wait_for_group, w);
}

static inline void
end_group(struct waiting *w)
{
	stint_ctx_cancel(stint_group_ctx(w->group));
	task_join(&w->owner);
	assert_int_equal(w->result, 0);
	stint_group_free(w->group);
}

/* ---- tasks that sleep ---- */

static inline int
recv_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)err;
	return stint_chan_recv(ctx, arg, NULL);
}

static inline struct stint_chan *
chan_at(size_t capacity, const char *where)
{
	struct stint_chan *ch = NULL;

	assert_int_equal(stint_chan_new_at(sizeof(int), capacity, &ch, where), 0);
	return ch;
}

/* Returns once a deadlock, begun now, has been told. */
static inline void
wait_for_another_report(void)
{
	struct stint_chan *ch = chan_at(0, "another.c:1");
	struct waiting w;

	begin_group(&w);
	go(&w, "another", recv_fn, ch);
	begin_wait(&w);
	wait_until(was_told("another.c:1"));
	end_group(&w);
	stint_chan_free(ch);
}

#define heard_test(fn) cmocka_unit_test_setup_teardown(fn, listen, check_leaks)

#endif
