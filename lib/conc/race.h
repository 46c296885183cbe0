/*
 * race.h - what helgrind has to be told of our own locks and hand-overs
 *
 * ThreadSanitizer understands atomics by itself. Valgrind's helgrind does not: it takes
 * them for plain memory, and everything that they order for a race. Built with
 * -DSTINT_VALGRIND the library tells it; otherwise all of this is nothing.
 */
#ifndef CONC_RACE_H
#define CONC_RACE_H

#ifdef STINT_VALGRIND
#include <valgrind/helgrind.h>

/* *@p is an atomic: whoever comes by may read and write it. */
#define RACE_ATOMIC(p) VALGRIND_HG_DISABLE_CHECKING((p), sizeof(*(p)))

/* The life of a lock. */
#define RACE_LOCK_NEW(p)   ANNOTATE_RWLOCK_CREATE(p)
#define RACE_LOCK_GONE(p)  ANNOTATE_RWLOCK_DESTROY(p)
#define RACE_LOCK_TAKEN(p) ANNOTATE_RWLOCK_ACQUIRED(p, 1)
#define RACE_LOCK_LEFT(p)  ANNOTATE_RWLOCK_RELEASED(p, 1)

/* What was done before a release of *@p, and what is done after an acquire that saw it.
 */
#define RACE_BEFORE(p) ANNOTATE_HAPPENS_BEFORE(p)
#define RACE_AFTER(p)  ANNOTATE_HAPPENS_AFTER(p)

#else

#define RACE_ATOMIC(p)     ((void)(p))
#define RACE_LOCK_NEW(p)   ((void)(p))
#define RACE_LOCK_GONE(p)  ((void)(p))
#define RACE_LOCK_TAKEN(p) ((void)(p))
#define RACE_LOCK_LEFT(p)  ((void)(p))
#define RACE_BEFORE(p)     ((void)(p))
#define RACE_AFTER(p)      ((void)(p))

#endif

#endif
