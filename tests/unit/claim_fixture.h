/*
 * claim_fixture.h - the daemon around claim.c, for its tests: what it has room for, and
 * what it got
 */
#ifndef TESTS_CLAIM_FIXTURE_H
#define TESTS_CLAIM_FIXTURE_H

#include "daemon/queue/claim.h"
#include "daemon/queue/identity.h"
#include "lib/wire/keys.h"
#include "tests/unit/held_fixture.h"

enum { LEASE_MS = 30000, THIRD_MS = LEASE_MS / 3, SCAN_MS = 1500, MINUTE_MS = 60000 };

struct me {
	struct held *held;
	struct redis_scripts *scripts;
	struct redis_conn *conn;
	struct claim *claim;
	size_t credit;
	bool keeps_credit;
	struct buf jobs; /* "a/1-1 x2 " for each: queue, entry, deliveries */
	size_t job_count;
	int64_t leased_at_ms; /* of the last one */
	size_t page_jobs_max;
	size_t page_jobs;
	const char *known; /* an entry id */
	int lost_reply_count;
	int noscript_count;
	int64_t wake_at_ms;
};

static char my_name[IDENTITY_BYTES];
static char live_name[IDENTITY_BYTES]; /* of a process that runs */
static char gone_name[IDENTITY_BYTES]; /* of one that does not */

static inline size_t
my_credit(void *arg)
{
	return ((struct me *)arg)->credit;
}

static inline bool
my_is_known(void *arg, const struct queue *q, const char *entry_id)
{
	struct me *me = arg;

	(void)q;
	return me->known && !strcmp(me->known, entry_id);
}

static inline void
my_on_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	struct me *me = arg;

	buf_fmt(&me->jobs, "%s/%s x%d ", q->name, job->entry_id, job->deliveries);
	me->job_count++;
	me->page_jobs++;
	me->leased_at_ms = leased_at_ms;
	if (!me->keeps_credit)
		me->credit--;
	free(job);
}

static inline void
my_on_read(void *arg)
{
	struct me *me = arg;

	/* the daemon asks everyone what may be done now */
	assert_false(claim_is_reading(me->claim));
	claim_poke(me->claim);
	if (me->page_jobs > me->page_jobs_max)
		me->page_jobs_max = me->page_jobs;
	me->page_jobs = 0;
}

static inline void
my_on_lost_reply(void *arg)
{
	((struct me *)arg)->lost_reply_count++;
}

static inline void
my_on_noscript(void *arg)
{
	struct me *me = arg;

	assert_false(me->scripts->is_loaded);
	me->noscript_count++;
}

static inline void
my_wake_at(void *arg, int64_t at_ms)
{
	struct me *me = arg;

	if (at_ms < me->wake_at_ms)
		me->wake_at_ms = at_ms;
}

static const struct claim_ops my_ops = {
	.credit = my_credit,
	.is_known = my_is_known,
	.on_job = my_on_job,
	.on_read = my_on_read,
	.on_lost_reply = my_on_lost_reply,
	.on_noscript = my_on_noscript,
	.wake_at = my_wake_at,
};

static inline void
begin_with(struct me *me, struct held *h, struct redis_scripts *scripts, int64_t lease_ms)
{
	const struct claim_opts opts = {.conn = h->client.conn,
		.scripts = scripts,
		.consumer = my_name,
		.lease_ms = lease_ms,
		.seed = 7,
		.ops = &my_ops,
		.arg = me};

	*me = (struct me){.held = h,
		.scripts = scripts,
		.conn = h->client.conn,
		.credit = 100,
		.wake_at_ms = STINT_NEVER};
	assert_int_equal(claim_new(&opts, &me->claim), 0);
}

static inline void
begin(struct me *me, void **state)
{
	struct held *h = *state;

	begin_with(me, h, &h->scripts, LEASE_MS);
}

static inline void
end(struct me *me)
{
	RUN_UNTIL(me->held->client.base, redis_conn_waiting_count(me->conn) == 0);
	claim_free(me->claim);
	buf_fini(&me->jobs);
}

static inline bool
is_busy(const struct me *me)
{
	return redis_conn_waiting_count(me->conn) > 0;
}

/* Everything that may be done now is done. */
static inline void
finish(struct me *me)
{
	me->wake_at_ms = STINT_NEVER;
	claim_poke(me->claim);
	RUN_UNTIL(me->held->client.base, !is_busy(me));
}

/* The same, from the start. */
static inline void
start(struct me *me, struct queue *const *queues, size_t count)
{
	claim_set_queues(me->claim, queues, count);
	claim_on_up(me->claim);
	finish(me);
}

#define assert_jobs(me, expected)                                                        \
	do {                                                                             \
		assert_string_equal(buf_cstr(&(me)->jobs), expected);                    \
		buf_reset(&(me)->jobs, SIZE_MAX);                                        \
	} while (0)

static inline const char *
owner_is(const char *name, int deliveries)
{
	static char text[256];

	snprintf(text, sizeof text, "%s %d", name, deliveries);
	return text;
}

static inline bool
has_consumer(struct held *h, struct queue *q, const char *name)
{
	held_say(h, "XINFO", "CONSUMERS", buf_cstr(&q->jobs_key), KEYS_GROUP);
	return strstr(buf_cstr(&h->said.text), name);
}

static inline int
open_names(void **state)
{
	const pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		pause();
	identity_make(my_name, "web", getpid());
	identity_make(live_name, "web", getppid());
	identity_make(gone_name, "web", child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return held_open(state);
}

#endif
