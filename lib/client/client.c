/*
 * client.c - see client.h; on the blocking half of hiredis, 0.14 and 1.x
 *
 * Every command goes out through send_*() and comes back through receive(), which
 * turns lost connections and error replies into our errors; so a function sees only
 * replies of commands that were done. Replies are still checked for their type
 * before use: a proxy, or a server of another make, must not crash its clients.
 */
#include "lib/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <hiredis/hiredis.h>
#include <stint/clock.h>
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"
#include "lib/wire/resp.h"

enum {
	/* How long one XREAD blocks: the stored result is looked at as often, which is
	 * how a duplicate finds the result of the first. */
	REPLY_BLOCK_MS = 1000,
	REPLY_COUNT = 16, /* replies read at once; there are more only in shared streams */
	POLL_FIRST_MS = 20,
	POLL_LAST_MS = 500,
	SCAN_COUNT = 1000, /* keys looked at per SCAN: some 100 µs of Redis' time */
};

struct client {
	redisContext *redis;
	char *prefix;
	struct buf key; /* of the command being made */
	char where[REDIS_URL_TEXT_BYTES]; /* for messages */
};

static void
reply_freep(redisReply **reply)
{
	if (*reply)
		freeReplyObject(*reply);
}

static int
no_memory(struct stint_err *err)
{
	return stint_err_set(err, -ENOMEM, "out of memory");
}

/* Key functions fill the one buffer; hiredis copies it when a command is made. */
static const struct buf *
key_named(struct client *c, const char *queue, const char *kind, const char *name)
{
	buf_reset(&c->key, SIZE_MAX);
	if (name)
		keys_add_named(&c->key, c->prefix, queue, kind, name, strlen(name));
	else
		keys_add(&c->key, c->prefix, queue, kind);
	return &c->key;
}

static const struct buf *
key_of(struct client *c, const char *queue, const char *kind)
{
	return key_named(c, queue, kind, NULL);
}

static int
lost(const struct client *c, struct stint_err *err)
{
	const redisContext *redis = c->redis;

	if (redis->err == REDIS_ERR_OOM)
		return no_memory(err);
	if (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT))
		return stint_err_set(err, -EIO, "%s does not answer", c->where);
	return stint_err_set(err, -EIO, "lost %s: %s", c->where, redis->errstr);
}

static int
refused(const struct client *c, const char *why, struct stint_err *err)
{
	static const char *const access[] = {"NOAUTH", "WRONGPASS", "NOPERM"};

	for (size_t i = 0; i < ARRAY_LEN(access); i++) {
		if (strncmp(why, access[i], strlen(access[i])) == 0)
			return stint_err_set(err, -EACCES, "%s: %s", c->where, why);
	}
	return stint_err_set(err, -EREMOTEIO, "%s: %s", c->where, why);
}

/* The reply to what was sent, which may be an error. */
static int
receive_any(struct client *c, redisReply **ret, struct stint_err *err)
{
	void *reply = NULL;

	if (redisGetReply(c->redis, &reply) != REDIS_OK)
		return lost(c, err);
	*ret = reply;
	return 0;
}

static int
receive(struct client *c, redisReply **ret, struct stint_err *err)
{
	cleanup(reply_freep) redisReply *reply = NULL;
	int r;

	r = receive_any(c, &reply, err);
	if (r < 0)
		return r;
	if (reply->type == REDIS_REPLY_ERROR)
		return refused(c, reply->str, err);
	*ret = take_ptr(reply);
	return 0;
}

/* @fmt is hiredis': %s, and %b for bytes and their length. */
static int
send_fmt(struct client *c, struct stint_err *err, const char *fmt, ...)
{
	va_list ap;
	int r;

	if (c->key.failed)
		return no_memory(err);
	va_start(ap, fmt);
	r = redisvAppendCommand(c->redis, fmt, ap);
	va_end(ap);
	return r == REDIS_OK ? 0 : lost(c, err);
}

static int
send_buf(struct client *c, struct buf *b, struct stint_err *err)
{
	if (b->failed)
		return no_memory(err);
	if (redisAppendFormattedCommand(c->redis, b->data, b->len) != REDIS_OK)
		return lost(c, err);
	return 0;
}

static bool
is_string(const redisReply *reply)
{
	return reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

static bool
is_text(const redisReply *reply, const char *text)
{
	return is_string(reply) && reply->len == strlen(text) &&
		memcmp(reply->str, text, reply->len) == 0;
}

/* The n-th item of an array; NULL when it has none, or is no array. */
static const redisReply *
item(const redisReply *reply, size_t n)
{
	if (!reply || reply->type != REDIS_REPLY_ARRAY || n >= reply->elements)
		return NULL;
	return reply->element[n];
}

/* The value of a name in a flat array of names and values; NULL: not there. */
static const redisReply *
member(const redisReply *map, const char *name)
{
	const redisReply *key;

	for (size_t i = 0; (key = item(map, i)); i += 2) {
		if (is_text(key, name))
			return item(map, i + 1);
	}
	return NULL;
}

static int64_t
integer(const redisReply *reply)
{
	return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
}

/* Only the first word of a refusal is shown: servers that do not know AUTH repeat
 * its arguments in the error, and with them the password. */
static int
authenticate(struct client *c, const struct redis_url *url, struct stint_err *err)
{
	cleanup(reply_freep) redisReply *reply = NULL;
	int r;

	if (url->user)
		r = send_fmt(c, err, "AUTH %s %s", url->user, url->password);
	else
		r = send_fmt(c, err, "AUTH %s", url->password);
	if (r == 0)
		r = receive_any(c, &reply, err);
	if (r < 0)
		return r;
	if (reply->type != REDIS_REPLY_ERROR)
		return 0;
	return stint_err_set(err, -EACCES, "%s: AUTH refused: %.*s", c->where,
		(int)strcspn(reply->str, " "), reply->str);
}

static int
introduce(struct client *c, const struct client_opts *opts, struct stint_err *err)
{
	cleanup(reply_freep) redisReply *named = NULL;
	cleanup(reply_freep) redisReply *selected = NULL;
	const struct redis_url *url = opts->url;
	int r = 0;

	if (url->password)
		r = authenticate(c, url, err);
	if (r == 0 && opts->name) {
		r = send_fmt(c, err, "CLIENT SETNAME %s", opts->name);
		if (r == 0)
			r = receive_any(c, &named, err);
	}
	if (r == 0 && url->db != 0) {
		r = send_fmt(c, err, "SELECT %d", url->db);
		if (r == 0)
			r = receive(c, &selected, err);
	}
	return r;
}

static int
connect_redis(struct client *c, const struct client_opts *opts, struct stint_err *err)
{
	const struct redis_url *url = opts->url;
	const struct timeval tv = {.tv_sec = opts->timeout_ms / 1000,
		.tv_usec = opts->timeout_ms % 1000 * 1000};

	if (url->path)
		c->redis = redisConnectUnixWithTimeout(url->path, tv);
	else
		c->redis = redisConnectWithTimeout(url->host, url->port, tv);
	if (!c->redis || c->redis->err == REDIS_ERR_OOM)
		return no_memory(err);
	if (c->redis->err)
		return stint_err_set(
			err, -ENOTCONN, "cannot reach %s: %s", c->where, c->redis->errstr);
	/* As early as hiredis lets us; before 1.4 it cannot do so itself. */
	if (fcntl(c->redis->fd, F_SETFD, FD_CLOEXEC) < 0)
		return stint_err_set(err, -errno, "%s: %s", c->where, strerror(errno));
	if (redisSetTimeout(c->redis, tv) != REDIS_OK)
		return lost(c, err);
	return 0;
}

int
client_open(const struct client_opts *opts, struct client **ret, struct stint_err *err)
{
	cleanup(client_freep) struct client *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return no_memory(err);
	c->prefix = strdup(opts->prefix);
	if (!c->prefix)
		return no_memory(err);
	redis_url_text(opts->url, c->where);
	r = connect_redis(c, opts, err);
	if (r == 0)
		r = introduce(c, opts, err);
	if (r < 0)
		return r;
	*ret = take_ptr(c);
	return 0;
}

void
client_free(struct client *c)
{
	if (!c)
		return;
	if (c->redis)
		redisFree(c->redis);
	buf_fini(&c->key);
	free(c->prefix);
	free(c);
}

void
client_freep(struct client **c)
{
	client_free(*c);
}

/* Fields are written first and counted on the way: the count stands before them. */
struct fields {
	struct buf bytes;
	size_t count;
};

static void
add_field(struct fields *f, const char *name, const char *value)
{
	if (!value)
		return;
	resp_str(&f->bytes, name);
	resp_str(&f->bytes, value);
	f->count++;
}

static void
add_bytes(struct fields *f, const char *name, const struct bytes *value)
{
	resp_str(&f->bytes, name);
	resp_bulk(&f->bytes, value->p, value->n);
	f->count++;
}

static void
add_x_field(struct fields *f, const struct job_x_field *x)
{
	char name[JOB_NAME_MAX + sizeof "x-"];

	snprintf(name, sizeof name, "x-%.*s", (int)x->name.n, x->name.p);
	add_bytes(f, name, &x->value);
}

static void
add_job(struct fields *f, const struct client_job *job)
{
	add_field(f, "handler", job->handler);
	add_field(f, "id", job->id);
	add_field(f, "timeout", job->timeout);
	if (job->deadline_unix_ms != 0) {
		resp_str(&f->bytes, "deadline");
		resp_int(&f->bytes, job->deadline_unix_ms);
		f->count++;
	}
	add_field(f, "reply_to", job->reply_to);
	add_field(f, "traceparent", job->traceparent);
	for (size_t i = 0; i < job->x_count; i++)
		add_x_field(f, &job->x[i]);
	if (job->payload.n > 0)
		add_bytes(f, "payload", &job->payload);
}
