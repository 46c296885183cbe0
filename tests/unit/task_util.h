/*
 * task_util.h - what the tests of tasks and groups need besides conc_util.h: groups,
 * counting threads, running out of them, and reading what was said on standard error
 */
#ifndef TESTS_TASK_UTIL_H
#define TESTS_TASK_UTIL_H

#include <dirent.h>
#include "tests/unit/conc_util.h"

/* Threads of this program, the sanitizers' included. */
static inline size_t
thread_count(void)
{
	DIR *dir = opendir("/proc/self/task");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* "." and ".." */
}

static inline void *
no_thread(void *arg)
{
	return arg;
}

/* No new thread can be started: each would want a stack of all addresses there are.
 * Returns what an attempt results in: -EAGAIN, but under valgrind, which has its own
 * idea of mmap(2). */
static inline int
forbid_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 47), 0);
	assert_int_equal(pthread_setattr_default_np(&attr), 0);
	pthread_attr_destroy(&attr);
	r = -pthread_create(&thread, NULL, no_thread, NULL);
	assert_true(r < 0);
	return r;
}

static inline void
allow_threads(void)
{
	pthread_attr_t attr;

	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)8 << 20), 0);
	assert_int_equal(pthread_setattr_default_np(&attr), 0);
	pthread_attr_destroy(&attr);
}

/* Standard error goes to a file between the two calls. */
struct heard {
	int old_fd;
	FILE *file;
	char text[1024];
};

static inline void
listen_to_stderr(struct heard *heard)
{
	fflush(stderr);
	heard->file = tmpfile();
	assert_non_null(heard->file);
	heard->old_fd = dup(STDERR_FILENO);
	assert_true(heard->old_fd >= 0);
	assert_true(dup2(fileno(heard->file), STDERR_FILENO) >= 0);
}

static inline void
stop_listening(struct heard *heard)
{
	size_t size;

	fflush(stderr);
	assert_true(dup2(heard->old_fd, STDERR_FILENO) >= 0);
	close(heard->old_fd);
	rewind(heard->file);
	size = fread(heard->text, 1, sizeof(heard->text) - 1, heard->file);
	heard->text[size] = '\0';
	fclose(heard->file);
}

/* ---- groups, and what their tasks do ---- */

static inline struct stint_group *
new_group(struct stint_ctx *parent)
{
	struct stint_group *group = NULL;

	assert_int_equal(stint_group_new(parent, &group), 0);
	return group;
}

static inline void
go(struct stint_group *group, stint_task_fn fn, void *arg)
{
	assert_int_equal(stint_group_go(BACKGROUND, group, "test", fn, arg), 0);
}

static inline struct stint_err
finish(struct stint_group *group)
{
	struct stint_err first = {1, "not written"};

	assert_int_equal(stint_group_wait(BACKGROUND, group, &first), 0);
	return first;
}

static inline int
do_nothing(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)arg;
	(void)err;
	return 0;
}

static inline int
fail_as(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	return stint_err_set(err, -EIO, "%s", (const char *)arg);
}

static inline int
sleep_until_end(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	int r = stint_select(ctx, NULL, 0);

	(void)arg;
	return r < 0 ? stint_ctx_cause(ctx, err) : r;
}

/* Until the channel at @arg is closed, or the context ends. */
static inline int
sleep_until_closed(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	int r = stint_chan_recv(ctx, arg, NULL);

	return r == -EPIPE ? 0 : stint_ctx_cause(ctx, err);
}

#endif
