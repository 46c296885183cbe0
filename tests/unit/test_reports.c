/*
 * test_reports.c - progress of running jobs on its way into a real Redis
 */
#include "daemon/queue/reports.h"
#include "daemon/queue/attempt.h"
#include "lib/wire/keys.h"
#include "tests/unit/held_fixture.h"

enum { LEASE_MS = 30000 };

/* The daemon around it. */
struct me {
	struct held *held;
	struct config *config;
	struct reports *reports;
	int listen_count;
	int noscript_count;
	int64_t wake_at_ms;
};

static void
on_listen(void *arg)
{
	((struct me *)arg)->listen_count++;
}

static void
on_noscript(void *arg)
{
	((struct me *)arg)->noscript_count++;
}

static void
wake_at(void *arg, int64_t at_ms)
{
	((struct me *)arg)->wake_at_ms = at_ms;
}

static const struct reports_ops ops = {
	.listen = on_listen, .on_noscript = on_noscript, .wake_at = wake_at};

static void
begin(struct me *me, struct held *h)
{
	const struct reports_opts opts = {.conn = h->client.conn,
		.scripts = &h->scripts,
		.consumer = "me",
		.queues = &h->queues,
		.lease_ms = LEASE_MS,
		.ops = &ops,
		.arg = me};
	struct buf faults = {0};

	*me = (struct me){.held = h};
	assert_int_equal(config_load(NULL,
				 "handlers: { h: { command: [x], timeout: 10s, "
				 "kill_grace: 2s } }",
				 &me->config, &faults),
		0);
	assert_int_equal(reports_new(&opts, &me->reports), 0);
}

/* A job that this daemon has read and runs. */
static struct attempt *
run(struct me *me, struct queue *q, const char *entry_id)
{
	const struct bytes fields[] = {{"handler", 7}, {"h", 1}};
	struct job *job = job_new(entry_id, fields, 2);
	struct attempt *a = attempt_new(job, q, me->config);

	assert_non_null(a);
	held_give(me->held, q, entry_id, "p", "me");
	a->slot = 0;
	HASH_ADD_KEYPTR(by_entry, q->held, a->job->entry_id, strlen(entry_id), a);
	return a;
}

/* With one job, 1-1, in the queue "q". */
static struct attempt *
begin_with_one(struct me *me, struct held *h)
{
	begin(me, h);
	return run(me, held_queue(h, "q"), "1-1");
}

static void
end(struct me *me)
{
	struct attempt *a, *next;
	struct queue *q;

	LIST_FOREACH (q, &me->held->queues, link) {
		HASH_ITER (by_entry, q->held, a, next) {
			HASH_DELETE(by_entry, q->held, a);
			attempt_free(a);
		}
	}
	reports_free(me->reports);
	config_unref(me->config);
}

static void
tell(struct attempt *a, int percent, const char *note)
{
	struct progress p = {.percent = percent};

	snprintf(p.note, sizeof p.note, "%s", note);
	attempt_report(a, &p);
}

static void
settle(struct me *me)
{
	RUN_UNTIL(me->held->client.base,
		redis_conn_waiting_count(me->held->client.conn) == 0);
}

/* Some have told: as from the loop, until it is written. */
static void
note(struct me *me)
{
	reports_note(me->reports);
	settle(me);
}

/* "50 half", "nil nil" */
static const char *
told(struct me *me, const char *queue, const char *id)
{
	char key[64];

	snprintf(key, sizeof key, "stint:{%s}:state:%s", queue, id);
	return held_say(me->held, "HMGET", key, "percent", "note");
}

#define assert_told(me, queue, id, expected)                                             \
	assert_string_equal(told(me, queue, id), expected)

static void
the_newest_of_each_is_written_in_one_batch(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "q"), *r = held_queue(h, "r");
	struct attempt *a, *b, *quiet;
	struct me me;

	begin(&me, h);
	a = run(&me, q, "1-1");
	b = run(&me, r, "1-2");
	quiet = run(&me, q, "1-3");
	tell(a, 1, "first");
	tell(a, 2, "second");
	tell(b, 3, "");
	note(&me);
	assert_told(&me, "q", "1-1", "[\"2\" \"second\"]");
	assert_told(&me, "r", "1-2", "[\"3\" \"\"]");
	assert_told(&me, "q", "1-3", "[nil nil]");
	assert_int_equal(me.listen_count, 1);
	assert_true(attempt_may_have_state(a));
	assert_false(attempt_may_have_state(quiet));
	assert_string_equal(
		held_say(h, "HGET", "stint:{q}:state:1-1", "consumer"), "\"me\"");
	end(&me);
}

static void
it_goes_by_itself_when_no_attempt_can_last_longer(void **state)
{
	struct held *h = *state;
	struct me me;

	tell(begin_with_one(&me, h), 1, "");
	note(&me);
	assert_in_range(atol(held_say(h, "PTTL", "stint:{q}:state:1-1")),
		10000 + 2000 + LEASE_MS - PATIENCE_MS, 10000 + 2000 + LEASE_MS);
	end(&me);
}

static void
the_next_batch_waits_for_its_time(void **state)
{
	struct held *h = *state;
	struct me me;
	struct attempt *a = begin_with_one(&me, h);

	tell(a, 1, "");
	note(&me);
	assert_int_equal(me.wake_at_ms, 0);
	tell(a, 2, "");
	note(&me);
	assert_told(&me, "q", "1-1", "[\"1\" \"\"]");
	assert_int_equal(me.wake_at_ms, START_MS + REPORTS_EVERY_MS);
	assert_int_equal(me.listen_count, 1); /* nobody is told in the meantime */
	tell(a, 3, "");
	held_move_clock(h, REPORTS_EVERY_MS);
	reports_poke(me.reports);
	settle(&me);
	assert_told(&me, "q", "1-1", "[\"3\" \"\"]");
	/* what has not changed is not written again */
	held_move_clock(h, REPORTS_EVERY_MS);
	held_say(h, "DEL", "stint:{q}:state:1-1");
	note(&me);
	assert_told(&me, "q", "1-1", "[nil nil]");
	end(&me);
}

static void
more_than_one_call_takes_are_written_as_well(void **state)
{
	enum { COUNT = 300 };
	struct held *h = *state;
	struct queue *q = held_queue(h, "q");
	char id[16];
	struct me me;

	begin(&me, h);
	for (int i = 0; i < COUNT; i++) {
		snprintf(id, sizeof id, "1-%d", i + 1);
		tell(run(&me, q, id), i % PROGRESS_MAX, id);
	}
	note(&me);
	for (int i = 0; i < COUNT; i++) {
		char expected[32];

		snprintf(id, sizeof id, "1-%d", i + 1);
		snprintf(expected, sizeof expected, "[\"%d\" \"%s\"]", i % PROGRESS_MAX,
			id);
		assert_told(&me, "q", id, expected);
	}
	end(&me);
}

static void
of_what_has_ended_or_is_lost_nothing_is_written(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "q");
	struct attempt *ended, *lost, *taken;
	struct me me;

	begin(&me, h);
	ended = run(&me, q, "1-1");
	lost = run(&me, q, "1-2");
	taken = run(&me, q, "1-3");
	tell(ended, 1, "");
	tell(lost, 1, "");
	tell(taken, 1, "");
	ended->slot = ATTEMPT_ENDED;
	lost->is_lost = true;
	held_age(h, q, "1-3", "other", "0"); /* that is not known here yet */
	note(&me);
	assert_told(&me, "q", "1-1", "[nil nil]");
	assert_told(&me, "q", "1-2", "[nil nil]");
	assert_told(&me, "q", "1-3", "[nil nil]");
	end(&me);
}

static void
what_could_not_be_written_is_written_later(void **state)
{
	struct held *h = *state;
	struct me me;
	struct attempt *a = begin_with_one(&me, h);

	held_say(h, "SCRIPT", "FLUSH");
	tell(a, 1, "");
	note(&me);
	assert_int_equal(me.noscript_count, 1);
	assert_false(h->scripts.is_loaded);
	held_move_clock(h, REPORTS_EVERY_MS);
	reports_poke(me.reports); /* not before they are loaded */
	assert_int_equal(redis_conn_waiting_count(h->client.conn), 0);
	held_load_scripts(h);
	reports_on_up(me.reports);
	settle(&me);
	assert_told(&me, "q", "1-1", "[\"1\" \"\"]");
	end(&me);
}

static void
a_refusal_is_told_once_and_the_newest_is_kept(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "q"), *bad = held_queue(h, "bad");
	struct attempt *a, *b;
	struct me me;

	begin(&me, h);
	a = run(&me, q, "1-1");
	b = run(&me, bad, "1-2");
	held_say(h, "CONFIG", "SET", "maxmemory", "1");
	tell(a, 1, "");
	tell(b, 1, "");
	note(&me);
	for (int i = 2; i < 5; i++) {
		held_move_clock(h, LEASE_MS);
		tell(a, i, "");
		note(&me);
	}
	held_say(h, "CONFIG", "SET", "maxmemory", "0");
	assert_told(&me, "q", "1-1", "[nil nil]");
	held_move_clock(h, LEASE_MS);
	reports_poke(me.reports);
	settle(&me);
	assert_told(&me, "q", "1-1", "[\"4\" \"\"]");
	assert_told(&me, "bad", "1-2", "[\"1\" \"\"]");
	end(&me);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(the_newest_of_each_is_written_in_one_batch),
		HELD_TEST(it_goes_by_itself_when_no_attempt_can_last_longer),
		HELD_TEST(the_next_batch_waits_for_its_time),
		HELD_TEST(more_than_one_call_takes_are_written_as_well),
		HELD_TEST(of_what_has_ended_or_is_lost_nothing_is_written),
		HELD_TEST(what_could_not_be_written_is_written_later),
		HELD_TEST(a_refusal_is_told_once_and_the_newest_is_kept),
	};

	return cmocka_run_group_tests(tests, held_open, held_close);
}
