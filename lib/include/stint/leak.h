/*
 * stint/leak.h - leak check: what was made and is still alive, and where it was made
 *
 * For tests, around each of them:
 *
 *	stint_leak_watch();				before
 *	...
 *	assert(stint_leak_check(stderr) == 0);		after
 *
 * prints one line for each thing that was not freed or joined, such as
 *
 *	leak: task "fetch" made at crawl.c:112
 *	leak: channel made at crawl.c:98
 *
 * It knows tasks, groups, pools, channels, contexts, wait groups, results and
 * after-funcs. What they consist of is not named on its own. It does not know memory,
 * descriptors and threads that were made without the library; for those there is
 * valgrind.
 *
 * Without a change to the program: STINT_DEBUG=leaks in the environment watches from
 * the start, and at exit(3) prints what is left on standard error, except in a child of
 * fork(2). STINT_DEBUG is a list of words with commas between.
 */
#ifndef STINT_LEAK_H
#define STINT_LEAK_H

#include <stddef.h>
#include <stdio.h>
#include <stint/api.h>

STINT_BEGIN_DECLS

/* How long stint_leak_check() waits for things to go away by themselves. */
#define STINT_LEAK_PATIENCE_MS 500

/**
 * stint_leak_watch() - from now on, remember what is made
 *
 * What was made before does not count: neither before the first watch, nor, when it
 * is called again, before that. Watching goes on until the process ends, and makes
 * each maker and free function take one lock of the whole process.
 * Thread: any. Source: go.uber.org/goleak, IgnoreCurrent.
 */
STINT_API void stint_leak_watch(void);

/**
 * stint_leak_check() - what was made since the last watch and is still alive?
 * @out: gets one line for each, oldest first; NULL: only the count is wanted
 *
 * If there is something, it waits until all is gone, or STINT_LEAK_PATIENCE_MS: another
 * thread may be about to free it. Calling it again looks again.
 * Return: how many are alive; 0 also when nobody watches.
 * Thread: any. Blocks: at most the patience, on the real clock.
 * Source: go.uber.org/goleak, Find; differs: sees what the library made, not threads.
 */
STINT_API STINT_MUST_CHECK size_t stint_leak_check(FILE *out);

STINT_END_DECLS

#endif
