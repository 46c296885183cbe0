/*
 * arena.c - memory that is given back all at once
 */
#include "tests/sim/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096, ALIGN = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t bytes; /* usable */
	_Alignas(ALIGN) char data[];
};

static struct arena_chunk *kept;

static struct arena_chunk *
chunk_new(size_t n)
{
	struct arena_chunk *c = kept;

	if (n <= CHUNK_BYTES && c) {
		kept = c->next;
		return c;
	}
	n = n < CHUNK_BYTES ? CHUNK_BYTES : n;
	c = malloc(sizeof *c + n);
	if (!c) {
		fputs("sim: no memory\n", stderr);
		abort();
	}
	c->bytes = n;
	return c;
}

static void
chunk_free(struct arena_chunk *c)
{
#ifndef __SANITIZE_ADDRESS__
	if (c->bytes == CHUNK_BYTES) {
		c->next = kept;
		kept = c;
		return;
	}
#endif
	free(c);
}

void *
arena_alloc(struct arena *a, size_t n)
{
	void *p;

	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!a->chunks || a->chunks->bytes - a->used < n) {
		struct arena_chunk *c = chunk_new(n);

		c->next = a->chunks;
		a->chunks = c;
		a->used = 0;
	}
	p = a->chunks->data + a->used;
	a->used += n;
	return memset(p, 0, n);
}

struct bytes
arena_copy(struct arena *a, const char *p, size_t n)
{
	char *copy = arena_alloc(a, n + 1);

	memcpy(copy, p, n);
	return (struct bytes){copy, n};
}

void
arena_free(struct arena *a)
{
	struct arena_chunk *c;

	while ((c = a->chunks)) {
		a->chunks = c->next;
		chunk_free(c);
	}
	a->used = 0;
}

void
arena_end(void)
{
	struct arena_chunk *c;

	while ((c = kept)) {
		kept = c->next;
		free(c);
	}
}
