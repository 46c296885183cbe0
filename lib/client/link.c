/*
 * link.c - the connection of a client, on the blocking half of hiredis, 0.14 and 1.x
 */
#include "lib/client/link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"

int
link_no_memory(struct stint_err *err)
{
	return stint_err_set(err, -ENOMEM, "out of memory");
}

static int
lost(const struct client *c, struct stint_err *err)
{
	const redisContext *redis = c->redis;

	if (redis->err == REDIS_ERR_OOM)
		return link_no_memory(err);
	if (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT))
		return stint_err_set(err, -EIO, "%s does not answer", c->where);
	return stint_err_set(err, -EIO, "lost %s: %s%s", c->where, redis->errstr,
		redis->err == REDIS_ERR_PROTOCOL ? "; is this a Redis?" : "");
}

static int
refused(const struct client *c, const char *why, struct stint_err *err)
{
	static const char *const no_access[] = {"NOAUTH", "WRONGPASS", "NOPERM"};

	for (size_t i = 0; i < ARRAY_LEN(no_access); i++) {
		if (strncmp(why, no_access[i], strlen(no_access[i])) == 0)
			return stint_err_set(err, -EACCES, "%s: %s", c->where, why);
	}
	return stint_err_set(err, -EREMOTEIO, "%s: %s", c->where, why);
}

static int
exchange(struct client *c, redisReply **ret, struct stint_err *err, const char *fmt,
	va_list ap)
{
	void *reply = NULL;

	if (c->key.failed)
		return link_no_memory(err);
	if (redisvAppendCommand(c->redis, fmt, ap) != REDIS_OK ||
		redisGetReply(c->redis, &reply) != REDIS_OK)
		return lost(c, err);
	*ret = reply;
	return 0;
}

/* As link_command(), but an error reply is a reply like any other. */
static int
ask(struct client *c, redisReply **ret, struct stint_err *err, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = exchange(c, ret, err, fmt, ap);
	va_end(ap);
	return r;
}

/* Takes @reply: passes it on, or makes an error of it. */
static int
accept_reply(struct client *c, redisReply *reply, redisReply **ret, struct stint_err *err)
{
	int r;

	if (reply->type != REDIS_REPLY_ERROR) {
		*ret = reply;
		return 0;
	}
	r = refused(c, reply->str, err);
	freeReplyObject(reply);
	return r;
}

int
link_command(
	struct client *c, redisReply **ret, struct stint_err *err, const char *fmt, ...)
{
	redisReply *reply = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = exchange(c, &reply, err, fmt, ap);
	va_end(ap);
	if (r < 0)
		return r;
	assert(reply); /* hiredis has none only when it failed */
	return accept_reply(c, reply, ret, err);
}

void
link_eval(struct buf *command, enum script script, size_t keys, size_t args)
{
	resp_cmd(command, 3 + keys + args);
	resp_str(command, "EVAL");
	resp_bulk(command, script_texts[script].text, script_texts[script].len);
	resp_int(command, (int64_t)keys);
}

void
link_add_key(struct buf *command, const struct buf *key)
{
	resp_bulk(command, key->data, key->len);
	command->failed |= key->failed;
}

static int
append(struct client *c, const struct buf *command, struct stint_err *err)
{
	if (c->key.failed || command->failed)
		return link_no_memory(err);
	if (redisAppendFormattedCommand(c->redis, command->data, command->len) !=
		REDIS_OK)
		return lost(c, err);
	return 0;
}

int
link_exchange(
	struct client *c, redisReply **ret, struct buf *command, struct stint_err *err)
{
	const int r = append(c, command, err);
	void *reply = NULL;

	buf_fini(command); /* payloads are large, and hiredis has its own copy now */
	if (r < 0)
		return r;
	if (redisGetReply(c->redis, &reply) != REDIS_OK)
		return lost(c, err);
	return accept_reply(c, reply, ret, err);
}

const struct buf *
link_key_named(struct client *c, const char *queue, const char *kind, const char *name)
{
	buf_reset(&c->key, SIZE_MAX);
	keys_add_named(&c->key, c->prefix, queue, kind, name, strlen(name));
	return &c->key;
}

const struct buf *
link_key(struct client *c, const char *queue, const char *kind)
{
	buf_reset(&c->key, SIZE_MAX);
	keys_add(&c->key, c->prefix, queue, kind);
	return &c->key;
}

/* Only the first word of a refusal is shown: servers that do not know AUTH repeat
 * its arguments in the error, and with them the password. */
static int
authenticate(struct client *c, const struct redis_url *url, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	int r;

	if (url->user)
		r = ask(c, &reply, err, "AUTH %s %s", url->user, url->password);
	else
		r = ask(c, &reply, err, "AUTH %s", url->password);
	if (r < 0 || reply->type != REDIS_REPLY_ERROR)
		return r;
	return stint_err_set(err, -EACCES, "%s: AUTH refused: %.*s", c->where,
		(int)strcspn(reply->str, " "), reply->str);
}

static int
introduce(struct client *c, const struct client_opts *opts, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *named = NULL;
	cleanup(link_reply_freep) redisReply *selected = NULL;
	int r = 0;

	if (opts->url->password)
		r = authenticate(c, opts->url, err);
	/* A name is a courtesy to people who read CLIENT LIST: it may be refused. */
	if (r == 0 && opts->name)
		r = ask(c, &named, err, "CLIENT SETNAME %s", opts->name);
	if (r == 0 && opts->url->db != 0)
		r = link_command(c, &selected, err, "SELECT %d", opts->url->db);
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
		return stint_err_set(err, -ENOTCONN, "cannot reach %s: %s", c->where,
			c->redis->errstr);
	/* As early as it can be done: before 1.4, hiredis makes its sockets without. */
	if (fcntl(c->redis->fd, F_SETFD, FD_CLOEXEC) < 0)
		return stint_err_set(err, -EIO, "%s: %s", c->where, strerror(errno));
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

void
link_reply_freep(redisReply **reply)
{
	if (*reply)
		freeReplyObject(*reply);
}

bool
link_is_string(const redisReply *reply)
{
	return reply && reply->type == REDIS_REPLY_STRING;
}

const redisReply *
link_item(const redisReply *array, size_t n)
{
	if (!array || array->type != REDIS_REPLY_ARRAY || n >= array->elements)
		return NULL;
	return array->element[n];
}

const redisReply *
link_member(const redisReply *map, const char *name)
{
	const redisReply *key;

	for (size_t i = 0; (key = link_item(map, i)); i += 2) {
		if (link_is_string(key) && strcmp(key->str, name) == 0)
			return link_item(map, i + 1);
	}
	return NULL;
}

int64_t
link_integer(const redisReply *reply)
{
	return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
}
