/*
 * The connection to a scripted server that cuts, stalls, lies and hangs up.
 */
#include "tests/unit/redis_harness.h"

enum {
	SHORT_MS = 40, /* a time-out that a test waits for */
};

/* Lost with @code, and the text holds @word. */
static void
assert_lost(struct client *c, int code, const char *word)
{
	RUN_UNTIL(c->base, c->down_count > 0);
	assert_int_equal(c->why.code, code);
	if (!strstr(c->why.msg, word))
		fail_msg("\"%s\" does not say \"%s\"", c->why.msg, word);
	assert_true(c->retry_ms > 0);
}

static void
replies_may_be_cut_at_every_byte(void **state)
{
	static const char said[] = "+PONG\r\n*2\r\n$1\r\na\r\n*-1\r\n-ERR x\r\n";
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	for (size_t cut = 0; cut < sizeof said; cut++) {
		struct outcome_of o = OUTCOME_NONE;

		send_pings(c.conn, 3, PATIENCE_MS, &o);
		fake_say(&f, said, cut);
		settle_loop(c.base);
		assert_int_equal(o.done_count, cut == sizeof said - 1);
		fake_say(&f, said + cut, sizeof said - 1 - cut);
		RUN_UNTIL(c.base, o.done_count > 0);
		assert_outcome(&o, 0, "+PONG [\"a\" nil] -ERR x");
	}
	assert_int_equal(c.down_count, 0);
	fake_close(&f);
	client_fini(&c);
}

static void
replies_may_come_glued_together(void **state)
{
	struct outcome_of o[3] = {OUTCOME_NONE, OUTCOME_NONE, OUTCOME_NONE};
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	send_pings(c.conn, 1, PATIENCE_MS, &o[0]);
	send_pings(c.conn, 3, PATIENCE_MS, &o[1]);
	send_pings(c.conn, 2, PATIENCE_MS, &o[2]);
	fake_text(&f, "+1\r\n+2\r\n+3\r\n+4\r\n+5\r\n");
	RUN_UNTIL(c.base, o[1].done_count > 0);
	assert_int_equal(o[2].done_count, 0);
	fake_text(&f, "+6\r\n");
	RUN_UNTIL(c.base, o[2].done_count > 0);
	assert_outcome(&o[0], 0, "+1");
	assert_outcome(&o[1], 0, "+2 +3 +4");
	assert_outcome(&o[2], 0, "+5 +6");
	fake_close(&f);
	client_fini(&c);
}

static void
a_close_in_the_middle_completes_what_is_whole(void **state)
{
	struct outcome_of whole = OUTCOME_NONE, half = OUTCOME_NONE, none = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	ping(c.conn, &whole);
	send_pings(c.conn, 2, PATIENCE_MS, &half);
	ping(c.conn, &none);
	settle_loop(c.base);
	fake_text(&f, "+PONG\r\n+PONG\r\n+PO");
	fake_hang_up(&f);
	assert_lost(&c, -EIO, "closed by the server");
	assert_outcome(&whole, 0, "+PONG");
	assert_outcome(&half, -EIO, "");
	assert_outcome(&none, -EIO, "");
	RUN_UNTIL(c.base, c.up_count == 2);
	fake_close(&f);
	client_fini(&c);
}

static void
last_words_are_heard_after_sending_has_failed(void **state)
{
	struct outcome_of first = OUTCOME_NONE, second = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	ping(c.conn, &first);
	settle_loop(c.base);
	fake_text(&f, "+PONG\r\n");
	fake_hang_up(&f);
	ping(c.conn, &second); /* EPIPE */
	assert_lost(&c, -EIO, "closed by the server");
	assert_outcome(&first, 0, "+PONG");
	assert_outcome(&second, -EIO, "");
	fake_close(&f);
	client_fini(&c);
}

static void
silence_ends_with_a_time_out(void **state)
{
	struct outcome_of o = OUTCOME_NONE, late = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	send_pings(c.conn, 1, SHORT_MS, &o);
	ping(c.conn, &late);
	assert_lost(&c, -ETIMEDOUT, "no reply in time");
	assert_outcome(&o, -ETIMEDOUT, "");
	assert_outcome(&late, -ETIMEDOUT, "");
	fake_close(&f);
	client_fini(&c);
}

/* Replies come in order: the impatient batch behind a patient one counts for both. */
static void
the_earliest_deadline_counts_wherever_it_waits(void **state)
{
	struct outcome_of patient = OUTCOME_NONE, impatient = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	send_pings(c.conn, 1, STINT_NEVER, &patient);
	send_pings(c.conn, 1, SHORT_MS, &impatient);
	assert_lost(&c, -ETIMEDOUT, "no reply in time");
	assert_outcome(&patient, -ETIMEDOUT, "");
	assert_outcome(&impatient, -ETIMEDOUT, "");
	fake_close(&f);
	client_fini(&c);
}

/* The loop was held up for longer than the time-out, but the reply is there. */
static void
a_reply_that_has_come_beats_its_deadline(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	send_pings(c.conn, 1, 0, &o); /* has passed when the loop looks */
	fake_text(&f, "+PONG\r\n");
	RUN_UNTIL(c.base, o.done_count > 0);
	assert_outcome(&o, 0, "+PONG");
	settle_loop(c.base);
	assert_int_equal(c.down_count, 0);
	fake_close(&f);
	client_fini(&c);
}

static void
what_is_no_reply_loses_the_connection(void **state)
{
	static const char *const lies[] = {
		"HTTP/1.1 400 Bad Request\r\n",
		"*1000000000\r\n",
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
		"$3\r\nabcdef\r\n",
		":1x\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct outcome_of o = OUTCOME_NONE;
		struct client c;
		struct fake f;

		client_at_fake(&c, &f);
		ping(c.conn, &o);
		fake_text(&f, lies[i]);
		assert_lost(&c, -EPROTO, "not a reply: ");
		assert_outcome(&o, -EPROTO, "");
		RUN_UNTIL(c.base, c.up_count == 2); /* and that is forgotten */
		fake_close(&f);
		client_fini(&c);
	}
}

static void
bytes_that_answer_nothing_lose_the_connection(void **state)
{
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	fake_text(&f, "+hello\r\n");
	assert_lost(&c, -EPROTO, "more than it was asked");
	fake_close(&f);
	client_fini(&c);
}

static struct outcome_of next_outcome;

static void
send_next(void *arg)
{
	struct client *c = arg;

	ping(c->conn, &next_outcome);
}

/* The stray reply was there first: it must not pass for that of the next batch. */
static void
stray_bytes_are_not_taken_for_the_next_reply(void **state)
{
	struct client c;
	struct outcome_of o = {.status = STATUS_NONE, .then = send_next, .arg = &c};
	struct fake f;

	(void)state;
	next_outcome = (struct outcome_of)OUTCOME_NONE;
	client_at_fake(&c, &f);
	ping(c.conn, &o);
	fake_text(&f, "+PONG\r\n+STRAY\r\n");
	assert_lost(&c, -EPROTO, "more than it was asked");
	assert_outcome(&o, 0, "+PONG");
	assert_outcome(&next_outcome, -EPROTO, "");
	fake_close(&f);
	client_fini(&c);
}

static void
a_string_over_the_limit_is_counted_not_kept(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_init(&c);
	fake_open(&f, c.base);
	c.url.path = f.path;
	c.opts.string_limit_bytes = 4;
	client_start(&c);
	RUN_UNTIL(c.base, c.up_count == 1);
	send_pings(c.conn, 2, PATIENCE_MS, &o);
	fake_text(&f, "$5\r\n12345\r\n$4\r\n1234\r\n");
	RUN_UNTIL(c.base, o.done_count > 0);
	assert_outcome(&o, 0, "string of 5 \"1234\"");
	fake_close(&f);
	client_fini(&c);
}

static void
batches_sent_while_down_are_refused_from_the_loop(void **state)
{
	struct outcome_of early = OUTCOME_NONE, o = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_init(&c);
	fake_open(&f, c.base);
	c.url.path = f.path;
	assert_int_equal(redis_conn_new(&c.opts, &c.conn), 0);
	ping(c.conn, &early); /* before start */
	redis_conn_start(c.conn);
	send_pings(c.conn, 0, PATIENCE_MS, &o);
	assert_int_equal(early.done_count + o.done_count, 0);
	assert_int_equal(redis_conn_waiting_count(c.conn), 2);
	RUN_UNTIL(c.base, o.done_count > 0);
	assert_outcome(&early, -ENOTCONN, "");
	assert_outcome(&o, -ENOTCONN, "");
	fake_close(&f);
	client_fini(&c);
}

/* Full jitter below 50 ms, 100 ms, 200 ms ...; a stable connection starts it anew. The
 * clock is stopped, so that only what is set here counts as having been up. */
static void
tries_get_rarer_until_a_connection_was_stable(void **state)
{
	enum { TRIES = 6 };
	int64_t now_ms = 1000, limit_ms = 50, longest_ms = 0;
	struct client c;
	struct fake f;

	(void)state;
	stint_clock_set(now_ms, 0);
	client_init(&c);
	c.opts.retry_max_ms = PATIENCE_MS;
	fake_open(&f, c.base);
	c.url.path = f.path;
	client_start(&c);
	RUN_UNTIL(c.base, c.up_count == 1);
	f.greeting = "-LOADING wait\r\n:1\r\n";
	fake_hang_up(&f);
	for (int i = 0; i < TRIES; i++) {
		RUN_UNTIL(c.base, c.down_count > i);
		assert_in_range(c.retry_ms, 1, limit_ms);
		longest_ms = c.retry_ms > longest_ms ? c.retry_ms : longest_ms;
		limit_ms *= 2;
		stint_clock_set(now_ms += c.retry_ms, 0);
	}
	assert_in_range(longest_ms, 200, 1600);
	f.greeting = "+PONG\r\n:7\r\n";
	RUN_UNTIL(c.base, c.up_count == 2);
	stint_clock_set(now_ms + 5000, 0);
	fake_hang_up(&f);
	RUN_UNTIL(c.base, c.down_count > TRIES);
	assert_in_range(c.retry_ms, 1, 50);
	stint_clock_reset();
	fake_close(&f);
	client_fini(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_may_be_cut_at_every_byte),
		cmocka_unit_test(replies_may_come_glued_together),
		cmocka_unit_test(a_close_in_the_middle_completes_what_is_whole),
		cmocka_unit_test(last_words_are_heard_after_sending_has_failed),
		cmocka_unit_test(silence_ends_with_a_time_out),
		cmocka_unit_test(the_earliest_deadline_counts_wherever_it_waits),
		cmocka_unit_test(a_reply_that_has_come_beats_its_deadline),
		cmocka_unit_test(what_is_no_reply_loses_the_connection),
		cmocka_unit_test(bytes_that_answer_nothing_lose_the_connection),
		cmocka_unit_test(stray_bytes_are_not_taken_for_the_next_reply),
		cmocka_unit_test(a_string_over_the_limit_is_counted_not_kept),
		cmocka_unit_test(batches_sent_while_down_are_refused_from_the_loop),
		cmocka_unit_test(tries_get_rarer_until_a_connection_was_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
