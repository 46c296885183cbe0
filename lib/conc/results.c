/*
 * results.c - one slot for each part of a fan-out
 *
 * Three arrays: what is in the slots, the results, the errors. The errors are large and
 * mostly not there, but they have room from the start, so that one can be stored when
 * there is no memory left; calloc() of a large array costs no page before it is
 * written.
 *
 * Lock order: none; nothing else is locked or called back under the lock, except that
 * copying is done there, which is short.
 */
#include "lib/conc/results.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/conc/track.h"

enum slot_state { SLOT_EMPTY, SLOT_RESULT, SLOT_FAILED, SLOT_FAILED_AND_READ };

struct stint_results {
	struct track track;
	size_t count;
	size_t item_bytes;
	pthread_mutex_t lock;
	size_t missing_count;
	size_t failed_count;
	size_t unread_count;
	size_t first_failed; /* in time; valid when failed_count > 0 */
	unsigned char *states;
	unsigned char *items;
	struct stint_err *errs;
};

static void
results_freep(struct stint_results **results)
{
	stint_results_free(*results);
}

/* calloc(), but nothing wanted is not the same as no memory. */
static void *
array_new(size_t count, size_t bytes)
{
	return calloc(count > 0 ? count : 1, bytes > 0 ? bytes : 1);
}

int
stint_results_new_at(size_t count, size_t item_bytes, struct stint_results **ret_results,
	const char *where)
{
	cleanup(results_freep) struct stint_results *results =
		calloc(1, sizeof(*results));

	if (!results)
		return -ENOMEM;
	results->count = count;
	results->item_bytes = item_bytes;
	results->missing_count = count;
	pthread_mutex_init(&results->lock, NULL);
	track_add(&results->track, "results", NULL, where);
	results->states = array_new(count, 1);
	results->items = array_new(count, item_bytes);
	results->errs = array_new(count, sizeof(*results->errs));
	if (!results->states || !results->items || !results->errs)
		return -ENOMEM;
	*ret_results = take_ptr(results);
	return 0;
}

size_t
stint_results_count(struct stint_results *results)
{
	return results->count;
}

void *
results_room(struct stint_results *results, size_t index)
{
	return results->items + index * results->item_bytes;
}

/* Under the lock: 0 when the slot may be filled; then it is on its way. */
static int
results_claim(struct stint_results *results, size_t index, enum slot_state state)
{
	if (results->states[index] != SLOT_EMPTY)
		return -EALREADY;
	results->states[index] = (unsigned char)state;
	results->missing_count--;
	return 0;
}

int
stint_results_set(struct stint_results *results, size_t index, const void *item)
{
	unsigned char *room;
	int r;

	if (index >= results->count)
		return -ERANGE;
	room = results_room(results, index);
	pthread_mutex_lock(&results->lock);
	r = results_claim(results, index, SLOT_RESULT);
	if (r == 0 && results->item_bytes > 0 && item != room)
		memcpy(room, item, results->item_bytes);
	pthread_mutex_unlock(&results->lock);
	return r;
}

int
stint_results_fail(
	struct stint_results *results, size_t index, const struct stint_err *err)
{
	struct stint_err told = *err;
	int r;

	if (err->code >= 0)
		return -EINVAL;
	if (index >= results->count)
		return -ERANGE;
	if (!told.msg[0])
		stint_err_set(&told, told.code, "%s", strerror(-told.code));
	pthread_mutex_lock(&results->lock);
	r = results_claim(results, index, SLOT_FAILED);
	if (r == 0) {
		results->errs[index] = told;
		if (results->failed_count++ == 0)
			results->first_failed = index;
		results->unread_count++;
	}
	pthread_mutex_unlock(&results->lock);
	return r;
}

/* Under the lock. */
static void
results_read_slot(struct stint_results *results, size_t index, void *ret_item,
	struct stint_err *ret)
{
	switch ((enum slot_state)results->states[index]) {
	case SLOT_EMPTY:
		stint_err_set(ret, -ENODATA, "part %zu has no result", index);
		break;
	case SLOT_RESULT:
		*ret = (struct stint_err){0};
		if (ret_item && results->item_bytes > 0)
			memcpy(ret_item, results_room(results, index),
				results->item_bytes);
		break;
	case SLOT_FAILED:
		results->states[index] = SLOT_FAILED_AND_READ;
		results->unread_count--;
		*ret = results->errs[index];
		break;
	case SLOT_FAILED_AND_READ:
		*ret = results->errs[index];
		break;
	}
}

int
stint_results_get(struct stint_results *results, size_t index, void *ret_item,
	struct stint_err *ret_err)
{
	if (index >= results->count)
		return stint_err_set(ret_err, -ERANGE, "there is no part %zu of %zu",
			index, results->count);
	pthread_mutex_lock(&results->lock);
	results_read_slot(results, index, ret_item, ret_err);
	pthread_mutex_unlock(&results->lock);
	return ret_err->code;
}

static const char *
has_or_have(size_t count)
{
	return count == 1 ? "has" : "have";
}

/* Under the lock. */
static void
results_sum_up(const struct stint_results *results, struct stint_err *ret)
{
	const struct stint_err *first = &results->errs[results->first_failed];

	if (results->failed_count == 0 && results->missing_count == 0)
		*ret = (struct stint_err){0};
	else if (results->failed_count == 0)
		stint_err_set(ret, -ENODATA, "%zu of %zu %s no result",
			results->missing_count, results->count,
			has_or_have(results->missing_count));
	else if (results->missing_count == 0)
		stint_err_set(ret, first->code, "%zu of %zu failed, first: %s",
			results->failed_count, results->count, first->msg);
	else
		stint_err_set(ret, first->code,
			"%zu of %zu failed and %zu %s no result, first: %s",
			results->failed_count, results->count, results->missing_count,
			has_or_have(results->missing_count), first->msg);
}

int
stint_results_summary(struct stint_results *results, struct stint_err *ret_err)
{
	pthread_mutex_lock(&results->lock);
	results_sum_up(results, ret_err);
	for (size_t i = 0; i < results->count && results->unread_count > 0; i++) {
		if (results->states[i] != SLOT_FAILED)
			continue;
		results->states[i] = SLOT_FAILED_AND_READ;
		results->unread_count--;
	}
	pthread_mutex_unlock(&results->lock);
	return ret_err->code;
}

static void
results_tell_unread(const struct stint_results *results)
{
	struct stint_err told;
	size_t i = 0;

	while (results->states[i] != SLOT_FAILED)
		i++;
	stint_err_set(&told, results->errs[i].code,
		"freed with %zu of %zu failed and not read, such as part %zu: %s",
		results->unread_count, results->count, i, results->errs[i].msg);
	track_tell(&results->track, told.msg);
}

void
stint_results_free(struct stint_results *results)
{
	if (!results)
		return;
	if (results->unread_count > 0)
		results_tell_unread(results);
	track_remove(&results->track);
	pthread_mutex_destroy(&results->lock);
	free(results->states);
	free(results->items);
	free(results->errs);
	free(results);
}
