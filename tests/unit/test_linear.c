/*
 * test_linear.c - the channel is linearizable: histories of many threads, checked
 *
 * Threads send, receive, try, take batches, select and give up, in random order, and a
 * channel is closed by its last sender, or in the middle of it all by two at once.
 * What each of them has seen is checked afterwards (history.h). That the check finds
 * what is wrong is shown first, on histories with one thing wrong.
 */
#include "tests/unit/history.h"

enum { SENDERS = 3, RECEIVERS = 3, CLOSERS = 2, ITEMS_EACH = 900, BATCH = 5 };
enum { PARTIES = SENDERS + RECEIVERS + CLOSERS, ITEMS_MAX = 1000 };

/* ---- the check finds what is wrong ---- */

#define SENT(who, item, begun, ended)                                                    \
	{                                                                                \
		SEND_EVENT, who, 0, item, begun, ended                                   \
	}
#define RECEIVED(who, item, begun, ended)                                                \
	{                                                                                \
		RECV_EVENT, who, 0, item, begun, ended                                   \
	}
#define FULL(begun, ended)                                                               \
	{                                                                                \
		SEND_EVENT, 0, -EAGAIN, 0, begun, ended                                  \
	}
#define EMPTY(begun, ended)                                                              \
	{                                                                                \
		RECV_EVENT, 1, -EAGAIN, 0, begun, ended                                  \
	}
#define REFUSED(begun, ended)                                                            \
	{                                                                                \
		SEND_EVENT, 0, -EPIPE, 0, begun, ended                                   \
	}
#define DRAINED(begun, ended)                                                            \
	{                                                                                \
		RECV_EVENT, 1, -EPIPE, 0, begun, ended                                   \
	}
#define CLOSED(begun, ended)                                                             \
	{                                                                                \
		CLOSE_EVENT, 2, 0, 0, begun, ended                                       \
	}

struct planted {
	const char *fault; /* NULL: none */
	size_t cap;
	struct event events[8];
};

static struct history
history_of(struct planted *p)
{
	struct history h = {.cap = p->cap, .item_count = 3, .events = p->events};

	while (h.count < 8 && p->events[h.count].ended_ns > 0)
		h.count++;
	return h;
}

static void
check_finds_each_planted_fault(void **state)
{
	static struct planted all[] = {
		{"sent, never received", 3, {SENT(0, 0, 1, 2)}},
		{"received, never sent", 3, {RECEIVED(1, 0, 1, 2)}},
		{"received twice", 3,
			{SENT(0, 0, 1, 2), RECEIVED(1, 0, 3, 4), RECEIVED(2, 0, 3, 4)}},
		{"received before it was sent", 3,
			{RECEIVED(1, 0, 1, 2), SENT(0, 0, 3, 4)}},
		{"out of its sender's order", 3,
			{SENT(0, 0, 1, 9), SENT(0, 1, 1, 9), RECEIVED(1, 1, 1, 9),
				RECEIVED(1, 0, 1, 9)}},
		{"overtaken", 3,
			{SENT(0, 0, 1, 2), SENT(3, 1, 3, 4), RECEIVED(1, 1, 5, 6),
				RECEIVED(2, 0, 7, 8)}},
		{"more items than room", 1,
			{SENT(0, 0, 1, 2), SENT(0, 1, 3, 4), RECEIVED(1, 0, 6, 7),
				RECEIVED(1, 1, 8, 9)}},
		{"more items than room", 0, {SENT(0, 0, 1, 2), RECEIVED(1, 0, 4, 5)}},
		{"empty, while there were items", 3,
			{SENT(0, 0, 1, 2), EMPTY(4, 5), RECEIVED(1, 0, 7, 8)}},
		{"empty, while there were items", 3,
			{SENT(0, 0, 1, 2), SENT(3, 1, 5, 6), EMPTY(4, 12),
				RECEIVED(1, 0, 9, 15), RECEIVED(2, 1, 14, 15)}},
		{"full, while there was room", 2,
			{SENT(0, 0, 1, 2), FULL(4, 5), RECEIVED(1, 0, 7, 8)}},
		{"full, while there was room", 1,
			{SENT(0, 0, 1, 2), RECEIVED(1, 0, 3, 4), FULL(5, 6)}},
		{"sent after the close", 3,
			{CLOSED(1, 2), SENT(0, 0, 3, 4), RECEIVED(1, 0, 5, 6)}},
		{"told of a close that was not yet begun", 3,
			{REFUSED(1, 2), CLOSED(3, 4)}},
		{"told of a close that was not yet begun", 3, {DRAINED(1, 2)}},
		{"to be tried again after the close", 3, {CLOSED(1, 2), EMPTY(3, 4)}},
		{"to be tried again after the close", 3, {CLOSED(1, 2), FULL(3, 4)}},
		{"something else after closed and drained", 3,
			{SENT(0, 0, 1, 2), CLOSED(3, 4), DRAINED(5, 6),
				RECEIVED(2, 0, 7, 8)}},
		{"closed twice", 3, {CLOSED(1, 2), CLOSED(1, 2)}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct history h = history_of(&all[i]);

		assert_non_null(history_fault(&h));
		assert_string_equal(history_fault(&h), all[i].fault);
	}
}

static void
check_finds_nothing_in_what_may_be(void **state)
{
	static struct planted all[] = {
		/* at the same time: in either order */
		{NULL, 3,
			{SENT(0, 0, 1, 5), SENT(3, 1, 3, 4), RECEIVED(1, 1, 5, 6),
				RECEIVED(2, 0, 7, 8)}},
		{NULL, 3,
			{SENT(0, 0, 1, 2), SENT(3, 1, 3, 4), RECEIVED(1, 1, 5, 8),
				RECEIVED(2, 0, 7, 9)}},
		/* hand in hand, without room */
		{NULL, 0, {SENT(0, 0, 1, 4), RECEIVED(1, 0, 3, 6), EMPTY(7, 8)}},
		/* empty between two items, full between two receives */
		{NULL, 3,
			{SENT(0, 0, 1, 2), EMPTY(4, 6), RECEIVED(1, 0, 3, 5),
				SENT(0, 1, 6, 7), RECEIVED(1, 1, 8, 9)}},
		{NULL, 1,
			{SENT(0, 0, 1, 2), FULL(3, 6), RECEIVED(1, 0, 5, 8),
				SENT(0, 1, 7, 9), RECEIVED(1, 1, 10, 11)}},
		/* closing while all goes on */
		{NULL, 3,
			{SENT(0, 0, 1, 4), CLOSED(2, 6), REFUSED(5, 7),
				RECEIVED(1, 0, 8, 9), DRAINED(5, 10)}},
		{NULL, 3, {CLOSED(1, 2), REFUSED(3, 4), DRAINED(3, 4)}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct history h = history_of(&all[i]);
		const char *fault = history_fault(&h);

		if (fault)
			fail_msg("history %zu: %s", i, fault);
	}
}

/* ---- recording ---- */

struct scene {
	struct stint_chan *ch, *other; /* nothing ever comes by the other one */
	bool is_abrupt;                /* closed in the middle */
	int items_each;
	_Atomic int senders_left;
};

struct party {
	struct scene *scene;
	struct history seen;
	struct task task;
	uint64_t seed;
	int who;
};

static struct event
event_begin(const struct party *p, enum event_kind kind)
{
	return (struct event){.kind = kind, .who = p->who, .begun_ns = history_now_ns()};
}

/* @r: how many items went through from @items on, or why none did. */
static void
event_end(struct party *p, struct event e, int r, const int *items)
{
	e.ended_ns = history_now_ns();
	e.result = r < 0 ? r : 0;
	if (r < 0 && r != -EAGAIN && r != -EPIPE)
		return;
	for (int i = 0; i < (r < 0 ? 1 : r); i++) {
		e.item = r < 0 ? 0 : items[i];
		history_add(&p->seen, e);
	}
}

static void
close_it(struct party *p)
{
	struct event e = event_begin(p, CLOSE_EVENT);
	int none = 0, r = stint_chan_close(p->scene->ch);

	event_end(p, e, r == 0 ? 1 : r, &none);
}

/* By select; as the plain operation: 1 done, or why not. */
static int
select_one(struct party *p, struct stint_ctx *ctx, enum stint_case_op op, int *item)
{
	struct stint_case cases[] = {
		{STINT_RECV, p->scene->other, NULL, 0},
		{op, p->scene->ch, item, 0},
	};
	int r = stint_select(ctx, cases, 2);

	if (r == 1)
		return cases[1].result < 0 ? cases[1].result : 1;
	return r;
}

static int
one(int r)
{
	return r == 0 ? 1 : r;
}

/* How many of @items, in one of six ways; a wait may be given up. */
static int
operate(struct party *p, enum stint_case_op op, int *items, int count)
{
	struct stint_chan *ch = p->scene->ch;
	struct stint_ctx *ctx;
	bool sends = op == STINT_SEND;
	int r;

	switch (random_next(&p->seed) % 6) {
	case 0:
		return sends ? stint_chan_try_send_many(ch, items, (size_t)count)
			     : stint_chan_try_recv_many(ch, items, (size_t)count);
	case 1:
		return one(sends ? stint_chan_try_send(ch, items)
				 : stint_chan_try_recv(ch, items));
	case 2:
		return select_one(p, BACKGROUND, op, items);
	case 3:
		if (stint_ctx_with_timeout(BACKGROUND, random_next(&p->seed) % 2, &ctx) <
			0)
			abort();
		r = one(sends ? stint_chan_send(ctx, ch, items)
			      : stint_chan_recv(ctx, ch, items));
		stint_ctx_free(ctx);
		return r;
	default:
		return one(sends ? stint_chan_send(BACKGROUND, ch, items)
				 : stint_chan_recv(BACKGROUND, ch, items));
	}
}

static void
send_all(void *arg)
{
	struct party *p = arg;
	int first = p->who * ITEMS_MAX, sent = 0, r = 0;

	while (sent < p->scene->items_each && r != -EPIPE) {
		int left = p->scene->items_each - sent, items[BATCH];
		struct event e;

		for (int i = 0; i < BATCH; i++)
			items[i] = first + sent + i;
		e = event_begin(p, SEND_EVENT);
		r = operate(p, STINT_SEND, items, left < BATCH ? left : BATCH);
		event_end(p, e, r, items);
		sent += r > 0 ? r : 0;
	}
	if (atomic_fetch_sub(&p->scene->senders_left, 1) == 1 && !p->scene->is_abrupt)
		close_it(p);
}

/* Some more looks when all is over: it stays so. */
static void
receive_all(void *arg)
{
	enum { LOOKS_AFTER = 5 };
	struct party *p = arg;
	int after = 0;

	while (after < LOOKS_AFTER) {
		struct event e = event_begin(p, RECV_EVENT);
		int items[BATCH], r = operate(p, STINT_RECV, items, BATCH);

		event_end(p, e, r, items);
		after += r == -EPIPE;
	}
}

static void
close_sometime(void *arg)
{
	struct party *p = arg;
	int64_t until_ns = history_now_ns() + random_next(&p->seed) % 1500000;

	while (p->scene->is_abrupt && history_now_ns() < until_ns)
		usleep(1);
	if (p->scene->is_abrupt)
		close_it(p);
}

/* One channel's life; the caller frees the events. */
static struct history
record(size_t cap, bool is_abrupt, uint64_t seed)
{
	struct history all = {.cap = cap, .item_count = SENDERS * ITEMS_MAX};
	struct scene scene = {.is_abrupt = is_abrupt,
		.items_each = 100 + test_rounds(ITEMS_EACH),
		.senders_left = SENDERS};
	struct party party[PARTIES] = {0};

	scene.ch = new_chan(sizeof(int), cap);
	scene.other = new_chan(0, 0);
	for (int i = 0; i < PARTIES; i++) {
		party[i].scene = &scene;
		party[i].who = i;
		party[i].seed = seed * PARTIES + (uint64_t)i + 1;
		task_start(&party[i].task,
			i < SENDERS               ? send_all
			: i < SENDERS + RECEIVERS ? receive_all
						  : close_sometime,
			&party[i]);
	}
	for (int i = 0; i < PARTIES; i++) {
		task_join(&party[i].task);
		history_append(&all, &party[i].seen);
		free(party[i].seen.events);
	}
	assert_int_equal(stint_chan_len(scene.ch), 0);
	stint_chan_free(scene.ch);
	stint_chan_free(scene.other);
	return all;
}

/* ---- recorded histories are checked ---- */

static const size_t caps[] = {0, 1, 3, 128};

static void
record_and_check(bool is_abrupt)
{
	enum { ROUNDS = 40 };
	uint64_t seed = (uint64_t)history_now_ns();

	for (int round = 0; round < test_rounds(ROUNDS); round++)
		for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++, seed++) {
			struct history h = record(caps[i], is_abrupt, seed);
			const char *fault = history_fault(&h);

			free(h.events);
			if (fault)
				fail_msg("capacity %zu, seed %llu: %s", caps[i],
					(unsigned long long)seed, fault);
		}
}

static void
channel_is_linearizable(void **state)
{
	(void)state;
	record_and_check(false);
}

static void
channel_that_is_closed_in_the_middle_is_linearizable(void **state)
{
	(void)state;
	record_and_check(true);
}

/* ---- and the same ones with one thing changed are found out ---- */

/* The @n-th event of a kind that has gone through. */
static struct event *
nth(struct history *h, enum event_kind kind, size_t n)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->events[i].kind == kind && h->events[i].result == 0 && n-- == 0)
			return &h->events[i];
	fail_msg("no such event");
	return NULL;
}

static void
change(struct history *h, int how)
{
	struct event *first = nth(h, RECV_EVENT, 0), *later = nth(h, RECV_EVENT, 200);
	int item = first->item;

	switch (how) {
	case 0: /* an item is lost */
		first->result = -ECANCELED;
		break;
	case 1: /* doubled */
		history_add(h, *first);
		break;
	case 2: /* overtaken by 200 */
		first->item = later->item;
		later->item = item;
		break;
	default: /* comes after the end */
		first->begun_ns = first->ended_ns = history_now_ns();
		break;
	}
}

static void
changed_history_is_found_out(void **state)
{
	enum { WAYS = 4 };

	(void)state;
	for (int how = 0; how < WAYS; how++)
		for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
			struct history h = record(caps[i], false, i + 1);

			change(&h, how);
			if (!history_fault(&h))
				fail_msg("change %d, capacity %zu: not found", how,
					caps[i]);
			free(h.events);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_finds_each_planted_fault),
		cmocka_unit_test(check_finds_nothing_in_what_may_be),
		cmocka_unit_test(channel_is_linearizable),
		cmocka_unit_test(channel_that_is_closed_in_the_middle_is_linearizable),
		cmocka_unit_test(changed_history_is_found_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
