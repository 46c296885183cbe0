/*
 * ceiling_spawn.c - how fast this machine starts and reaps processes
 *
 *	ceiling_spawn THREADS COUNT COMMAND [ARG...]
 *
 * THREADS loops of posix_spawn and waitpid and nothing else: no pipes, no process
 * group, no Redis. A daemon that runs one process per job cannot be faster.
 */
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bench/bench.h"

enum { THREADS_MAX = 256 };

struct spawn {
	char **argv;
	atomic_long left; /* runs that no thread has taken yet */
};

static void *
spawn_loop(void *arg)
{
	struct spawn *s = arg;
	int status;
	pid_t pid;

	/* relaxed: the number itself is all that the threads share */
	while (atomic_fetch_sub_explicit(&s->left, 1, memory_order_relaxed) > 0) {
		int r = posix_spawn(&pid, s->argv[0], NULL, NULL, s->argv, environ);
		if (r != 0)
			errx(1, "%s: %s", s->argv[0], strerror(r));
		if (waitpid(pid, &status, 0) != pid)
			err(1, "waitpid");
		if (status != 0)
			errx(1, "%s: wait status %#x", s->argv[0], (unsigned)status);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t thread[THREADS_MAX];
	struct spawn s;

	if (argc < 4)
		errx(2, "usage: ceiling_spawn THREADS COUNT COMMAND [ARG...]");
	long threads = parse_count(argv[1]);
	long total = parse_count(argv[2]);
	if (threads > THREADS_MAX)
		errx(2, "at most %d threads", THREADS_MAX);
	s.argv = argv + 3;
	atomic_init(&s.left, total);

	int64_t started_ns = now_ns();
	for (long i = 0; i < threads; i++) {
		int r = pthread_create(&thread[i], NULL, spawn_loop, &s);
		if (r != 0)
			errx(1, "pthread_create: %s", strerror(r));
	}
	for (long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);

	double seconds = (double)(now_ns() - started_ns) / 1e9;
	printf("{\"jobs\": %ld, \"seconds\": %.6f, \"per_second\": %.1f}\n", total,
		seconds, (double)total / seconds);
	return 0;
}
