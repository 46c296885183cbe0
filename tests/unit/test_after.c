/*
 * test_after.c - functions that are called when a context has ended, and ends that
 * come from elsewhere
 */
#include "tests/unit/task_util.h"

/* What an after-func saw. */
struct seen {
	_Atomic int calls;
	pthread_t thread;
	int end;
	struct stint_err cause;
	void *value;
	_Atomic bool may_return;
};

static int key;

static void
note(struct stint_ctx *ctx, void *arg)
{
	struct seen *seen = arg;

	seen->thread = pthread_self();
	seen->end = stint_ctx_err(ctx);
	stint_ctx_cause(ctx, &seen->cause);
	seen->value = stint_ctx_value(ctx, &key);
	atomic_fetch_add(&seen->calls, 1);
}

static struct stint_after *
new_after(struct stint_ctx *ctx, stint_after_fn fn, struct seen *seen)
{
	struct stint_after *after = NULL;

	assert_int_equal(stint_ctx_after_func(ctx, fn, seen, &after), 0);
	return after;
}

static void
called_once_after_cancel_with_cause_and_values(void **state)
{
	struct stint_ctx *root = NULL, *ctx;
	struct seen seen = {0};
	struct stint_after *after;

	(void)state;
	assert_int_equal(stint_ctx_with_value(BACKGROUND, &key, &seen, &root), 0);
	ctx = new_ctx(root);
	after = new_after(ctx, note, &seen);
	stint_ctx_cancel_cause(ctx, -EIO, "cable cut");
	wait_until(atomic_load(&seen.calls) == 1);
	stint_ctx_cancel(root);
	assert_false(stint_after_stop(after));
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.end, -ECANCELED);
	assert_int_equal(seen.cause.code, -EIO);
	assert_string_equal(seen.cause.msg, "cable cut");
	assert_ptr_equal(seen.value, &seen);
	assert_false(pthread_equal(seen.thread, pthread_self()));
	stint_ctx_free(ctx);
	stint_ctx_free(root);
}

static void
called_after_the_deadline_with_nobody_looking(void **state)
{
	struct stint_ctx *ctx = new_ctx_until(BACKGROUND, stint_at_ms(10));
	struct seen seen = {0};
	struct stint_after *after = new_after(ctx, note, &seen);

	(void)state;
	wait_until(atomic_load(&seen.calls) == 1);
	assert_false(stint_after_stop(after));
	assert_int_equal(seen.end, -ETIMEDOUT);
	stint_ctx_free(ctx);
}

static void
called_at_once_when_it_has_ended_already(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct seen seen = {0};
	struct stint_after *after;

	(void)state;
	stint_ctx_cancel_cause(ctx, -EIO, "before");
	after = new_after(ctx, note, &seen);
	wait_until(atomic_load(&seen.calls) == 1);
	assert_false(stint_after_stop(after));
	assert_int_equal(seen.cause.code, -EIO);
	stint_ctx_free(ctx);
}

static void
called_when_an_ancestor_ends_and_when_the_context_is_freed(void **state)
{
	struct stint_ctx *root = new_ctx(BACKGROUND), *below = new_ctx(root);
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct seen by_root = {0}, by_free = {0};
	struct stint_after *after_root = new_after(below, note, &by_root);
	struct stint_after *after_free = new_after(ctx, note, &by_free);

	(void)state;
	stint_ctx_cancel(root);
	stint_ctx_free(ctx);
	wait_until(atomic_load(&by_root.calls) == 1);
	wait_until(atomic_load(&by_free.calls) == 1);
	stint_ctx_free(below);
	stint_ctx_free(root);
	assert_false(stint_after_stop(after_free));
	assert_int_equal(by_free.end, -ECANCELED);
	assert_false(stint_after_stop(after_root));
}

static void
stop_prevents_the_call_for_good(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct seen stopped = {0}, other = {0}, never = {0};
	struct stint_after *after_stopped = new_after(ctx, note, &stopped);
	struct stint_after *after_other = new_after(ctx, note, &other);
	struct stint_after *after_never = new_after(BACKGROUND, note, &never);

	(void)state;
	assert_true(stint_after_stop(after_stopped));
	assert_int_equal(stint_ctx_err(ctx), 0);
	stint_ctx_cancel(ctx);
	wait_until(atomic_load(&other.calls) == 1);
	assert_false(stint_after_stop(after_other));
	assert_true(stint_after_stop(after_never));
	assert_int_equal(stopped.calls, 0);
	assert_int_equal(never.calls, 0);
	assert_false(stint_after_stop(NULL));
	stint_ctx_free(ctx);
}

static void
note_and_stay(struct stint_ctx *ctx, void *arg)
{
	struct seen *seen = arg;

	note(ctx, seen);
	while (!atomic_load(&seen->may_return))
		usleep(LOOK_EVERY_US);
	atomic_fetch_add(&seen->calls, 1);
}

struct stopper {
	struct stint_after *after;
	bool is_prevented;
};

static void
stop_it(void *arg)
{
	struct stopper *stopper = arg;

	stopper->is_prevented = stint_after_stop(stopper->after);
}

static void
stop_waits_for_a_call_that_has_begun(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct seen seen = {0};
	struct stopper stopper = {new_after(ctx, note_and_stay, &seen), true};
	struct task task;

	(void)state;
	stint_ctx_cancel(ctx);
	wait_until(atomic_load(&seen.calls) == 1);
	task_start(&task, stop_it, &stopper);
	wait_until(task_sleeps(&task));
	atomic_store(&seen.may_return, true);
	task_join(&task);
	assert_int_equal(seen.calls, 2);
	assert_false(stopper.is_prevented);
	stint_ctx_free(ctx);
}

static void
cancel_it(void *arg)
{
	stint_ctx_cancel(arg);
}

static void
stop_racing_with_the_end_is_one_of_both(void **state)
{
	enum { ROUNDS = 300 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_ctx *ctx = new_ctx(BACKGROUND);
		struct seen seen = {0};
		struct stint_after *after = new_after(ctx, note, &seen);
		struct task task;
		bool is_prevented;

		task_start(&task, cancel_it, ctx);
		while (round % 2 && stint_ctx_err(ctx) == 0)
			;
		is_prevented = stint_after_stop(after);
		task_join(&task);
		assert_int_equal(seen.calls, is_prevented ? 0 : 1);
		stint_ctx_free(ctx);
	}
}

static void
one_that_is_not_stopped_is_a_leak(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct seen seen = {0};
	struct stint_after *after = NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	stint_leak_watch();
	assert_int_equal(stint_ctx_after_func_at(ctx, note, &seen, &after, "x.c:1"), 0);
	assert_int_equal(stint_leak_check(out), 1);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "leak: after-func made at x.c:1\n");
	free(text);
	assert_true(stint_after_stop(after));
	assert_int_equal(stint_leak_check(NULL), 0);
	stint_ctx_free(ctx);
}

/* As the header shows it: a task ties a context to a descriptor. */
struct peer {
	int fd;
	struct stint_ctx *ctx;
};

static int
end_with_peer(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct peer *peer = arg;
	struct pollfd p[] = {{peer->fd, POLLIN, 0}, {stint_ctx_done_fd(ctx), POLLIN, 0}};

	(void)err;
	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (p[0].revents)
		stint_ctx_cancel_cause(peer->ctx, -ECONNRESET, "the peer has gone");
	return 0;
}

static void
foreign_descriptor_ends_a_context_by_a_task(void **state)
{
	struct stint_err result, cause;

	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		struct peer peer = {.ctx = new_ctx(BACKGROUND)};
		struct stint_ctx *below = new_ctx(peer.ctx);
		struct stint_task *task = NULL;
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		peer.fd = ends[0];
		assert_int_equal(
			stint_task_start(peer.ctx, "peer", end_with_peer, &peer, &task),
			0);
		if (closes) {
			close(ends[1]);
			wait_until(stint_ctx_err(below) < 0);
			assert_int_equal(stint_ctx_cause(below, &cause), -ECONNRESET);
			assert_string_equal(cause.msg, "the peer has gone");
		}
		stint_ctx_cancel(peer.ctx);
		assert_int_equal(stint_task_join(BACKGROUND, task, &result), 0);
		assert_int_equal(result.code, 0);
		assert_int_equal(stint_ctx_cause(peer.ctx, NULL),
			closes ? -ECONNRESET : -ECANCELED);
		close(ends[0]);
		if (!closes)
			close(ends[1]);
		stint_ctx_free(below);
		stint_ctx_free(peer.ctx);
	}
}

struct own {
	struct stint_after *after;
	_Atomic bool is_there;
	_Atomic bool was_prevented;
	_Atomic bool has_returned;
};

static void
stop_own(struct stint_ctx *ctx, void *arg)
{
	struct own *own = arg;

	(void)ctx;
	while (!atomic_load(&own->is_there))
		usleep(LOOK_EVERY_US);
	atomic_store(&own->was_prevented, stint_after_stop(own->after));
	atomic_store(&own->has_returned, true);
}

static void
function_that_would_stop_itself_is_told(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct own own = {.was_prevented = true};
	struct heard heard;

	(void)state;
	assert_int_equal(stint_ctx_after_func(ctx, stop_own, &own, &own.after), 0);
	listen_to_stderr(&heard);
	atomic_store(&own.is_there, true);
	stint_ctx_cancel(ctx);
	wait_until(atomic_load(&own.has_returned));
	stop_listening(&heard);
	assert_false(own.was_prevented);
	assert_non_null(strstr(heard.text, "not stopped: its own function asks for it"));
	assert_false(stint_after_stop(own.after));
	stint_ctx_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(called_once_after_cancel_with_cause_and_values),
		cmocka_unit_test(called_after_the_deadline_with_nobody_looking),
		cmocka_unit_test(called_at_once_when_it_has_ended_already),
		cmocka_unit_test(
			called_when_an_ancestor_ends_and_when_the_context_is_freed),
		cmocka_unit_test(stop_prevents_the_call_for_good),
		cmocka_unit_test(stop_waits_for_a_call_that_has_begun),
		cmocka_unit_test(stop_racing_with_the_end_is_one_of_both),
		cmocka_unit_test(one_that_is_not_stopped_is_a_leak),
		cmocka_unit_test(foreign_descriptor_ends_a_context_by_a_task),
		cmocka_unit_test(function_that_would_stop_itself_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
