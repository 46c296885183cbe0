/*
 * scenarios.c - faults that were found once, each in the least that shows it
 *
 * What leads up to it is written down, the order of the rest is still the seed's. What
 * make torture has found, and the schedule that fails with the fault put back:
 *
 *	a stop forgets a read that was lost,
 *		stop_meets_a_lost_read
 *	or jobs that wait to be admitted, or gives up before it can know
 *		stop_meets_jobs_that_are_not_admitted
 *	a cancelled job runs that was delayed
 *		cancel_of_a_delayed_job_is_not_heard_by_all
 *	a daemon was suspended; a worker begins what waits before the loop ends it
 *		job_waits_in_a_suspended_daemon
 *	Redis is back, and a daemon stays away for longer than its lease
 *		outages_follow_each_other
 *
 * What else it has shown were faults of its own, of the machine or of Redis: a torn end
 * of the append-only file is cut off by whoever starts Redis (stint-ops(7)), and has no
 * place here, where Redis loses all (family flushes) or nothing. That a client that is
 * gone may still be given jobs is so in all schedules. The other scenarios are faults
 * that these schedules or people have found.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "tests/sim/fake_conn.h"

enum {
	STEPS_MAX = 5000,
	LONG_MS = 3600 * 1000,
	AUDIT_MS = 60000, /* how often a daemon asks what it holds */
	AUDIT_TAKES_MS = 1000,
	OUTAGES = 4,
	HEARING_MS = 200,
};

static int64_t leased_until_ms;

static struct node *
first(void)
{
	return world.nodes[0];
}

static bool
is_ready(void)
{
	return first()->daemon.is_ready;
}

/* Nothing is read: neither does the drain wait for that. */
static bool
is_idle(void)
{
	return !fetch_is_reading(first()->daemon.fetch);
}

static bool
fetch_blocks(void)
{
	return fetch_is_blocked(first()->daemon.fetch);
}

static bool
is_second_ready(void)
{
	return world.nodes[1]->daemon.is_ready;
}

static bool
is_pulling(void)
{
	return control_is_pulling(first()->daemon.control);
}

static bool
has_job(void)
{
	return flight_count(first()->daemon.flight) > 0;
}

static bool
has_job_or_is_ready(void)
{
	return has_job() || is_ready();
}

static void
until(bool (*is_so)(void))
{
	for (int i = 0; i < STEPS_MAX && !is_so(); i++)
		if (!step())
			return;
	if (!is_so())
		sim_fail("never gets to where the scenario begins");
}

static void
say_all(const char *command)
{
	for (size_t i = 0; i < world.queue_count; i++)
		people_say(world.queues[i], command, NULL);
}

static void
pass(int64_t ms)
{
	const int64_t until_ms = world.now_ms + ms;

	while (world.now_ms < until_ms && step())
		;
}

/* A command about queue a by somebody who may say that he is the first node. */
static void
in_its_name(const char *const *words, size_t count)
{
	struct bytes argv[12];
	struct arena arena = {0};
	struct redis_reply reply;

	for (size_t i = 0; i < count; i++)
		argv[i] = (struct bytes){words[i], strlen(words[i])};
	jobs_command(argv, count, &reply, &arena);
	arena_free(&arena);
}

/* ---- stops ---- */

/* A drain that is only waiting for the answer to pull.lua gets a job all the same. */
static void
stop_meets_a_cancelled_job(void)
{
	world_start_node();
	until(is_ready);
	say_all("pause");
	until(is_idle);
	people_cancel(jobs_submit_plain("a", 0));
	until(is_pulling);
	sim_drain(first());
}

/* Cancelled jobs are pulled before the reader is there. */
static void
stop_before_ready_meets_a_cancelled_job(void)
{
	people_cancel(jobs_submit_plain("a", 0));
	world_start_node();
	until(has_job_or_is_ready);
	sim_drain(first());
}

static struct redis_conn *
first_conn(enum link_role role)
{
	return first()->conns[role];
}

/* In Redis; the answer may be on its way. */
static bool
is_held(void)
{
	const struct object *o = sim_object("a", "jobs", NULL, OBJECT_STREAM);

	return o && o->stream.group && o->stream.group->held_count > 0;
}

/* For as long as nobody says otherwise. */
static void
cut(struct redis_conn *c)
{
	world.has_faults = true;
	trouble_note(c->node);
	conn_lose_it(c, -EIO, "cut");
	c->try_at_ms = world.now_ms + LONG_MS;
}

static void
mend(struct redis_conn *c)
{
	c->try_at_ms = world.now_ms;
}

static bool
is_only_admitting(void)
{
	return admit_pending_count(first()->daemon.admit) > 0 && is_idle();
}

static bool
has_ended(void)
{
	return !first()->is_alive;
}

/* It waits until it knows that it holds nothing. */
static void
stop_for_sure(void)
{
	sim_drain(first());
	until(has_ended);
	if (!first()->daemon.drain.is_sure)
		sim_fail("node 0: gives up, though Redis is there");
}

/* Nobody knows of the job, and yet it is held. */
static void
stop_meets_a_lost_read(void)
{
	world_start_node();
	until(is_ready);
	until(fetch_blocks);
	jobs_submit_plain("a", 0);
	until(is_held);
	cut(first_conn(LINK_READER));
	mend(first_conn(LINK_READER));
	stop_for_sure();
}

static void
stop_meets_a_lost_pull(void)
{
	world_start_node();
	until(is_ready);
	say_all("pause");
	until(is_idle);
	people_cancel(jobs_submit_plain("a", 0));
	until(is_held);
	cut(first_conn(LINK_WRITER));
	mend(first_conn(LINK_WRITER));
	stop_for_sure();
}

/* They are no results, and cannot be looked at while the connection is away. */
static void
stop_meets_jobs_that_are_not_admitted(void)
{
	world_start_node();
	until(is_ready);
	until(fetch_blocks);
	cut(first_conn(LINK_WRITER));
	jobs_submit_plain("a", LONG_MS);
	until(is_only_admitting);
	mend(first_conn(LINK_WRITER));
	stop_for_sure();
}

/* It is asked for while the reader is not there yet. */
static void
stop_before_ready_meets_a_pull(void)
{
	people_cancel(jobs_submit_plain("a", 0));
	in_its_name(
		(const char *[]){"XGROUP", "CREATE", "stint:{a}:jobs", KEYS_GROUP, "0"},
		5);
	world_start_node();
	first_conn(LINK_READER)->try_at_ms = world.now_ms + AUDIT_TAKES_MS;
	until(is_held);
	sim_drain(first());
}

/* ---- cancels ---- */

/* It waits no more, and is not in the delayed set yet. */
static void
cancel_meets_a_job_that_is_put_off(void)
{
	struct sim_job *job = jobs_submit_plain("a", LONG_MS);

	world_start_node();
	until(has_job);
	people_cancel(job);
}

static void
cancel_meets_a_job_that_a_draining_daemon_puts_off(void)
{
	struct sim_job *job = jobs_submit_plain("a", LONG_MS);

	world_start_node();
	until(has_job);
	sim_drain(first());
	people_cancel(job);
	world_start_node();
}

static bool
is_put_off(void)
{
	return sim_object("a", "delayed", NULL, OBJECT_ZSET) && !has_job();
}

static bool
is_hastened(void)
{
	return jobs.all[0].due_unix_ms == 0;
}

/* Whoever reads it has not heard of the cancel, and it is long before its time. */
static void
cancel_of_a_delayed_job_is_not_heard_by_all(void)
{
	struct sim_job *job = jobs_submit_plain("a", LONG_MS);
	struct redis_conn *deaf;

	world_start_node();
	until(is_put_off);
	deaf = world_start_node()->conns[LINK_CONTROL];
	until(is_second_ready);
	cut(deaf);
	people_cancel(job);
	until(is_hastened);
	world_kill_node(first());
	pass(HEARING_MS);
	mend(deaf);
}

/* ---- leases ---- */

static bool
has_lease_ended(void)
{
	return world.now_ms > leased_until_ms;
}

/* The reply to its read has come while it was suspended, or comes after that. */
static void
job_is_delivered_to_a_suspended_daemon(void)
{
	world.has_faults = true;
	world_start_node();
	until(is_ready);
	jobs_submit_plain("a", 0);
	first()->is_frozen = first()->was_frozen = true;
	world_start_node();
	leased_until_ms = world.now_ms + world.config->lease_ms;
	until(has_lease_ended);
	first()->is_frozen = false;
}

static bool
has_waiting_job(void)
{
	return has_job() && workers_can_begin(first()->workers);
}

/* A worker is quicker than the loop, which is to end the job. */
static void
job_waits_in_a_suspended_daemon(void)
{
	world.has_faults = true;
	world_start_node();
	until(is_ready);
	jobs_submit_plain("a", 0);
	until(has_waiting_job);
	first()->is_frozen = first()->was_frozen = true;
	world_start_node();
	leased_until_ms = world.now_ms + world.config->lease_ms;
	until(has_lease_ended);
	first()->is_frozen = false;
}

/* The waits between tries grow with each outage, but must stay a part of the lease: else
 * a daemon stays away although Redis is well, and others take what it has. */
static void
outages_follow_each_other(void)
{
	const uint32_t lease_ms = (uint32_t)world.config->lease_ms;

	world.has_faults = true;
	world_start_node();
	world_start_node();
	until(is_ready);
	for (int i = 0; i < OUTAGES; i++) {
		jobs_submit_plain("a", 0);
		pass(sim_random(lease_ms));
		redis_stop();
		pass(sim_random(lease_ms));
		redis_start();
	}
	pass(lease_ms);
}

/* ---- what is held and not known ---- */

/* It holds a job that it does not know of, and renews: nobody else will take it. */
static void
audit_finds_what_a_daemon_holds_and_does_not_know(void)
{
	const struct sim_job *job;
	int64_t planted_ms, renewed_ms;

	world_start_node();
	until(is_ready);
	say_all("pause");
	until(is_idle);
	job = jobs_submit_plain("a", 0);
	in_its_name((const char *[]){"XREADGROUP", "GROUP", KEYS_GROUP,
			    first()->daemon.consumer, "COUNT", "1", "STREAMS",
			    "stint:{a}:jobs", ">"},
		9);
	say_all("resume");
	planted_ms = renewed_ms = world.now_ms;
	while (!has_job() && step()) {
		if (world.now_ms > planted_ms + AUDIT_MS + AUDIT_TAKES_MS)
			return sim_fail("%s: no audit has found it", job->id);
		if (world.now_ms < renewed_ms + AUDIT_TAKES_MS)
			continue;
		renewed_ms = world.now_ms;
		in_its_name((const char *[]){"XCLAIM", "stint:{a}:jobs", KEYS_GROUP,
				    first()->daemon.consumer, "0", job->id, "JUSTID"},
			7);
	}
}

/* Requests of all kinds are under way when everything is freed. */
static void
end_in_the_middle_frees_all(void)
{
	const uint32_t steps = sim_random(60);

	world.has_faults = true;
	for (int i = 0; i < 4; i++)
		jobs_submit();
	world_start_node();
	for (uint32_t i = 0; i < steps && step(); i++)
		;
	world_kill_node(first());
}

const struct scenario scenarios[] = {
	{"stop_meets_a_cancelled_job", stop_meets_a_cancelled_job},
	{"stop_before_ready_meets_a_cancelled_job",
		stop_before_ready_meets_a_cancelled_job},
	{"stop_meets_a_lost_read", stop_meets_a_lost_read},
	{"stop_meets_a_lost_pull", stop_meets_a_lost_pull},
	{"stop_meets_jobs_that_are_not_admitted", stop_meets_jobs_that_are_not_admitted},
	{"stop_before_ready_meets_a_pull", stop_before_ready_meets_a_pull},
	{"cancel_meets_a_job_that_is_put_off", cancel_meets_a_job_that_is_put_off},
	{"cancel_meets_a_job_that_a_draining_daemon_puts_off",
		cancel_meets_a_job_that_a_draining_daemon_puts_off},
	{"cancel_of_a_delayed_job_is_not_heard_by_all",
		cancel_of_a_delayed_job_is_not_heard_by_all},
	{"job_is_delivered_to_a_suspended_daemon",
		job_is_delivered_to_a_suspended_daemon},
	{"job_waits_in_a_suspended_daemon", job_waits_in_a_suspended_daemon},
	{"outages_follow_each_other", outages_follow_each_other},
	{"audit_finds_what_a_daemon_holds_and_does_not_know",
		audit_finds_what_a_daemon_holds_and_does_not_know},
	{"end_in_the_middle_frees_all", end_in_the_middle_frees_all},
	{NULL, NULL},
};
