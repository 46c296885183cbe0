/*
 * Taking over what others held, against a real Redis.
 */
#include "tests/unit/claim_fixture.h"

/* ---- reclaim ---- */

static void
what_nobody_has_renewed_is_reclaimed(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct queue *const queues[] = {a, b};
	struct me me;

	begin(&me, state);
	held_give(h, a, "1-1", "x", live_name);
	held_give(h, a, "1-2", "x", live_name);
	held_give(h, b, "1-1", "x", live_name);
	held_age(h, a, "1-1", live_name, "30001");
	held_age(h, a, "1-2", live_name, "20000");
	held_age(h, b, "1-1", live_name, "60000");
	start(&me, queues, 2);
	assert_jobs(&me, "a/1-1 x2 b/1-1 x2 ");
	assert_int_equal(me.leased_at_ms, START_MS);
	assert_string_equal(held_owner(h, a, "1-1"), owner_is(my_name, 2));
	assert_string_equal(held_owner(h, a, "1-2"), owner_is(live_name, 1));
	end(&me);
}

static void
it_is_looked_for_often_only_while_others_hold_entries(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	held_give(h, q, "1-1", "x", live_name);
	start(&me, &q, 1);
	assert_in_range(me.wake_at_ms, START_MS + SCAN_MS * 3 / 4, START_MS + SCAN_MS);
	held_move_clock(h, me.wake_at_ms - h->now_ms - 1);
	claim_poke(me.claim);
	assert_false(is_busy(&me));
	held_age(h, q, "1-1", live_name, "30001");
	held_move_clock(h, 1);
	finish(&me);
	assert_jobs(&me, "a/1-1 x2 ");
	assert_in_range(
		me.wake_at_ms, h->now_ms + LEASE_MS * 3 / 4, h->now_ms + LEASE_MS);
	end(&me);
}

static void
a_short_lease_is_looked_for_twice_in_its_time(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin_with(&me, h, &h->scripts, 1000);
	held_give(h, q, "1-1", "x", live_name);
	start(&me, &q, 1);
	assert_in_range(me.wake_at_ms, START_MS + 375, START_MS + 500);
	end(&me);
}

static void
no_more_is_taken_than_there_is_room_for(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	char entry_id[] = "1-1";
	struct me me;

	begin(&me, state);
	for (entry_id[2] = '1'; entry_id[2] <= '5'; entry_id[2]++) {
		held_give(h, q, entry_id, "x", live_name);
		held_age(h, q, entry_id, live_name, "60000");
	}
	me.credit = 2;
	start(&me, &q, 1);
	assert_jobs(&me, "a/1-1 x2 a/1-2 x2 ");
	assert_string_equal(held_owner(h, q, "1-3"), owner_is(live_name, 1));
	finish(&me);
	assert_jobs(&me, "");
	me.credit = 10; /* the rest follows at once */
	finish(&me);
	assert_jobs(&me, "a/1-3 x2 a/1-4 x2 a/1-5 x2 ");
	end(&me);
}

static void
a_long_list_is_read_page_by_page(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	char entry_id[ENTRY_ID_BYTES];
	struct me me;

	begin(&me, state);
	for (int i = 0; i < 50; i++) {
		snprintf(entry_id, sizeof entry_id, "1-%d", i + 1);
		held_give(h, q, entry_id, "x", live_name);
		/* most are alive: a page without a job is not the end */
		if (i == 3 || i >= 40)
			held_age(h, q, entry_id, live_name, "60000");
	}
	me.credit = 3;
	me.keeps_credit = true;
	start(&me, &q, 1);
	assert_int_equal(me.job_count, 11);
	assert_int_equal(me.page_jobs_max, 3);
	assert_in_range(me.wake_at_ms, START_MS + SCAN_MS * 3 / 4, START_MS + SCAN_MS);
	end(&me);
}

static void
own_entries_are_jobs_only_when_nobody_knows_them(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	held_give(h, q, "1-1", "x", my_name);
	held_give(h, q, "1-2", "x", my_name);
	held_age(h, q, "1-1", my_name, "60000");
	held_age(h, q, "1-2", my_name, "60000");
	me.known = "1-1";
	start(&me, &q, 1);
	assert_jobs(&me, "a/1-2 x2 ");
	end(&me);
}

static void
deleted_entries_are_no_jobs(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	held_give(h, q, "1-1", "x", live_name);
	held_give(h, q, "1-2", "x", gone_name);
	held_age(h, q, "1-1", live_name, "60000");
	held_say(h, "XDEL", buf_cstr(&q->jobs_key), "1-1", "1-2");
	start(&me, &q, 1);
	assert_jobs(&me, "");
	assert_int_equal(me.lost_reply_count, 0);
	end(&me);
}

/* ---- take over ---- */

static void
who_is_gone_is_succeeded_at_once(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct queue *const queues[] = {a, b};
	struct me me;

	begin(&me, state);
	held_give(h, a, "1-1", "x", gone_name);
	held_give(h, b, "1-1", "x", live_name);
	held_give(h, b, "1-2", "x", gone_name);
	held_give(h, b, "1-3", "x", "somebody-else");
	start(&me, queues, 2);
	assert_jobs(&me, "a/1-1 x2 b/1-2 x2 ");
	assert_int_equal(me.leased_at_ms, START_MS);
	assert_string_equal(held_owner(h, b, "1-1"), owner_is(live_name, 1));
	assert_string_equal(held_owner(h, b, "1-3"), owner_is("somebody-else", 1));
	assert_false(has_consumer(h, a, gone_name)); /* and its name goes */
	assert_false(has_consumer(h, b, gone_name));
	assert_true(has_consumer(h, b, live_name));
	assert_true(has_consumer(h, b, my_name));
	end(&me);
}

static void
a_succession_goes_on_when_there_is_room(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	char entry_id[] = "1-1";
	struct me me;

	begin(&me, state);
	for (entry_id[2] = '1'; entry_id[2] <= '5'; entry_id[2]++)
		held_give(h, q, entry_id, "x", gone_name);
	me.credit = 2;
	start(&me, &q, 1);
	assert_jobs(&me, "a/1-1 x2 a/1-2 x2 ");
	assert_true(has_consumer(h, q, gone_name));
	me.credit = 2;
	finish(&me);
	assert_jobs(&me, "a/1-3 x2 a/1-4 x2 ");
	me.credit = 2;
	finish(&me);
	assert_jobs(&me, "a/1-5 x2 ");
	assert_false(has_consumer(h, q, gone_name));
	end(&me);
}

static void
who_goes_later_is_found_within_a_minute(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	start(&me, &q, 1);
	held_give(h, q, "1-1", "x", gone_name);
	held_move_clock(h, MINUTE_MS);
	finish(&me);
	assert_jobs(&me, "a/1-1 x2 ");
	end(&me);
}

static void
only_who_holds_nothing_and_is_gone_leaves_the_group(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	held_give(h, q, "1-1", "x", live_name);
	held_say(h, "XGROUP", "CREATECONSUMER", buf_cstr(&q->jobs_key), KEYS_GROUP,
		gone_name);
	held_say(h, "XGROUP", "CREATECONSUMER", buf_cstr(&q->jobs_key), KEYS_GROUP,
		"somebody-else");
	start(&me, &q, 1);
	assert_false(has_consumer(h, q, gone_name));
	assert_true(has_consumer(h, q, live_name));
	assert_true(has_consumer(h, q, "somebody-else"));
	end(&me);
}

/* ---- when not ---- */

static void
a_paused_queue_is_left_alone(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct queue *const queues[] = {a, b};
	struct me me;

	begin(&me, state);
	held_give(h, a, "1-1", "x", live_name);
	held_age(h, a, "1-1", live_name, "60000");
	held_give(h, a, "1-2", "x", gone_name);
	held_give(h, b, "1-1", "x", gone_name);
	a->is_paused = true;
	start(&me, queues, 2);
	assert_jobs(&me, "b/1-1 x2 ");
	assert_true(me.wake_at_ms > START_MS + SCAN_MS); /* nothing to look for often */
	a->is_paused = false;
	finish(&me);
	assert_jobs(&me, "a/1-2 x2 a/1-1 x2 ");
	end(&me);
}

static void
while_it_drains_nothing_is_taken(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	held_give(h, q, "1-1", "x", gone_name);
	claim_pause(me.claim, true);
	start(&me, &q, 1);
	held_move_clock(h, MINUTE_MS);
	claim_poke(me.claim);
	assert_false(is_busy(&me));
	claim_pause(me.claim, false);
	finish(&me);
	assert_jobs(&me, "a/1-1 x2 ");
	end(&me);
}

static void
queues_that_are_not_served_any_more_are_left_alone(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct queue *const queues[] = {a, b};
	struct me me;

	begin(&me, state);
	start(&me, queues, 2);
	claim_set_queues(me.claim, &queues[0], 1);
	held_give(h, a, "1-1", "x", gone_name);
	held_give(h, b, "1-1", "x", gone_name);
	held_age(h, b, "1-1", gone_name, "60000");
	held_move_clock(h, MINUTE_MS);
	finish(&me);
	assert_jobs(&me, "a/1-1 x2 ");
	claim_set_queues(me.claim, queues, 2); /* again: at once */
	finish(&me);
	assert_jobs(&me, "b/1-1 x2 ");
	end(&me);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(what_nobody_has_renewed_is_reclaimed),
		HELD_TEST(it_is_looked_for_often_only_while_others_hold_entries),
		HELD_TEST(a_short_lease_is_looked_for_twice_in_its_time),
		HELD_TEST(no_more_is_taken_than_there_is_room_for),
		HELD_TEST(a_long_list_is_read_page_by_page),
		HELD_TEST(own_entries_are_jobs_only_when_nobody_knows_them),
		HELD_TEST(deleted_entries_are_no_jobs),
		HELD_TEST(who_is_gone_is_succeeded_at_once),
		HELD_TEST(a_succession_goes_on_when_there_is_room),
		HELD_TEST(who_goes_later_is_found_within_a_minute),
		HELD_TEST(only_who_holds_nothing_and_is_gone_leaves_the_group),
		HELD_TEST(a_paused_queue_is_left_alone),
		HELD_TEST(while_it_drains_nothing_is_taken),
		HELD_TEST(queues_that_are_not_served_any_more_are_left_alone),
	};

	return cmocka_run_group_tests(tests, open_names, held_close);
}
