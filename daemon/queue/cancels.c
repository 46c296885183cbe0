/*
 * cancels.c - a uthash table in the order of the control stream, and a list within it
 */
#define HASH_NONFATAL_OOM 1
#include "daemon/queue/cancels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>

void
cancels_init(struct cancels *c)
{
	*c = (struct cancels){0};
	TAILQ_INIT(&c->todo);
	TAILQ_INIT(&c->again);
}

static bool
is_planned(const struct cancel *one)
{
	return one->again_at_ms > 0 && one->again_at_ms != STINT_NEVER;
}

static void
forget(struct cancels *c, struct cancel *one)
{
	cancels_done(c, one);
	if (is_planned(one))
		TAILQ_REMOVE(&c->again, one, again);
	HASH_DEL(c->by_id, one);
	c->count--;
	free(one);
}

void
cancels_clear(struct cancels *c)
{
	while (c->by_id)
		forget(c, c->by_id);
}

int
cancels_add(struct cancels *c, const char *id, size_t n, int64_t unix_ms)
{
	struct cancel *one = cancels_find(c, id, n);

	if (one) /* made anew, so that the table stays in order */
		forget(c, one);
	if (c->count == CANCELS_MAX)
		forget(c, c->by_id);
	one = calloc(1, sizeof *one);
	if (!one)
		return -ENOMEM;
	memcpy(one->id, id, n);
	one->unix_ms = unix_ms;
	HASH_ADD_KEYPTR(hh, c->by_id, one->id, n, one);
	if (!one->hh.tbl) {
		free(one);
		return -ENOMEM;
	}
	c->count++;
	cancels_redo(c, one);
	return 0;
}

struct cancel *
cancels_find(const struct cancels *c, const char *id, size_t n)
{
	struct cancel *one;

	HASH_FIND(hh, c->by_id, id, n, one);
	return one;
}

void
cancels_expire(struct cancels *c, int64_t unix_ms)
{
	while (c->by_id && c->by_id->unix_ms < unix_ms)
		forget(c, c->by_id);
}

void
cancels_done(struct cancels *c, struct cancel *one)
{
	if (one->is_todo)
		TAILQ_REMOVE(&c->todo, one, todo);
	one->is_todo = false;
}

void
cancels_redo(struct cancels *c, struct cancel *one)
{
	if (!one->is_todo)
		TAILQ_INSERT_TAIL(&c->todo, one, todo);
	one->is_todo = true;
}

void
cancels_plan(struct cancels *c, struct cancel *one, int64_t at_ms)
{
	if (one->again_at_ms != 0)
		return;
	one->again_at_ms = at_ms;
	TAILQ_INSERT_TAIL(&c->again, one, again);
}

int64_t
cancels_redo_planned(struct cancels *c, int64_t now_ms)
{
	struct cancel *one;

	while ((one = TAILQ_FIRST(&c->again)) && one->again_at_ms <= now_ms) {
		TAILQ_REMOVE(&c->again, one, again);
		one->again_at_ms = STINT_NEVER;
		cancels_redo(c, one);
	}
	return one ? one->again_at_ms : STINT_NEVER;
}
