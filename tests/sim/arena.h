/*
 * arena.h - memory that is given back all at once
 *
 * A zeroed struct is an empty arena. Small pieces share chunks, which are kept for the
 * next arena; under AddressSanitizer they are not, so that use after arena_free() shows.
 * Without memory the program ends: this is a test.
 */
#ifndef SIM_ARENA_H
#define SIM_ARENA_H

#include <stddef.h>
#include "lib/wire/job.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used; /* of the first chunk */
};

/* Zeroed. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy with a NUL behind it. */
struct bytes arena_copy(struct arena *a, const char *p, size_t n);
void arena_free(struct arena *a);

/* Chunks that are kept for later go, too. */
void arena_end(void);

#endif
