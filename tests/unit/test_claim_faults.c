/*
 * Taking over what others held while Redis is in trouble; what a real one would not say
 * comes from a scripted one.
 */
#include "tests/unit/claim_fixture.h"

/* ---- faults ---- */

static void
reconnect(struct me *me, int64_t away_ms)
{
	struct client *c = &me->held->client;
	const int ups = c->up_count;

	redis_conn_reset(c->conn, "test");
	RUN_UNTIL(c->base, !redis_conn_is_up(c->conn) && !is_busy(me));
	claim_on_down(me->claim);
	held_move_clock(me->held, away_ms);
	claim_on_down(me->claim); /* a second try that failed does not count anew */
	stint_clock_reset();      /* it comes back in its own time */
	RUN_UNTIL(c->base, c->up_count > ups);
	held_move_clock(me->held, 0);
	claim_on_up(me->claim);
	finish(me);
}

static void
after_a_long_outage_the_others_may_renew_first(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	start(&me, &q, 1);
	held_give(h, q, "1-1", "x", live_name);
	held_age(h, q, "1-1", live_name, "60000");
	held_give(h, q, "1-2", "x", gone_name);
	held_move_clock(h, LEASE_MS);
	reconnect(&me, THIRD_MS);
	assert_jobs(&me, "a/1-2 x2 "); /* of that one there is no doubt */
	assert_int_equal(me.wake_at_ms, h->now_ms + THIRD_MS);
	held_move_clock(h, THIRD_MS);
	finish(&me);
	assert_jobs(&me, "a/1-1 x2 ");
	end(&me);
}

static void
after_a_short_cut_it_goes_on_as_before(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	held_give(h, q, "1-1", "x", live_name);
	start(&me, &q, 1);
	held_age(h, q, "1-1", live_name, "60000");
	reconnect(&me, SCAN_MS);
	assert_jobs(&me, "a/1-1 x2 ");
	end(&me);
}

static void
a_lost_reply_is_told_when_it_may_have_had_jobs(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	claim_set_queues(me.claim, &q, 1);
	claim_on_up(me.claim);
	assert_true(is_busy(&me));
	assert_false(claim_is_reading(me.claim));
	reconnect(&me, 1); /* during the listing: no harm done */
	assert_int_equal(me.lost_reply_count, 0);
	held_give(h, q, "1-1", "x", live_name);
	held_age(h, q, "1-1", live_name, "60000");
	held_move_clock(h, LEASE_MS);
	claim_poke(me.claim);
	assert_true(claim_is_reading(me.claim));
	reconnect(&me, 1);
	assert_int_equal(me.lost_reply_count, 1);
	assert_false(claim_is_reading(me.claim));
	end(&me);
}

static void
scripts_that_were_forgotten_are_asked_for(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	held_give(h, q, "1-1", "x", gone_name);
	held_give(h, q, "1-2", "x", live_name);
	held_age(h, q, "1-2", live_name, "60000");
	held_say(h, "SCRIPT", "FLUSH");
	start(&me, &q, 1);
	assert_int_equal(me.noscript_count, 1);
	assert_jobs(&me, "");
	held_load_scripts(h);
	finish(&me);
	assert_jobs(&me, "a/1-1 x2 a/1-2 x2 ");
	end(&me);
}

static void
a_queue_that_cannot_be_searched_does_not_stop_the_others(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct queue *const queues[] = {a, b};
	struct me me;

	begin(&me, state);
	held_say(h, "SET", buf_cstr(&a->jobs_key), "no stream");
	held_give(h, b, "1-1", "x", live_name);
	held_age(h, b, "1-1", live_name, "60000");
	start(&me, queues, 2);
	assert_jobs(&me, "b/1-1 x2 ");
	held_say(h, "DEL", buf_cstr(&a->jobs_key));
	held_queue(h, "a");
	held_give(h, a, "1-1", "x", live_name);
	held_age(h, a, "1-1", live_name, "60000");
	held_move_clock(h, 100);
	finish(&me);
	assert_jobs(&me, "a/1-1 x2 ");
	end(&me);
}

/* And nothing to say: fd 2 is a pipe meanwhile. */
static void
without_stream_or_group_there_is_nothing_to_take(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct queue *const queues[] = {a, b};
	int fds[2], stderr_fd = dup(STDERR_FILENO);
	struct me me;
	char byte;

	begin(&me, state);
	held_say(h, "DEL", buf_cstr(&a->jobs_key));
	held_say(h, "XGROUP", "DESTROY", buf_cstr(&b->jobs_key), KEYS_GROUP);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(fds[1], STDERR_FILENO);
	start(&me, queues, 2);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	assert_jobs(&me, "");
	assert_in_range(me.wake_at_ms, START_MS + LEASE_MS * 3 / 4, START_MS + LEASE_MS);
	assert_int_equal(read(fds[0], &byte, 1), -1);
	close(fds[0]);
	close(fds[1]);
	end(&me);
}

/* ---- what takes an hour ---- */

/* The listing of a queue with one consumer; the answer is one of leave.lua, or nothing.
 */
static bool
is_reaped(const char *name, int held_count, int64_t idle_ms)
{
	struct redis_scripts scripts = {.is_loaded = true};
	struct held h = {.now_ms = START_MS};
	struct queue *q = queue_get(&h.queues, "stint", "a");
	char reply[512];
	bool is_asked;
	struct me me;
	struct fake f;

	strcpy(scripts.hash[SCRIPT_LEAVE], "hash-of-leave");
	client_at_fake(&h.client, &f);
	held_move_clock(&h, 0);
	begin_with(&me, &h, &scripts, LEASE_MS);
	me.credit = 0;
	claim_set_queues(me.claim, &q, 1);
	claim_on_up(me.claim);
	snprintf(reply, sizeof reply,
		"*1\r\n*6\r\n$4\r\nname\r\n$%zu\r\n%s\r\n$7\r\npending\r\n:%d\r\n"
		"$4\r\nidle\r\n:%lld\r\n",
		strlen(name), name, held_count, (long long)idle_ms);
	RUN_UNTIL(h.client.base, strstr(buf_cstr(&f.heard), "CONSUMERS"));
	fake_text(&f, reply);
	RUN_UNTIL(h.client.base, me.wake_at_ms != STINT_NEVER ||
					 strstr(buf_cstr(&f.heard), "hash-of-leave"));
	is_asked = strstr(buf_cstr(&f.heard), "hash-of-leave");
	if (is_asked)
		fake_text(&f, ":1\r\n");
	end(&me);
	fake_close(&f);
	stint_clock_reset();
	client_fini(&h.client);
	queue_list_fini(&h.queues);
	return is_asked;
}

static void
who_was_idle_for_an_hour_leaves_unless_it_holds_entries(void **state)
{
	(void)state;
	assert_true(is_reaped("somebody-else", 0, 3600001));
	assert_false(is_reaped("somebody-else", 0, 3600000));
	assert_false(is_reaped("somebody-else", 1, 3600001));
	assert_false(is_reaped(my_name, 0, 3600001));
	assert_true(is_reaped(live_name, 0, 3600001)); /* comes back with its next read */
	assert_false(is_reaped(live_name, 0, 0));
	assert_true(is_reaped(gone_name, 0, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(after_a_long_outage_the_others_may_renew_first),
		HELD_TEST(after_a_short_cut_it_goes_on_as_before),
		HELD_TEST(a_lost_reply_is_told_when_it_may_have_had_jobs),
		HELD_TEST(scripts_that_were_forgotten_are_asked_for),
		HELD_TEST(a_queue_that_cannot_be_searched_does_not_stop_the_others),
		HELD_TEST(without_stream_or_group_there_is_nothing_to_take),
		cmocka_unit_test(who_was_idle_for_an_hour_leaves_unless_it_holds_entries),
	};

	return cmocka_run_group_tests(tests, open_names, held_close);
}
