/*
 * Renewing what is in flight, against a real Redis.
 */
#include "tests/unit/lease_fixture.h"

static void
all_in_flight_are_renewed_when_a_third_is_over(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct attempt *first, *second, *third;
	struct me me;

	begin(&me, state);
	first = hold(&me, a, "1-1", "me");
	second = hold(&me, b, "1-1", "me");
	third = hold(&me, a, "1-2", "me");
	third->slot = ATTEMPT_ENDED; /* waits to be stored */
	lease_poke(me.lease);
	assert_true(me.wake_at_ms <= START_MS + THIRD_MS);
	held_move_clock(h, THIRD_MS - 1);
	lease_poke(me.lease);
	assert_false(is_renewing(&me));
	held_say(h, "CONFIG", "RESETSTAT");
	held_move_clock(h, 1);
	lease_poke(me.lease);
	assert_true(is_renewing(&me));
	held_move_clock(h, 7); /* the answer takes a while: that does not count */
	await_renewal(&me);
	assert_int_equal(first->leased_at_ms, START_MS + THIRD_MS);
	assert_int_equal(second->leased_at_ms, START_MS + THIRD_MS);
	assert_int_equal(third->leased_at_ms, START_MS + THIRD_MS);
	assert_true(held_idle_ms(h, a, "1-1") < 50000);
	assert_true(held_idle_ms(h, b, "1-1") < 50000);
	assert_true(held_idle_ms(h, a, "1-2") < 50000);
	assert_string_equal(
		held_owner(h, a, "1-1"), "me 1"); /* not counted as delivery */
	held_say(h, "INFO", "commandstats");
	assert_non_null(strstr(buf_cstr(&h->said.text), "cmdstat_evalsha:calls=2,"));
	assert_int_equal(me.lost_count + me.expiring_count, 0);
	end(&me);
}

static void
what_others_hold_is_told_once_and_stays_theirs(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct attempt *mine, *theirs;
	struct me me;

	begin(&me, state);
	mine = hold(&me, q, "1-1", "me");
	theirs = hold(&me, q, "1-2", "other");
	pass_third(&me);
	assert_int_equal(me.lost_count, 1);
	assert_ptr_equal(me.lost, theirs);
	assert_true(theirs->is_lost);
	assert_int_equal(theirs->leased_at_ms, START_MS);
	assert_int_equal(mine->leased_at_ms, START_MS + THIRD_MS);
	assert_string_equal(held_owner(h, q, "1-2"), "other 1");
	assert_true(held_idle_ms(h, q, "1-2") >= 60000);
	pass_third(&me);
	held_move_clock(h, EXPIRE_MS);
	lease_poke(me.lease);
	assert_int_equal(me.lost_count, 1);
	assert_int_equal(me.expiring_count, 1); /* mine; theirs was told to be lost */
	end(&me);
}

static void
a_deleted_entry_is_lost(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	hold(&me, q, "1-1", "me");
	hold(&me, q, "1-2", "me");
	held_say(h, "XDEL", buf_cstr(&q->jobs_key), "1-1");
	me.drops_lost = true;
	pass_third(&me);
	assert_int_equal(me.lost_count, 1);
	assert_string_equal(TAILQ_FIRST(&me.list)->job->entry_id, "1-2");
	end(&me);
}

static void
all_is_lost_with_the_group(void **state)
{
	struct held *h = *state;
	struct queue *a = held_queue(h, "a"), *b = held_queue(h, "b");
	struct me me;

	begin(&me, state);
	hold(&me, a, "1-1", "me");
	hold(&me, a, "1-2", "me");
	hold(&me, b, "1-1", "me");
	held_say(h, "DEL", buf_cstr(&a->jobs_key));
	me.drops_lost = true;
	pass_third(&me);
	assert_int_equal(me.lost_count, 2);
	assert_ptr_equal(TAILQ_FIRST(&me.list)->queue, b);
	end(&me);
}

static void
what_has_ended_is_left_to_its_commit(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	hold(&me, q, "1-1", "other")->slot = ATTEMPT_ENDED;
	hold(&me, q, "1-2", "me")->slot = ATTEMPT_ENDED;
	pass_third(&me);
	held_move_clock(h, LEASE_MS);
	lease_poke(me.lease);
	assert_true(is_renewing(&me));
	assert_int_equal(me.lost_count + me.expiring_count, 0);
	end(&me);
}

/* The answer says that the entry is not held; who has it by then was not asked for. */
static void
an_answer_means_only_those_that_were_asked_for(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct attempt *old, *again, *later;
	struct me me;

	begin(&me, state);
	old = hold(&me, q, "1-1", "other");
	hold(&me, q, "1-2", "me");
	held_move_clock(h, THIRD_MS);
	lease_poke(me.lease);
	drop(&me, old);
	held_move_clock(h, 5);
	again = add(&me, q, "1-1");
	later = add(&me, q, "1-3");
	later->leased_at_ms -= 2;
	await_renewal(&me);
	assert_int_equal(me.lost_count, 0);
	assert_false(again->is_lost);
	assert_int_equal(later->leased_at_ms, START_MS + THIRD_MS + 3);
	end(&me);
}

static void
without_an_answer_it_expires_and_is_told_once(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct attempt *a;
	struct me me;

	begin(&me, state);
	a = hold(&me, q, "1-1", "me");
	h->scripts.is_loaded = false; /* as while the connection is down */
	held_move_clock(h, EXPIRE_MS - 1);
	lease_poke(me.lease);
	assert_int_equal(me.expiring_count, 0);
	assert_int_equal(me.wake_at_ms, START_MS + EXPIRE_MS);
	held_move_clock(h, 1);
	lease_poke(me.lease);
	held_move_clock(h, LEASE_MS);
	lease_poke(me.lease);
	assert_int_equal(me.expiring_count, 1);
	assert_false(is_renewing(&me));
	h->scripts.is_loaded = true; /* in time after all: told again the next time */
	lease_poke(me.lease);
	await_renewal(&me);
	assert_false(a->is_expiring);
	held_move_clock(h, EXPIRE_MS);
	lease_poke(me.lease);
	assert_int_equal(me.expiring_count, 2);
	end(&me);
}

/* A read that blocked brought it: leased since before it came. */
static void
a_lease_that_began_in_the_past_is_noticed_soon(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct attempt *late;
	struct me me;

	begin(&me, state);
	hold(&me, q, "1-1", "me");
	lease_poke(me.lease);
	late = hold(&me, q, "1-2", "me");
	late->leased_at_ms -= THIRD_MS;
	held_move_clock(h, LEASE_MS / 12 + 1);
	lease_poke(me.lease);
	assert_true(is_renewing(&me));
	end(&me);
}

static void
with_nothing_in_flight_there_is_nothing_to_do(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	lease_on_down(me.lease);
	lease_on_up(me.lease);
	held_move_clock(h, LEASE_MS);
	lease_poke(me.lease);
	assert_false(is_renewing(&me));
	assert_int_equal(me.wake_at_ms, STINT_NEVER);
	hold(&me, q, "1-1", "me"); /* fresh: no need to renew it at once */
	lease_poke(me.lease);
	assert_false(is_renewing(&me));
	end(&me);
}

static void
messages_for_control_come_along(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, state);
	hold(&me, q, "1-1", "me");
	me.asks_control = true;
	pass_third(&me);
	assert_string_equal(buf_cstr(&me.control), "\"news\"");
	end(&me);
}

static void
all_renewals_of_4096_jobs_are_one_round_trip(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	char entry_id[ENTRY_ID_BYTES];
	struct attempt *a;
	int64_t from_us;
	struct me me;

	begin(&me, state);
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		snprintf(entry_id, sizeof entry_id, "1-%d", i + 1);
		held_say(h, "XADD", buf_cstr(&q->jobs_key), entry_id, "handler", "h");
		add(&me, q, entry_id);
	}
	held_say(h, "XREADGROUP", "GROUP", KEYS_GROUP, "me", "COUNT", "4096", "STREAMS",
		buf_cstr(&q->jobs_key), ">");
	held_say(h, "CONFIG", "RESETSTAT");
	held_move_clock(h, THIRD_MS);
	stint_clock_reset();
	from_us = stint_now_us();
	held_move_clock(h, 0);
	lease_poke(me.lease);
	assert_int_equal(redis_conn_waiting_count(h->client.conn), 1);
	await_renewal(&me);
	stint_clock_reset();
	print_message("4096 leases renewed in %.1f ms\n",
		(double)(stint_now_us() - from_us) / 1000);
	held_move_clock(h, 0);
	assert_int_equal(me.lost_count, 0);
	TAILQ_FOREACH (a, &me.list, in_flight)
		assert_int_equal(a->leased_at_ms, START_MS + THIRD_MS);
	held_say(h, "INFO", "commandstats");
	assert_non_null(strstr(
		buf_cstr(&h->said.text), "cmdstat_evalsha:calls=16,")); /* of 256 */
	end(&me);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(all_in_flight_are_renewed_when_a_third_is_over),
		HELD_TEST(what_others_hold_is_told_once_and_stays_theirs),
		HELD_TEST(a_deleted_entry_is_lost),
		HELD_TEST(all_is_lost_with_the_group),
		HELD_TEST(what_has_ended_is_left_to_its_commit),
		HELD_TEST(an_answer_means_only_those_that_were_asked_for),
		HELD_TEST(without_an_answer_it_expires_and_is_told_once),
		HELD_TEST(a_lease_that_began_in_the_past_is_noticed_soon),
		HELD_TEST(with_nothing_in_flight_there_is_nothing_to_do),
		HELD_TEST(messages_for_control_come_along),
		HELD_TEST(all_renewals_of_4096_jobs_are_one_round_trip),
	};

	return cmocka_run_group_tests(tests, held_open, held_close);
}
