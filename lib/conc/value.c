/*
 * value.c - lists of values that share their tails
 */
#include "lib/conc/value.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

struct value {
	_Atomic size_t owners; /* contexts, and the values in front of it */
	const void *key;
	void *value;
	struct value *older;
};

struct value *
value_put(struct value *list, const void *key, void *value)
{
	struct value *v = malloc(sizeof(*v));

	if (!v)
		return NULL;
	atomic_init(&v->owners, 1);
	v->key = key;
	v->value = value;
	v->older = value_share(list);
	return v;
}

struct value *
value_share(struct value *list)
{
	/* Relaxed: who shares has a share, so it cannot go away meanwhile. */
	if (list)
		atomic_fetch_add_explicit(&list->owners, 1, memory_order_relaxed);
	return list;
}

void
value_drop(struct value *list)
{
	/* Acquire and release: all other owners have done reading before it is freed. */
	while (list &&
		atomic_fetch_sub_explicit(&list->owners, 1, memory_order_acq_rel) == 1) {
		struct value *older = list->older;

		free(list);
		list = older;
	}
}

void *
value_get(const struct value *list, const void *key)
{
	for (; list; list = list->older)
		if (list->key == key)
			return list->value;
	return NULL;
}
