/*
 * world.c - nodes, the clock, randomness
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "lib/base/random.h"
#include "tests/sim/fake_conn.h"

struct world world;

/* Any time will do, as long as it is far from 0. */
static const int64_t unix_from_monotonic_ms = INT64_C(1700000000000);
enum { START_MS = 1000000 };

/* ---- randomness, trace ---- */

uint32_t
sim_random(uint32_t n)
{
	return random_next(&world.random) % n;
}

bool
sim_chance(uint32_t n)
{
	return sim_random(n) == 0;
}

static void
print_line(FILE *f, const char *fmt, va_list ap)
{
	fprintf(f, "%6ld %9.3f  ", world.steps, (double)(world.now_ms - START_MS) / 1000);
	vfprintf(f, fmt, ap);
	fputc('\n', f);
}

void
sim_trace(const char *fmt, ...)
{
	va_list ap;

	if (!world.is_traced)
		return;
	va_start(ap, fmt);
	print_line(stdout, fmt, ap);
	va_end(ap);
}

void
sim_fail(const char *fmt, ...)
{
	va_list ap;

	if (world.has_failed)
		return;
	world.has_failed = true;
	if (mutant_is_set())
		return; /* as it should */
	va_start(ap, fmt);
	printf("seed %" PRIu64 " FAILED: ", world.seed);
	print_line(stdout, fmt, ap);
	va_end(ap);
}

void
world_set_clock(int64_t now_ms)
{
	world.now_ms = now_ms;
	stint_clock_set(now_ms, now_ms + unix_from_monotonic_ms);
}

/* ---- nodes ---- */

size_t
world_alive_count(void)
{
	size_t n = 0;

	for (size_t i = 0; i < world.node_count; i++)
		n += world.nodes[i]->is_alive;
	return n;
}

struct node *
world_start_node(void)
{
	static const struct daemon_opts no_opts;
	struct daemon_opts *opts = malloc(sizeof *opts);
	struct node *n = calloc(1, sizeof *n);
	struct stint_err err = {0};
	struct daemon *d;

	if (!n || !opts)
		abort();
	*opts = no_opts;
	opts->zygote = (struct zygote *)n;
	n->number = (int)world.node_count;
	n->host = (int)sim_random(HOSTS);
	n->is_alive = true;
	world.nodes[world.node_count++] = n;
	d = &n->daemon;
	d->opts = opts;
	d->config = config_ref(world.config);
	d->zygote_pidfd = -1;
	d->loop = (struct loop){.base = (struct event_base *)n, .signal_fd = -1};
	snprintf(d->name, sizeof d->name, "sim-%d", n->number);
	snprintf(d->consumer, sizeof d->consumer, "host%d-%d", n->host, n->number);
	sim_trace("node %d: starts on host %d", n->number, n->host);
	if (daemon_open(d, &err) < 0) {
		fprintf(stderr, "sim: %s\n", err.msg);
		abort();
	}
	if (world.has_reloads && (world.is_quiet || sim_chance(2)))
		reload(n, world.is_quiet);
	return n;
}

void
world_kill_node(struct node *n)
{
	n->is_alive = n->is_frozen = false;
	daemon_close(&n->daemon);
	config_unref(n->daemon.config);
	free((void *)n->daemon.opts);
	n->timer_count = 0;
	n->watch = NULL;
}

/* ---- begin and end ---- */

void
world_begin(uint64_t seed, struct config *config)
{
	const bool is_traced = world.is_traced;

	world = (struct world){.config = config, .seed = seed, .is_traced = is_traced};
	/* near seeds are not to have near schedules */
	world.random = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
	sim_random(1);
	for (size_t i = 0; i < config->queue_count; i++)
		world.queues[world.queue_count++] = config->queues[i].name;
	world_set_clock(START_MS + sim_random(1000));
	model_reset();
	jobs_begin();
	check_begin();
}

void
world_end(void)
{
	for (size_t i = 0; i < world.node_count; i++)
		if (world.nodes[i]->is_alive)
			world_kill_node(world.nodes[i]);
	sessions_end();
	for (size_t i = 0; i < world.node_count; i++)
		free(world.nodes[i]);
	world.node_count = 0;
	stint_clock_reset();
}
