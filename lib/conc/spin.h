/*
 * spin.h - the first moment of a wait, awake
 *
 *	struct spin spin = {0};
 *	do
 *		if (what is waited for is there)
 *			break;
 *	while (spin_again(&spin, GAP_NS));
 *	... if it is not there yet: sleep until it is ...
 *	spin_end(&spin);
 *
 * A thread that runs answers another one within a tenth of a µs. To sleep and be woken
 * takes some µs, and 20 to 50 on a virtual machine, whose idle processors are halted;
 * two threads that both sleep after each step therefore stay slow for ever. So a wait
 * begins awake, for SPIN_MAX_NS at most, and only where that promises something: when
 * there is a second processor, and when this thread's waits have been that short of
 * late. After SPIN_QUIET_NS it offers the processor before each look to whoever can use
 * it. A thread that waits for long, as an idle worker does, does not spin at all.
 */
#ifndef CONC_SPIN_H
#define CONC_SPIN_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SPIN_MAX_NS = 50000, /* about what sleeping and being woken takes, at its worst */
	SPIN_QUIET_NS =
		500, /* about what a running thread takes to answer, at its worst */
};

/* One wait; all 0 at first. To read the clock takes as long as half a hand-over, so that
 * is done only after a look that found nothing. */
struct spin {
	int64_t begun_ns; /* 0: it has not */
	int64_t until_ns;
	int64_t seen_ns; /* at the last look */
};

/* Begin, unless it has. spin_again() does so, too. */
void spin_begin(struct spin *spin);

/* Let @gap_ns pass without looking; false: enough, sleep. Each look takes the line that
 * is looked at from the one who writes it, so the gap is a matter of throughput, too. */
bool spin_again(struct spin *spin, int64_t gap_ns);

/* The wait is over, asleep or awake: remember how long it was. */
void spin_end(const struct spin *spin);

/* The same when it was over at the last look, without another one at the clock. */
void spin_end_awake(const struct spin *spin);

/* A short pause for a thread that waits for one that holds a lock; false: there is only
 * one processor, so nothing changes while this thread has it. */
bool spin_pause(int64_t gap_ns);

#endif
