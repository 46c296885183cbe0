/*
 * What a cancel does to jobs that wait, and what becomes of old messages.
 */
#include "tests/unit/control_fixture.h"

enum { LONG_LIST = 250 };

static void
begin(struct me *me, struct held *h, struct queue *q)
{
	me_init(me, h, h->server.path, LEASE_MS);
	me_start(me, &q, 1);
	WAIT(me, me->readies == 1);
}

/* A job in the delayed set of queue a, due in a century or two. */
static void
put_off(struct held *h, const char *id, const char *submitted)
{
	static const char script[] =
		"redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({'handler', 'h', "
		"'id', ARGV[1], 'stint-submitted', ARGV[2]}))";

	held_say(h, "ZADD", "stint:{a}:delayed", "9000000000000", id);
	held_say(h, "EVAL", script, "1", "stint:{a}:bodies", id, submitted);
}

static void
a_job_that_waits_is_pulled_out_of_its_turn(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	held_say(h, "XADD", "stint:{a}:jobs", "5-1", "handler", "h");
	held_say(h, "XADD", "stint:{a}:jobs", "5-2", "handler", "h");
	begin(&me, h, q);
	say_control(h, "*", "command", "cancel", "id", "5-2");
	WAIT(&me, me.jobs == 1);
	assert_string_equal(me.pulled, "5-2");
	assert_string_equal(held_owner(h, q, "5-2"), "me 1");
	assert_true(me.leased_at_ms > 0 && me.leased_at_ms <= stint_now_ms());
	end(&me);
}

/* Entry 6-1 is a copy of job @id. */
static void
copy_waits(struct held *h, const char *id, const char *submitted)
{
	held_say(h, "XADD", "stint:{a}:jobs", "6-1", "id", id, "stint-submitted",
		submitted, "handler", "h");
	held_say(h, "HSET", "stint:{a}:ids", id, "6-1");
}

static void
a_copy_that_waits_is_pulled_by_the_id_of_its_job(void **state)
{
	static const char *const ids[] = {"mine", "5-1"};

	for (size_t i = 0; i < 2; i++) {
		struct held *h = *state;
		struct queue *q = held_queue(h, "a");
		struct me me;

		copy_waits(h, ids[i], "5");
		begin(&me, h, q);
		say_control(h, "*", "command", "cancel", "id", ids[i]);
		WAIT(&me, me.jobs == 1);
		assert_string_equal(me.pulled, "6-1");
		assert_string_equal(held_owner(h, q, "6-1"), "me 1");
		end(&me);
		held_say(h, "FLUSHALL");
	}
}

static void
a_copy_of_a_later_job_of_the_same_id_is_left_alone(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	say_control(h, "5000-1", "command", "cancel", "id", "mine");
	say_control(h, "5000-2", "command", "cancel", "id", "5-1");
	copy_waits(h, "mine", "5001");
	held_say(h, "XADD", "stint:{a}:jobs", "7-1", "handler", "h");
	begin(&me, h, q);
	say_control(h, "*", "command", "cancel", "id", "7-1");
	WAIT(&me, me.jobs == 1);
	assert_string_equal(me.pulled, "7-1");
	end(&me);
}

static void
a_job_that_somebody_holds_or_that_is_unknown_is_left_alone(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	held_give(h, q, "5-1", "", "other");
	held_say(h, "XADD", "stint:{a}:jobs", "5-2", "handler", "h");
	begin(&me, h, q);
	say_control(h, "*", "command", "cancel", "id", "5-1");
	say_control(h, "*", "command", "cancel", "id", "4-1");
	say_control(h, "*", "command", "cancel", "id", "no-entry");
	say_control(h, "*", "command", "cancel", "id", "5-2");
	WAIT(&me, me.jobs == 1);
	assert_string_equal(me.pulled, "5-2");
	assert_string_equal(held_owner(h, q, "5-1"), "other 1");
	end(&me);
}

static void
a_queue_that_was_never_read_is_no_trouble(void **state)
{
	struct held *h = *state;
	struct queue *q = queue_get(&h->queues, "stint", "a");
	struct me me;

	held_say(h, "XADD", "stint:{a}:jobs", "5-1", "handler", "h");
	begin(&me, h, q); /* without a group */
	say_control(h, "*", "command", "cancel", "id", "5-1");
	put_off(h, "x", "1");
	say_control(h, "*", "command", "cancel", "id", "x");
	WAIT(&me, me.dues == 1);
	assert_int_equal(me.jobs, 0);
	assert_true(control_is_cancelled(me.control, q, (struct bytes){"5-1", 3}, 5));
	end(&me);
}

static void
a_delayed_job_is_pulled_at_once(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	put_off(h, "x", "1");
	put_off(h, "y", "1");
	begin(&me, h, q);
	say_control(h, "*", "command", "cancel", "id", "x");
	WAIT(&me, me.jobs == 1);
	assert_string_equal(held_owner(h, q, me.pulled), "me 1");
	assert_string_equal(held_say(h, "ZCARD", "stint:{a}:delayed"), "1");
	assert_string_equal(
		held_say(h, "ZSCORE", "stint:{a}:delayed", "y"), "\"9000000000000\"");
	end(&me);
}

static void
a_delayed_job_is_pulled_also_when_redis_has_no_memory_left(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	put_off(h, "x", "1");
	begin(&me, h, q);
	control_pause(me.control, true);
	say_control(h, "*", "command", "cancel", "id", "x");
	WAIT(&me, me.cancels == 1);
	held_say(h, "CONFIG", "SET", "maxmemory", "1");
	control_pause(me.control, false);
	WAIT(&me, me.jobs == 1);
	held_say(h, "CONFIG", "SET", "maxmemory", "0");
	end(&me);
}

static void
an_old_cancel_does_not_touch_a_later_job_of_the_same_id(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	say_control(h, "5000-1", "command", "cancel", "id", "x");
	say_control(h, "5000-2", "command", "cancel", "id", "y");
	put_off(h, "x", "5001");
	put_off(h, "y", "5000");
	begin(&me, h, q);
	WAIT(&me, me.jobs == 1);
	assert_string_equal(
		held_say(h, "ZSCORE", "stint:{a}:delayed", "x"), "\"9000000000000\"");
	assert_string_equal(held_say(h, "HGET", "stint:{a}:ids", "x"), "nil");
	assert_string_equal(held_say(h, "ZCARD", "stint:{a}:delayed"), "1");
	end(&me);
}

static void
a_body_that_cannot_be_read_stops_nothing(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	put_off(h, "bad", "1");
	put_off(h, "worse", "1");
	held_say(h, "HSET", "stint:{a}:bodies", "bad", "\xc1");
	held_say(h, "HDEL", "stint:{a}:bodies", "worse");
	put_off(h, "x", "1");
	begin(&me, h, q);
	say_control(h, "*", "command", "cancel", "id", "bad");
	say_control(h, "*", "command", "cancel", "id", "worse");
	say_control(h, "*", "command", "cancel", "id", "x");
	WAIT(&me, me.dues == 1);
	end(&me);
}

static void
many_cancels_are_applied_all(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;
	char id[16];

	for (int i = 1; i <= LONG_LIST; i++) {
		snprintf(id, sizeof id, "5-%d", i);
		held_say(h, "XADD", "stint:{a}:jobs", id, "handler", "h");
		say_control(h, "*", "command", "cancel", "id", id);
	}
	begin(&me, h, q);
	WAIT(&me, me.jobs == LONG_LIST);
	end(&me);
}

static void
nothing_is_pulled_while_the_daemon_drains(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	held_say(h, "XADD", "stint:{a}:jobs", "5-1", "handler", "h");
	begin(&me, h, q);
	control_pause(me.control, true);
	say_control(h, "*", "command", "cancel", "id", "5-1");
	WAIT(&me, me.cancels == 1);
	held_say(h, "PING");
	assert_int_equal(me.jobs, 0);
	control_pause(me.control, false);
	WAIT(&me, me.jobs == 1);
	end(&me);
}

static void
forgotten_scripts_are_told_and_the_cancel_is_applied_later(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	held_say(h, "XADD", "stint:{a}:jobs", "5-1", "handler", "h");
	begin(&me, h, q);
	held_say(h, "SCRIPT", "FLUSH");
	say_control(h, "*", "command", "cancel", "id", "5-1");
	WAIT(&me, me.noscripts > 0);
	assert_int_equal(me.jobs, 0);
	held_load_scripts(h);
	control_poke(me.control);
	WAIT(&me, me.jobs == 1);
	end(&me);
}

/* Its writer at a scripted server, messages from the real one. */
static void
a_lost_answer_is_told_and_asked_for_again(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct redis_conn *real = h->client.conn;
	struct client writer = {.base = h->client.base, .opts = h->client.opts};
	struct fake fake;
	struct me me;

	stint_clock_reset();
	fake_open(&fake, h->client.base);
	writer.ops = h->client.ops;
	writer.opts.arg = &writer;
	writer.opts.url = &(struct redis_url){.path = fake.path};
	client_start(&writer);
	RUN_UNTIL(writer.base, writer.up_count == 1);
	h->client.conn = writer.conn;
	me_init(&me, h, h->server.path, LEASE_MS);
	h->client.conn = real;
	say_control(h, "*", "command", "cancel", "id", "5-1");
	me_start(&me, &q, 1);
	WAIT(&me, strstr(buf_cstr(&fake.heard), "5-1"));
	assert_int_equal(me.lost_replies, 0);
	fake_hang_up(&fake);
	WAIT(&me, writer.up_count == 2);
	assert_int_equal(me.lost_replies, 1);
	control_poke(me.control);
	WAIT(&me, strstr(buf_cstr(&fake.heard), "5-1"));
	redis_conn_free(writer.conn);
	end(&me);
	fake_close(&fake);
}

/* ---- tidying ---- */

static void
old_messages_are_removed_but_the_last_pause_or_resume(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	char id[16];
	struct me me;

	say_control(h, "1-1", "command", "pause");
	say_control(h, "1-2", "command", "resume");
	say_control(h, "1-3", "command", "pause");
	for (int i = 0; i < LONG_LIST; i++) {
		snprintf(id, sizeof id, "2-%d", i);
		say_control(h, id, "command", "cancel", "id", "x");
	}
	say_control(h, "3-1", "makes", "no sense");
	say_control(h, "*", "command", "cancel", "id", "y");
	begin(&me, h, q);
	WAIT(&me, atol(held_say(h, "XLEN", "stint:{a}:control")) == 2);
	assert_non_null(
		strstr(held_say(h, "XRANGE", "stint:{a}:control", "-", "+", "COUNT", "1"),
			"\"1-3\""));
	assert_true(q->is_paused);
	end(&me);
}

/* Should a daemon have slept for a day, it must not remove what it has not heard. */
static void
what_was_not_read_is_not_removed(void **state)
{
	struct held *h = *state;

	say_control(h, "1-1", "command", "resume");
	say_control(h, "1-2", "command", "cancel", "id", "x");
	say_control(h, "1-3", "command", "pause");
	held_say(h, "EVALSHA", h->scripts.hash[SCRIPT_TIDY], "1", "stint:{a}:control",
		"1-2", "1-1", "86400000", "100");
	assert_string_equal(held_say(h, "XRANGE", "stint:{a}:control", "-", "+"),
		"[[\"1-1\" [\"command\" \"resume\"]] [\"1-3\" [\"command\" \"pause\"]]]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(a_job_that_waits_is_pulled_out_of_its_turn),
		HELD_TEST(a_copy_that_waits_is_pulled_by_the_id_of_its_job),
		HELD_TEST(a_copy_of_a_later_job_of_the_same_id_is_left_alone),
		HELD_TEST(a_job_that_somebody_holds_or_that_is_unknown_is_left_alone),
		HELD_TEST(a_queue_that_was_never_read_is_no_trouble),
		HELD_TEST(a_delayed_job_is_pulled_at_once),
		HELD_TEST(a_delayed_job_is_pulled_also_when_redis_has_no_memory_left),
		HELD_TEST(an_old_cancel_does_not_touch_a_later_job_of_the_same_id),
		HELD_TEST(a_body_that_cannot_be_read_stops_nothing),
		HELD_TEST(many_cancels_are_applied_all),
		HELD_TEST(nothing_is_pulled_while_the_daemon_drains),
		HELD_TEST(forgotten_scripts_are_told_and_the_cancel_is_applied_later),
		HELD_TEST(a_lost_answer_is_told_and_asked_for_again),
		HELD_TEST(old_messages_are_removed_but_the_last_pause_or_resume),
		HELD_TEST(what_was_not_read_is_not_removed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, held_open, held_close);
}
