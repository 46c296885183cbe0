/*
 * conc.c - what the parts of libstint cost, in nanoseconds
 *
 *	conc CASE COUNT
 *
 * The cases are those of conc.go, line by line the same work; run.py runs them in turns.
 * All threads stand at a barrier before the clock starts, and it stops when the last one
 * is through.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <stint/stint.h>
#include "tests/bench/bench.h"

enum { CAPACITY = 128, SELECT_CHANS = 4, CHILDREN = 10, TASKS = 100, BATCH = 16 };
enum { THREADS_MAX = 8 };

#define CTX stint_ctx_background()

/* Whatever fails, the figure is worthless. */
static void
must(int r)
{
	if (r < 0)
		errx(1, "%s", strerror(-r));
}

static struct stint_chan *
new_chan(size_t capacity)
{
	struct stint_chan *ch;

	must(stint_chan_new(sizeof(int64_t), capacity, &ch));
	return ch;
}

struct thread {
	pthread_t id;
	pthread_barrier_t *start;
	void (*fn)(struct thread *self);
	struct stint_chan *in, *out, *const *chans;
	long count;
};

static void *
thread_main(void *arg)
{
	struct thread *t = arg;

	pthread_barrier_wait(t->start);
	t->fn(t);
	return NULL;
}

/* How long it takes all of them; this thread only waits. */
static int64_t
run_threads(struct thread *threads, size_t count)
{
	pthread_barrier_t start;
	int64_t begun_ns;

	pthread_barrier_init(&start, NULL, (unsigned)count + 1);
	for (size_t i = 0; i < count; i++) {
		threads[i].start = &start;
		must(-pthread_create(&threads[i].id, NULL, thread_main, &threads[i]));
	}
	begun_ns = now_ns();
	pthread_barrier_wait(&start);
	for (size_t i = 0; i < count; i++)
		must(-pthread_join(threads[i].id, NULL));
	pthread_barrier_destroy(&start);
	return now_ns() - begun_ns;
}

static void
send_all(struct thread *t)
{
	for (int64_t i = 0; i < t->count; i++)
		must(stint_chan_send(CTX, t->out, &i));
}

static void
recv_all(struct thread *t)
{
	int64_t item;

	for (long i = 0; i < t->count; i++)
		must(stint_chan_recv(CTX, t->in, &item));
}

static int64_t
run_chan(size_t capacity, size_t pairs, long count)
{
	struct thread threads[THREADS_MAX];
	struct stint_chan *ch = new_chan(capacity);
	int64_t took_ns;

	for (size_t i = 0; i < pairs; i++) {
		struct thread one = {.in = ch,
			.out = ch,
			.count = count / (long)pairs,
			.fn = send_all};

		threads[2 * i] = one;
		one.fn = recv_all;
		threads[2 * i + 1] = one;
	}
	took_ns = run_threads(threads, 2 * pairs);
	stint_chan_free(ch);
	return took_ns;
}

static int64_t
bounded_1_1(long count)
{
	return run_chan(CAPACITY, 1, count);
}

static int64_t
bounded_4_4(long count)
{
	return run_chan(CAPACITY, 4, count);
}

static int64_t
unbuffered(long count)
{
	return run_chan(0, 1, count);
}

static void
serve(struct thread *t)
{
	int64_t item;

	for (long i = 0; i < t->count; i++) {
		must(stint_chan_recv(CTX, t->in, &item));
		must(stint_chan_send(CTX, t->out, &item));
	}
}

static void
ask(struct thread *t)
{
	int64_t item = 0;

	for (long i = 0; i < t->count; i++) {
		must(stint_chan_send(CTX, t->out, &item));
		must(stint_chan_recv(CTX, t->in, &item));
	}
}

static int64_t
ping_pong(long count)
{
	struct stint_chan *there = new_chan(0), *back = new_chan(0);
	struct thread threads[] = {
		{.fn = ask, .in = back, .out = there, .count = count},
		{.fn = serve, .in = there, .out = back, .count = count},
	};
	int64_t took_ns = run_threads(threads, 2);

	stint_chan_free(there);
	stint_chan_free(back);
	return took_ns;
}

static void
send_in_turn(struct thread *t)
{
	for (int64_t i = 0; i < t->count; i++)
		must(stint_chan_send(CTX, t->chans[i % SELECT_CHANS], &i));
}

static void
select_all(struct thread *t)
{
	for (long i = 0; i < t->count; i++) {
		struct stint_case cases[SELECT_CHANS];
		int64_t item;

		for (size_t c = 0; c < SELECT_CHANS; c++)
			cases[c] = (struct stint_case){
				.op = STINT_RECV, .ch = t->chans[c], .item = &item};
		must(stint_select(CTX, cases, SELECT_CHANS));
	}
}

static int64_t
select_4(long count)
{
	struct stint_chan *chans[SELECT_CHANS];
	struct thread threads[] = {
		{.fn = send_in_turn, .chans = chans, .count = count},
		{.fn = select_all, .chans = chans, .count = count},
	};
	int64_t took_ns;

	for (size_t i = 0; i < SELECT_CHANS; i++)
		chans[i] = new_chan(CAPACITY);
	took_ns = run_threads(threads, 2);
	for (size_t i = 0; i < SELECT_CHANS; i++)
		stint_chan_free(chans[i]);
	return took_ns;
}

static int64_t
context(long count)
{
	int64_t begun_ns = now_ns();

	for (long i = 0; i < count; i++) {
		struct stint_ctx *parent, *children[CHILDREN];

		must(stint_ctx_with_cancel(CTX, &parent));
		for (size_t c = 0; c < CHILDREN; c++)
			must(stint_ctx_with_cancel(parent, &children[c]));
		stint_ctx_cancel(parent);
		for (size_t c = 0; c < CHILDREN; c++)
			stint_ctx_free(children[c]);
		stint_ctx_free(parent);
	}
	return now_ns() - begun_ns;
}

static int
do_nothing(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)arg;
	(void)err;
	return 0;
}

/* @count tasks, in groups of TASKS. */
static int64_t
group(long count)
{
	int64_t begun_ns = now_ns();

	for (long done = 0; done < count; done += TASKS) {
		struct stint_group *tasks;
		struct stint_err first;

		must(stint_group_new(CTX, &tasks));
		for (int i = 0; i < TASKS; i++)
			must(stint_group_go(CTX, tasks, "nothing", do_nothing, NULL));
		must(stint_group_wait(CTX, tasks, &first));
		must(first.code);
		stint_group_free(tasks);
	}
	return now_ns() - begun_ns;
}

/* Batches, which Go's channels do not have. */
static void
send_batches(struct thread *t)
{
	int64_t items[BATCH] = {0};
	long sent = 0;

	while (sent < t->count) {
		size_t left = (size_t)(t->count - sent);
		int n = stint_chan_try_send_many(
			t->out, items, left < BATCH ? left : BATCH);

		if (n == -EAGAIN) {
			must(stint_chan_send(CTX, t->out, items));
			n = 1;
		}
		must(n);
		sent += n;
	}
}

static void
recv_batches(struct thread *t)
{
	int64_t items[BATCH];
	long received = 0;

	while (received < t->count) {
		int n = stint_chan_try_recv_many(t->in, items, BATCH);

		if (n == -EAGAIN) {
			must(stint_chan_recv(CTX, t->in, items));
			n = 1;
		}
		must(n);
		received += n;
	}
}

static int64_t
batches(long count)
{
	struct stint_chan *ch = new_chan(CAPACITY);
	struct thread threads[] = {
		{.fn = send_batches, .out = ch, .count = count},
		{.fn = recv_batches, .in = ch, .count = count},
	};
	int64_t took_ns = run_threads(threads, 2);

	stint_chan_free(ch);
	return took_ns;
}

static const struct {
	const char *name;
	int64_t (*run)(long count);
} cases[] = {
	{"bounded_1_1", bounded_1_1},
	{"bounded_4_4", bounded_4_4},
	{"unbuffered", unbuffered},
	{"ping_pong", ping_pong},
	{"select_4", select_4},
	{"context", context},
	{"group", group},
	{"batches", batches},
};

int
main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: conc CASE COUNT");
	long count = parse_count(argv[2]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (strcmp(cases[i].name, argv[1]) != 0)
			continue;
		printf("{\"ns\": %.1f}\n", (double)cases[i].run(count) / (double)count);
		return 0;
	}
	errx(2, "no case is named %s", argv[1]);
}
