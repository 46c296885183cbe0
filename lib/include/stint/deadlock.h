/*
 * stint/deadlock.h - deadlock report: who waits for what, instead of a silent hang
 *
 *	STINT_DEBUG=deadlock ./program
 *	stint: deadlock in group made at a.c:40: its owner and all tasks in it (2) sleep
 *	stint:   task "fetch" made at a.c:44: send on channel made at a.c:41 (4 of 4)
 *	stint:   task "parse" made at a.c:46: recv on channel made at a.c:42 (0 of 4)
 *	stint: none of them can wake another; only a thread outside could
 *
 * A group, or a task of its own, is reported when somebody sleeps in its wait or join,
 * and each task in it sleeps, too: in a channel, select, wait group, once, join or the
 * wait of another group, none with a deadline. What a task starts, and the groups that
 * it makes, count as in it. It must stay so for STINT_DEADLOCK_LOOK_MS; each deadlock
 * is told once. A report changes nothing: the program sleeps on.
 *
 * What it cannot know: whether a thread outside (the main thread, a thread of a pool, a
 * signal handler) is going to send something, or to end a context, later on. And a task
 * that blocks in anything else, such as read(2) or a mutex, counts as running: then
 * nothing is reported.
 *
 * STINT_DEBUG is a list of words with commas between. It costs one relaxed load a wait
 * while it is off; on, each wait takes one lock of the whole process.
 */
#ifndef STINT_DEADLOCK_H
#define STINT_DEADLOCK_H

#include <stint/api.h>

STINT_BEGIN_DECLS

/* Who waits for a group or a task looks this often; seen twice, it is a deadlock. */
#define STINT_DEADLOCK_LOOK_MS 100

/**
 * stint_deadlock_fn - is told of a deadlock
 * @text: the report, several lines, each with a new line at its end
 *
 * Runs in the thread that sleeps in the wait or join, with no lock held. Must not wait
 * for what it is told of.
 */
typedef void (*stint_deadlock_fn)(void *arg, const char *text);

/**
 * stint_deadlock_watch() - from now on, report deadlocks
 * @fn: NULL: standard error
 *
 * Groups and tasks made before are not known. Goes on until the process ends; called
 * again, it only changes who is told. Thread: any.
 */
STINT_API void stint_deadlock_watch(stint_deadlock_fn fn, void *arg);

STINT_END_DECLS

#endif
