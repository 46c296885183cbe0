/*
 * spin.c - the first moment of a wait, awake
 *
 * Time is read from the clock and not counted in turns: how long a pause instruction
 * takes differs by a factor of ten between processors.
 */
#include "lib/conc/spin.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include "lib/conc/race.h"

/* One very long wait shall not weigh more than a few long ones. */
enum { WAIT_MAX_NS = 16 * SPIN_MAX_NS, WEIGHT_OF_LAST = 4 };

/* How long this thread's waits usually are. A new thread is taken for a quick one. */
static _Thread_local int64_t usual_ns;

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool
has_other_processor(void)
{
	/* Relaxed: whoever finds it 0 computes the same. */
	static _Atomic int cpu_count;
	int count;

	RACE_ATOMIC(&cpu_count);
	count = atomic_load_explicit(&cpu_count, memory_order_relaxed);
	if (count == 0) {
		cpu_set_t set;

		/* Fails with more processors than fit into the set. */
		count = sched_getaffinity(0, sizeof(set), &set) < 0 ? CPU_SETSIZE
								    : CPU_COUNT(&set);
		atomic_store_explicit(&cpu_count, count, memory_order_relaxed);
	}
	return count > 1;
}

static void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void
let_pass(int64_t until_ns)
{
	while (now_ns() < until_ns)
		relax();
}

static void
begin_at(struct spin *spin, int64_t at_ns)
{
	if (spin->begun_ns != 0)
		return;
	spin->begun_ns = at_ns;
	spin->until_ns = at_ns;
	if (usual_ns <= SPIN_MAX_NS && has_other_processor())
		spin->until_ns += SPIN_MAX_NS;
}

void
spin_begin(struct spin *spin)
{
	begin_at(spin, now_ns());
}

bool
spin_again(struct spin *spin, int64_t gap_ns)
{
	int64_t at_ns = now_ns();

	begin_at(spin, at_ns);
	spin->seen_ns = at_ns;
	if (at_ns >= spin->until_ns)
		return false;
	if (at_ns + gap_ns - spin->begun_ns > SPIN_QUIET_NS)
		sched_yield();
	if (gap_ns > 0)
		let_pass(at_ns + gap_ns);
	return true;
}

static void
remember(int64_t took_ns)
{
	if (took_ns > WAIT_MAX_NS)
		took_ns = WAIT_MAX_NS;
	usual_ns += (took_ns - usual_ns) / WEIGHT_OF_LAST;
}

void
spin_end_awake(const struct spin *spin)
{
	remember(spin->seen_ns - spin->begun_ns);
}

void
spin_end(const struct spin *spin)
{
	remember(spin->begun_ns != 0 ? now_ns() - spin->begun_ns : 0);
}

bool
spin_pause(int64_t gap_ns)
{
	if (!has_other_processor())
		return false;
	let_pass(now_ns() + gap_ns);
	return true;
}
