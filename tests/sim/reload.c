/*
 * reload.c - SIGHUP: a daemon gets another configuration, as daemon_reload() takes it
 * over
 *
 * Queues come and go, list or weights, more or fewer workers, limits of handlers,
 * handlers that are not there; now and then a file that is faulty, or asks for what
 * cannot change. What decides about retries stays: each attempt counts with its own
 * configuration, and so could not be told from one too many.
 */
#include <stdio.h>
#include <string.h>
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "tests/sim/sim.h"

enum { WORKERS_MAX = 4, WEIGHT_MAX = 5, LIMIT_MAX = 3 };

/* At random, but at least one; or all. */
static void
add_queues(struct buf *b, bool is_all)
{
	const bool is_weighted = !is_all && sim_chance(2);
	const uint32_t must = sim_random((uint32_t)world.queue_count);

	buf_fmt(b, "queues: %s", is_weighted ? "{ " : "[");
	for (size_t i = 0; i < world.queue_count; i++) {
		if (i != must && !is_all && sim_chance(2))
			continue;
		buf_fmt(b, is_weighted ? "%s: %u, " : "%s, ", world.queues[i],
			1 + sim_random(WEIGHT_MAX));
	}
	buf_fmt(b, "%s\n", is_weighted ? "}" : "]");
}

static void
add_handler(struct buf *b, const char *name, uint32_t limit)
{
	const struct handler_conf *h = config_handler(world.config, name, strlen(name));

	buf_fmt(b,
		"  %s: { command: [/bin/true], timeout: %lldms, retries: %d,"
		" backoff: %lldms, kill_grace: %lldms",
		name, (long long)h->timeout_ms, h->retries, (long long)h->backoff_ms,
		(long long)h->kill_grace_ms);
	if (limit > 0)
		buf_fmt(b, ", concurrency: %u", limit);
	buf_fmt(b, " }\n");
}

static void
write_text(struct buf *b, bool is_all)
{
	const struct config *c = world.config;

	buf_fmt(b, "redis: { url: redis://localhost }\nresults: { ttl: 1d }\n");
	buf_fmt(b, "lease: %lldms\n",
		(long long)(sim_chance(8) ? c->lease_ms / 2 : c->lease_ms));
	buf_fmt(b, "max_deliveries: %d\n", c->max_deliveries);
	buf_fmt(b, "shutdown_timeout: %us\n", sim_random(3));
	buf_fmt(b, "unknown_handler: %s\n", sim_chance(2) ? "1s" : "reject");
	buf_fmt(b, "concurrency: %u\n", 1 + sim_random(WORKERS_MAX));
	if (!is_all && sim_chance(8))
		buf_fmt(b, "colour: red\n");
	add_queues(b, is_all);
	buf_fmt(b, "handlers:\n");
	add_handler(b, "h", 0);
	if (is_all || !sim_chance(4))
		add_handler(b, "few", sim_random(LIMIT_MAX + 1));
}

void
reload(struct node *n, bool is_all)
{
	cleanup(buf_fini) struct buf text = {0};
	struct daemon_opts *opts = (struct daemon_opts *)n->daemon.opts;

	if (n->is_frozen || n->has_stopped)
		return;
	write_text(&text, is_all);
	sim_trace("node %d: SIGHUP", n->number);
	sim_trace("%s", buf_cstr(&text));
	opts->config_text = buf_cstr(&text);
	daemon_reload(&n->daemon);
	opts->config_text = NULL;
	if (n->daemon.config->lease_ms != world.config->lease_ms)
		sim_fail("node %d: has another lease than it began with", n->number);
}
