/*
 * jobs.c - what was submitted
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "lib/base/cleanup.h"
#include "tests/sim/sim.h"

struct jobs jobs;

enum { FIELDS_MAX = 24, VALUE_BYTES = 64, LONG_DELAY_MS = 3600 * 1000 };

/* The fields of one XADD. */
struct submission {
	struct bytes argv[FIELDS_MAX];
	size_t argc;
	char values[FIELDS_MAX][VALUE_BYTES];
};

static void
add(struct submission *s, const char *text)
{
	s->argv[s->argc++] = (struct bytes){text, strlen(text)};
}

static void
add_field(struct submission *s, const char *name, const char *value)
{
	add(s, name);
	snprintf(s->values[s->argc], VALUE_BYTES, "%s", value);
	add(s, s->values[s->argc]);
}

static void
add_number(struct submission *s, const char *name, int64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)v);
	add_field(s, name, text);
}

struct sim_job *
jobs_find(struct bytes queue, struct bytes id)
{
	for (size_t i = 0; i < jobs.count; i++)
		if (bytes_is(queue, jobs.all[i].queue) && bytes_is(id, jobs.all[i].id))
			return &jobs.all[i];
	return NULL;
}

void
jobs_command(const struct bytes *argv, size_t argc, struct redis_reply *reply,
	struct arena *arena)
{
	static struct model_client people = {.id = -1};

	model_execute(&people, argv, argc, arena, reply);
	if (reply->type == REDIS_ERROR && !model.is_full)
		sim_fail("%s: %s", argv[0].p, reply->str);
	check_state();
}

/* ---- features ---- */

static void
add_due(struct submission *s, struct sim_job *job)
{
	const int64_t now = stint_unix_ms();
	const int64_t delay_ms =
		sim_chance(8) ? LONG_DELAY_MS : 1 + (int64_t)sim_random(3000);

	job->due_unix_ms = job->first_due_unix_ms = now + delay_ms;
	if (sim_chance(2))
		return add_number(s, "at", job->due_unix_ms);
	snprintf(s->values[s->argc + 1], VALUE_BYTES, "%lldms", (long long)delay_ms);
	add(s, "delay");
	add(s, s->values[s->argc]);
}

static void
add_features(struct submission *s, struct sim_job *job)
{
	if (sim_chance(3)) {
		snprintf(job->id, sizeof job->id, "own:%zu", jobs.count);
		job->has_own_id = true;
		add_field(s, "id", job->id);
	}
	if (sim_chance(3)) {
		job->has_reply = true;
		add_field(s, "reply_to", "me");
	}
	if (sim_chance(4)) {
		job->retries = (int)sim_random(4);
		add_number(s, "retries", job->retries);
	}
	if (sim_chance(4))
		add_due(s, job);
	if (sim_chance(8))
		add_number(s, "timeout", 1 + sim_random(2));
	if (sim_chance(8) && job->due_unix_ms < stint_unix_ms() + LONG_DELAY_MS / 2)
		add_number(s, "deadline", stint_unix_ms() + sim_random(4000));
	if (sim_chance(12)) {
		job->is_malformed = true;
		add_field(s, "colour", "red");
	}
}

static void
submit(struct submission *s, struct sim_job *job)
{
	struct arena arena = {0};
	struct redis_reply reply;

	jobs_command(s->argv, s->argc, &reply, &arena);
	if (reply.type == REDIS_STRING) {
		if (!job->has_own_id)
			snprintf(job->id, sizeof job->id, "%s", reply.str);
		job->submissions++;
		job->is_lost = false;
		sim_trace("people: submit %s, entry %s", job->id, reply.str);
	}
	arena_free(&arena);
}

static void
add_queue(struct submission *s, struct sim_job *job)
{
	job->queue = world.queues[sim_random((uint32_t)world.queue_count)];
	snprintf(s->values[s->argc], VALUE_BYTES, "stint:{%s}:jobs", job->queue);
	add(s, s->values[s->argc]);
}

static const char *
a_handler(void)
{
	return world.has_limits && !sim_chance(4) ? "few" : "h";
}

void
jobs_submit(void)
{
	static struct submission last; /* of a job with an id of its own */
	static struct sim_job *last_job;
	struct submission s = {.argc = 0};
	struct sim_job *job;

	if (jobs.count == 0)
		last_job = NULL;
	/* the answer to an XADD was lost: it is sent again */
	if (last_job && sim_chance(4))
		return submit(&last, last_job);
	if (jobs.count == JOBS_MAX)
		return;
	job = &jobs.all[jobs.count];
	*job = (struct sim_job){.retries = -1, .submitted_unix_ms = stint_unix_ms()};
	add(&s, "XADD");
	add_queue(&s, job);
	add(&s, "*");
	add_field(&s, "handler", sim_chance(12) ? "unknown" : a_handler());
	add_features(&s, job);
	submit(&s, job);
	if (job->submissions == 0)
		return; /* refused: no job */
	jobs.count++;
	if (!job->has_own_id || job->is_malformed)
		return;
	last = s;
	last_job = job;
	for (size_t i = 0; i < s.argc; i++) /* the copy's values stand in the copy */
		if (s.argv[i].p >= s.values[0] && s.argv[i].p <= s.values[FIELDS_MAX - 1])
			last.argv[i].p = last.values[0] + (s.argv[i].p - s.values[0]);
}

struct sim_job *
jobs_submit_plain(const char *queue, int64_t delay_ms)
{
	struct sim_job *job = &jobs.all[jobs.count++];
	struct submission s = {.argc = 0};

	*job = (struct sim_job){.queue = queue,
		.retries = -1,
		.submitted_unix_ms = stint_unix_ms(),
		.due_unix_ms = delay_ms ? stint_unix_ms() + delay_ms : 0};
	job->first_due_unix_ms = job->due_unix_ms;
	add(&s, "XADD");
	snprintf(s.values[s.argc], VALUE_BYTES, "stint:{%s}:jobs", queue);
	add(&s, s.values[s.argc]);
	add(&s, "*");
	add_field(&s, "handler", "h");
	if (delay_ms > 0)
		add_number(&s, "at", job->due_unix_ms);
	submit(&s, job);
	return job;
}

void
jobs_lose(void)
{
	for (size_t i = 0; i < jobs.count; i++) {
		struct sim_job *job = &jobs.all[i];

		job->is_lost = job->was_lost = true;
		job->is_late = false;
		job->results = job->replies = 0;
		job->due_unix_ms = job->first_due_unix_ms;
		job->result[0] = '\0';
	}
	for (size_t i = 0; i < jobs.run_count; i++)
		jobs.runs[i].is_stale = !jobs.runs[i].is_over;
	world.flushed_unix_ms = stint_unix_ms();
}

void
jobs_begin(void)
{
	jobs.count = jobs.run_count = 0;
}
