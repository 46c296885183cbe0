/*
 * check.c - what must hold after every step, and at the end
 *
 * One exception is part of the design: a daemon that was away may finish a job with
 * success after somebody else has got it. Then there is a result while the job still
 * waits or runs somewhere; what comes of that changes nothing any more. Such jobs are
 * `is_late`. One that was put off in the meantime must not be left there.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "lib/base/cleanup.h"
#include "tests/sim/sim.h"

enum {
	KEY_BYTES = 128,
	GIVE_UP_MS = 3000, /* a stop that is not sure waits for longer */
};

/* The text between two others in a key: "stint:{", "}:result:". */
struct key_parts {
	struct bytes queue, kind, name;
};

static bool
split_key(struct bytes key, struct key_parts *ret)
{
	const char *open = memchr(key.p, '{', key.n), *close = memchr(key.p, '}', key.n);
	const char *kind, *colon;

	if (!open || !close)
		return false;
	kind = close + 2;
	colon = strchr(kind, ':');
	*ret = (struct key_parts){
		.queue = {open + 1, (size_t)(close - open - 1)},
		.kind = {kind, colon ? (size_t)(colon - kind) : strlen(kind)},
		.name = {colon ? colon + 1 : "", colon ? strlen(colon + 1) : 0},
	};
	return true;
}

struct object *
sim_object(const char *queue, const char *kind, const char *name, enum object_type type)
{
	const char *const parts[] = {
		"stint:{", queue, "}:", kind, name ? ":" : "", name ? name : ""};
	char key[KEY_BYTES];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const size_t len = strlen(parts[i]);

		memcpy(key + n, parts[i], len); /* much faster than snprintf() */
		n += len;
	}
	return model_find_typed((struct bytes){key, n}, type);
}

static struct bytes
field(const struct entry *e, const char *name)
{
	for (size_t i = 0; i + 1 < e->count; i += 2)
		if (bytes_is(e->fields[i], name))
			return e->fields[i + 1];
	return (struct bytes){NULL, 0};
}

/* ---- where a job is ---- */

/* Is this entry the job, and not a second submission of its id that nobody has looked
 * at yet? */
static bool
is_live_entry(const struct sim_job *job, const struct entry *e, const struct object *ids)
{
	const struct bytes id = field(e, "id");
	const struct pair *holder;
	char entry_id[ENTRY_ID_BYTES];

	sid_print(e->id, entry_id);
	if (!id.p)
		return !strcmp(entry_id, job->id);
	if (!bytes_is(id, job->id))
		return false;
	if (field(e, JOB_FIELD_SUBMITTED).p)
		return true;
	holder = model_pair(ids, id);
	return holder && bytes_is(holder->value, entry_id);
}

/* How often it stands in the stream and in the delayed set. @ret_entry: the last one. */
static int
places(const struct sim_job *job, char ret_entry[ENTRY_ID_BYTES])
{
	const struct object *stream = sim_object(job->queue, "jobs", NULL, OBJECT_STREAM);
	const struct object *ids = sim_object(job->queue, "ids", NULL, OBJECT_HASH);
	const struct object *delayed =
		sim_object(job->queue, "delayed", NULL, OBJECT_ZSET);
	int n = 0;

	ret_entry[0] = '\0';
	for (size_t i = 0; stream && i < stream->stream.count; i++)
		if (is_live_entry(job, &stream->stream.entries[i], ids)) {
			n++;
			sid_print(stream->stream.entries[i].id, ret_entry);
		}
	if (model_pair(delayed, (struct bytes){job->id, strlen(job->id)})) {
		n++;
		strcpy(ret_entry, "delayed");
	}
	return n;
}

/* ---- results ---- */

/* The run that a result is of: its output says so. NULL: it was never run. */
static struct sim_run *
run_of(const char *result)
{
	const char *text = strstr(result, "\"output\":\"run ");
	const int number = text ? atoi(text + strlen("\"output\":\"run ")) : -1;

	return number >= 0 && (size_t)number < jobs.run_count ? &jobs.runs[number] : NULL;
}

static bool
has_status(const char *result, const char *status)
{
	char text[48];

	snprintf(text, sizeof text, "\"status\":\"%s\"", status);
	return strstr(result, text) != NULL;
}

static bool
may_do_without_run(const struct sim_job *job, const char *result)
{
	if (has_status(result, "rejected"))
		return true;
	if (has_status(result, "cancelled"))
		return job->cancelled_unix_ms != 0;
	return has_status(result, "expired") ||
	       (has_status(result, "crashed") && strstr(result, "its daemon died"));
}

static void
on_set(const struct bytes *key, const struct bytes *value, bool is_new, bool is_nx)
{
	struct key_parts parts;
	struct sim_job *job;
	const struct sim_run *run;
	char entry[ENTRY_ID_BYTES];

	if (!split_key(*key, &parts) || !bytes_is(parts.kind, "result"))
		return;
	job = jobs_find(parts.queue, parts.name);
	if (!job)
		return sim_fail("a result of a job that nobody submitted: %s", key->p);
	if (!is_new) {
		if (!is_nx)
			sim_fail("%s: the result changes to %s", job->id, value->p);
		return;
	}
	snprintf(job->result, sizeof job->result, "%s", value->p);
	job->results++;
	if (job->results > 1)
		return sim_fail("%s: a second result: %s", job->id, value->p);
	run = run_of(value->p);
	if (!run && !may_do_without_run(job, value->p))
		return sim_fail(
			"%s: a result without an execution: %s", job->id, value->p);
	if (run && (run->job != job || !run->is_over ||
			   !has_status(value->p, job_status_name(run->status))))
		return sim_fail(
			"%s: a result of another execution: %s", job->id, value->p);
	if (run && run->status == JOB_OK && places(job, entry) > 0 &&
		strcmp(entry, run->entry) != 0 && strcmp(entry, "delayed") != 0)
		job->is_late = true;
	sim_trace("    result of %s%s: %s", job->id, job->is_late ? ", late" : "",
		value->p);
}

static void
on_del(const struct bytes *key)
{
	struct key_parts parts;

	if (split_key(*key, &parts) && bytes_is(parts.kind, "result"))
		sim_fail("a result was deleted: %s", key->p);
}

/* A job that was finished while it was put off is done with. */
static void
check_promotion(const struct bytes *queue, const struct bytes *fields, size_t count)
{
	const struct sim_job *job;
	char entry[ENTRY_ID_BYTES];

	if (count < 2 || !bytes_is(fields[0], "id"))
		return;
	job = jobs_find(*queue, fields[1]);
	if (job && job->results > 0 && places(job, entry) > 0 &&
		!strcmp(entry, "delayed"))
		sim_fail("%s: has a result and is promoted", job->id);
}

static void
on_add(const struct bytes *key, const struct bytes *fields, size_t count)
{
	struct key_parts parts;
	struct sim_job *job;

	if (!split_key(*key, &parts))
		return;
	if (bytes_is(parts.kind, "jobs"))
		return check_promotion(&parts.queue, fields, count);
	if (!bytes_is(parts.kind, "reply") || count != 4)
		return;
	job = jobs_find(parts.queue, fields[1]);
	if (!job || !job->has_reply || ++job->replies > 1)
		sim_fail("%s: a reply too many", fields[1].p);
	else if (strncmp(job->result, fields[3].p, sizeof job->result - 1) != 0)
		sim_fail("%s: the reply is not the result", job->id);
}

/* Retries, and cancelled jobs (0), move the time. */
static void
on_zadd(const struct bytes *key, const struct bytes *member, double score)
{
	struct key_parts parts;
	struct sim_job *job =
		split_key(*key, &parts) ? jobs_find(parts.queue, *member) : NULL;

	if (job)
		job->due_unix_ms = (int64_t)score;
}

static struct node *
node_called(struct bytes consumer)
{
	for (size_t i = 0; i < world.node_count; i++)
		if (bytes_is(consumer, world.nodes[i]->daemon.consumer))
			return world.nodes[i];
	return NULL;
}

/* Does it know that it holds the entry? */
static bool
knows(const struct node *n, struct bytes queue, const char *entry)
{
	const struct queue *q;

	LIST_FOREACH (q, &n->daemon.queues, link)
		if (bytes_is(queue, q->name))
			return flight_find(n->daemon.flight, q, entry) != NULL;
	return false;
}

/* Nobody takes a job from a daemon that could renew it. What never got there with all
 * that it was to bring cannot be renewed. */
static void
on_move(const struct bytes *key, const struct held *held, const struct bytes *owner)
{
	const struct node *n = node_called(held->owner->name);
	struct key_parts parts;
	char entry[ENTRY_ID_BYTES];

	if (!n || !n->is_alive || n->has_stopped || !node_called(*owner) ||
		!split_key(*key, &parts))
		return;
	sid_print(held->id, entry);
	if (knows(n, parts.queue, entry) ? !trouble_explains(n, held->delivered_ms)
					 : !trouble_since(n, held->delivered_ms))
		sim_fail("%s goes from node %d to %s, though nothing had happened to it",
			entry, n->number, owner->p);
}

/* ---- after each step ---- */

static void
check_job(struct sim_job *job)
{
	char entry[ENTRY_ID_BYTES];
	const int n = places(job, entry);
	const struct object *ids = sim_object(job->queue, "ids", NULL, OBJECT_HASH);
	const struct pair *holder =
		model_pair(ids, (struct bytes){job->id, strlen(job->id)});

	if (n > 1)
		return sim_fail("%s: is in %d places", job->id, n);
	if (n > 0 && job->results > 0 && !job->is_late)
		return sim_fail("%s: has a result and is %s", job->id, entry);
	if (holder && n == 0)
		return sim_fail(
			"%s: ids says %s, but it is nowhere", job->id, holder->value.p);
	if (holder && !bytes_is(holder->value, entry))
		return sim_fail(
			"%s: ids says %s, but it is %s", job->id, holder->value.p, entry);
	if (n > 0 && !holder && job->results == 0 && strcmp(entry, job->id) != 0)
		return sim_fail("%s: is %s, but ids does not say so", job->id, entry);
}

static void
check_delayed(const char *queue)
{
	const struct object *delayed = sim_object(queue, "delayed", NULL, OBJECT_ZSET);
	const struct object *bodies = sim_object(queue, "bodies", NULL, OBJECT_HASH);
	const size_t n = delayed ? delayed->count : 0;

	if (n != (bodies ? bodies->count : 0))
		return sim_fail("queue %s: %zu delayed jobs, but %zu bodies", queue, n,
			bodies ? bodies->count : 0);
	for (size_t i = 0; i < n; i++) {
		const struct bytes id = delayed->pairs[i].name;

		if (!model_pair(bodies, id))
			return sim_fail("%s: delayed without a body", id.p);
		if (!sim_object(queue, "state", id.p, OBJECT_HASH))
			return sim_fail("%s: delayed without a state", id.p);
	}
}

static void
check_held(const char *queue)
{
	const struct object *o = sim_object(queue, "jobs", NULL, OBJECT_STREAM);
	const struct group *g = o ? o->stream.group : NULL;

	for (size_t i = 0; g && i < g->held_count; i++) {
		char entry[ENTRY_ID_BYTES];

		sid_print(g->held[i].id, entry);
		if (g->held[i].owner->is_gone)
			return sim_fail("%s is held by a consumer that is gone", entry);
		if (!model_entry(&o->stream, g->held[i].id))
			return sim_fail("%s is held, but deleted", entry);
	}
}

/* May there be this state: of a delayed job, or of one that told of its progress? */
static bool
is_fit_state(const struct object *state, const struct sim_job *job, struct bytes id)
{
	if (!job || model_pair(state, (struct bytes){"percent", 7}))
		return job && (job->results == 0 || job->is_late);
	return model_pair(sim_object(job->queue, "delayed", NULL, OBJECT_ZSET), id);
}

static void
check_states(void)
{
	struct key_parts key;

	for (const struct object *o = model.objects; o < model.objects + model.count; o++)
		if (split_key(o->key, &key) && bytes_is(key.kind, "state") &&
			!is_fit_state(o, jobs_find(key.queue, key.name), key.name))
			sim_fail("%s: has a state, but is over", key.name.p);
}

void
check_state(void)
{
	for (size_t i = 0; i < jobs.count; i++)
		check_job(&jobs.all[i]);
	for (size_t i = 0; i < world.queue_count; i++) {
		check_delayed(world.queues[i]);
		check_held(world.queues[i]);
	}
	check_states();
}

/* One of the entries that it holds; NULL: none. */
static const struct held *
first_held(const struct node *n, const char *queue)
{
	const struct object *o = sim_object(queue, "jobs", NULL, OBJECT_STREAM);
	const struct group *g = o ? o->stream.group : NULL;

	for (size_t i = 0; g && i < g->held_count; i++)
		if (bytes_is(g->held[i].owner->name, n->daemon.consumer))
			return &g->held[i];
	return NULL;
}

/* A stop leaves nothing to be reclaimed, unless it could not tell: then it has tried for
 * a while, if nobody was in a hurry. */
void
check_left(const struct node *n)
{
	const bool is_sure = n->daemon.drain.is_sure;
	char entry[ENTRY_ID_BYTES];

	if (!is_sure && !n->is_hurried && !trouble_since(n, world.now_ms - GIVE_UP_MS))
		sim_fail("node %d: gives up, though Redis is there", n->number);
	for (size_t i = 0; i < world.queue_count; i++) {
		const struct held *h = first_held(n, world.queues[i]);

		if (!h || !is_sure)
			continue;
		sid_print(h->id, entry);
		sim_fail("node %d: has stopped, and holds %s", n->number, entry);
	}
}

/* ---- at the end ---- */

static STINT_PRINTF(1, 2) const char *left(const char *fmt, ...)
{
	static char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return text;
}

static bool
is_empty_at_end(const struct object *o)
{
	const struct group *g = o->stream.group;
	struct key_parts parts;

	if (!split_key(o->key, &parts))
		return true;
	if (bytes_is(parts.kind, "state")) /* one of a job that ended late has a TTL */
		return is_fit_state(o, jobs_find(parts.queue, parts.name), parts.name);
	if (bytes_is(parts.kind, "ids") || bytes_is(parts.kind, "delayed") ||
		bytes_is(parts.kind, "bodies"))
		return false;
	return !bytes_is(parts.kind, "jobs") ||
	       (o->stream.count == 0 && (!g || g->held_count == 0));
}

/* What is still to be done; NULL: nothing. */
static const char *
what_is_left(void)
{
	for (size_t i = 0; i < jobs.count; i++) {
		const struct sim_job *job = &jobs.all[i];

		if (job->is_lost)
			continue; /* what was executed of it may count, or not */
		if (job->results != 1 || job->replies != (job->has_reply ? 1 : 0))
			return left("%s: %d results, %d replies", job->id, job->results,
				job->replies);
	}
	for (size_t i = 0; i < model.count; i++)
		if (!is_empty_at_end(&model.objects[i]))
			return left("%s is not empty", model.objects[i].key.p);
	for (size_t i = 0; i < world.node_count; i++) {
		const struct node *n = world.nodes[i];

		if (n->is_alive && (flight_count(n->daemon.flight) > 0 ||
					   commit_pending_count(n->daemon.commit) > 0))
			return left("node %d has jobs in flight", n->number);
	}
	return NULL;
}

bool
check_is_settled(void)
{
	return what_is_left() == NULL;
}

void
check_end(void)
{
	const char *left = what_is_left();

	if (left)
		sim_fail("never settles: %s", left);
}

void
check_begin(void)
{
	model.on_set = on_set;
	model.on_del = on_del;
	model.on_add = on_add;
	model.on_zadd = on_zadd;
	model.on_move = on_move;
}
