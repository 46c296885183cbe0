/*
 * What is said in control streams: read completely, in time, and once.
 */
#include "tests/unit/control_fixture.h"

static struct held *
held_and_me(void **state, struct me *me, int64_t lease_ms)
{
	struct held *h = *state;

	me_init(me, h, h->server.path, lease_ms);
	return h;
}

static bool
is_cancelled(struct me *me, struct queue *q, const char *id, int64_t submitted_unix_ms)
{
	return control_is_cancelled(
		me->control, q, (struct bytes){id, strlen(id)}, submitted_unix_ms);
}

static void
all_that_was_said_before_is_known_when_a_queue_becomes_ready(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LEASE_MS);
	struct queue *q = held_queue(h, "a");
	char id[16];

	for (int i = 0; i < 250; i++) {
		snprintf(id, sizeof id, "job-%d", i);
		say_control(h, "*", "command", "cancel", "id", id);
		say_control(h, "*", "command", i % 2 ? "resume" : "pause");
	}
	say_control(h, "*", "command", "pause");
	me_start(&me, &q, 1);
	assert_false(control_is_ready(me.control, q));
	WAIT(&me, me.readies == 1);
	assert_int_equal(me.cancels, 250);
	assert_true(is_cancelled(&me, q, "job-0", 0));
	assert_true(is_cancelled(&me, q, "job-249", 0));
	assert_true(me.was_paused);
	assert_int_equal(me.pauses, 1); /* only what was said last counts */
	end(&me);
}

static void
what_is_said_now_is_heard_at_once(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LONG_LEASE_MS);
	struct queue *queues[] = {held_queue(h, "b"), held_queue(h, "a")};
	int64_t began_ms;

	me_start(&me, queues, 2); /* there is no stream yet */
	WAIT(&me, me.readies == 2);
	assert_false(me.was_paused);
	began_ms = stint_now_ms();
	say_control(h, "*", "command", "pause");
	WAIT(&me, me.pauses == 1);
	assert_true(queues[1]->is_paused);
	assert_false(queues[0]->is_paused);
	say_control(h, "*", "command", "resume");
	WAIT(&me, me.pauses == 2);
	assert_false(queues[1]->is_paused);
	say_control(h, "*", "command", "cancel", "id", "x");
	WAIT(&me, me.cancels == 1);
	assert_string_equal(me.cancelled, "x");
	assert_true(stint_now_ms() - began_ms < LONG_LEASE_MS / 20); /* no block ended */
	end(&me);
}

static void
a_cancel_applies_to_jobs_that_were_submitted_not_after_it(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LEASE_MS);
	struct queue *queues[] = {held_queue(h, "a"), held_queue(h, "b")};

	say_control(h, "5000-1", "command", "cancel", "id", "x");
	say_control(h, "6000-1", "command", "cancel", "id", "y");
	say_control(h, "7000-1", "command", "cancel", "id", "x");
	me_start(&me, queues, 2);
	WAIT(&me, me.readies == 2);
	assert_int_equal(me.cancelled_unix_ms, 7000);
	assert_true(is_cancelled(&me, queues[0], "x", 7000));
	assert_false(is_cancelled(&me, queues[0], "x", 7001));
	assert_true(is_cancelled(&me, queues[0], "y", 5999));
	assert_false(is_cancelled(&me, queues[0], "xy", 0));
	assert_false(is_cancelled(&me, queues[1], "x", 0)); /* another queue's */
	end(&me);
}

static void
messages_that_make_no_sense_are_ignored(void **state)
{
	static const char *const words[][2] = {{"command", "cancel"}, {"command", "stop"},
		{"commnd", "pause"}, {"id", "x"}, {"command", ""}, {"command", "pause "}};
	struct me me;
	struct held *h = held_and_me(state, &me, LEASE_MS);
	struct queue *q = held_queue(h, "a");

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		say_control(h, "*", words[i][0], words[i][1]);
	say_control(h, "*", "command", "cancel", "id", "no valid id");
	say_control(h, "*", "command", "cancel", "id", "");
	me_start(&me, &q, 1);
	WAIT(&me, me.readies == 1);
	assert_int_equal(me.cancels + me.pauses, 0);
	say_control(h, "*", "id", "x", "command", "cancel", "by", "me");
	WAIT(&me, me.cancels == 1);
	end(&me);
}

static void
a_key_that_is_no_stream_spoils_nothing_and_may_be_mended(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LEASE_MS);
	struct queue *queues[] = {held_queue(h, "bad"), held_queue(h, "a")};

	held_say(h, "SET", "stint:{bad}:control", "no stream");
	me_start(&me, queues, 2);
	WAIT(&me, me.readies == 2);
	say_control(h, "*", "command", "pause");
	WAIT(&me, me.pauses == 1);
	held_say(h, "DEL", "stint:{bad}:control");
	held_say(h, "XADD", "stint:{bad}:control", "*", "command", "pause");
	WAIT(&me, queues[0]->is_paused);
	/* and the other way round, while a read blocks on it */
	held_say(h, "SET", "stint:{bad}:control", "no stream");
	say_control(h, "*", "command", "resume");
	WAIT(&me, !queues[1]->is_paused);
	assert_true(queues[0]->is_paused);
	end(&me);
}

static void
a_stream_that_began_anew_is_read_from_the_beginning(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LEASE_MS);
	struct queue *q = held_queue(h, "a");

	say_control(h, "*", "command", "cancel", "id", "x");
	say_control(h, "*", "command", "pause");
	me_start(&me, &q, 1);
	WAIT(&me, me.readies == 1);
	assert_true(q->is_paused && is_cancelled(&me, q, "x", 0));
	held_say(h, "FLUSHALL");
	WAIT(&me, !q->is_paused);
	assert_false(is_cancelled(&me, q, "x", 0));
	say_control(h, "5-1", "command", "pause"); /* long before what was read */
	WAIT(&me, q->is_paused);
	assert_int_equal(me.readies, 1);
	end(&me);
}

static void
a_stream_that_began_anew_is_noticed_after_a_reconnect(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LONG_LEASE_MS);
	struct queue *q = held_queue(h, "a");

	say_control(h, "*", "command", "pause");
	me_start(&me, &q, 1);
	WAIT(&me, q->is_paused);
	held_say(h, "DEL", "stint:{a}:control");
	say_control(h, "5-1", "command", "cancel", "id", "y");
	redis_conn_reset(me.conn, "test");
	WAIT(&me, !q->is_paused && me.cancels == 1);
	assert_int_equal(me.downs, 1);
	end(&me);
}

static void
a_queue_that_is_added_is_read_at_once(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LONG_LEASE_MS);
	struct queue *queues[] = {held_queue(h, "b"), held_queue(h, "a")};
	int64_t began_ms;

	say_control(h, "*", "command", "pause");
	me_start(&me, queues, 1);
	WAIT(&me, me.readies == 1);
	settle_loop(me.base); /* a read blocks */
	began_ms = stint_now_ms();
	assert_int_equal(control_set_queues(me.control, queues, 2), 0);
	assert_false(control_is_ready(me.control, queues[1]));
	assert_true(control_is_ready(me.control, queues[0]));
	WAIT(&me, me.readies == 2);
	assert_true(queues[1]->is_paused);
	assert_true(stint_now_ms() - began_ms < LONG_LEASE_MS / 20);
	end(&me);
}

static void
a_queue_that_is_dropped_is_forgotten(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LEASE_MS);
	struct queue *queues[] = {held_queue(h, "b"), held_queue(h, "a")};

	say_control(h, "*", "command", "pause");
	say_control(h, "*", "command", "cancel", "id", "x");
	me_start(&me, queues, 2);
	WAIT(&me, me.readies == 2);
	assert_int_equal(control_set_queues(me.control, queues, 1), 0);
	assert_false(control_is_ready(me.control, queues[1]));
	assert_false(queues[1]->is_paused);
	assert_false(is_cancelled(&me, queues[1], "x", 0));
	/* back again while the old read is still on its way */
	assert_int_equal(control_set_queues(me.control, queues, 2), 0);
	WAIT(&me, me.readies == 3);
	assert_true(queues[1]->is_paused);
	end(&me);
}

/* ---- its own connection at a scripted server ---- */

#define NOTHING_BEFORE "*0\r\n*-1\r\n"

static void
a_connection_that_is_dead_without_a_sign_is_noticed_in_half_a_lease(void **state)
{
	struct held *h = *state;
	struct fake fake;
	struct me me;
	struct queue *q = held_queue(h, "a");
	int64_t began_ms;

	fake_open(&fake, h->client.base);
	me_init(&me, h, fake.path, LEASE_MS);
	me_start(&me, &q, 1);
	WAIT(&me, strstr(buf_cstr(&fake.heard), "XREAD"));
	began_ms = stint_now_ms();
	fake_text(&fake, NOTHING_BEFORE);
	WAIT(&me, me.downs == 1);
	assert_int_equal(me.readies, 1);
	assert_true(strstr(buf_cstr(&fake.heard), "BLOCK"));
	assert_in_range(stint_now_ms() - began_ms, LEASE_MS / 2 - 50, LEASE_MS);
	fake_close(&fake);
	end(&me);
}

static void
take_guest(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	assert_int_equal(status, 0);
	assert_int_equal(count, 1);
	control_take_read(arg, replies);
}

static void
ask_as_guest(struct me *me)
{
	struct redis_batch b;

	redis_batch_begin(me->held->client.conn, &b);
	assert_int_equal(control_write_read(me->control, &b), 1);
	redis_batch_send(&b, PATIENCE_MS, take_guest, me->control);
}

static void
a_renewal_brings_messages_when_its_own_connection_is_silent(void **state)
{
	struct held *h = *state;
	struct fake fake;
	struct me me;
	struct queue *queues[] = {held_queue(h, "b"), held_queue(h, "a")};

	fake_open(&fake, h->client.base);
	me_init(&me, h, fake.path, LONG_LEASE_MS);
	me_start(&me, queues, 2);
	WAIT(&me, strstr(buf_cstr(&fake.heard), "XREAD"));
	fake_text(&fake, NOTHING_BEFORE NOTHING_BEFORE);
	WAIT(&me, me.readies == 2);
	say_control(h, "5-1", "command", "pause");
	say_control(h, "5-2", "command", "cancel", "id", "x");
	ask_as_guest(&me);
	WAIT(&me, me.cancels == 1 && me.pauses == 1);
	/* what was taken is not taken again */
	ask_as_guest(&me);
	ask_as_guest(&me);
	held_say(h, "PING");
	fake_text(&fake,
		"*1\r\n*2\r\n$17\r\nstint:{a}:control\r\n*1\r\n*2\r\n$3\r\n5-2\r\n"
		"*4\r\n$7\r\ncommand\r\n$6\r\ncancel\r\n$2\r\nid\r\n$1\r\nx\r\n");
	WAIT(&me, strstr(buf_cstr(&fake.heard), "5-2"));
	assert_int_equal(me.cancels, 1);
	assert_int_equal(me.pauses, 1);
	fake_close(&fake);
	end(&me);
}

static void
nothing_is_asked_as_a_guest_before_a_queue_is_ready(void **state)
{
	struct me me;
	struct held *h = held_and_me(state, &me, LEASE_MS);
	struct queue *q = held_queue(h, "a");
	struct redis_batch b;

	assert_int_equal(control_set_queues(me.control, &q, 1), 0);
	redis_batch_begin(h->client.conn, &b);
	assert_int_equal(control_write_read(me.control, &b), 0);
	redis_batch_drop(&b);
	end(&me);
}

static void
a_server_that_cannot_answer_now_is_asked_again_later(void **state)
{
	static const char *const answers[] = {
		"-LOADING it loads\r\n-LOADING it loads\r\n", "*0\r\n-BUSY a script\r\n"};
	struct held *h = *state;
	struct fake fake;
	struct me me;
	struct queue *q = held_queue(h, "a");

	fake_open(&fake, h->client.base);
	me_init(&me, h, fake.path, LONG_LEASE_MS);
	me_start(&me, &q, 1);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		WAIT(&me, strstr(buf_cstr(&fake.heard), "XREAD"));
		buf_reset(&fake.heard, SIZE_MAX);
		fake_text(&fake, answers[i]);
		RUN_UNTIL(me.base, me.wake_at_ms != STINT_NEVER);
		assert_false(control_is_ready(me.control, q));
	}
	WAIT(&me, strstr(buf_cstr(&fake.heard), "XREAD"));
	fake_text(&fake, NOTHING_BEFORE);
	WAIT(&me, me.readies == 1);
	assert_int_equal(me.downs, 0);
	fake_close(&fake);
	end(&me);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(all_that_was_said_before_is_known_when_a_queue_becomes_ready),
		HELD_TEST(what_is_said_now_is_heard_at_once),
		HELD_TEST(a_cancel_applies_to_jobs_that_were_submitted_not_after_it),
		HELD_TEST(messages_that_make_no_sense_are_ignored),
		HELD_TEST(a_key_that_is_no_stream_spoils_nothing_and_may_be_mended),
		HELD_TEST(a_stream_that_began_anew_is_read_from_the_beginning),
		HELD_TEST(a_stream_that_began_anew_is_noticed_after_a_reconnect),
		HELD_TEST(a_queue_that_is_added_is_read_at_once),
		HELD_TEST(a_queue_that_is_dropped_is_forgotten),
		HELD_TEST(
			a_connection_that_is_dead_without_a_sign_is_noticed_in_half_a_lease),
		HELD_TEST(a_renewal_brings_messages_when_its_own_connection_is_silent),
		HELD_TEST(nothing_is_asked_as_a_guest_before_a_queue_is_ready),
		HELD_TEST(a_server_that_cannot_answer_now_is_asked_again_later),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, held_open, held_close);
}
