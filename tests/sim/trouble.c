/*
 * trouble.c - what goes wrong for which daemon, when, and what that explains
 *
 * While Redis is away, or the network, or the daemon itself is suspended, it can renew
 * nothing; and for a moment after that, until it has connected again. The rest of the
 * time a living daemon renews what it has: once in a third of the lease, noticed a
 * twelfth late at most (lease.c). So what it has changes hands, or is ended, only when
 * enough of the lease was trouble.
 */
#include "tests/sim/sim.h"

enum {
	/* parts of a lease: the daemon's, written down again, lest a fault there be one
	 * here, too */
	RENEW_PART = 3,
	WALK_PART = 12,
	RECONNECT_PART = 8, /* the longest wait before a lost connection is tried again */
	/* Commands and answers are under way for as long as the seed likes, ... */
	TRAVEL_MS = 200,
};

/* ... before and after a connection is made as well. */
static int64_t
recovery_ms(void)
{
	return world.config->lease_ms / RECONNECT_PART + TRAVEL_MS;
}

static int64_t
well_max_ms(void)
{
	const int64_t lease_ms = world.config->lease_ms;

	return lease_ms / RENEW_PART + lease_ms / WALK_PART + TRAVEL_MS;
}

static struct trouble *
last(const struct node *n)
{
	return n->trouble_count > 0 ? (struct trouble *)&n->troubles[n->trouble_count - 1]
				    : NULL;
}

static void
add(struct node *n, int64_t begin_ms, int64_t end_ms)
{
	struct trouble *t = last(n);

	end_ms += recovery_ms();
	if (!t || (t->end_ms < begin_ms && n->trouble_count < TROUBLES_MAX))
		n->troubles[n->trouble_count++] = (struct trouble){begin_ms, end_ms};
	else if (t->end_ms < end_ms)
		t->end_ms = end_ms;
}

void
trouble_note(struct node *n)
{
	add(n, world.now_ms, world.now_ms);
}

void
trouble_note_all(void)
{
	for (size_t i = 0; i < world.node_count; i++)
		if (world.nodes[i]->is_alive)
			trouble_note(world.nodes[i]);
}

/* What is refused for lack of memory is told so, and renewals take none. */
static bool
is_redis_well(void)
{
	return !world.is_redis_down && !model.is_loading && !model.is_readonly;
}

void
trouble_pass(int64_t until_ms)
{
	for (size_t i = 0; i < world.node_count; i++) {
		struct node *n = world.nodes[i];

		if (n->is_alive && (n->is_frozen || n->cut_until_ms > world.now_ms ||
					   !is_redis_well()))
			add(n, world.now_ms, until_ms);
	}
}

bool
trouble_since(const struct node *n, int64_t since_ms)
{
	return last(n) && last(n)->end_ms >= since_ms;
}

/* How long nothing was wrong since then. */
static int64_t
well_ms(const struct node *n, int64_t since_ms)
{
	int64_t ms = world.now_ms - since_ms;

	for (size_t i = 0; i < n->trouble_count; i++) {
		const struct trouble *t = &n->troubles[i];
		const int64_t from = t->begin_ms > since_ms ? t->begin_ms : since_ms;
		const int64_t to = t->end_ms < world.now_ms ? t->end_ms : world.now_ms;

		ms -= to > from ? to - from : 0;
	}
	return ms;
}

bool
trouble_explains(const struct node *n, int64_t renewed_ms)
{
	return well_ms(n, renewed_ms) <= well_max_ms();
}
