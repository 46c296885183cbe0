/*
 * heap.h - binary heap with a back-index: timers and due times
 *
 * Nodes live inside the caller's structs; the heap never allocates but for its
 * array of pointers.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t key;  /* smallest first */
	size_t index; /* 1-based position; 0 = not in a heap */
};

struct heap {
	struct heap_node **nodes;
	size_t len;
	size_t cap;
};

/* 0, or -ENOMEM and nothing changed. */
int heap_push(struct heap *h, struct heap_node *n);

/* The smallest, or NULL; it stays in the heap. */
struct heap_node *heap_min(const struct heap *h);

/* Take @n out; nothing happens when it is in no heap. */
void heap_remove(struct heap *h, struct heap_node *n);

static inline bool
heap_contains(const struct heap_node *n)
{
	return n->index != 0;
}

void heap_fini(struct heap *h);

#endif
