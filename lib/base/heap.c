/*
 * heap.c - binary heap with a back-index
 *
 * The array is 0-based, a node's index 1-based, so that a zeroed node is in no
 * heap. Only put() writes to the array, hence a node always knows its place.
 *
 *	parent of i: (i - 1) / 2	children of i: 2i + 1, 2i + 2
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "lib/base/heap.h"

enum {
	CAP_FIRST = 16,
};

static void
put(struct heap *h, size_t i, struct heap_node *n)
{
	h->nodes[i] = n;
	n->index = i + 1;
}

/* Move the hole at @i to where @n belongs, as seen from below. */
static void
sift_up(struct heap *h, size_t i, struct heap_node *n)
{
	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (h->nodes[parent]->key <= n->key)
			break;
		put(h, i, h->nodes[parent]);
		i = parent;
	}
	put(h, i, n);
}

/* The same as seen from above. */
static void
sift_down(struct heap *h, size_t i, struct heap_node *n)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->len)
			break;
		if (child + 1 < h->len && h->nodes[child + 1]->key < h->nodes[child]->key)
			child++;
		if (n->key <= h->nodes[child]->key)
			break;
		put(h, i, h->nodes[child]);
		i = child;
	}
	put(h, i, n);
}

int
heap_push(struct heap *h, struct heap_node *n)
{
	assert(!heap_contains(n));
	if (h->len == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : CAP_FIRST;
		struct heap_node **nodes = reallocarray(h->nodes, cap, sizeof *nodes);

		if (!nodes)
			return -ENOMEM;
		h->nodes = nodes;
		h->cap = cap;
	}
	sift_up(h, h->len++, n);
	return 0;
}

struct heap_node *
heap_min(const struct heap *h)
{
	return h->len > 0 ? h->nodes[0] : NULL;
}

void
heap_remove(struct heap *h, struct heap_node *n)
{
	struct heap_node *last;
	size_t hole;

	if (!heap_contains(n))
		return;
	hole = n->index - 1;
	assert(hole < h->len && h->nodes[hole] == n);
	n->index = 0;
	last = h->nodes[--h->len];
	if (last == n)
		return;
	/* The last node fills the hole. It comes from another branch, perhaps, so it
	 * may have to go either way. */
	if (hole > 0 && last->key < h->nodes[(hole - 1) / 2]->key)
		sift_up(h, hole, last);
	else
		sift_down(h, hole, last);
}

void
heap_fini(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){0};
}
