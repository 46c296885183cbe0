/*
 * Renewing what is in flight while Redis is in trouble; what a real one would not say
 * comes from a scripted one.
 */
#include "tests/unit/lease_fixture.h"

enum { SHORT_LEASE_MS = 3000 };

static void
all_is_renewed_at_once_when_redis_is_back(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct attempt *a;
	struct me me;

	begin(&me, state);
	a = hold(&me, q, "1-1", "me");
	held_move_clock(h, THIRD_MS);
	lease_poke(me.lease);
	redis_conn_reset(h->client.conn, "test"); /* the answer is lost */
	RUN_UNTIL(h->client.base, !is_renewing(&me));
	lease_on_down(me.lease);
	assert_int_equal(a->leased_at_ms, START_MS);
	assert_false(a->is_renewing);
	stint_clock_reset(); /* it comes back in its own time */
	RUN_UNTIL(h->client.base, h->client.up_count == 2);
	held_move_clock(h, 1);
	lease_on_up(me.lease);
	await_renewal(&me);
	assert_int_equal(a->leased_at_ms, START_MS + THIRD_MS + 1);
	end(&me);
}

static void
scripts_that_were_forgotten_are_asked_for(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct attempt *a;
	struct me me;

	begin(&me, state);
	a = hold(&me, q, "1-1", "me");
	held_say(h, "SCRIPT", "FLUSH");
	pass_third(&me);
	assert_int_equal(me.noscript_count, 1);
	assert_int_equal(a->leased_at_ms, START_MS);
	held_load_scripts(h);
	lease_poke(me.lease);
	await_renewal(&me);
	assert_int_equal(a->leased_at_ms, START_MS + THIRD_MS);
	end(&me);
}

/* ---- what a real Redis would not say ---- */

static void
hear(struct me *me, struct client *c, struct fake *f, const char *reply)
{
	lease_poke(me->lease);
	assert_true(is_renewing(me));
	RUN_UNTIL(c->base, strstr(buf_cstr(&f->heard), "EVALSHA"));
	buf_reset(&f->heard, 0);
	fake_text(f, reply);
	RUN_UNTIL(c->base, !is_renewing(me) || c->down_count > 0);
	settle_loop(c->base);
}

static void
a_fault_of_one_queue_does_not_touch_the_others(void **state)
{
	struct redis_scripts scripts = {.is_loaded = true};
	struct held h = {.now_ms = START_MS};
	struct attempt *first, *second;
	struct me me = {.held = &h};
	struct fake f;

	(void)state;
	client_at_fake(&h.client, &f);
	held_move_clock(&h, 0);
	begin_at(&me, h.client.conn, &scripts, LEASE_MS);
	first = add(&me, queue_get(&h.queues, "stint", "a"), "1-1");
	second = add(&me, queue_get(&h.queues, "stint", "b"), "1-1");
	held_move_clock(&h, THIRD_MS);
	hear(&me, &h.client, &f, "-ERR odd\r\n*0\r\n");
	assert_int_equal(first->leased_at_ms, START_MS);
	assert_int_equal(second->leased_at_ms, START_MS + THIRD_MS);
	assert_int_equal(me.lost_count, 0);
	lease_poke(me.lease); /* not at once */
	assert_false(is_renewing(&me));
	assert_true(me.wake_at_ms <= START_MS + THIRD_MS + 100);
	held_move_clock(&h, 100);
	hear(&me, &h.client, &f, "*0\r\n*0\r\n");
	assert_int_equal(first->leased_at_ms, START_MS + THIRD_MS + 100);
	fake_close(&f);
	end(&me);
	stint_clock_reset();
	client_fini(&h.client);
	queue_list_fini(&h.queues);
}

static void
at_a_replica_the_master_is_looked_for(void **state)
{
	struct redis_scripts scripts = {.is_loaded = true};
	struct held h = {.now_ms = START_MS};
	struct me me = {.held = &h};
	struct fake f;

	(void)state;
	client_at_fake(&h.client, &f);
	held_move_clock(&h, 0);
	begin_at(&me, h.client.conn, &scripts, LEASE_MS);
	add(&me, queue_get(&h.queues, "stint", "a"), "1-1");
	held_move_clock(&h, THIRD_MS);
	hear(&me, &h.client, &f, "-READONLY You can't write against a replica\r\n");
	RUN_UNTIL(h.client.base, h.client.down_count == 1);
	fake_close(&f);
	end(&me);
	stint_clock_reset();
	client_fini(&h.client);
	queue_list_fini(&h.queues);
}

/* A connection that is dead without a sign: nobody says no, nobody says anything. */
static void
silence_is_noticed_within_half_a_lease(void **state)
{
	struct redis_scripts scripts = {.is_loaded = true};
	struct held h = {0};
	struct me me = {.held = &h};
	struct attempt *a;
	int64_t sent_at_ms;
	struct fake f;

	(void)state;
	client_at_fake(&h.client, &f);
	begin_at(&me, h.client.conn, &scripts, SHORT_LEASE_MS);
	a = add(&me, queue_get(&h.queues, "stint", "a"), "1-1");
	a->leased_at_ms -= SHORT_LEASE_MS / 3;
	sent_at_ms = stint_now_ms();
	lease_poke(me.lease);
	assert_true(is_renewing(&me));
	RUN_UNTIL(h.client.base, h.client.down_count == 1);
	assert_int_equal(h.client.why.code, -ETIMEDOUT);
	assert_in_range(
		stint_now_ms() - sent_at_ms, SHORT_LEASE_MS / 3, SHORT_LEASE_MS / 2);
	assert_true(a->leased_at_ms < sent_at_ms);
	fake_close(&f);
	end(&me);
	client_fini(&h.client);
	queue_list_fini(&h.queues);
}

static void
requests_are_given_up_well_within_half_a_lease(void **state)
{
	(void)state;
	assert_int_equal(lease_timeout_ms(1000), 333);
	assert_int_equal(lease_timeout_ms(30000), 5000);
	assert_int_equal(lease_timeout_ms(3600000), 5000);
}

static void
a_lost_connection_is_tried_again_within_an_eighth_of_a_lease(void **state)
{
	(void)state;
	assert_int_equal(lease_retry_max_ms(1000), 125);
	assert_int_equal(lease_retry_max_ms(30000), 3750);
	assert_int_equal(lease_retry_max_ms(3600000), 5000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(all_is_renewed_at_once_when_redis_is_back),
		HELD_TEST(scripts_that_were_forgotten_are_asked_for),
		cmocka_unit_test(a_fault_of_one_queue_does_not_touch_the_others),
		cmocka_unit_test(at_a_replica_the_master_is_looked_for),
		cmocka_unit_test(silence_is_noticed_within_half_a_lease),
		cmocka_unit_test(requests_are_given_up_well_within_half_a_lease),
		cmocka_unit_test(
			a_lost_connection_is_tried_again_within_an_eighth_of_a_lease),
	};

	return cmocka_run_group_tests(tests, held_open, held_close);
}
