/*
 * refuse_util.h - a malloc() and a pthread_create() that refuse
 *
 *	refuse(REFUSED_MEMORY, 3, false);	three requests are granted, one is not
 *	...
 *	refused_count = refuse_no_more(REFUSED_MEMORY);
 *
 * For one program: it replaces these functions, whoever calls them. It also keeps a list
 * of the blocks that the program itself and the library in it have asked for; those of
 * the C library, which keeps some for later threads, are its own business.
 */
#ifndef TESTS_REFUSE_UTIL_H
#define TESTS_REFUSE_UTIL_H

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

enum refused_kind { REFUSED_MEMORY, REFUSED_THREADS, REFUSED_KINDS };

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#endif

#ifdef HAS_SANITIZER

enum { CAN_REFUSE = 0 };

static inline void
refuse(enum refused_kind kind, long granted, bool goes_on)
{
	(void)kind;
	(void)granted;
	(void)goes_on;
}

static inline int
refuse_no_more(enum refused_kind kind)
{
	(void)kind;
	return 0;
}

static inline size_t
blocks_alive(void)
{
	return 0;
}

#else

enum { CAN_REFUSE = 1, BLOCKS_MAX = 4096 };

static struct {
	_Atomic long granted; /* so many more; -1: all */
	_Atomic bool goes_on; /* refuse also what comes after the first */
	_Atomic int refused_count;
} refusals[REFUSED_KINDS] = {{.granted = -1}, {.granted = -1}};

static inline void
refuse(enum refused_kind kind, long granted, bool goes_on)
{
	atomic_store(&refusals[kind].refused_count, 0);
	atomic_store(&refusals[kind].goes_on, goes_on);
	atomic_store(&refusals[kind].granted, granted);
}

static inline int
refuse_no_more(enum refused_kind kind)
{
	atomic_store(&refusals[kind].granted, -1);
	return atomic_load(&refusals[kind].refused_count);
}

static inline bool
is_refused(enum refused_kind kind)
{
	long granted = atomic_load(&refusals[kind].granted);

	while (granted > 0 || (granted == 0 && !atomic_load(&refusals[kind].goes_on)))
		if (atomic_compare_exchange_weak(
			    &refusals[kind].granted, &granted, granted - 1))
			break;
	if (granted != 0)
		return false;
	atomic_fetch_add(&refusals[kind].refused_count, 1);
	return true;
}

/* ---- the program's blocks ---- */

/* The linker's: where the code of the program begins and ends. */
extern const char __executable_start, etext;

static struct {
	atomic_flag lock;
	const void *at[BLOCKS_MAX];
	size_t count;
} blocks = {.lock = ATOMIC_FLAG_INIT};

static inline size_t
blocks_alive(void)
{
	size_t count;

	while (atomic_flag_test_and_set(&blocks.lock))
		;
	count = blocks.count;
	atomic_flag_clear(&blocks.lock);
	return count;
}

static inline void *
block_add(void *at, const char *caller)
{
	if (!at || caller < &__executable_start || caller >= &etext)
		return at;
	while (atomic_flag_test_and_set(&blocks.lock))
		;
	if (blocks.count == BLOCKS_MAX)
		abort();
	blocks.at[blocks.count++] = at;
	atomic_flag_clear(&blocks.lock);
	return at;
}

static inline void
block_remove(const void *at)
{
	while (atomic_flag_test_and_set(&blocks.lock))
		;
	for (size_t i = blocks.count; i-- > 0;)
		if (blocks.at[i] == at) {
			blocks.at[i] = blocks.at[--blocks.count];
			break;
		}
	atomic_flag_clear(&blocks.lock);
}

/* ---- in place of the C library's ---- */

/* glibc's own, under the names it has for those who replace them. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *old);

#define CALLER ((const char *)__builtin_return_address(0))

static inline bool
has_no_memory(void)
{
	if (!is_refused(REFUSED_MEMORY))
		return false;
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t size)
{
	return has_no_memory() ? NULL : block_add(__libc_malloc(size), CALLER);
}

void *
calloc(size_t count, size_t size)
{
	return has_no_memory() ? NULL : block_add(__libc_calloc(count, size), CALLER);
}

static inline void *
block_resize(void *old, size_t size, const char *caller)
{
	void *at;

	if (has_no_memory())
		return NULL;
	block_remove(old);
	at = __libc_realloc(old, size);
	return block_add(at ? at : old, caller) == at ? at : NULL;
}

void *
realloc(void *old, size_t size)
{
	return block_resize(old, size, CALLER);
}

void *
reallocarray(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return block_resize(old, bytes, CALLER);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return has_no_memory() ? NULL
			       : block_add(__libc_memalign(alignment, size), CALLER);
}

void
free(void *old)
{
	block_remove(old);
	__libc_free(old);
}

int
pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg)
{
	static int (*real)(
		pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	/* The first one is made before main(). */
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	if (is_refused(REFUSED_THREADS))
		return EAGAIN;
	return real(thread, attr, fn, arg);
}

#endif

#endif
