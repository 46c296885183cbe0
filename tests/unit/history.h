/*
 * history.h - what several threads have seen of one channel, and whether it can be true
 *
 * Each send, receive and close is written down with the time before and after it. A
 * channel is linearizable when every operation can be given one moment within its time
 * so that a plain queue, used by one thread in that order, would have answered the
 * same. For a queue whose items all differ that need not be searched for: it is so unless
 * one of a few things is found, and history_fault() looks for those (T. Henzinger,
 * A. Sezgin, V. Vafeiadis, "Aspect-oriented linearizability proofs", 2013). To them come
 * the capacity, an answer of "full", and closing.
 *
 * A batch is as many operations with the same times. Who gave up has not operated.
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include "tests/unit/conc_util.h"

enum event_kind { SEND_EVENT, RECV_EVENT, CLOSE_EVENT };

enum { PARTIES_MAX = 16 };

struct event {
	enum event_kind kind;
	int who;    /* 0..PARTIES_MAX-1; each party's events are in their order */
	int result; /* 0, -EAGAIN, -EPIPE */
	int item;   /* 0..item_count-1, when the result is 0; a sender's are increasing */
	int64_t begun_ns, ended_ns;
};

struct history {
	size_t cap;
	size_t item_count; /* that were to be sent */
	struct event *events;
	size_t count, room;
};

/* ---- writing ---- */

static inline int64_t
history_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline void
history_add(struct history *h, struct event event)
{
	if (h->count == h->room) {
		h->room = h->room ? 2 * h->room : 1024;
		h->events = reallocarray(h->events, h->room, sizeof(*h->events));
		if (!h->events)
			abort();
	}
	h->events[h->count++] = event;
}

static inline void
history_append(struct history *h, const struct history *other)
{
	for (size_t i = 0; i < other->count; i++)
		history_add(h, other->events[i]);
}

/* ---- counts over time ---- */

/* From `at_ns` on it is `count`. */
struct step {
	int64_t at_ns;
	int64_t count;
};

struct steps {
	struct step *steps;
	size_t count;
};

static inline int
step_compare(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

/* From changes to sums, one step for each time. */
static inline void
steps_sum_up(struct steps *s)
{
	size_t last = 0;

	qsort(s->steps, s->count, sizeof(*s->steps), step_compare);
	for (size_t i = 1; i < s->count; i++) {
		if (s->steps[i].at_ns == s->steps[last].at_ns) {
			s->steps[last].count += s->steps[i].count;
			continue;
		}
		s->steps[last + 1] = s->steps[i];
		s->steps[last + 1].count += s->steps[last].count;
		last++;
	}
	s->count = s->count ? last + 1 : 0;
}

struct range {
	int64_t least, most;
};

/* From @begun_ns to @ended_ns, both included. */
static inline struct range
steps_range(const struct steps *s, int64_t begun_ns, int64_t ended_ns)
{
	size_t low = 0, high = s->count;
	struct range range;

	while (low < high) { /* the first step after @begun_ns */
		size_t middle = (low + high) / 2;

		if (s->steps[middle].at_ns <= begun_ns)
			low = middle + 1;
		else
			high = middle;
	}
	range.least = low > 0 ? s->steps[low - 1].count : 0;
	range.most = range.least;
	for (; low < s->count && s->steps[low].at_ns <= ended_ns; low++) {
		int64_t count = s->steps[low].count;

		range.least = count < range.least ? count : range.least;
		range.most = count > range.most ? count : range.most;
	}
	return range;
}

/* ---- checking ---- */

/* What became of one item; NULL: nothing. */
struct fate {
	const struct event *sent, *received;
};

struct check {
	const struct history *h;
	struct fate *fates;
	const struct fate **sorted; /* those that were sent, twice */
	size_t sent_count;
	struct steps sure, possible; /* how many items were in the channel, at least */
	int64_t closed_ns[2];        /* the close that took effect: begun and ended */
	int64_t drained_ns;          /* the first receive ended that said so */
};

static inline const char *
check_note(struct check *c, const struct event *e)
{
	struct fate *fate = &c->fates[e->item];
	const struct event **place =
		e->kind == SEND_EVENT ? &fate->sent : &fate->received;

	if (*place)
		return e->kind == SEND_EVENT ? "sent twice" : "received twice";
	*place = e;
	return NULL;
}

static inline const char *
check_note_all(struct check *c)
{
	c->closed_ns[0] = c->closed_ns[1] = c->drained_ns = INT64_MAX;
	for (size_t i = 0; i < c->h->count; i++) {
		const struct event *e = &c->h->events[i];
		const char *fault = NULL;

		if (e->kind == CLOSE_EVENT && e->result == 0) {
			if (c->closed_ns[0] != INT64_MAX)
				return "closed twice";
			c->closed_ns[0] = e->begun_ns;
			c->closed_ns[1] = e->ended_ns;
		} else if (e->kind == RECV_EVENT && e->result == -EPIPE) {
			if (e->ended_ns < c->drained_ns)
				c->drained_ns = e->ended_ns;
		} else if (e->result == 0)
			fault = check_note(c, e);
		if (fault)
			return fault;
	}
	return NULL;
}

/* Every item once. */
static inline const char *
check_fates(const struct check *c)
{
	for (size_t i = 0; i < c->h->item_count; i++) {
		const struct fate *fate = &c->fates[i];

		if (fate->sent && !fate->received)
			return "sent, never received";
		if (!fate->sent && fate->received)
			return "received, never sent";
		if (fate->sent && fate->received->ended_ns < fate->sent->begun_ns)
			return "received before it was sent";
	}
	return NULL;
}

static inline const char *
check_close(const struct check *c)
{
	for (size_t i = 0; i < c->h->count; i++) {
		const struct event *e = &c->h->events[i];

		if (e->result == -EPIPE && e->ended_ns < c->closed_ns[0])
			return "told of a close that was not yet begun";
		if (e->kind == SEND_EVENT && e->result == 0 &&
			e->begun_ns > c->closed_ns[1])
			return "sent after the close";
		if (e->result == -EAGAIN && e->begun_ns > c->closed_ns[1])
			return "to be tried again after the close";
		if (e->kind == RECV_EVENT && e->result != -EPIPE &&
			e->begun_ns > c->drained_ns)
			return "something else after closed and drained";
	}
	return NULL;
}

/* What one party sent, another one receives in that order; batches, too. */
static inline const char *
check_senders(const struct check *c)
{
	int last[PARTIES_MAX][PARTIES_MAX];

	memset(last, -1, sizeof(last));
	for (size_t i = 0; i < c->h->count; i++) {
		const struct event *e = &c->h->events[i];
		int *before;

		if (e->kind != RECV_EVENT || e->result != 0)
			continue;
		before = &last[e->who][c->fates[e->item].sent->who];
		if (e->item < *before)
			return "out of its sender's order";
		*before = e->item;
	}
	return NULL;
}

static inline int
fate_compare_begun(const void *a, const void *b)
{
	const struct fate *const *x = a, *const *y = b;
	int64_t at_x = (*x)->sent->begun_ns, at_y = (*y)->sent->begun_ns;

	return (at_x > at_y) - (at_x < at_y);
}

static inline int
fate_compare_ended(const void *a, const void *b)
{
	const struct fate *const *x = a, *const *y = b;
	int64_t at_x = (*x)->sent->ended_ns, at_y = (*y)->sent->ended_ns;

	return (at_x > at_y) - (at_x < at_y);
}

/* An item whose send was over before that of another one began is not received after
 * it. For each, in the order of their begins: of those sent before, the last receive. */
static inline const char *
check_order(struct check *c)
{
	const struct fate **by_begun = c->sorted, **by_ended = c->sorted + c->sent_count;
	int64_t last_begun_ns = INT64_MIN;
	size_t before = 0;

	qsort(by_begun, c->sent_count, sizeof(*by_begun), fate_compare_begun);
	qsort(by_ended, c->sent_count, sizeof(*by_ended), fate_compare_ended);
	for (size_t i = 0; i < c->sent_count; i++) {
		while (by_ended[before]->sent->ended_ns < by_begun[i]->sent->begun_ns) {
			int64_t at_ns = by_ended[before++]->received->begun_ns;

			last_begun_ns = at_ns > last_begun_ns ? at_ns : last_begun_ns;
		}
		if (by_begun[i]->received->ended_ns < last_begun_ns)
			return "overtaken";
	}
	return NULL;
}

static inline void
check_count_items(struct check *c)
{
	for (size_t i = 0; i < c->sent_count; i++) {
		const struct event *sent = c->sorted[i]->sent;
		const struct event *received = c->sorted[i]->received;
		struct step *sure = &c->sure.steps[c->sure.count];
		struct step *possible = &c->possible.steps[c->possible.count];

		possible[0] = (struct step){sent->begun_ns, 1};
		possible[1] = (struct step){received->ended_ns + 1, -1};
		c->possible.count += 2;
		if (sent->ended_ns + 1 >= received->begun_ns)
			continue;
		sure[0] = (struct step){sent->ended_ns + 1, 1};
		sure[1] = (struct step){received->begun_ns, -1};
		c->sure.count += 2;
	}
	steps_sum_up(&c->sure);
	steps_sum_up(&c->possible);
}

/* Never more items than there is room, and never full or empty when it was not. */
static inline const char *
check_counts(struct check *c)
{
	check_count_items(c);
	if (steps_range(&c->sure, INT64_MIN, INT64_MAX).most > (int64_t)c->h->cap)
		return "more items than room";
	for (size_t i = 0; i < c->h->count; i++) {
		const struct event *e = &c->h->events[i];

		if (e->result != -EAGAIN || c->h->cap == 0)
			continue;
		if (e->kind == RECV_EVENT &&
			steps_range(&c->sure, e->begun_ns, e->ended_ns).least > 0)
			return "empty, while there were items";
		if (e->kind == SEND_EVENT &&
			steps_range(&c->possible, e->begun_ns, e->ended_ns).most <
				(int64_t)c->h->cap)
			return "full, while there was room";
	}
	return NULL;
}

static inline const char *
check_all(struct check *c)
{
	const char *fault = check_note_all(c);

	if (!fault)
		fault = check_fates(c);
	if (!fault)
		fault = check_close(c);
	if (!fault)
		fault = check_senders(c);
	if (fault)
		return fault;
	for (size_t i = 0; i < c->h->item_count; i++)
		if (c->fates[i].sent)
			c->sorted[c->sent_count++] = &c->fates[i];
	memcpy(c->sorted + c->sent_count, c->sorted, c->sent_count * sizeof(*c->sorted));
	fault = check_order(c);
	return fault ? fault : check_counts(c);
}

/* What is wrong with a history in which everything was received; NULL: nothing. */
static inline const char *
history_fault(const struct history *h)
{
	struct check c = {.h = h};
	size_t room = 2 * h->item_count + 1;
	const char *fault;

	c.fates = calloc(room, sizeof(*c.fates));
	c.sorted = calloc(room, sizeof(*c.sorted));
	c.sure.steps = calloc(room, sizeof(*c.sure.steps));
	c.possible.steps = calloc(room, sizeof(*c.possible.steps));
	if (!c.fates || !c.sorted || !c.sure.steps || !c.possible.steps)
		abort();
	fault = check_all(&c);
	free(c.fates);
	free(c.sorted);
	free(c.sure.steps);
	free(c.possible.steps);
	return fault;
}

#endif
