/*
 * scenarios.c - faults that were found once, each in the least that shows it
 *
 * What leads up to it is written down, the order of the rest is still the seed's.
 */
#include <stdio.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "tests/sim/sim.h"

enum {
	STEPS_MAX = 5000,
	LONG_MS = 3600 * 1000,
	AUDIT_MS = 60000, /* how often a daemon asks what it holds */
	AUDIT_TAKES_MS = 1000,
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
	for (size_t i = 0; i < world.config->queue_count; i++)
		people_say(world.config->queues[i].name, command, NULL);
}

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

/* A command about queue a by somebody who says that he is the first node. */
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
	{"cancel_meets_a_job_that_is_put_off", cancel_meets_a_job_that_is_put_off},
	{"cancel_meets_a_job_that_a_draining_daemon_puts_off",
		cancel_meets_a_job_that_a_draining_daemon_puts_off},
	{"job_is_delivered_to_a_suspended_daemon",
		job_is_delivered_to_a_suspended_daemon},
	{"audit_finds_what_a_daemon_holds_and_does_not_know",
		audit_finds_what_a_daemon_holds_and_does_not_know},
	{"end_in_the_middle_frees_all", end_in_the_middle_frees_all},
	{NULL, NULL},
};
