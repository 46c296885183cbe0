/*
 * results.h - how run.c fills slots without copying
 */
#ifndef CONC_RESULTS_H
#define CONC_RESULTS_H

#include <stint/results.h>

/* Where the result of a part will be; the part's thread may write there until it calls
 * stint_results_set() with this address, or gives up. @index is in range. */
void *results_room(struct stint_results *results, size_t index);

#endif
