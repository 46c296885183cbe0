/*
 * Delayed jobs come back when they are due: against a real Redis, and where the order of
 * questions and answers counts, against a scripted one.
 */
#include "daemon/queue/delayed.h"
#include "lib/wire/keys.h"
#include "tests/unit/held_fixture.h"

enum { LEASE_MS = 30000, CROWD = 250, SOON_MS = 60, LATER_MS = 5000 };

struct me {
	struct event_base *base;
	struct delayed *delayed;
	int noscripts;
	int64_t wake_at_ms; /* the earliest that was asked for; 0: none */
};

static void
my_on_noscript(void *arg)
{
	((struct me *)arg)->noscripts++;
}

static void
my_wake_at(void *arg, int64_t at_ms)
{
	struct me *me = arg;

	if (me->wake_at_ms == 0 || at_ms < me->wake_at_ms)
		me->wake_at_ms = at_ms;
}

static const struct delayed_ops my_ops = {
	.on_noscript = my_on_noscript, .wake_at = my_wake_at};

static void
me_init(struct me *me, struct client *client, struct redis_scripts *scripts)
{
	*me = (struct me){.base = client->base};
	assert_int_equal(delayed_new(&(struct delayed_opts){.conn = client->conn,
					     .scripts = scripts,
					     .lease_ms = LEASE_MS,
					     .seed = 1,
					     .ops = &my_ops,
					     .arg = me},
				 &me->delayed),
		0);
}

/* ---- against a real one ---- */

/* A job in the delayed set, due in @in_ms by Redis' clock. */
static void
put_off(struct held *h, const char *queue, const char *id, int in_ms)
{
	static const char script[] =
		"local t = redis.call('TIME') "
		"redis.call('ZADD', KEYS[1], t[1] * 1000 + math.floor(t[2] / 1000) + "
		"ARGV[2], ARGV[1]) "
		"redis.call('HSET', KEYS[2], ARGV[1], "
		"cmsgpack.pack({'handler', 'h', 'id', ARGV[1]}))";
	char delayed[64], bodies[64], ms[16];

	snprintf(delayed, sizeof delayed, "stint:{%s}:delayed", queue);
	snprintf(bodies, sizeof bodies, "stint:{%s}:bodies", queue);
	snprintf(ms, sizeof ms, "%d", in_ms);
	held_say(h, "EVAL", script, "2", delayed, bodies, id, ms);
}

/* How many jobs stand in a queue's stream. */
static long
moved_count(struct held *h, const char *queue)
{
	char jobs[64];

	snprintf(jobs, sizeof jobs, "stint:{%s}:jobs", queue);
	return atol(held_say(h, "XLEN", jobs));
}

static long
script_calls(struct held *h)
{
	const char *calls = strstr(held_say(h, "INFO", "commandstats"), "evalsha:calls=");

	return calls ? atol(calls + strlen("evalsha:calls=")) : 0;
}

/* Until there is nothing to do but to wait. */
static void
run_until_waiting(struct me *me)
{
	me->wake_at_ms = 0;
	delayed_poke(me->delayed);
	RUN_UNTIL(me->base, me->wake_at_ms > 0);
}

static void
jobs_that_are_due_are_moved_at_once_when_redis_is_up(void **state)
{
	struct held *h = *state;
	struct queue *queues[] = {held_queue(h, "a"), held_queue(h, "b")};
	struct me me;

	put_off(h, "a", "x", -1);
	put_off(h, "a", "y", 0);
	put_off(h, "b", "x", -1000);
	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, queues, 2);
	delayed_on_up(me.delayed);
	run_until_waiting(&me);
	assert_int_equal(moved_count(h, "a"), 2);
	assert_int_equal(moved_count(h, "b"), 1);
	delayed_free(me.delayed);
}

static void
the_wake_up_is_at_the_next_due_time(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	put_off(h, "a", "later", LATER_MS);
	put_off(h, "a", "due", 0);
	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, &q, 1);
	run_until_waiting(&me);
	/* our clock stands still, Redis' has gone on since */
	assert_true(me.wake_at_ms <= h->now_ms + LATER_MS);
	assert_true(me.wake_at_ms > h->now_ms + LATER_MS - 2000);
	assert_int_equal(moved_count(h, "a"), 1);
	delayed_free(me.delayed);
}

static void
a_job_is_moved_when_it_is_due_without_polling(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	stint_clock_reset();
	held_say(h, "CONFIG", "RESETSTAT");
	put_off(h, "a", "x", SOON_MS);
	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, &q, 1);
	run_until_waiting(&me);
	while (moved_count(h, "a") == 0 && script_calls(h) < 10) {
		RUN_UNTIL(me.base, stint_now_ms() >= me.wake_at_ms);
		run_until_waiting(&me);
	}
	assert_int_equal(moved_count(h, "a"), 1);
	/* not due yet; due; moved; and one more when the clocks differ by a millisecond
	 */
	assert_in_range(script_calls(h), 3, 5);
	delayed_free(me.delayed);
}

static void
a_crowd_is_moved_in_batches(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	char id[16];
	struct me me;

	for (int i = 0; i < CROWD; i++) {
		snprintf(id, sizeof id, "job-%d", i);
		put_off(h, "a", id, -1);
	}
	held_say(h, "CONFIG", "RESETSTAT");
	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, &q, 1);
	run_until_waiting(&me);
	assert_int_equal(moved_count(h, "a"), CROWD);
	assert_int_equal(script_calls(h), 2 * 3);
	delayed_free(me.delayed);
}

static void
without_delayed_jobs_a_queue_is_asked_once_in_a_lease(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, &q, 1);
	for (int i = 0; i < 5; i++) {
		run_until_waiting(&me);
		assert_in_range(me.wake_at_ms - h->now_ms, LEASE_MS / 2, LEASE_MS);
		held_move_clock(h, me.wake_at_ms - h->now_ms);
	}
	/* what a daemon that has died knew of */
	put_off(h, "a", "x", 0);
	run_until_waiting(&me);
	assert_int_equal(moved_count(h, "a"), 1);
	delayed_free(me.delayed);
}

static void
nothing_is_moved_while_the_daemon_drains(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	put_off(h, "a", "x", 0);
	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, &q, 1);
	delayed_pause(me.delayed, true);
	delayed_on_up(me.delayed);
	settle_loop(me.base);
	assert_int_equal(moved_count(h, "a"), 0);
	delayed_pause(me.delayed, false);
	run_until_waiting(&me);
	assert_int_equal(moved_count(h, "a"), 1);
	delayed_free(me.delayed);
}

static void
forgotten_scripts_are_told_and_the_queue_is_asked_again(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	put_off(h, "a", "x", 0);
	held_say(h, "SCRIPT", "FLUSH");
	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, &q, 1);
	delayed_poke(me.delayed);
	RUN_UNTIL(me.base, me.noscripts == 1);
	assert_false(h->scripts.is_loaded);
	held_load_scripts(h);
	run_until_waiting(&me);
	assert_int_equal(moved_count(h, "a"), 1);
	delayed_free(me.delayed);
}

static void
a_queue_that_cannot_be_asked_does_not_hold_up_the_others(void **state)
{
	struct held *h = *state;
	struct queue *queues[] = {held_queue(h, "bad"), held_queue(h, "good")};
	struct me me;

	held_say(h, "SET", "stint:{bad}:delayed", "no set");
	put_off(h, "good", "x", 0);
	me_init(&me, &h->client, &h->scripts);
	delayed_set_queues(me.delayed, queues, 2);
	run_until_waiting(&me);
	assert_int_equal(moved_count(h, "good"), 1);
	assert_true(me.wake_at_ms > h->now_ms);
	held_say(h, "DEL", "stint:{bad}:delayed");
	put_off(h, "bad", "x", 0);
	held_move_clock(h, me.wake_at_ms - h->now_ms);
	run_until_waiting(&me);
	assert_int_equal(moved_count(h, "bad"), 1);
	delayed_free(me.delayed);
}

/* ---- against a scripted one ---- */

struct scripted {
	struct client client;
	struct fake fake;
	struct queue_list list;
	struct redis_scripts scripts;
	struct queue *a;
	struct queue *b;
	struct me me;
};

static void
scripted_open(struct scripted *s, size_t queues)
{
	*s = (struct scripted){.scripts = {.is_loaded = true}};
	strcpy(s->scripts.hash[SCRIPT_DUE], "DUE");
	strcpy(s->scripts.hash[SCRIPT_PROMOTE], "PROMOTE");
	stint_clock_set(START_MS, START_MS);
	client_at_fake(&s->client, &s->fake);
	LIST_INIT(&s->list);
	s->a = queue_get(&s->list, "stint", "a");
	s->b = queue_get(&s->list, "stint", "b");
	assert_true(s->a && s->b);
	me_init(&s->me, &s->client, &s->scripts);
	delayed_set_queues(s->me.delayed, (struct queue *[]){s->a, s->b}, queues);
	delayed_on_up(s->me.delayed);
}

static void
scripted_close(struct scripted *s)
{
	fake_close(&s->fake);
	client_fini(&s->client);
	queue_list_fini(&s->list);
	delayed_free(s->me.delayed);
	stint_clock_reset();
}

/* Wait for a question with this word in it, and answer. */
#define ASKED(s, word)                                                                   \
	do {                                                                             \
		RUN_UNTIL((s)->client.base, strstr(buf_cstr(&(s)->fake.heard), word));   \
		buf_reset(&(s)->fake.heard, SIZE_MAX);                                   \
	} while (0)

#define ONE_IS_DUE   "*2\r\n:-1\r\n$1\r\nx\r\n"
#define MORE_ARE_DUE "*2\r\n:0\r\n$1\r\nx\r\n"

static void
the_queues_take_turns_batch_by_batch(void **state)
{
	struct scripted s;

	(void)state;
	scripted_open(&s, 2);
	for (int i = 0; i < 3; i++) {
		ASKED(&s, "{a}:delayed");
		fake_text(&s.fake, MORE_ARE_DUE);
		ASKED(&s, "{a}:result:x");
		fake_text(&s.fake, "*1\r\n:1\r\n");
		ASKED(&s, "{b}:delayed");
		fake_text(&s.fake, MORE_ARE_DUE);
		ASKED(&s, "{b}:state:x");
		fake_text(&s.fake, "*1\r\n:1\r\n");
	}
	scripted_close(&s);
}

static void
what_is_noted_while_a_question_is_on_its_way_counts(void **state)
{
	struct scripted s;

	(void)state;
	scripted_open(&s, 1);
	ASKED(&s, "DUE");
	delayed_note_due(s.me.delayed, s.a, 0);
	delayed_poke(s.me.delayed);
	fake_text(&s.fake, "*1\r\n:-1\r\n");
	ASKED(&s, "DUE");
	fake_text(&s.fake, "*1\r\n:7000\r\n");
	RUN_UNTIL(s.client.base, s.me.wake_at_ms == START_MS + 7000);
	scripted_close(&s);
}

static void
only_an_earlier_time_changes_the_timer(void **state)
{
	struct scripted s;

	(void)state;
	scripted_open(&s, 1);
	ASKED(&s, "DUE");
	fake_text(&s.fake, "*1\r\n:7000\r\n");
	RUN_UNTIL(s.client.base, s.me.wake_at_ms == START_MS + 7000);
	delayed_note_due(s.me.delayed, s.a, -1);
	delayed_note_due(s.me.delayed, s.a, 8000);
	delayed_note_due(s.me.delayed, s.b, 1); /* not looked after */
	s.me.wake_at_ms = 0;
	delayed_poke(s.me.delayed);
	assert_int_equal(s.me.wake_at_ms, START_MS + 7000);
	delayed_note_due(s.me.delayed, s.a, 10);
	delayed_poke(s.me.delayed);
	assert_int_equal(s.me.wake_at_ms, START_MS + 10);
	stint_clock_set(START_MS + 10, START_MS + 10);
	delayed_poke(s.me.delayed);
	ASKED(&s, "DUE");
	scripted_close(&s);
}

static void
jobs_that_cannot_be_moved_do_not_keep_it_busy(void **state)
{
	struct scripted s;
	int64_t now = START_MS;

	(void)state;
	scripted_open(&s, 1);
	for (int i = 0; i < 10; i++) {
		ASKED(&s, "DUE");
		s.me.wake_at_ms = 0;
		fake_text(&s.fake, MORE_ARE_DUE);
		ASKED(&s, "PROMOTE");
		fake_text(&s.fake, "*1\r\n:0\r\n");
		RUN_UNTIL(s.client.base, s.me.wake_at_ms > 0);
		assert_true(s.me.wake_at_ms > now);
		now = s.me.wake_at_ms;
		stint_clock_set(now, now);
		delayed_poke(s.me.delayed);
	}
	scripted_close(&s);
}

static void
a_lost_answer_is_asked_for_again(void **state)
{
	static const char *const lost_at[] = {"DUE", "PROMOTE"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lost_at); i++) {
		struct scripted s;

		scripted_open(&s, 1);
		if (i > 0) {
			ASKED(&s, "DUE");
			fake_text(&s.fake, ONE_IS_DUE);
		}
		ASKED(&s, lost_at[i]);
		fake_hang_up(&s.fake);
		stint_clock_reset(); /* to reconnect */
		RUN_UNTIL(s.client.base, s.client.up_count == 2);
		delayed_on_up(s.me.delayed);
		ASKED(&s, "DUE");
		scripted_close(&s);
	}
}

static void
answers_that_make_no_sense_are_asked_for_again_later(void **state)
{
	static const char *const answers[] = {"*0\r\n", "+OK\r\n", "*1\r\n$1\r\n1\r\n",
		"*2\r\n:0\r\n:1\r\n", "$-1\r\n", "-LOADING it loads\r\n"};
	struct scripted s;

	(void)state;
	scripted_open(&s, 1);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		ASKED(&s, "DUE");
		s.me.wake_at_ms = 0;
		fake_text(&s.fake, answers[i]);
		RUN_UNTIL(s.client.base, s.me.wake_at_ms > stint_now_ms());
		stint_clock_set(s.me.wake_at_ms, s.me.wake_at_ms);
		delayed_poke(s.me.delayed);
	}
	scripted_close(&s);
}

static void
a_queue_may_be_dropped_while_it_is_asked(void **state)
{
	struct scripted s;

	(void)state;
	scripted_open(&s, 1);
	ASKED(&s, "{a}:delayed");
	delayed_set_queues(s.me.delayed, &s.b, 1);
	fake_text(&s.fake, ONE_IS_DUE);
	ASKED(&s, "{b}:delayed");
	scripted_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(jobs_that_are_due_are_moved_at_once_when_redis_is_up),
		HELD_TEST(the_wake_up_is_at_the_next_due_time),
		HELD_TEST(a_job_is_moved_when_it_is_due_without_polling),
		HELD_TEST(a_crowd_is_moved_in_batches),
		HELD_TEST(without_delayed_jobs_a_queue_is_asked_once_in_a_lease),
		HELD_TEST(nothing_is_moved_while_the_daemon_drains),
		HELD_TEST(forgotten_scripts_are_told_and_the_queue_is_asked_again),
		HELD_TEST(a_queue_that_cannot_be_asked_does_not_hold_up_the_others),
		cmocka_unit_test(the_queues_take_turns_batch_by_batch),
		cmocka_unit_test(what_is_noted_while_a_question_is_on_its_way_counts),
		cmocka_unit_test(only_an_earlier_time_changes_the_timer),
		cmocka_unit_test(jobs_that_cannot_be_moved_do_not_keep_it_busy),
		cmocka_unit_test(a_lost_answer_is_asked_for_again),
		cmocka_unit_test(answers_that_make_no_sense_are_asked_for_again_later),
		cmocka_unit_test(a_queue_may_be_dropped_while_it_is_asked),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, held_open, held_close);
}
