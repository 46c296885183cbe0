/*
 * faults.c - what the daemons do not do themselves
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stint/clock.h>
#include "tests/sim/fake_conn.h"

/* Each family of schedules has its faults; the last ones have nearly all. */
enum fault_kind {
	CUTS = 1,
	OUTAGES = 2, /* Redis restarts, forgets its scripts, is full */
	DEATHS = 4,
	FREEZES = 8,
	DRAINS = 16,
	REFUSALS = 32, /* Redis answers, but not as one would like */
	FLUSHES = 64,  /* Redis loses all */
	KINDS = 7,
	LIMITS = 128,  /* no fault: many jobs, most of a handler at its limit */
	RELOADS = 256, /* neither */
};

static const int families[] = {0, CUTS, OUTAGES, DEATHS, FREEZES, DRAINS, REFUSALS,
	FLUSHES | CUTS | DEATHS | FREEZES,
	CUTS | OUTAGES | DEATHS | FREEZES | DRAINS | REFUSALS,
	CUTS | OUTAGES | DEATHS | FREEZES | DRAINS | REFUSALS | LIMITS,
	CUTS | OUTAGES | DEATHS | FREEZES | DRAINS | RELOADS};

enum { RELOAD_IN = 60 };

static struct {
	int kinds;
	uint32_t jobs_left;
	int64_t thaw_at_ms, up_at_ms, space_at_ms, writable_at_ms, loaded_at_ms;
} faults;

/* ---- people ---- */

void
people_say(const char *queue, const char *command, const char *id)
{
	const char *words[] = {"XADD", NULL, "*", "command", command, "id", id};
	struct arena arena = {0};
	struct redis_reply reply;
	struct bytes argv[7];
	char key[64];

	snprintf(key, sizeof key, "stint:{%s}:control", queue);
	words[1] = key;
	for (size_t i = 0; i < 7; i++)
		argv[i] = (struct bytes){words[i], words[i] ? strlen(words[i]) : 0};
	jobs_command(argv, id ? 7 : 5, &reply, &arena);
	sim_trace("people: %s %s", command, id ? id : queue);
	arena_free(&arena);
}

void
people_cancel(struct sim_job *job)
{
	if (model.is_full)
		return;
	job->cancelled_unix_ms = stint_unix_ms();
	people_say(job->queue, "cancel", job->id);
}

static void
people(void)
{
	const char *queue = world.queues[sim_random((uint32_t)world.queue_count)];

	if (model.is_readonly || model.is_loading)
		return;
	switch (sim_random(10)) {
	case 0:
	case 1:
		if (jobs.count > 0)
			people_cancel(&jobs.all[sim_random((uint32_t)jobs.count)]);
		return;
	case 2:
		return people_say(queue, "pause", NULL);
	case 3:
		return people_say(queue, "resume", NULL);
	default:
		if (faults.jobs_left == 0)
			return;
		faults.jobs_left--;
		jobs_submit();
	}
}

/* ---- faults ---- */

static struct node *
a_node(void)
{
	size_t nth = sim_random((uint32_t)world_alive_count());

	for (size_t i = 0; i < world.node_count; i++)
		if (world.nodes[i]->is_alive && nth-- == 0)
			return world.nodes[i];
	return NULL;
}

/* A daemon that cannot renew what it holds, however it tries. It ends by itself, also
 * when nothing goes wrong any more. */
static void
cut_off(void)
{
	struct node *n = a_node();

	if (n->is_frozen || n->has_stopped)
		return;
	sim_trace("node %d: is cut off for a while", n->number);
	trouble_note(n);
	n->cut_until_ms = world.now_ms + sim_random(2 * (uint32_t)world.config->lease_ms);
	for (size_t i = 0; i < n->conn_count; i++)
		if (n->conns[i]->is_up)
			conn_lose_it(n->conns[i], -EIO, "cut off");
}

static void
cut(void)
{
	struct redis_conn *c = a_node()->conns[sim_random(LINK_COUNT)];

	if (!c->is_up || c->node->is_frozen)
		return;
	trouble_note(c->node);
	conn_lose_it(c, -EIO, "cut");
}

void
redis_stop(void)
{
	sim_trace("redis: goes down");
	trouble_note_all();
	world.is_redis_down = true;
	model.scripts_loaded = 0;
	sessions_end();
}

void
redis_start(void)
{
	sim_trace("redis: is up");
	world.is_redis_down = false;
}

static void
trouble_redis(void)
{
	trouble_note_all();
	switch (sim_random(4)) {
	case 0:
		faults.up_at_ms = world.now_ms + sim_random(4000);
		return redis_stop();
	case 1:
		sim_trace("redis: is out of memory");
		model.is_full = true;
		faults.space_at_ms = world.now_ms + sim_random(3000);
		return;
	default:
		sim_trace("redis: SCRIPT FLUSH");
		model.scripts_loaded = 0;
	}
}

static void
mend_redis(void)
{
	if (world.is_redis_down && world.now_ms >= faults.up_at_ms)
		redis_start();
	if (model.is_full && world.now_ms >= faults.space_at_ms) {
		sim_trace("redis: has memory again");
		model.is_full = false;
	}
	if (model.is_readonly && world.now_ms >= faults.writable_at_ms) {
		sim_trace("redis: is a master again");
		model.is_readonly = false;
	}
	if (model.is_loading && world.now_ms >= faults.loaded_at_ms) {
		sim_trace("redis: has loaded");
		model.is_loading = false;
	}
}

/* A failover there and back. A replica may first load what its master has. */
static void
demote_redis(void)
{
	sim_trace("redis: is a replica, and its reads are ended");
	trouble_note_all();
	model.is_readonly = true;
	faults.writable_at_ms = world.now_ms + sim_random(4000);
	model_unblock_all("UNBLOCKED force unblock from blocking operation, instance "
			  "state changed (master -> replica?)");
	if (sim_chance(3))
		return;
	model.is_loading = true;
	faults.loaded_at_ms = world.now_ms + sim_random(2000);
}

static void
restart_redis(void)
{
	sim_trace("redis: restarts, and loads");
	trouble_note_all();
	model.scripts_loaded = 0;
	model.is_loading = true;
	faults.loaded_at_ms = world.now_ms + sim_random(4000);
	sessions_end();
}

static void
flush(void)
{
	if (model.is_readonly || model.is_loading)
		return;
	sim_trace("people: FLUSHALL");
	trouble_note_all();
	model_flush();
	jobs_lose();
	faults.jobs_left += sim_random(4);
	world_set_clock(world.now_ms + 1); /* no entry id comes a second time */
}

static void
start(void)
{
	if (world_alive_count() < ALIVE_MAX && world.node_count < NODES_MAX - 1)
		world_start_node();
}

static void
kill_one(void)
{
	struct node *n = a_node();

	sim_trace("node %d: killed", n->number);
	world_kill_node(n);
	if (world_alive_count() == 0 || sim_chance(2))
		start();
}

static void
thaw(struct node *n)
{
	if (!n->is_frozen)
		return;
	sim_trace("node %d: goes on", n->number);
	n->is_frozen = false;
}

static void
freeze_one(void)
{
	struct node *n = a_node();

	sim_trace("node %d: is stopped for a while", n->number);
	n->is_frozen = n->was_frozen = true;
	trouble_note(n);
	faults.thaw_at_ms =
		world.now_ms + sim_random(2 * (uint32_t)world.config->lease_ms);
}

static void
thaw_all(void)
{
	for (size_t i = 0; i < world.node_count; i++)
		thaw(world.nodes[i]);
}

/* As stop() in daemon.c. */
void
sim_drain(struct node *n)
{
	struct daemon *d = &n->daemon;

	if (n->is_frozen || n->has_stopped)
		return;
	sim_trace("node %d: SIGTERM", n->number);
	n->is_hurried = d->drain.state != DRAIN_RUNNING;
	if (d->drain.state != DRAIN_RUNNING)
		drain_hurry(&d->drain);
	else
		drain_begin(&d->drain, d->config->shutdown_timeout_ms);
}

static void
drain(void)
{
	struct node *n = a_node();

	n->is_draining = true;
	sim_drain(n);
}

static void
do_harm(int kind)
{
	world.has_faults = true;
	switch ((enum fault_kind)kind) {
	case CUTS:
		return sim_chance(4) ? cut_off() : cut();
	case OUTAGES:
		return trouble_redis();
	case DEATHS:
		return kill_one();
	case FREEZES:
		return freeze_one();
	case DRAINS:
		return drain();
	case REFUSALS:
		return sim_chance(3) ? restart_redis() : demote_redis();
	case FLUSHES:
		return flush();
	case KINDS:
	case LIMITS:
	case RELOADS:
		break;
	}
}

void
faults_step(void)
{
	mend_redis();
	if (faults.thaw_at_ms <= world.now_ms)
		thaw_all();
	if (world_alive_count() == 0)
		start();
	if (sim_chance(8))
		people();
	if (world.has_reloads && sim_chance(RELOAD_IN))
		reload(a_node(), false);
	if (faults.kinds != 0 && sim_chance(25)) {
		const int kind = 1 << sim_random(KINDS);

		if (faults.kinds & kind)
			do_harm(kind);
	}
	if (sim_chance(100))
		start();
}

/* Whatever configuration daemons start with. */
static void
name_queues(void)
{
	static const char *const names[QUEUES_MAX] = {"a", "b", "c"};

	memcpy(world.queues, names, sizeof names);
	world.queue_count = QUEUES_MAX;
}

void
faults_begin(int family)
{
	memset(&faults, 0, sizeof faults);
	faults.kinds = families[family];
	world.has_reloads = (faults.kinds & RELOADS) != 0;
	world.has_limits =
		(faults.kinds & LIMITS) != 0 || (world.has_reloads && sim_chance(2));
	if (world.has_reloads)
		name_queues();
	faults.jobs_left = 1 + sim_random(world.has_limits ? 20 : 8);
	world_start_node();
	if (!sim_chance(4))
		world_start_node();
}

void
faults_end(void)
{
	faults.up_at_ms = faults.space_at_ms = 0;
	faults.writable_at_ms = faults.loaded_at_ms = 0;
	mend_redis();
	thaw_all();
	world.is_quiet = true;
	sim_trace("people: no more trouble from here on");
	start();
	for (size_t i = 0; i < world.queue_count; i++)
		people_say(world.queues[i], "resume", NULL);
	for (size_t i = 0; world.has_reloads && i < world.node_count; i++)
		if (world.nodes[i]->is_alive)
			reload(world.nodes[i], true);
	for (size_t i = 0; i < jobs.count; i++)
		if (jobs.all[i].results == 0 &&
			jobs.all[i].due_unix_ms > stint_unix_ms() + 60000)
			people_cancel(&jobs.all[i]);
}
