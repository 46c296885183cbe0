/*
 * leak_util.h - each test of a program that includes this fails when it leaves something
 *
 * cmocka_unit_test() is redefined for it; a test with a teardown of its own returns
 * check_leaks() from it. The library is asked for what it made, and the kernel for
 * descriptors, threads and children, which must not be more than before the test. A
 * thread that was joined is still listed for a moment: it looks again until nothing is
 * left or time is up. What one test leaves is not held against the next.
 */
#ifndef TESTS_LEAK_UTIL_H
#define TESTS_LEAK_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stint/leak.h>
#include <sys/wait.h>
#include <unistd.h>

struct in_process {
	int descriptors;
	int threads;
	bool has_children;
};

/* The entries of a folder in /proc; -1 when it cannot be read. */
static inline int
entry_count(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir)
		return -1;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static inline struct in_process
in_process_now(void)
{
	siginfo_t info;

	return (struct in_process){
		.descriptors = entry_count("/proc/self/fd"),
		.threads = entry_count("/proc/self/task"),
		.has_children = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0,
	};
}

static struct in_process before_test;

static inline void *
thread_that_ends(void *arg)
{
	return arg;
}

__attribute__((constructor)) static inline void
watch_leaks(void)
{
	pthread_t thread;

	/* A sanitizer starts a thread of its own with our first. */
	if (pthread_create(&thread, NULL, thread_that_ends, NULL) == 0)
		pthread_join(thread, NULL);
	before_test = in_process_now();
	stint_leak_watch();
}

static inline bool
is_more(const struct in_process *now)
{
	return now->descriptors > before_test.descriptors ||
	       now->threads > before_test.threads ||
	       now->has_children > before_test.has_children;
}

static inline int
check_leaks(void **state)
{
	enum { LOOKS = 100, LOOK_AGAIN_US = 5000 };
	size_t leak_count = stint_leak_check(stderr);
	struct in_process now = in_process_now();

	(void)state;
	for (int look = 0; look < LOOKS && is_more(&now); look++) {
		usleep(LOOK_AGAIN_US);
		now = in_process_now();
	}
	if (is_more(&now)) {
		leak_count++;
		fprintf(stderr,
			"leak: %d descriptors, %d threads%s; before the test %d and %d\n",
			now.descriptors, now.threads,
			now.has_children ? ", children" : "", before_test.descriptors,
			before_test.threads);
	}
	before_test = now;
	stint_leak_watch();
	return leak_count == 0 ? 0 : -1;
}

#undef cmocka_unit_test
#define cmocka_unit_test(fn) cmocka_unit_test_teardown(fn, check_leaks)

#endif
