/*
 * link.c - the connection of a client, on the blocking half of hiredis, 0.14 and 1.x
 */
#include "lib/client/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"

void
link_reply_freep(redisReply **reply)
{
	if (*reply)
		freeReplyObject(*reply);
}

int
link_no_memory(struct stint_err *err)
{
	return stint_err_set(err, -ENOMEM, "out of memory");
}

/* Key functions fill the one buffer; hiredis copies it when a command is made. */
const struct buf *
link_key_named(struct client *c, const char *queue, const char *kind, const char *name)
{
	buf_reset(&c->key, SIZE_MAX);
	if (name)
		keys_add_named(&c->key, c->prefix, queue, kind, name, strlen(name));
	else
		keys_add(&c->key, c->prefix, queue, kind);
	return &c->key;
}

const struct buf *
link_key(struct client *c, const char *queue, const char *kind)
{
	return link_key_named(c, queue, kind, NULL);
}

static int
lost(const struct client *c, struct stint_err *err)
{
	const redisContext *redis = c->redis;

	if (redis->err == REDIS_ERR_OOM)
		return link_no_memory(err);
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
int
link_receive_any(struct client *c, redisReply **ret, struct stint_err *err)
{
	void *reply = NULL;

	if (redisGetReply(c->redis, &reply) != REDIS_OK)
		return lost(c, err);
	*ret = reply;
	return 0;
}

int
link_receive(struct client *c, redisReply **ret, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	int r;

	r = link_receive_any(c, &reply, err);
	if (r < 0)
		return r;
	if (reply->type == REDIS_REPLY_ERROR)
		return refused(c, reply->str, err);
	*ret = take_ptr(reply);
	return 0;
}

/* @fmt is hiredis': %s, and %b for bytes and their length. */
int
link_send(struct client *c, struct stint_err *err, const char *fmt, ...)
{
	va_list ap;
	int r;

	if (c->key.failed)
		return link_no_memory(err);
	va_start(ap, fmt);
	r = redisvAppendCommand(c->redis, fmt, ap);
	va_end(ap);
	return r == REDIS_OK ? 0 : lost(c, err);
}

int
link_send_buf(struct client *c, struct buf *b, struct stint_err *err)
{
	if (b->failed)
		return link_no_memory(err);
	if (redisAppendFormattedCommand(c->redis, b->data, b->len) != REDIS_OK)
		return lost(c, err);
	return 0;
}

bool
link_is_string(const redisReply *reply)
{
	return reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

static bool
is_text(const redisReply *reply, const char *text)
{
	return link_is_string(reply) && reply->len == strlen(text) &&
		memcmp(reply->str, text, reply->len) == 0;
}

/* The n-th item of an array; NULL when it has none, or is no array. */
const redisReply *
link_item(const redisReply *reply, size_t n)
{
	if (!reply || reply->type != REDIS_REPLY_ARRAY || n >= reply->elements)
		return NULL;
	return reply->element[n];
}

/* The value of a name in a flat array of names and values; NULL: not there. */
const redisReply *
link_member(const redisReply *map, const char *name)
{
	const redisReply *key;

	for (size_t i = 0; (key = link_item(map, i)); i += 2) {
		if (is_text(key, name))
			return link_item(map, i + 1);
	}
	return NULL;
}

int64_t
link_integer(const redisReply *reply)
{
	return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
}

/* Only the first word of a refusal is shown: servers that do not know AUTH repeat
 * its arguments in the error, and with them the password. */
static int
authenticate(struct client *c, const struct redis_url *url, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	int r;

	if (url->user)
		r = link_send(c, err, "AUTH %s %s", url->user, url->password);
	else
		r = link_send(c, err, "AUTH %s", url->password);
	if (r == 0)
		r = link_receive_any(c, &reply, err);
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
	cleanup(link_reply_freep) redisReply *named = NULL;
	cleanup(link_reply_freep) redisReply *selected = NULL;
	const struct redis_url *url = opts->url;
	int r = 0;

	if (url->password)
		r = authenticate(c, url, err);
	if (r == 0 && opts->name) {
		r = link_send(c, err, "CLIENT SETNAME %s", opts->name);
		if (r == 0)
			r = link_receive_any(c, &named, err);
	}
	if (r == 0 && url->db != 0) {
		r = link_send(c, err, "SELECT %d", url->db);
		if (r == 0)
			r = link_receive(c, &selected, err);
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
		return link_no_memory(err);
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
		return link_no_memory(err);
	c->prefix = strdup(opts->prefix);
	if (!c->prefix)
		return link_no_memory(err);
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

