/*
 * test_finish.c - what is said to a real Redis when jobs end, and what its answers mean
 */
#include "tests/unit/redis_harness.h"
#include "daemon/queue/entry.h"
#include "daemon/queue/finish.h"

enum {
	JOBS_MAX = 8,
	WORDS_MAX = 16,
	TEXT_BYTES = 256,
	HOUR_MS = 3600 * 1000,
};

#define KEY          "stint:{q}:"
#define WITH_HANDLER "handlers: { h: { command: [/bin/true] } }"

/* A Redis, a queue in it, and the jobs that "me" has read. */
struct bench {
	struct server server;
	struct client client;
	struct config *config;
	struct queue_list queues;
	struct queue *queue;
	struct redis_scripts scripts;
	struct attempt *held[JOBS_MAX];
	size_t held_count;
	int done_count;
	/* of the last batch that ended jobs */
	enum finish_kind kind;
	struct attempt_list list;
	enum fault fault;
	int64_t next_due_ms;
	struct buf answers;
};

/* A command of words with one blank between them; its answer, to be freed. */
static char *
ask(struct bench *b, const char *command)
{
	struct outcome_of o = OUTCOME_NONE;
	char text[TEXT_BYTES], *words[WORDS_MAX], *rest = text;
	struct redis_batch batch;
	size_t n = 0;

	snprintf(text, sizeof text, "%s", command);
	while (rest && n < WORDS_MAX)
		words[n++] = strsep(&rest, " ");
	redis_batch_begin(b->client.conn, &batch);
	redis_cmd(&batch, n);
	for (size_t i = 0; i < n; i++)
		redis_str(&batch, words[i]);
	redis_batch_send(&batch, PATIENCE_MS, outcome_take, &o);
	RUN_UNTIL(b->client.base, o.done_count > 0);
	assert_int_equal(o.status, 0);
	buf_char(&o.text, '\0');
	assert_false(o.text.failed);
	return o.text.data;
}

static void
assert_answer(struct bench *b, const char *command, const char *expected)
{
	cleanup(freep) char *answer = ask(b, command);

	assert_string_equal(answer, expected);
}

static void
on_loaded(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct bench *b = arg;
	struct stint_err err = {0};

	assert_int_equal(status, 0);
	assert_int_equal(redis_scripts_loaded(&b->scripts, replies, count, &err), 0);
	b->done_count++;
}

static void
load_scripts(struct bench *b)
{
	struct redis_batch batch;

	b->done_count = 0;
	redis_batch_begin(b->client.conn, &batch);
	redis_scripts_load(&batch);
	redis_batch_send(&batch, PATIENCE_MS, on_loaded, b);
	RUN_UNTIL(b->client.base, b->done_count > 0);
}

static struct bench *
bench_new(const char *config)
{
	struct bench *b = calloc(1, sizeof *b);
	struct buf faults = {0};

	assert_non_null(b);
	LIST_INIT(&b->queues);
	TAILQ_INIT(&b->list);
	assert_int_equal(config_load(NULL, config, &b->config, &faults), 0);
	b->queue = queue_get(&b->queues, "stint", "q");
	assert_non_null(b->queue);
	server_prepare(&b->server);
	server_start(&b->server, NULL);
	client_init(&b->client);
	b->client.url.path = b->server.path;
	client_start(&b->client);
	RUN_UNTIL(b->client.base, b->client.up_count == 1);
	load_scripts(b);
	assert_answer(b, "XGROUP CREATE " KEY "jobs stint 0 MKSTREAM", "+OK");
	return b;
}

static void
bench_freep(struct bench **bp)
{
	struct bench *b = *bp;

	for (size_t i = 0; i < b->held_count; i++)
		attempt_free(b->held[i]);
	client_fini(&b->client);
	server_remove(&b->server);
	queue_list_fini(&b->queues);
	config_unref(b->config);
	buf_fini(&b->answers);
	free(b);
}

static void
on_read(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct bench *b = arg;
	struct job *job;

	assert_int_equal(status, 0);
	assert_int_equal(count, 1);
	assert_int_equal(entry_job(&replies[0].items[0].items[1].items[0], &job), 0);
	assert_non_null(job);
	assert_string_equal(job->fault, "");
	assert_true(b->held_count < JOBS_MAX);
	b->held[b->held_count] = attempt_new(job, b->queue, b->config);
	assert_non_null(b->held[b->held_count]);
	b->held[b->held_count++]->leased_at_ms = stint_now_ms();
}

/* A job with these @fields ("id x retries 3"), read by "me". */
static struct attempt *
hold(struct bench *b, const char *fields)
{
	const size_t before = b->held_count;
	struct redis_batch batch;
	char text[TEXT_BYTES];

	snprintf(text, sizeof text, "XADD " KEY "jobs * handler h%s%s",
		*fields ? " " : "", fields);
	free(ask(b, text));
	redis_batch_begin(b->client.conn, &batch);
	redis_cmd(&batch, 7);
	redis_str(&batch, "XREADGROUP");
	redis_str(&batch, "GROUP");
	redis_str(&batch, "stint");
	redis_str(&batch, "me");
	redis_str(&batch, "STREAMS");
	redis_str(&batch, KEY "jobs");
	redis_str(&batch, ">");
	redis_batch_send(&batch, PATIENCE_MS, on_read, b);
	RUN_UNTIL(b->client.base, b->held_count > before);
	return b->held[before];
}

/* It ended with @status and goes into the next batch. */
static void
end(struct bench *b, struct attempt *a, enum job_status status)
{
	if (status == JOB_OK)
		a->outcome.status = JOB_OK;
	else
		outcome_fail(&a->outcome, status, "it broke");
	attempt_tell(a, "me");
	TAILQ_INSERT_TAIL(&b->list, a, link);
}

static void
on_finished(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	static const char *const names[] = {"recorded", "duplicate", "lost"};
	struct bench *b = arg;
	const struct redis_reply *why;
	size_t i = 0, nth_set = 0;
	struct attempt *a;

	assert_int_equal(status, 0);
	b->fault = finish_fault(b->kind, replies, count, &why);
	b->next_due_ms = finish_next_due_ms(b->kind, replies, count);
	TAILQ_FOREACH (a, &b->list, link) {
		int flags;

		buf_fmt(&b->answers, "%s%s", i > 0 ? " " : "",
			names[finish_answer(
				b->kind, replies, count, i, a, &nth_set, &flags)]);
		i++;
	}
	b->done_count++;
}

/* Sends what has ended; the answers as words. It may be called again, as after a lost
 * answer. */
static const char *
finish(struct bench *b, enum finish_kind kind)
{
	const struct finish_who who = {.scripts = &b->scripts, .consumer = "me"};
	struct redis_batch batch;

	b->kind = kind;
	b->done_count = 0;
	buf_reset(&b->answers, SIZE_MAX);
	redis_batch_begin(b->client.conn, &batch);
	finish_write(&batch, kind, &who, &b->list);
	redis_batch_send(&batch, PATIENCE_MS, on_finished, b);
	RUN_UNTIL(b->client.base, b->done_count > 0);
	return buf_cstr(&b->answers);
}

static void
assert_no_jobs(struct bench *b)
{
	assert_answer(b, "XLEN " KEY "jobs", "0");
	assert_answer(b, "XPENDING " KEY "jobs stint", "[0 nil nil nil]");
	assert_answer(b, "EXISTS " KEY "ids " KEY "delayed " KEY "bodies", "0");
}

static void
plain_ones_forget_the_ids_that_are_not_their_entries(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	char first[TEXT_BYTES];

	(void)state;
	end(b, hold(b, "id a"), JOB_OK);
	end(b, hold(b, ""), JOB_OK);
	end(b, hold(b, "id c"), JOB_OK);
	assert_answer(b, "HSET " KEY "ids a 1-1 c 2-2 other 3-3", "3");
	assert_answer(b, "SET " KEY "result:c first", "+OK");
	assert_string_equal(finish(b, FINISH_PLAIN), "recorded recorded duplicate");
	assert_int_equal(b->fault, FAULT_NONE);
	assert_int_equal(b->next_due_ms, -1);
	assert_answer(b, "HGETALL " KEY "ids", "[\"other\" \"3-3\"]");
	assert_answer(b, "HDEL " KEY "ids other", "1");
	assert_no_jobs(b);
	snprintf(first, sizeof first, "EXISTS " KEY "result:a " KEY "result:%s",
		b->held[1]->job->entry_id);
	assert_answer(b, first, "2");
}

static void
plain_ones_need_no_ids(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");

	(void)state;
	end(b, hold(b, ""), JOB_OK);
	assert_answer(b, "SET " KEY "ids wrong-type", "+OK");
	assert_string_equal(finish(b, FINISH_PLAIN), "recorded");
	assert_answer(b, "DEL " KEY "ids", "1");
	assert_no_jobs(b);
}

/* As another daemon does that got the job while we were suspended. */
static void
put_off(struct bench *b, const char *id)
{
	char text[TEXT_BYTES];

	snprintf(text, sizeof text, "HSET " KEY "ids %s delayed", id);
	free(ask(b, text));
	snprintf(text, sizeof text, "HSET " KEY "bodies %s body", id);
	free(ask(b, text));
	snprintf(text, sizeof text, "HSET " KEY "state:%s status retrying", id);
	free(ask(b, text));
	snprintf(text, sizeof text, "ZADD " KEY "delayed 5000 %s", id);
	free(ask(b, text));
}

static void
plain_ones_that_come_late_take_away_their_retry(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new(WITH_HANDLER);
	struct attempt *const a = hold(b, "retries 1");

	(void)state;
	end(b, a, JOB_OK);
	end(b, hold(b, "id mine retries 2"), JOB_OK);
	end(b, hold(b, ""), JOB_OK);
	put_off(b, a->job->entry_id);
	put_off(b, "mine");
	put_off(b, "other");
	assert_string_equal(finish(b, FINISH_PLAIN), "recorded recorded recorded");
	assert_answer(b, "ZRANGE " KEY "delayed 0 -1", "[\"other\"]");
	assert_answer(b, "HKEYS " KEY "bodies", "[\"other\"]");
	assert_answer(b, "HKEYS " KEY "ids", "[\"other\"]");
	assert_answer(b, "KEYS " KEY "state:*", "[\"" KEY "state:other\"]");
}

/* Their job may have been submitted again: what is delayed could be that one. */
static void
plain_ones_without_a_result_take_nothing_away(void **state)
{
	cleanup(bench_freep) struct bench *b =
		bench_new("results: { store: none }\n" WITH_HANDLER);

	(void)state;
	end(b, hold(b, "id mine retries 2"), JOB_OK);
	put_off(b, "mine");
	assert_string_equal(finish(b, FINISH_PLAIN), "recorded");
	assert_answer(b, "ZRANGE " KEY "delayed 0 -1", "[\"mine\"]");
}

static void
failures_fill_the_dead_stream_up_to_its_cap(void **state)
{
	cleanup(bench_freep) struct bench *b =
		bench_new("dead_letters: { max_count: 2 }");

	(void)state;
	for (int i = 0; i < 3; i++)
		end(b, hold(b, ""), JOB_ERROR);
	assert_string_equal(finish(b, FINISH_SCRIPT), "recorded recorded recorded");
	assert_answer(b, "XLEN " KEY "dead", "2");
	assert_answer(b, "HGET " KEY "stats dead_lost", "\"1\"");
	assert_string_equal(finish(b, FINISH_SCRIPT), "lost lost lost");
	assert_no_jobs(b);
}

static void
what_is_put_aside_keeps_its_entry(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	struct attempt *a = hold(b, "id mine");
	char ask[TEXT_BYTES], told[TEXT_BYTES];

	(void)state;
	a->is_put_aside = true;
	end(b, a, JOB_HANDED_BACK);
	assert_int_equal(finish_kind(a), FINISH_ASIDE);
	assert_string_equal(finish(b, FINISH_ASIDE), "recorded");
	snprintf(ask, sizeof ask, "XPENDING " KEY "jobs stint");
	snprintf(told, sizeof told, "[1 \"%s\" \"%s\" [[\"aside:h\" \"1\"]]]",
		a->job->entry_id, a->job->entry_id);
	assert_answer(b, ask, told);
	assert_string_equal(finish(b, FINISH_ASIDE), "lost");
}

static void
what_is_released_counts_deaths_and_interruptions(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	struct attempt *again, *a = hold(b, "id mine retries 3");

	(void)state;
	a->job->deliveries = 3; /* two daemons have died with it */
	end(b, a, JOB_HANDED_BACK);
	assert_int_equal(finish_kind(a), FINISH_RELEASE);
	assert_string_equal(finish(b, FINISH_RELEASE), "recorded");
	assert_string_equal(finish(b, FINISH_RELEASE), "lost");
	again = hold(b, ""); /* reads the older one, the copy */
	assert_string_equal(again->job->id.p, "mine");
	assert_true(again->job->is_copy);
	assert_int_equal(again->job->retries, 3);
	assert_int_equal(again->job->attempt, 1);
	assert_int_equal(again->job->deaths, 2);
	assert_int_equal(again->job->interruptions, 1);
	assert_true(again->job->submitted_unix_ms == a->job->submitted_unix_ms);
}

static void
what_is_retried_waits_with_its_next_attempt(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	struct attempt *a = hold(b, "id mine"), *now = hold(b, "");

	(void)state;
	a->retry_delay_ms = HOUR_MS;
	end(b, a, JOB_ERROR);
	assert_int_equal(finish_kind(a), FINISH_RETRY);
	assert_string_equal(finish(b, FINISH_RETRY), "recorded");
	assert_in_range(b->next_due_ms, HOUR_MS - PATIENCE_MS, HOUR_MS);
	assert_answer(b, "HMGET " KEY "state:mine status attempt error",
		"[\"retrying\" \"2\" \"it broke\"]");
	assert_answer(b, "HGET " KEY "ids mine", "\"delayed\"");
	assert_string_equal(finish(b, FINISH_RETRY), "lost");
	TAILQ_REMOVE(&b->list, a, link);
	now->retry_delay_ms = 0;
	end(b, now, JOB_CRASHED);
	assert_string_equal(finish(b, FINISH_RETRY), "recorded");
	assert_int_equal(b->next_due_ms, 0);
	assert_answer(b, "XLEN " KEY "jobs", "0");
	assert_answer(b, "ZCARD " KEY "delayed", "2");
}

static void
a_retry_that_has_a_result_is_dropped(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	struct attempt *a = hold(b, "id mine");

	(void)state;
	assert_answer(b, "SET " KEY "result:mine first", "+OK");
	a->retry_delay_ms = HOUR_MS;
	end(b, a, JOB_ERROR);
	assert_string_equal(finish(b, FINISH_RETRY), "duplicate");
	assert_int_equal(b->next_due_ms, -1);
	assert_no_jobs(b);
}

static void
a_state_goes_with_the_job_and_with_no_other(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	struct attempt *told = hold(b, "id told"), *quiet = hold(b, "id quiet");

	(void)state;
	attempt_report(told, &(struct progress){.percent = 50});
	assert_answer(b, "HSET " KEY "state:told percent 50", "1");
	assert_answer(b, "HSET " KEY "state:quiet percent 50", "1");
	end(b, told, JOB_OK);
	end(b, quiet, JOB_ERROR);
	assert_string_equal(finish(b, FINISH_SCRIPT), "recorded recorded");
	assert_answer(b, "EXISTS " KEY "state:told", "0");
	assert_answer(b, "EXISTS " KEY "state:quiet", "1");
	/* its lease is over: whoever has it by now may have told */
	TAILQ_INIT(&b->list);
	quiet = hold(b, "id late");
	quiet->leased_at_ms -= quiet->config->lease_ms;
	assert_answer(b, "HSET " KEY "state:late percent 50", "1");
	end(b, quiet, JOB_OK);
	assert_string_equal(finish(b, FINISH_SCRIPT), "recorded");
	assert_answer(b, "EXISTS " KEY "state:late", "0");
	TAILQ_INIT(&b->list);
	told = hold(b, "id told");
	attempt_report(told, &(struct progress){.percent = 50});
	assert_answer(b, "HSET " KEY "state:told percent 50", "1");
	end(b, told, JOB_HANDED_BACK);
	assert_string_equal(finish(b, FINISH_RELEASE), "recorded");
	assert_answer(b, "EXISTS " KEY "state:told", "0");
}

static void
lost_scripts_are_a_fault(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	struct attempt *a = hold(b, "");

	(void)state;
	assert_answer(b, "SCRIPT FLUSH", "+OK");
	a->retry_delay_ms = HOUR_MS;
	end(b, a, JOB_ERROR);
	finish(b, FINISH_RETRY);
	assert_int_equal(b->fault, FAULT_NOSCRIPT);
	assert_int_equal(b->next_due_ms, -1);
	load_scripts(b);
	assert_string_equal(finish(b, FINISH_RETRY), "recorded");
}

static void
an_attempt_that_is_not_retried_has_its_usual_kind(void **state)
{
	cleanup(bench_freep) struct bench *b = bench_new("");
	struct attempt *a = hold(b, ""), *replied = hold(b, "reply_to r");

	(void)state;
	a->outcome.status = replied->outcome.status = JOB_OK;
	assert_int_equal(finish_kind(a), FINISH_PLAIN);
	assert_int_equal(finish_kind(replied), FINISH_SCRIPT);
	attempt_report(a, &(struct progress){.percent = 1});
	assert_int_equal(finish_kind(a), FINISH_SCRIPT);
	outcome_fail(&a->outcome, JOB_ERROR, "no");
	assert_int_equal(finish_kind(a), FINISH_SCRIPT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_ones_forget_the_ids_that_are_not_their_entries),
		cmocka_unit_test(plain_ones_need_no_ids),
		cmocka_unit_test(plain_ones_that_come_late_take_away_their_retry),
		cmocka_unit_test(plain_ones_without_a_result_take_nothing_away),
		cmocka_unit_test(failures_fill_the_dead_stream_up_to_its_cap),
		cmocka_unit_test(what_is_put_aside_keeps_its_entry),
		cmocka_unit_test(what_is_released_counts_deaths_and_interruptions),
		cmocka_unit_test(what_is_retried_waits_with_its_next_attempt),
		cmocka_unit_test(a_retry_that_has_a_result_is_dropped),
		cmocka_unit_test(a_state_goes_with_the_job_and_with_no_other),
		cmocka_unit_test(lost_scripts_are_a_fault),
		cmocka_unit_test(an_attempt_that_is_not_retried_has_its_usual_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
