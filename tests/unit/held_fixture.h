/*
 * held_fixture.h - a real Redis with queues, groups and consumers, for tests of the parts
 * that look after held entries
 *
 * One server for all tests of a program, emptied before each; stint's clock stands still
 * until a test moves it. held_say() talks to Redis behind the back of what is tested.
 */
#ifndef TESTS_HELD_FIXTURE_H
#define TESTS_HELD_FIXTURE_H

#include "daemon/queue/queue.h"
#include "daemon/redis/script.h"
#include "tests/unit/redis_harness.h"

enum { START_MS = 1000000, SAY_WORDS_MAX = 16 };

struct held {
	struct server server;
	struct client client;
	struct redis_scripts scripts;
	struct queue_list queues;
	struct outcome_of said;
	int64_t now_ms;
};

static inline void
held_move_clock(struct held *h, int64_t by_ms)
{
	h->now_ms += by_ms;
	stint_clock_set(h->now_ms, h->now_ms);
}

/* Send the words as one command; the reply as text. */
static inline const char *
held_say_words(struct held *h, size_t count, const char *const *words)
{
	struct redis_batch b;

	buf_fini(&h->said.text);
	h->said = (struct outcome_of)OUTCOME_NONE;
	redis_batch_begin(h->client.conn, &b);
	redis_cmd(&b, count);
	for (size_t i = 0; i < count; i++)
		redis_str(&b, words[i]);
	redis_batch_send(&b, PATIENCE_MS, outcome_take, &h->said);
	RUN_UNTIL(h->client.base, h->said.done_count == 1);
	assert_int_equal(h->said.status, 0);
	return buf_cstr(&h->said.text);
}

#define held_say(h, ...)                                                                 \
	held_say_words(h, ARRAY_LEN(((const char *const[]){__VA_ARGS__})),               \
		(const char *const[]){__VA_ARGS__})

static inline void
held_take_scripts(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct held *h = arg;
	struct stint_err err = {0};

	assert_int_equal(status, 0);
	assert_int_equal(redis_scripts_loaded(&h->scripts, replies, count, &err), 0);
	h->scripts.is_loaded = true;
}

static inline void
held_load_scripts(struct held *h)
{
	struct redis_batch b;

	redis_batch_begin(h->client.conn, &b);
	redis_scripts_load(&b);
	redis_batch_send(&b, PATIENCE_MS, held_take_scripts, h);
	RUN_UNTIL(h->client.base, h->scripts.is_loaded);
}

static inline struct queue *
held_queue(struct held *h, const char *name)
{
	struct queue *q = queue_get(&h->queues, "stint", name);

	assert_non_null(q);
	held_say(h, "XGROUP", "CREATE", buf_cstr(&q->jobs_key), KEYS_GROUP, "0",
		"MKSTREAM");
	return q;
}

/* Entry @entry_id with @payload, read by @consumer. */
static inline void
held_give(struct held *h, struct queue *q, const char *entry_id, const char *payload,
	const char *consumer)
{
	const char *key = buf_cstr(&q->jobs_key);

	held_say(h, "XADD", key, entry_id, "handler", "h", "payload", payload);
	held_say(h, "XREADGROUP", "GROUP", KEYS_GROUP, consumer, "COUNT", "1", "STREAMS",
		key, ">");
}

/* As if nobody had renewed it for so long. */
static inline void
held_age(struct held *h, struct queue *q, const char *entry_id, const char *owner,
	const char *idle_ms)
{
	held_say(h, "XCLAIM", buf_cstr(&q->jobs_key), KEYS_GROUP, owner, "0", entry_id,
		"IDLE", idle_ms, "JUSTID");
}

/* Who holds the entry and how often it was delivered, "me 1"; "" nobody. */
static inline const char *
held_owner(struct held *h, struct queue *q, const char *entry_id)
{
	static char text[256];
	char owner[128];
	long idle_ms;
	int deliveries;

	text[0] = '\0';
	held_say(h, "XPENDING", buf_cstr(&q->jobs_key), KEYS_GROUP, entry_id, entry_id,
		"1");
	/* [["1-1" "me" 12 1]] */
	if (sscanf(buf_cstr(&h->said.text), "[[\"%*[^\"]\" \"%127[^\"]\" %ld %d]]", owner,
		    &idle_ms, &deliveries) == 3)
		snprintf(text, sizeof text, "%s %d", owner, deliveries);
	return text;
}

static inline long
held_idle_ms(struct held *h, struct queue *q, const char *entry_id)
{
	long idle_ms = -1;

	held_say(h, "XPENDING", buf_cstr(&q->jobs_key), KEYS_GROUP, entry_id, entry_id,
		"1");
	assert_int_equal(sscanf(buf_cstr(&h->said.text), "[[\"%*[^\"]\" \"%*[^\"]\" %ld",
				 &idle_ms),
		1);
	return idle_ms;
}

/* ---- for the group and each test ---- */

static inline int
held_open(void **state)
{
	struct held *h = calloc(1, sizeof *h);

	assert_non_null(h);
	server_prepare(&h->server);
	server_start(&h->server, NULL);
	*state = h;
	return 0;
}

static inline int
held_close(void **state)
{
	struct held *h = *state;

	server_remove(&h->server);
	free(h);
	return 0;
}

static inline int
held_begin(void **state)
{
	struct held *h = *state;

	client_init(&h->client);
	h->client.url.path = h->server.path;
	client_start(&h->client);
	RUN_UNTIL(h->client.base, h->client.up_count == 1);
	h->now_ms = START_MS;
	held_move_clock(h, 0);
	held_say(h, "FLUSHALL");
	LIST_INIT(&h->queues);
	held_load_scripts(h);
	return 0;
}

static inline int
held_end(void **state)
{
	struct held *h = *state;

	stint_clock_reset();
	client_fini(&h->client);
	buf_fini(&h->said.text);
	queue_list_fini(&h->queues);
	h->scripts.is_loaded = false;
	return 0;
}

#define HELD_TEST(f) cmocka_unit_test_setup_teardown(f, held_begin, held_end)

#endif
