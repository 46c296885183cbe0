/*
 * reply.c - bytes from Redis become the replies of one batch after the other
 *
 * redisReader calls back for each element that it has parsed. The functions here
 * build it at its final place: a command's reply in its slot of the batch's list,
 * an array's item in the array. Nothing is allocated per element but a bump of the
 * arena's pointer, and nothing is freed but the whole arena.
 *
 * Must compile with hiredis 0.14 (Debian 12) and 1.x. Later versions also parse
 * RESP3, which no one asked the server for: its types are refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <hiredis/hiredis.h>
#include "daemon/redis/reply.h"

enum {
	CHUNK_MIN = 32 * 1024,         /* most batches fit in one */
	CHUNK_KEEP_MAX = 1024 * 1024,  /* kept between batches */
	READER_KEEP_MAX = 1024 * 1024, /* of redisReader's buffer, when it is empty */
	ALIGN = _Alignof(struct redis_reply),
};

struct chunk {
	struct chunk *next;
	size_t cap;
	size_t used;
	_Alignas(ALIGN) char data[];
};

struct reply_reader {
	redisReader *parser;
	size_t string_limit_bytes;
	struct chunk *chunks;     /* newest first */
	struct redis_reply *list; /* of the batch */
	size_t expected;
	size_t count;        /* of list, complete */
	const char *refused; /* why a callback said no; NULL: no memory */
};

static struct chunk *
chunk_new(struct reply_reader *r, size_t need)
{
	size_t cap = r->chunks ? r->chunks->cap : CHUNK_MIN / 2;
	struct chunk *k;

	/* Doubling, so that a batch soon fits in the one chunk that is kept. */
	cap = cap < CHUNK_KEEP_MAX / 2 ? cap * 2 : CHUNK_KEEP_MAX;
	if (cap < need)
		cap = need;
	if (cap > SIZE_MAX - sizeof *k)
		return NULL;
	k = malloc(sizeof *k + cap);
	if (!k)
		return NULL;
	k->next = r->chunks;
	k->cap = cap;
	k->used = 0;
	r->chunks = k;
	return k;
}

static void *
arena_alloc(struct reply_reader *r, size_t n)
{
	struct chunk *k = r->chunks;
	size_t need = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	void *p;

	if (need < n)
		return NULL;
	if (!k || k->cap - k->used < need)
		k = chunk_new(r, need);
	if (!k)
		return NULL;
	p = k->data + k->used;
	k->used += need;
	return p;
}

/* Forget everything, keep the newest chunk when it is of a common size. */
static void
arena_reset(struct reply_reader *r)
{
	struct chunk *keep = NULL;

	while (r->chunks) {
		struct chunk *k = r->chunks;

		r->chunks = k->next;
		if (!keep && k->cap <= CHUNK_KEEP_MAX)
			keep = k;
		else
			free(k);
	}
	if (keep) {
		keep->next = NULL;
		keep->used = 0;
	}
	r->chunks = keep;
}

static void *
refuse(struct reply_reader *r, const char *why)
{
	r->refused = why;
	return NULL; /* redisReader stops, and calls it "out of memory" */
}

/* Where the element of @task belongs. */
static struct redis_reply *
place(const redisReadTask *task, enum redis_type type)
{
	struct reply_reader *r = task->privdata;
	struct redis_reply *at = &r->list[r->count];

	if (task->parent)
		at = &((struct redis_reply *)task->parent->obj)->items[task->idx];
	*at = (struct redis_reply){.type = type};
	return at;
}

static enum redis_type
line_type(const redisReadTask *task)
{
	return task->type == REDIS_REPLY_ERROR ? REDIS_ERROR : REDIS_STATUS;
}

static void *
on_string(const redisReadTask *task, char *s, size_t n)
{
	struct reply_reader *r = task->privdata;
	struct redis_reply *at;
	char *copy;

	switch (task->type) {
	case REDIS_REPLY_STRING:
		if (s[n] != '\r' || s[n + 1] != '\n') /* redisReader does not look */
			return refuse(r, "a string is longer than was announced");
		at = place(task, REDIS_STRING);
		break;
	case REDIS_REPLY_STATUS:
	case REDIS_REPLY_ERROR:
		at = place(task, line_type(task));
		break;
	default:
		return refuse(r, "RESP3, which was not asked for");
	}
	at->len = n;
	if (at->type == REDIS_STRING && n > r->string_limit_bytes)
		return at;
	copy = arena_alloc(r, n + 1);
	if (!copy)
		return NULL;
	memcpy(copy, s, n);
	copy[n] = '\0';
	at->str = copy;
	return at;
}

static bool
is_too_deep(const redisReadTask *task)
{
	int depth = 1;

	for (; task->parent; task = task->parent)
		depth++;
	return depth > REPLY_DEPTH_MAX;
}

static void *
array_of(const redisReadTask *task, size_t count)
{
	struct reply_reader *r = task->privdata;
	struct redis_reply *at;

	if (task->type != REDIS_REPLY_ARRAY)
		return refuse(r, "RESP3, which was not asked for");
	if (count > REPLY_ITEMS_MAX)
		return refuse(r, "an array with too many items");
	if (is_too_deep(task))
		return refuse(r, "arrays are nested too deep");
	at = place(task, REDIS_ARRAY);
	at->items = arena_alloc(r, count * sizeof *at->items);
	at->count = count;
	return at->items ? at : NULL;
}

#if HIREDIS_MAJOR >= 1
static void *
on_array(const redisReadTask *task, size_t count)
{
	return array_of(task, count);
}

static void *
on_double(const redisReadTask *task, double v, char *s, size_t n)
{
	(void)v, (void)s, (void)n;
	return refuse(task->privdata, "RESP3, which was not asked for");
}

static void *
on_bool(const redisReadTask *task, int v)
{
	(void)v;
	return refuse(task->privdata, "RESP3, which was not asked for");
}
#else
static void *
on_array(const redisReadTask *task, int count)
{
	return array_of(task, (size_t)count);
}
#endif

static void *
on_integer(const redisReadTask *task, long long v)
{
	struct redis_reply *at = place(task, REDIS_INTEGER);

	at->integer = v;
	return at;
}

static void *
on_nil(const redisReadTask *task)
{
	return place(task, REDIS_NIL);
}

/* No freeObject: the arena goes as a whole. redisReader wants it writable. */
static redisReplyObjectFunctions functions = {
	.createString = on_string,
	.createArray = on_array,
	.createInteger = on_integer,
	.createNil = on_nil,
#if HIREDIS_MAJOR >= 1
	.createDouble = on_double,
	.createBool = on_bool,
#endif
};

int
reply_reader_new(size_t string_limit_bytes, struct reply_reader **ret)
{
	struct reply_reader *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->string_limit_bytes = string_limit_bytes;
	if (reply_reader_reset(r) < 0) {
		reply_reader_free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void
reply_reader_set_string_limit(struct reply_reader *r, size_t limit_bytes)
{
	r->string_limit_bytes = limit_bytes;
}

void
reply_reader_free(struct reply_reader *r)
{
	if (!r)
		return;
	if (r->parser)
		redisReaderFree(r->parser);
	while (r->chunks) {
		struct chunk *k = r->chunks;

		r->chunks = k->next;
		free(k);
	}
	free(r);
}

int
reply_reader_reset(struct reply_reader *r)
{
	redisReader *fresh = redisReaderCreateWithFunctions(&functions);

	if (!fresh)
		return -ENOMEM;
	/* Its own default, 16 KiB, would give the buffer back before each feed. */
	fresh->maxbuf = READER_KEEP_MAX;
	fresh->privdata = r;
	if (r->parser)
		redisReaderFree(r->parser);
	r->parser = fresh;
	reply_end(r);
	return 0;
}

int
reply_begin(struct reply_reader *r, size_t count, struct stint_err *err)
{
	reply_end(r);
	if (count > SIZE_MAX / sizeof *r->list)
		return stint_err_set(err, -EIO, "out of memory for replies");
	r->list = arena_alloc(r, count * sizeof *r->list);
	if (!r->list)
		return stint_err_set(err, -EIO, "out of memory for replies");
	r->expected = count;
	return 0;
}

static int
parser_error(const struct reply_reader *r, struct stint_err *err)
{
	if (r->refused)
		return stint_err_set(err, -EPROTO, "not a reply: %s", r->refused);
	if (r->parser->err == REDIS_ERR_OOM)
		return stint_err_set(err, -EIO, "out of memory for replies");
	return stint_err_set(err, -EPROTO, "not a reply: %s", r->parser->errstr);
}

int
reply_feed(struct reply_reader *r, const char *p, size_t n, struct stint_err *err)
{
	/* It also keeps clear of redisReader's 32-bit arithmetic. */
	if (r->parser->len - r->parser->pos > REPLY_UNPARSED_MAX)
		return stint_err_set(err, -EPROTO, "not a reply: a string without end");
	if (redisReaderFeed(r->parser, p, n) != REDIS_OK)
		return parser_error(r, err);
	return 0;
}

int
reply_read(struct reply_reader *r, struct stint_err *err)
{
	void *got;

	while (r->count < r->expected) {
		if (redisReaderGetReply(r->parser, &got) != REDIS_OK)
			return parser_error(r, err);
		if (!got)
			return 0;
		r->count++;
	}
	return 1;
}

const struct redis_reply *
reply_list(const struct reply_reader *r)
{
	return r->list;
}

size_t
reply_count(const struct reply_reader *r)
{
	return r->count;
}

bool
reply_has_rest(const struct reply_reader *r)
{
	return r->parser->pos < r->parser->len;
}

void
reply_end(struct reply_reader *r)
{
	arena_reset(r);
	r->list = NULL;
	r->expected = 0;
	r->count = 0;
	r->refused = NULL;
}

bool
redis_is_error(const struct redis_reply *r, const char *word)
{
	size_t n = strlen(word);

	return r->type == REDIS_ERROR && r->len >= n && memcmp(r->str, word, n) == 0 &&
	       (r->len == n || r->str[n] == ' ');
}
