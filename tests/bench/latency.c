/*
 * latency.c - the time from submitting a job to reading its result
 *
 *	latency SOCKET HANDLER COUNT
 *
 * One job at a time, as a client would do it by hand: XADD with reply_to, then XREAD
 * BLOCK on the reply stream. Whoever serves the queue, the daemon or ceiling_pair, is
 * measured by this same program.
 */
#include <stdio.h>
#include <unistd.h>
#include "tests/bench/bench.h"

enum {
	WARM_UP = 200, /* exchanges that do not count: connections, caches, first pages */
	REPLY_WAIT_MS = 10000,
};

struct client {
	redisContext *redis;
	const char *handler;
	char payload[PAYLOAD_BYTES];
	char reply_to[32];
	char last_id[ID_BYTES]; /* in the reply stream: what has been read */
};

static redisReply *
element(const redisReply *reply, size_t i)
{
	if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
		errx(1, "a reply of another shape");
	return reply->element[i];
}

/* The reply entry is [id, [name, value ...]] with the fields `id` and `result`. */
static void
check_entry(struct client *cl, const redisReply *entry, const char *job_id)
{
	const redisReply *fields = element(entry, 1);
	const char *id = "", *result = "";

	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		if (strcmp(fields->element[i]->str, "id") == 0)
			id = fields->element[i + 1]->str;
		else if (strcmp(fields->element[i]->str, "result") == 0)
			result = fields->element[i + 1]->str;
	}
	if (strcmp(id, job_id) != 0 || !strstr(result, "\"status\":\"ok\""))
		errx(1, "job %s was answered by id %s, result %s", job_id, id, result);
	snprintf(cl->last_id, sizeof cl->last_id, "%s", element(entry, 0)->str);
}

/* Submit one job, wait for its result: nanoseconds. */
static int64_t
exchange(struct client *cl)
{
	int64_t started_ns = now_ns();
	redisReply *id = redis_call(cl->redis,
		"XADD " JOBS_KEY " * handler %s payload %b reply_to %s", cl->handler,
		cl->payload, sizeof cl->payload, cl->reply_to);
	redisReply *reply =
		redis_call(cl->redis, "XREAD BLOCK %d STREAMS " REPLY_PREFIX "%s %s",
			REPLY_WAIT_MS, cl->reply_to, cl->last_id);
	int64_t took_ns = now_ns() - started_ns;

	if (reply->type != REDIS_REPLY_ARRAY)
		errx(1, "job %s was not answered within %d ms", id->str, REPLY_WAIT_MS);
	const redisReply *entries = element(element(reply, 0), 1);
	if (entries->elements != 1)
		errx(1, "job %s was answered %zu times", id->str, entries->elements);
	check_entry(cl, element(entries, 0), id->str);
	freeReplyObject(reply);
	freeReplyObject(id);
	return took_ns;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	struct client cl = {.last_id = "0-0"};

	if (argc != 4)
		errx(2, "usage: latency SOCKET HANDLER COUNT");
	long total = parse_count(argv[3]);
	int64_t *took_ns = calloc((size_t)total, sizeof *took_ns);
	if (!took_ns)
		errx(1, "no memory");
	cl.redis = redis_open(argv[1]);
	cl.handler = argv[2];
	memset(cl.payload, 'x', sizeof cl.payload);
	snprintf(cl.reply_to, sizeof cl.reply_to, "latency-%d", (int)getpid());

	for (int i = 0; i < WARM_UP; i++)
		exchange(&cl);
	for (long i = 0; i < total; i++)
		took_ns[i] = exchange(&cl);

	qsort(took_ns, (size_t)total, sizeof *took_ns, by_value);
	const int64_t median_ns = took_ns[total / 2], p99_ns = took_ns[total * 99 / 100];
	printf("{\"jobs\": %ld, \"min_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
		total, (double)took_ns[0] / 1e3, (double)median_ns / 1e3,
		(double)p99_ns / 1e3);
	free(took_ns);
	redisFree(cl.redis);
	return 0;
}
