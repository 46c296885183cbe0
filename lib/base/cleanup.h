/*
 * cleanup.h - things that end with their scope
 *
 *	cleanup(fdp) int fd = open(...);
 *	...
 *	*ret_fd = take_fd(&fd);		(the only way a local leaves its scope)
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

#define take_ptr(p)                                                                      \
	({                                                                               \
		__typeof__(p) taken_ = (p);                                              \
		(p) = NULL;                                                              \
		taken_;                                                                  \
	})

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof(*(a)))

static inline int
take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline int
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return -1;
}

/* cleanup() handlers */
static inline void
fdp(int *fd)
{
	close_fd(fd);
}

static inline void
freep(void *p)
{
	free(*(void **)p);
}

static inline void
fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#endif
