/*
 * ceiling_drain.c - how fast Redis itself gives out jobs and takes back results
 *
 *	ceiling_drain SOCKET COUNT
 *
 * The daemon's Redis commands and nothing around them. One connection reads batches of
 * 128; a second one commits each batch in a transaction: per job a SET, then one XACK
 * and one XDEL for all. Two commits may be on their way, and while they are, the next
 * batch is read and held, so that Redis always has work queued and its speed is the
 * only limit. One thread, two sockets, no allocation per job: replies go through
 * hiredis' parser into functions of our own that pick the ids out and build nothing.
 *
 *	reader  XREADGROUP ──▶ struct batch (ids) ──▶ MULTI SET... XACK XDEL EXEC  writer
 *
 * At the end the program proves its figure: every job read, stored, acknowledged and
 * removed once, nothing left in the stream, and all results there. It needs a server
 * of its own, with COUNT jobs in the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>
#include "tests/bench/bench.h"

enum {
	BATCH = 128,        /* more gains nothing */
	DEPTH = 2,          /* commits on their way; more gains nothing */
	SILENCE_MS = 10000, /* Redis has never been that slow */
	READ_BYTES = 1 << 16,
	/* One job in a commit takes less than 512 bytes: a SET, and its id twice. */
	OUT_BYTES = BATCH * 512 + 1024,
};

/* The ids of the jobs that were read and not committed yet. */
struct batch {
	size_t count;
	size_t len[BATCH];
	char id[BATCH][ID_BYTES];
};

/* Output that has not been written yet: at most DEPTH commits. */
struct out {
	size_t len;
	char data[DEPTH * OUT_BYTES];
};

struct link {
	redisContext *redis;
	struct out out;
};

struct drain {
	struct link reader;
	struct link writer;
	struct batch batch;
	bool is_reading; /* an XREADGROUP is on its way */
	bool is_empty;   /* the last one found nothing */
	int commits;     /* on their way */
	long jobs_read;
	long results_stored;
	long ids_removed; /* by XACK and by XDEL: in the end twice the jobs */
};

/*
 * Parsing. hiredis wants an object per element, and takes any address that is not NULL.
 * Which one it is tells of what kind a whole reply was.
 */
static char is_array, is_nil, is_other;

static int
depth_of(const redisReadTask *task)
{
	int depth = 0;

	for (; task->parent; task = task->parent)
		depth++;
	return depth;
}

static void *
on_array(const redisReadTask *task, int elements)
{
	(void)task;
	(void)elements;
	return &is_array;
}

static void *
on_nil(const redisReadTask *task)
{
	if (task->parent)
		errx(1, "a result was there already, or a field is missing");
	return &is_nil;
}

static void
on_free(void *object)
{
	(void)object;
}

/* [[stream, [[id, [name, value ...]], ...]]]: an id is the first element at depth 4. */
static void *
on_read_string(const redisReadTask *task, char *s, size_t len)
{
	struct drain *d = task->privdata;
	struct batch *b = &d->batch;

	if (task->type == REDIS_REPLY_ERROR)
		errx(1, "redis: %.*s", (int)len, s);
	if (task->idx == 0 && depth_of(task) == 4) {
		if (b->count == BATCH || len >= ID_BYTES)
			errx(1, "a longer reply than was asked for");
		memcpy(b->id[b->count], s, len);
		b->len[b->count++] = len;
	}
	return &is_other;
}

static void *
on_read_integer(const redisReadTask *task, long long value)
{
	(void)task;
	(void)value;
	errx(1, "an integer is no job");
}

/* OK of MULTI, QUEUED of each command; within the array of EXEC the OK of each SET. */
static void *
on_commit_string(const redisReadTask *task, char *s, size_t len)
{
	struct drain *d = task->privdata;

	if (task->type == REDIS_REPLY_ERROR)
		errx(1, "redis: %.*s", (int)len, s);
	d->results_stored += task->parent != NULL;
	return &is_other;
}

static void *
on_commit_integer(const redisReadTask *task, long long value)
{
	struct drain *d = task->privdata;

	d->ids_removed += (long)value;
	return &is_other;
}

static redisReplyObjectFunctions read_functions = {
	on_read_string, on_array, on_read_integer, on_nil, on_free};
static redisReplyObjectFunctions commit_functions = {
	on_commit_string, on_array, on_commit_integer, on_nil, on_free};

/* Encoding. OUT_BYTES is room enough for the longest ids, so nothing is checked here. */
static void
put(struct out *o, const char *s, size_t n)
{
	memcpy(o->data + o->len, s, n);
	o->len += n;
}

#define put_literal(o, s) put((o), (s), sizeof(s) - 1)

/* "$5\r\nhello\r\n", the string in up to three pieces */
static void
put_bulk(struct out *o, const char *head, const char *id, size_t id_len, const char *tail)
{
	size_t head_len = strlen(head), tail_len = strlen(tail);

	o->len += (size_t)sprintf(
		o->data + o->len, "$%zu\r\n", head_len + id_len + tail_len);
	put(o, head, head_len);
	put(o, id, id_len);
	put(o, tail, tail_len);
	put_literal(o, "\r\n");
}

static void
put_ids(struct out *o, const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		put_bulk(o, "", b->id[i], b->len[i], "");
}

static void
put_commit(struct out *o, const struct batch *b)
{
	put_literal(o, "*1\r\n$5\r\nMULTI\r\n");
	for (size_t i = 0; i < b->count; i++) {
		put_literal(o, "*6\r\n$3\r\nSET\r\n");
		put_bulk(o, RESULT_PREFIX, b->id[i], b->len[i], "");
		put_bulk(o, RESULT_HEAD, b->id[i], b->len[i], RESULT_TAIL);
		put_literal(o, "$2\r\nNX\r\n$2\r\nPX\r\n$7\r\n3600000\r\n");
	}
	o->len +=
		(size_t)sprintf(o->data + o->len, "*%zu\r\n$4\r\nXACK\r\n", b->count + 3);
	put_bulk(o, JOBS_KEY, "", 0, "");
	put_bulk(o, GROUP, "", 0, "");
	put_ids(o, b);
	o->len +=
		(size_t)sprintf(o->data + o->len, "*%zu\r\n$4\r\nXDEL\r\n", b->count + 2);
	put_bulk(o, JOBS_KEY, "", 0, "");
	put_ids(o, b);
	put_literal(o, "*1\r\n$4\r\nEXEC\r\n");
}

static void
put_read(struct out *o)
{
	put_literal(o, "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$5\r\n" GROUP "\r\n"
		       "$7\r\nceiling\r\n$5\r\nCOUNT\r\n$3\r\n128\r\n$7\r\nSTREAMS\r\n"
		       "$20\r\n" JOBS_KEY "\r\n$1\r\n>\r\n");
	_Static_assert(BATCH == 128 && sizeof GROUP == 6 && sizeof JOBS_KEY == 21,
		"the lengths in the command");
}

/* Sockets. */
static void
link_write(struct link *l)
{
	struct out *o = &l->out;

	if (o->len == 0)
		return;
	ssize_t n = write(l->redis->fd, o->data, o->len);
	if (n < 0 && errno != EAGAIN)
		err(1, "write to redis");
	if (n > 0) {
		o->len -= (size_t)n;
		memmove(o->data, o->data + n, o->len);
	}
}

/* Read what is there and give each whole reply to @on_reply. */
static void
link_read(struct link *l, struct drain *d,
	void (*on_reply)(struct drain *d, const char *reply))
{
	static char chunk[READ_BYTES];
	redisReader *parser = l->redis->reader;
	void *reply;
	ssize_t n = read(l->redis->fd, chunk, sizeof chunk);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		errx(1, "read from redis: %s", n == 0 ? "end of file" : strerror(errno));
	if (n < 0)
		return;
	if (redisReaderFeed(parser, chunk, (size_t)n) != REDIS_OK)
		errx(1, "redis: %s", parser->errstr);
	for (;;) {
		if (redisReaderGetReply(parser, &reply) != REDIS_OK)
			errx(1, "redis: %s", parser->errstr);
		if (!reply)
			return;
		on_reply(d, reply);
	}
}

static void
on_read_reply(struct drain *d, const char *reply)
{
	d->is_reading = false;
	d->is_empty = reply == &is_nil;
	d->jobs_read += (long)d->batch.count;
}

static void
on_commit_reply(struct drain *d, const char *reply)
{
	d->commits -= reply == &is_array;
}

/* Start whatever may start now: a commit of the batch, and the read of the next. */
static void
drain_poke(struct drain *d)
{
	if (d->batch.count > 0 && !d->is_reading && d->commits < DEPTH) {
		put_commit(&d->writer.out, &d->batch);
		d->batch.count = 0;
		d->commits++;
	}
	if (d->batch.count == 0 && !d->is_reading && !d->is_empty) {
		put_read(&d->reader.out);
		d->is_reading = true;
	}
	link_write(&d->reader);
	link_write(&d->writer);
}

static short
events_of(const struct link *l)
{
	return l->out.len > 0 ? POLLIN | POLLOUT : POLLIN;
}

static void
drain_run(struct drain *d)
{
	for (drain_poke(d); d->commits > 0 || !d->is_empty; drain_poke(d)) {
		struct pollfd fds[] = {{d->reader.redis->fd, events_of(&d->reader), 0},
			{d->writer.redis->fd, events_of(&d->writer), 0}};

		if (poll(fds, 2, SILENCE_MS) <= 0)
			errx(1, "redis does not answer");
		if (fds[0].revents & ~POLLOUT)
			link_read(&d->reader, d, on_read_reply);
		if (fds[1].revents & ~POLLOUT)
			link_read(&d->writer, d, on_commit_reply);
	}
}

static void
link_open(struct link *l, const char *path, struct drain *d,
	redisReplyObjectFunctions *functions)
{
	l->redis = redis_open(path);
	if (fcntl(l->redis->fd, F_SETFL, O_NONBLOCK) < 0)
		err(1, "fcntl");
	l->redis->reader->fn = functions;
	l->redis->reader->privdata = d;
}

static long
count_of(redisContext *c, const char *command)
{
	redisReply *reply = redis_call(c, command);
	long n = (long)reply->integer;

	freeReplyObject(reply);
	return n;
}

static void
check(const struct drain *d, redisContext *c, long jobs)
{
	if (d->jobs_read != jobs || d->results_stored != jobs ||
		d->ids_removed != 2 * jobs)
		errx(1, "%ld jobs: %ld read, %ld stored, %ld acknowledged and removed",
			jobs, d->jobs_read, d->results_stored, d->ids_removed);
	long left = count_of(c, "XLEN " JOBS_KEY);
	long keys = count_of(c, "DBSIZE") - 1; /* without the stream itself */
	if (left != 0 || keys != jobs)
		errx(1, "%ld jobs left in the stream, %ld results for %ld jobs", left,
			keys, jobs);
}

int
main(int argc, char **argv)
{
	static struct drain d;

	if (argc != 3)
		errx(2, "usage: ceiling_drain SOCKET COUNT");
	long jobs = parse_count(argv[2]);
	redisContext *c = redis_open(argv[1]);
	redis_make_group(c);
	link_open(&d.reader, argv[1], &d, &read_functions);
	link_open(&d.writer, argv[1], &d, &commit_functions);

	int64_t started_ns = now_ns();
	drain_run(&d);
	double seconds = (double)(now_ns() - started_ns) / 1e9;

	check(&d, c, jobs);
	printf("{\"jobs\": %ld, \"seconds\": %.6f, \"per_second\": %.1f}\n", jobs,
		seconds, (double)jobs / seconds);
	redisFree(d.reader.redis);
	redisFree(d.writer.redis);
	redisFree(c);
	return 0;
}
