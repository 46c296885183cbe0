/*
 * lanes.c - lanes of handlers, lines of queues
 */
#define HASH_NONFATAL_OOM 1 /* uthash would end the process */
#include "daemon/core/lanes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "daemon/obs/log.h"

#ifndef LANES_LINE_MAX /* the simulation has shorter ones */
#define LANES_LINE_MAX 64
#endif

enum {
	/* What waits in one line: enough until more was taken from Redis; ... */
	LINE_MAX = LANES_LINE_MAX,
	LINE_MAX_BYTES = 8 << 20,
	/* ... and in all together. One job may wait in each line, whatever it weighs. */
	WAITING_MAX = 1024,
	WAITING_MAX_BYTES = 64 << 20,

	STRIDE = 1 << 20, /* virtual time of one job, divided by the queue's weight */
};

/* Of one queue. */
struct line {
	TAILQ_ENTRY(line) link; /* in its lane */
	struct lane *lane;
	struct queue *queue;
	struct attempt_list waiting;
	size_t count;
	size_t bytes;
	int64_t virtual_time; /* with weighted queues (order.h) */
};

/* Of one handler. */
struct lane {
	UT_hash_handle hh; /* by name */
	TAILQ_ENTRY(lane) ready_link;
	bool is_ready; /* someone waits, and there is room: in the list of those */
	int limit;     /* 0: none any more */
	int running;   /* counted: with the workers */
	size_t waiting;
	int64_t virtual_time; /* of the line that was served last */
	TAILQ_HEAD(, line) lines;
	char name[];
};

struct lanes {
	struct lane *by_name;
	TAILQ_HEAD(, lane) ready; /* served in turn */
	size_t waiting;
	size_t waiting_bytes;
	bool is_limited;
};

/* ---- lanes ---- */

static struct lane *
find(const struct lanes *ls, const char *name)
{
	struct lane *l;

	HASH_FIND(hh, ls->by_name, name, strlen(name), l);
	return l;
}

static struct lane *
get(struct lanes *ls, const char *name)
{
	const size_t n = strlen(name);
	struct lane *l = find(ls, name);

	if (l)
		return l;
	l = calloc(1, sizeof *l + n + 1);
	if (!l)
		return NULL;
	TAILQ_INIT(&l->lines);
	memcpy(l->name, name, n + 1);
	HASH_ADD(hh, ls->by_name, name, n, l);
	if (l->hh.tbl)
		return l;
	free(l);
	return NULL;
}

static void
drop(struct lanes *ls, struct lane *l)
{
	struct line *line;

	while ((line = TAILQ_FIRST(&l->lines))) {
		TAILQ_REMOVE(&l->lines, line, link);
		free(line);
	}
	if (l->is_ready)
		TAILQ_REMOVE(&ls->ready, l, ready_link);
	HASH_DEL(ls->by_name, l);
	free(l);
}

static bool
has_room(const struct lane *l)
{
	return l->limit == 0 || l->running < l->limit;
}

/* After any change of what waits or runs. */
static void
update(struct lanes *ls, struct lane *l)
{
	const bool is_ready = l->waiting > 0 && has_room(l);

	if (is_ready && !l->is_ready)
		TAILQ_INSERT_TAIL(&ls->ready, l, ready_link);
	else if (!is_ready && l->is_ready)
		TAILQ_REMOVE(&ls->ready, l, ready_link);
	l->is_ready = is_ready;
}

static void
count_in(struct lane *l, struct attempt *a)
{
	a->lane = l;
	l->running++;
}

/* ---- lines ---- */

static struct line *
find_line(const struct lane *l, const struct queue *q)
{
	struct line *line;

	TAILQ_FOREACH (line, &l->lines, link)
		if (line->queue == q)
			return line;
	return NULL;
}

static struct line *
get_line(struct lane *l, struct queue *q)
{
	struct line *line = find_line(l, q);

	if (line)
		return line;
	line = calloc(1, sizeof *line);
	if (!line)
		return NULL;
	line->lane = l;
	line->queue = q;
	TAILQ_INIT(&line->waiting);
	TAILQ_INSERT_TAIL(&l->lines, line, link);
	return line;
}

static bool
is_full(const struct lanes *ls, const struct line *line)
{
	return line->count > 0 &&
	       (line->count >= LINE_MAX || line->bytes >= LINE_MAX_BYTES ||
		       ls->waiting >= WAITING_MAX ||
		       ls->waiting_bytes >= WAITING_MAX_BYTES);
}

static void
put_in(struct lanes *ls, struct line *line, struct attempt *a, bool at_head)
{
	/* what was empty has not saved up its share */
	if (line->count == 0 && line->virtual_time < line->lane->virtual_time)
		line->virtual_time = line->lane->virtual_time;
	if (at_head)
		TAILQ_INSERT_HEAD(&line->waiting, a, link);
	else
		TAILQ_INSERT_TAIL(&line->waiting, a, link);
	a->line = line;
	line->count++;
	line->bytes += a->job->block_bytes;
	line->lane->waiting++;
	ls->waiting++;
	ls->waiting_bytes += a->job->block_bytes;
	update(ls, line->lane);
}

static void
take_out(struct lanes *ls, struct attempt *a)
{
	struct line *line = a->line;

	TAILQ_REMOVE(&line->waiting, a, link);
	a->line = NULL;
	line->count--;
	line->bytes -= a->job->block_bytes;
	line->lane->waiting--;
	ls->waiting--;
	ls->waiting_bytes -= a->job->block_bytes;
	update(ls, line->lane);
}

/* Is it the turn of @one rather than of @other? */
static bool
is_before(const struct line *one, const struct line *other)
{
	if (one->queue->weight > 0 && other->queue->weight > 0)
		return one->virtual_time < other->virtual_time;
	return one->queue->rank < other->queue->rank;
}

static struct line *
next_line(const struct lane *l)
{
	struct line *next = NULL, *line;

	TAILQ_FOREACH (line, &l->lines, link)
		if (line->count > 0 && (!next || is_before(line, next)))
			next = line;
	return next;
}

/* ---- jobs ---- */

enum lanes_verdict
lanes_add(struct lanes *ls, struct attempt *a, bool is_behind)
{
	struct lane *l = ls->by_name ? find(ls, a->handler->name) : NULL;
	struct line *line;

	if (!l || l->limit == 0)
		return LANES_RUN;
	if (is_behind && !a->was_aside)
		return LANES_ASIDE;
	if (l->waiting == 0 && has_room(l)) {
		count_in(l, a);
		return LANES_RUN;
	}
	line = get_line(l, a->queue);
	if (!line || is_full(ls, line))
		return LANES_ASIDE;
	put_in(ls, line, a, false);
	return LANES_WAIT;
}

struct attempt *
lanes_next(struct lanes *ls)
{
	struct lane *l = TAILQ_FIRST(&ls->ready);
	struct line *line;
	struct attempt *a;

	if (!l)
		return NULL;
	line = next_line(l);
	a = TAILQ_FIRST(&line->waiting);
	l->virtual_time = line->virtual_time;
	if (line->queue->weight > 0)
		line->virtual_time += STRIDE / line->queue->weight;
	/* to the end of the list, if it is still in it then */
	TAILQ_REMOVE(&ls->ready, l, ready_link);
	l->is_ready = false;
	count_in(l, a);
	take_out(ls, a);
	return a;
}

void
lanes_end(struct lanes *ls, struct attempt *a)
{
	struct lane *l = a->lane;

	if (!l)
		return;
	a->lane = NULL;
	l->running--;
	update(ls, l);
}

void
lanes_put_back(struct lanes *ls, struct attempt *a)
{
	struct line *line = get_line(a->lane, a->queue);

	lanes_end(ls, a);
	if (line)
		put_in(ls, line, a, true);
}

bool
lanes_remove(struct lanes *ls, struct attempt *a)
{
	if (!a->line)
		return false;
	take_out(ls, a);
	return true;
}

struct attempt *
lanes_pop(struct lanes *ls, const struct queue *q)
{
	struct lane *l, *next;
	struct line *line;
	struct attempt *a;

	if (ls->waiting == 0)
		return NULL;
	HASH_ITER (hh, ls->by_name, l, next)
		TAILQ_FOREACH (line, &l->lines, link)
			if (line->count > 0 && (!q || line->queue == q)) {
				a = TAILQ_FIRST(&line->waiting);
				take_out(ls, a);
				return a;
			}
	return NULL;
}

bool
lanes_has_limit(const struct lanes *ls, const struct queue *q, const char *handler,
	size_t *ret_room)
{
	const struct lane *l = ls->by_name ? find(ls, handler) : NULL;
	const struct line *line = l ? find_line(l, q) : NULL;

	if (!l || l->limit == 0)
		return false;
	if (ls->waiting >= WAITING_MAX || ls->waiting_bytes >= WAITING_MAX_BYTES)
		*ret_room = !line || line->count == 0;
	else if (!line)
		*ret_room = LINE_MAX;
	else if (line->count > LINE_MAX / 2 || line->bytes > LINE_MAX_BYTES / 2)
		*ret_room = 0;
	else
		*ret_room = LINE_MAX - line->count;
	return true;
}

/* ---- configuration ---- */

static int
set_limits(struct lanes *ls, const struct config *config)
{
	const struct handler_conf *h;
	struct lane *l;

	for (h = config->handlers; h; h = h->hh.next) {
		if (h->concurrency == 0 || h->concurrency >= config->concurrency)
			continue;
		l = get(ls, h->name);
		if (!l)
			return -ENOMEM;
		l->limit = h->concurrency;
		ls->is_limited = true;
	}
	return 0;
}

static bool
is_with_workers(const struct attempt *a)
{
	return a->ctx && !a->line &&
	       atomic_load_explicit(&a->slot, memory_order_relaxed) != ATTEMPT_ENDED;
}

static void
count_uncounted(struct lanes *ls, const struct attempt_list *in_flight)
{
	struct attempt *a;
	struct lane *l;

	TAILQ_FOREACH (a, in_flight, in_flight) {
		if (a->lane || !is_with_workers(a))
			continue;
		l = find(ls, a->handler->name);
		if (l && l->limit > 0)
			count_in(l, a);
	}
}

int
lanes_set_config(struct lanes *ls, const struct config *config,
	const struct attempt_list *in_flight)
{
	struct lane *l, *next;
	int r;

	ls->is_limited = false;
	for (l = ls->by_name; l; l = l->hh.next)
		l->limit = 0;
	r = set_limits(ls, config);
	count_uncounted(ls, in_flight);
	HASH_ITER (hh, ls->by_name, l, next) {
		update(ls, l);
		if (l->limit == 0 && l->running == 0 && l->waiting == 0)
			drop(ls, l);
	}
	return r;
}

/* ---- from outside ---- */

bool
lanes_is_limited(const struct lanes *ls)
{
	return ls->is_limited;
}

size_t
lanes_waiting_count(const struct lanes *ls)
{
	return ls->waiting;
}

void
lanes_log(const struct lanes *ls)
{
	for (const struct lane *l = ls->by_name; l; l = l->hh.next)
		log_info("handler has a limit", F_STR("handler", l->name),
			F_INT("limit", l->limit), F_INT("running", l->running),
			F_INT("waiting", l->waiting));
}

int
lanes_new(struct lanes **ret)
{
	struct lanes *ls = calloc(1, sizeof *ls);

	if (!ls)
		return -ENOMEM;
	TAILQ_INIT(&ls->ready);
	*ret = ls;
	return 0;
}

void
lanes_free(struct lanes *ls)
{
	struct lane *l, *next;

	if (!ls)
		return;
	HASH_ITER (hh, ls->by_name, l, next)
		drop(ls, l);
	free(ls);
}
