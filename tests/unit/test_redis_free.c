/*
 * A connection is freed, or reset, inside each of its callbacks. To be run under ASan:
 * that every batch completes exactly once is asserted here, that no memory is used
 * after it was freed is seen there.
 */
#include "tests/unit/redis_harness.h"

enum { BATCHES = 5 };

/* Where the action takes place. */
struct scene {
	struct client c;
	struct fake f;
	struct outcome_of o[BATCHES];
	struct outcome_of sent_inside; /* by the action, before it acts */
	bool frees;                    /* else resets */
	bool is_over;
};

static void
act(void *arg)
{
	struct scene *s = arg;

	if (s->is_over)
		return;
	s->is_over = true;
	ping(s->c.conn, &s->sent_inside);
	assert_int_equal(s->sent_inside.done_count, 0);
	if (!s->frees) {
		redis_conn_reset(s->c.conn, "from a callback");
		return;
	}
	redis_conn_free(s->c.conn);
	s->c.conn = NULL;
}

static void
act_on_up(void *arg)
{
	client_on_up(arg);
	act(container_of((struct client *)arg, struct scene, c));
}

static void
act_on_down(void *arg, const struct stint_err *why, int64_t retry_ms)
{
	client_on_down(arg, why, retry_ms);
	act(container_of((struct client *)arg, struct scene, c));
	assert_true(why->msg[0] != '\0'); /* still there */
}

static void
scene_open(struct scene *s, bool frees)
{
	*s = (struct scene){.frees = frees, .sent_inside = OUTCOME_NONE};
	for (int i = 0; i < BATCHES; i++)
		s->o[i] = (struct outcome_of)OUTCOME_NONE;
	client_init(&s->c);
	fake_open(&s->f, s->c.base);
	s->c.url.path = s->f.path;
}

static void
scene_open_up(struct scene *s, bool frees)
{
	scene_open(s, frees);
	client_start(&s->c);
	RUN_UNTIL(s->c.base, s->c.up_count == 1);
}

static void
scene_send(struct scene *s, int actor)
{
	for (int i = 0; i < BATCHES; i++)
		ping(s->c.conn, &s->o[i]);
	s->o[actor].then = act;
	s->o[actor].arg = s;
}

/* Whatever was done, each batch has completed once, and a reset one comes back. */
static void
scene_close(struct scene *s, bool has_batches)
{
	RUN_UNTIL(s->c.base, s->is_over && s->sent_inside.done_count > 0);
	if (!s->frees) {
		int ups = s->c.up_count;

		RUN_UNTIL(s->c.base, s->c.up_count > ups || redis_conn_is_up(s->c.conn));
	}
	settle_loop(s->c.base);
	for (int i = 0; i < BATCHES; i++) {
		assert_int_equal(s->o[i].done_count, has_batches ? 1 : 0);
		buf_fini(&s->o[i].text);
	}
	assert_int_equal(s->sent_inside.done_count, 1);
	buf_fini(&s->sent_inside.text);
	fake_close(&s->f);
	client_fini(&s->c);
}

static void
in_on_up(void **state)
{
	(void)state;
	for (int frees = 0; frees < 2; frees++) {
		struct scene s;

		scene_open(&s, frees);
		s.c.ops.on_up = act_on_up;
		client_start(&s.c);
		scene_close(&s, false);
		assert_int_equal(s.sent_inside.status, frees ? -ECANCELED : -EIO);
		assert_int_equal(s.c.down_count, frees ? 0 : 1);
	}
}

static void
in_on_down_after_a_failed_try(void **state)
{
	(void)state;
	for (int frees = 0; frees < 2; frees++) {
		struct scene s;

		scene_open(&s, frees);
		s.f.greeting = "-LOADING\r\n:1\r\n";
		s.c.ops.on_down = act_on_down;
		client_start(&s.c);
		RUN_UNTIL(s.c.base, s.is_over);
		s.f.greeting = "+PONG\r\n:7\r\n";
		scene_close(&s, false);
		assert_int_equal(s.sent_inside.status, frees ? -ECANCELED : -ENOTCONN);
	}
}

static void
in_on_down_after_a_loss(void **state)
{
	(void)state;
	for (int frees = 0; frees < 2; frees++) {
		struct scene s;

		scene_open(&s, frees);
		s.c.ops.on_down = act_on_down;
		client_start(&s.c);
		RUN_UNTIL(s.c.base, s.c.up_count == 1);
		scene_send(&s, 0);
		s.o[0].then = NULL;
		fake_hang_up(&s.f);
		scene_close(&s, true);
	}
}

static void
in_the_completion_of_each_answered_batch(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * BATCHES; i++) {
		int actor = i / 2;
		struct scene s;

		scene_open_up(&s, i % 2);
		scene_send(&s, actor);
		fake_text(&s.f, "+1\r\n+2\r\n+3\r\n+4\r\n+5\r\n");
		scene_close(&s, true);
		for (int n = 0; n < BATCHES; n++) {
			int lost = s.frees ? -ECANCELED : -EIO;

			assert_int_equal(s.o[n].status, n <= actor ? 0 : lost);
		}
	}
}

static void
in_the_completion_of_each_lost_batch(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * BATCHES; i++) {
		int actor = i / 2;
		struct scene s;

		scene_open_up(&s, i % 2);
		scene_send(&s, actor);
		settle_loop(s.c.base);
		fake_hang_up(&s.f);
		scene_close(&s, true);
		for (int n = 0; n < BATCHES; n++)
			assert_int_equal(
				s.o[n].status, s.frees && n > actor ? -ECANCELED : -EIO);
		assert_int_equal(s.c.down_count, s.frees ? 0 : 1);
	}
}

static void
in_the_completion_of_each_refused_batch(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * BATCHES; i++) {
		int actor = i / 2;
		struct scene s;

		scene_open(&s, i % 2);
		client_start(&s.c);
		scene_send(&s, actor);
		scene_close(&s, true);
		for (int n = 0; n < BATCHES; n++)
			assert_int_equal(s.o[n].status,
				s.frees && n > actor ? -ECANCELED : -ENOTCONN);
	}
}

/* Its owner frees in a completion that the owner's own free has caused. */
static void
in_the_completion_of_each_cancelled_batch(void **state)
{
	(void)state;
	for (int actor = 0; actor < BATCHES; actor++) {
		struct scene s;
		struct redis_conn *conn;

		scene_open_up(&s, true);
		scene_send(&s, actor);
		conn = s.c.conn;
		redis_conn_free(conn);
		assert_null(s.c.conn); /* the action has been there */
		for (int n = 0; n < BATCHES; n++)
			assert_int_equal(s.o[n].status, -ECANCELED);
		scene_close(&s, true);
	}
}

static void
replies_outlive_the_connection_until_the_callback_returns(void **state)
{
	struct scene s;

	(void)state;
	scene_open_up(&s, true);
	scene_send(&s, 0);
	/* outcome_take() reads the replies first; the second one has begun to come. */
	fake_text(&s.f, "$5\r\nhello\r\n$5\r\nwor");
	scene_close(&s, true);
	assert_int_equal(s.o[0].status, 0);
}

static void
before_it_was_started_and_in_every_state_of_a_try(void **state)
{
	struct scene s;

	(void)state;
	redis_conn_free(NULL);
	scene_open(&s, true);
	s.f.greeting = NULL;
	assert_int_equal(redis_conn_new(&s.c.opts, &s.c.conn), 0);
	redis_conn_free(s.c.conn);
	for (int rounds = 0; rounds < 4; rounds++) {
		client_start(&s.c);
		for (int i = 0; i < rounds; i++)
			event_base_loop(s.c.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		redis_conn_free(s.c.conn);
	}
	s.c.conn = NULL;
	assert_int_equal(s.c.up_count + s.c.down_count, 0);
	fake_close(&s.f);
	client_fini(&s.c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_on_up),
		cmocka_unit_test(in_on_down_after_a_failed_try),
		cmocka_unit_test(in_on_down_after_a_loss),
		cmocka_unit_test(in_the_completion_of_each_answered_batch),
		cmocka_unit_test(in_the_completion_of_each_lost_batch),
		cmocka_unit_test(in_the_completion_of_each_refused_batch),
		cmocka_unit_test(in_the_completion_of_each_cancelled_batch),
		cmocka_unit_test(
			replies_outlive_the_connection_until_the_callback_returns),
		cmocka_unit_test(before_it_was_started_and_in_every_state_of_a_try),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
