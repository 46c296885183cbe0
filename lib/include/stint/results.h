/*
 * stint/results.h - the results of a fan-out: one slot for each part
 *
 * Whoever has part 4 stores its result, or its error, in slot 4; once. When all are
 * done, the owner reads them. What succeeded is kept beside what failed.
 *
 *	r = stint_results_new(count, sizeof(struct thumb), &results);
 *	... in the part's thread, one of both:
 *	stint_results_set(results, i, &thumb);
 *	stint_results_fail(results, i, &err);
 *	... in the owner, after the parts have ended:
 *	r = stint_results_summary(results, &err);	("3 of 10 failed, first: ...")
 *	for (i = 0; i < count; i++)
 *		if (stint_results_get(results, i, &thumb, &err) == 0)
 *			show(&thumb);
 *	stint_results_free(results);
 *
 * All functions but free: any thread, at any time.
 */
#ifndef STINT_RESULTS_H
#define STINT_RESULTS_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/err.h>

STINT_BEGIN_DECLS

struct stint_results;

/**
 * stint_results_new() - make empty slots
 * @count:      how many; 0 is allowed
 * @item_bytes: size of a result; 0 = only whether it succeeded counts
 *
 * All memory is taken here: storing an error cannot fail for want of it.
 * Return: 0, -ENOMEM. Free with stint_results_free().
 */
#define stint_results_new(count, item_bytes, ret_results)                                \
	stint_results_new_at(count, item_bytes, ret_results, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_results_new_at(size_t count, size_t item_bytes,
	struct stint_results **ret_results, const char *where);

/* How many slots there are. */
STINT_API size_t stint_results_count(struct stint_results *results);

/**
 * stint_results_set() - store the result of a part
 * @item: item_bytes bytes, copied; not looked at when they are none
 *
 * Return: 0; -ERANGE no such slot; -EALREADY it has a result or an error, which stays.
 */
STINT_API STINT_MUST_CHECK int stint_results_set(
	struct stint_results *results, size_t index, const void *item);

/**
 * stint_results_fail() - store how a part failed
 * @err: copied; without a sentence it gets strerror's
 *
 * Return: 0; -ERANGE, -EALREADY as above; -EINVAL when @err's code is not negative.
 */
STINT_API STINT_MUST_CHECK int stint_results_fail(
	struct stint_results *results, size_t index, const struct stint_err *err);

/**
 * stint_results_get() - read one slot, as often as you like
 * @ret_item: written when there is a result; NULL discards
 * @ret_err:  code 0, or how the part failed; must not be NULL
 *
 * Return: @ret_err's code, which is the part's own; or -ENODATA: nothing was stored
 * yet; -ERANGE: there is no such slot.
 */
STINT_API STINT_MUST_CHECK int stint_results_get(struct stint_results *results,
	size_t index, void *ret_item, struct stint_err *ret_err);

/**
 * stint_results_summary() - did all parts succeed?
 * @ret_err: "3 of 10 failed, first: " and the sentence of the first failure in time;
 *           "1 of 10 has no result" when parts are missing; must not be NULL
 *
 * Return: 0; the code of the first failure; -ENODATA when none failed, but some are
 * missing. Source: Go, errors.Join; differs: one line, and the rest stays in the slots.
 */
STINT_API STINT_MUST_CHECK int stint_results_summary(
	struct stint_results *results, struct stint_err *ret_err);

/**
 * stint_results_free() - give the slots back; takes NULL
 *
 * No one may be inside any function. What the items point to is not freed. A failure
 * that was neither read nor in a summary is told on standard error, in one line: an
 * error is never lost in silence.
 */
STINT_API void stint_results_free(struct stint_results *results);

STINT_END_DECLS

#endif
