/*
 * Asking whether jobs may run, against a real Redis; answers that it would not give come
 * from a scripted one.
 */
#include "daemon/queue/admit.h"
#include "daemon/queue/entry.h"
#include "tests/unit/held_fixture.h"

enum { LEASE_MS = 30000, MANY = 300 };

/* The daemon around it. */
struct me {
	struct held *held;
	struct admit *admit;
	int answers[4];
	enum admit_answer last;
	int batches;
	struct queue *queue; /* of the last answer */
	int changes;         /* of the queue, from answer to answer */
	struct queue *due_queue;
	int64_t due_ms;
	int noscripts;
	int64_t wake_at_ms;
};

static void
drop(struct attempt *a)
{
	free(a->job);
	free(a);
}

static void
my_on_admitted(void *arg, struct attempt *a, enum admit_answer answer)
{
	struct me *me = arg;

	me->answers[answer]++;
	me->last = answer;
	me->changes += me->queue && me->queue != a->queue;
	me->queue = a->queue;
	drop(a);
}

static void
my_on_batch(void *arg)
{
	((struct me *)arg)->batches++;
}

static void
my_on_due(void *arg, struct queue *q, int64_t in_ms)
{
	struct me *me = arg;

	me->due_queue = q;
	me->due_ms = in_ms;
}

static void
my_on_noscript(void *arg)
{
	((struct me *)arg)->noscripts++;
}

static void
my_wake_at(void *arg, int64_t at_ms)
{
	((struct me *)arg)->wake_at_ms = at_ms;
}

static const struct admit_ops my_ops = {.on_admitted = my_on_admitted,
	.on_batch = my_on_batch,
	.on_due = my_on_due,
	.on_noscript = my_on_noscript,
	.wake_at = my_wake_at};

static void
me_init(struct me *me, struct held *h, struct redis_conn *conn)
{
	*me = (struct me){.held = h, .due_ms = -1};
	assert_int_equal(admit_new(&(struct admit_opts){.conn = conn,
					   .scripts = &h->scripts,
					   .queues = &h->queues,
					   .consumer = "me",
					   .lease_ms = LEASE_MS,
					   .ops = &my_ops,
					   .arg = me},
				 &me->admit),
		0);
}

static struct attempt *
attempt_of(struct queue *q, const char *entry_id, const char *id, int64_t due_unix_ms)
{
	struct attempt *a = calloc(1, sizeof *a);
	struct job *job = calloc(1, sizeof *job + JOB_ID_MAX + 1);

	assert_true(a && job);
	strcpy(job->entry_id, entry_id);
	strcpy((char *)(job + 1), id ? id : entry_id);
	job->id = (struct bytes){(char *)(job + 1), strlen((char *)(job + 1))};
	job->has_own_id = id != NULL;
	job->due_unix_ms = due_unix_ms;
	a->job = job;
	a->queue = q;
	return a;
}

/* A job that "me" holds, added for asking. */
static void
add(struct me *me, struct queue *q, const char *entry_id, const char *id, int64_t due)
{
	const char *key = buf_cstr(&q->jobs_key);

	if (id)
		held_say(me->held, "XADD", key, entry_id, "handler", "h", "id", id);
	else
		held_say(me->held, "XADD", key, entry_id, "handler", "h");
	held_say(me->held, "XREADGROUP", "GROUP", KEYS_GROUP, "me", "COUNT", "1",
		"STREAMS", key, ">");
	admit_add(me->admit, attempt_of(q, entry_id, id, due));
}

#define WAIT(me, condition) RUN_UNTIL((me)->held->client.base, condition)

static void
ask_all(struct me *me)
{
	admit_poke(me->admit);
	WAIT(me, admit_pending_count(me->admit) == 0);
}

static void
only_jobs_with_an_id_or_a_delay_ask_and_no_copies(void **state)
{
	(void)state;
	assert_false(admit_is_needed(&(struct job){0}));
	assert_true(admit_is_needed(&(struct job){.has_own_id = true}));
	assert_true(admit_is_needed(&(struct job){.due_unix_ms = 1}));
	assert_false(admit_is_needed(
		&(struct job){.has_own_id = true, .due_unix_ms = 1, .is_copy = true}));
}

static void
the_first_of_an_id_runs_and_its_like_is_dropped(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	me_init(&me, h, h->client.conn);
	add(&me, q, "1-1", "x", 0);
	add(&me, q, "1-2", "x", 0);
	add(&me, q, "1-3", "y", 0);
	ask_all(&me);
	assert_int_equal(me.answers[ADMIT_RUN], 2);
	assert_int_equal(me.answers[ADMIT_DUPLICATE], 1);
	assert_int_equal(me.batches, 1);
	assert_int_equal(me.due_ms, -1); /* nothing is delayed: nothing is told */
	assert_string_equal(held_say(h, "XLEN", "stint:{a}:jobs"), "2");
	admit_free(me.admit);
}

static void
a_job_before_its_time_is_delayed_and_told_when_it_is_due(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	me_init(&me, h, h->client.conn);
	add(&me, q, "1-1", NULL, INT64_C(9000000000000));
	add(&me, q, "1-2", NULL, 1);
	ask_all(&me);
	assert_int_equal(me.answers[ADMIT_DELAYED], 1);
	assert_int_equal(me.answers[ADMIT_RUN], 1);
	assert_ptr_equal(me.due_queue, q);
	assert_true(me.due_ms > 1000);
	assert_string_equal(
		held_say(h, "ZRANGE", "stint:{a}:delayed", "0", "-1"), "[\"1-1\"]");
	admit_free(me.admit);
}

static void
a_job_that_somebody_else_holds_now_is_lost(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	me_init(&me, h, h->client.conn);
	add(&me, q, "1-1", "x", 0);
	held_age(h, q, "1-1", "other", "0");
	ask_all(&me);
	assert_int_equal(me.answers[ADMIT_LOST], 1);
	assert_string_equal(held_owner(h, q, "1-1"), "other 1");
	admit_free(me.admit);
}

static void
many_jobs_of_several_queues_are_asked_for_in_bounded_batches(void **state)
{
	struct held *h = *state;
	struct queue *queues[] = {held_queue(h, "a"), held_queue(h, "b")};
	struct me me;
	char text[32];

	me_init(&me, h, h->client.conn);
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof text, "1-%d", i + 1);
		add(&me, queues[i % 2], text, text + 2, 0);
	}
	ask_all(&me);
	assert_int_equal(me.answers[ADMIT_RUN], MANY);
	assert_int_equal(me.batches, 4); /* 128 + 22 of each */
	assert_int_equal(me.changes, 3); /* in turn */
	admit_free(me.admit);
}

static void
nothing_is_asked_while_scripts_are_missing_and_noscript_is_told(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	me_init(&me, h, h->client.conn);
	held_say(h, "SCRIPT", "FLUSH");
	add(&me, q, "1-1", "x", 0);
	admit_poke(me.admit);
	WAIT(&me, me.noscripts == 1);
	assert_false(h->scripts.is_loaded);
	admit_poke(me.admit);
	settle_loop(h->client.base);
	assert_int_equal(me.noscripts, 1);
	held_load_scripts(h);
	ask_all(&me);
	assert_int_equal(me.answers[ADMIT_RUN], 1);
	admit_free(me.admit);
}

static void
one_queues_trouble_does_not_hold_up_the_others(void **state)
{
	struct held *h = *state;
	struct queue *good = held_queue(h, "good"), *bad = held_queue(h, "bad");
	struct me me;

	me_init(&me, h, h->client.conn);
	held_say(h, "SET", "stint:{bad}:ids", "no hash");
	add(&me, bad, "1-1", "x", 0);
	add(&me, good, "1-1", "x", 0);
	admit_poke(me.admit);
	WAIT(&me, me.answers[ADMIT_RUN] == 1 && me.wake_at_ms > 0);
	assert_int_equal(admit_pending_count(me.admit), 1);
	held_say(h, "DEL", "stint:{bad}:ids");
	held_move_clock(h, me.wake_at_ms - h->now_ms - 1);
	admit_poke(me.admit);
	settle_loop(h->client.base);
	assert_int_equal(admit_pending_count(me.admit), 1); /* not yet */
	held_move_clock(h, 1);
	ask_all(&me);
	assert_int_equal(me.answers[ADMIT_RUN], 2);
	admit_free(me.admit);
}

/* ---- against a scripted server ---- */

struct scripted {
	struct client client;
	struct fake fake;
	struct held held; /* for its lists alone */
	struct me me;
	struct queue *q;
};

static void
scripted_open(struct scripted *s)
{
	*s = (struct scripted){0};
	client_at_fake(&s->client, &s->fake);
	LIST_INIT(&s->held.queues);
	s->held.scripts.is_loaded = true;
	s->held.client.base = s->client.base;
	me_init(&s->me, &s->held, s->client.conn);
	s->q = queue_get(&s->held.queues, "stint", "a");
	assert_non_null(s->q);
}

static void
scripted_close(struct scripted *s)
{
	struct attempt *a;

	fake_close(&s->fake);
	client_fini(&s->client);
	while ((a = TAILQ_FIRST(&s->q->admits))) {
		TAILQ_REMOVE(&s->q->admits, a, link);
		drop(a);
	}
	queue_list_fini(&s->held.queues);
	admit_free(s->me.admit);
	stint_clock_reset();
}

static void
a_question_whose_answer_was_lost_is_asked_again_in_the_old_order(void **state)
{
	struct scripted s;

	(void)state;
	scripted_open(&s);
	admit_add(s.me.admit, attempt_of(s.q, "1-1", "x", 0));
	admit_add(s.me.admit, attempt_of(s.q, "1-2", "y", 0));
	admit_poke(s.me.admit);
	RUN_UNTIL(s.client.base, strstr(buf_cstr(&s.fake.heard), "1-2"));
	fake_hang_up(&s.fake);
	RUN_UNTIL(s.client.base, s.client.up_count == 2);
	assert_int_equal(admit_pending_count(s.me.admit), 2);
	admit_on_up(s.me.admit);
	RUN_UNTIL(s.client.base, strstr(buf_cstr(&s.fake.heard), "1-2"));
	assert_true(strstr(buf_cstr(&s.fake.heard), "1-1") <
		    strstr(buf_cstr(&s.fake.heard), "1-2"));
	fake_text(&s.fake, "*3\r\n:1\r\n:3\r\n:17\r\n");
	RUN_UNTIL(s.client.base, admit_pending_count(s.me.admit) == 0);
	assert_int_equal(s.me.answers[ADMIT_RUN], 1);
	assert_int_equal(s.me.last, ADMIT_DELAYED);
	assert_int_equal(s.me.due_ms, 17);
	scripted_close(&s);
}

static void
answers_that_make_no_sense_admit_nobody(void **state)
{
	static const char *const answers[] = {"*1\r\n:1\r\n", "*3\r\n:1\r\n:1\r\n:1\r\n",
		"*2\r\n$1\r\n1\r\n:-1\r\n", "+OK\r\n", "$-1\r\n",
		"-OOM command not allowed\r\n", "-BUSY a script runs\r\n"};
	struct scripted s;

	(void)state;
	scripted_open(&s);
	stint_clock_set(START_MS, START_MS);
	admit_add(s.me.admit, attempt_of(s.q, "1-1", "x", 0));
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		buf_reset(&s.fake.heard, SIZE_MAX);
		s.me.wake_at_ms = 0;
		admit_poke(s.me.admit);
		RUN_UNTIL(s.client.base, strstr(buf_cstr(&s.fake.heard), "1-1"));
		fake_text(&s.fake, answers[i]);
		RUN_UNTIL(s.client.base, s.me.wake_at_ms > 0);
		assert_true(s.me.wake_at_ms > stint_now_ms());
		stint_clock_set(s.me.wake_at_ms, s.me.wake_at_ms);
	}
	assert_int_equal(admit_pending_count(s.me.admit), 1);
	assert_int_equal(s.me.answers[ADMIT_RUN], 0);
	scripted_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_jobs_with_an_id_or_a_delay_ask_and_no_copies),
		HELD_TEST(the_first_of_an_id_runs_and_its_like_is_dropped),
		HELD_TEST(a_job_before_its_time_is_delayed_and_told_when_it_is_due),
		HELD_TEST(a_job_that_somebody_else_holds_now_is_lost),
		HELD_TEST(many_jobs_of_several_queues_are_asked_for_in_bounded_batches),
		HELD_TEST(
			nothing_is_asked_while_scripts_are_missing_and_noscript_is_told),
		HELD_TEST(one_queues_trouble_does_not_hold_up_the_others),
		cmocka_unit_test(
			a_question_whose_answer_was_lost_is_asked_again_in_the_old_order),
		cmocka_unit_test(answers_that_make_no_sense_admit_nobody),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, held_open, held_close);
}
