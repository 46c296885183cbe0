/*
 * model.c - keys, MULTI, who is blocked, and the table of commands
 */
#include "tests/sim/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <stint/clock.h>
#include "lib/base/cleanup.h"

struct model model;

/* ---- bytes and replies ---- */

bool
bytes_equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && !memcmp(a.p, b.p, a.n);
}

bool
bytes_is(struct bytes a, const char *word)
{
	return a.n == strlen(word) && !strncasecmp(a.p, word, a.n);
}

/* All arguments are terminated. */
int64_t
bytes_int(struct bytes text)
{
	return strtoll(text.p, NULL, 10);
}

double
bytes_double(struct bytes text)
{
	return strtod(text.p, NULL);
}

struct bytes
model_keep(struct bytes text)
{
	return arena_copy(&model.arena, text.p, text.n);
}

void *
model_grow(void *old, size_t count, size_t *cap, size_t size)
{
	void *grown;

	if (count < *cap)
		return old;
	*cap = *cap ? 2 * *cap : 8;
	grown = arena_alloc(&model.arena, *cap * size);
	if (count > 0)
		memcpy(grown, old, count * size);
	return grown;
}

void
reply_int(struct call *c, int64_t v)
{
	*c->reply = (struct redis_reply){.type = REDIS_INTEGER, .integer = v};
}

void
reply_nil(struct call *c)
{
	*c->reply = (struct redis_reply){.type = REDIS_NIL};
}

void
reply_bytes(struct redis_reply *r, struct bytes text)
{
	*r = (struct redis_reply){.type = REDIS_STRING, .str = text.p, .len = text.n};
}

void
reply_status(struct call *c, const char *text)
{
	*c->reply = (struct redis_reply){
		.type = REDIS_STATUS, .str = text, .len = strlen(text)};
}

void
reply_error(struct call *c, const char *fmt, ...)
{
	char text[256];
	struct bytes copy;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	copy = arena_copy(c->arena, text, strlen(text));
	*c->reply =
		(struct redis_reply){.type = REDIS_ERROR, .str = copy.p, .len = copy.n};
}

struct redis_reply *
reply_array(struct arena *a, struct redis_reply *r, size_t count)
{
	*r = (struct redis_reply){.type = REDIS_ARRAY, .count = count};
	r->items = arena_alloc(a, (count ? count : 1) * sizeof *r->items);
	return r->items;
}

size_t
call_option(const struct call *c, size_t from, const char *name)
{
	while (from < c->argc && !bytes_is(c->argv[from], name))
		from++;
	return from;
}

/* ---- keys ---- */

struct object *
model_find(struct bytes key)
{
	for (size_t i = 0; i < model.count; i++)
		if (bytes_equal(model.objects[i].key, key))
			return &model.objects[i];
	return NULL;
}

struct object *
model_find_typed(struct bytes key, enum object_type type)
{
	struct object *o = model_find(key);

	return o && o->type == type ? o : NULL;
}

struct object *
object_of(struct call *c, struct bytes key, enum object_type type, bool is_made)
{
	struct object *o = model_find(key);

	if (o && o->type != type) {
		reply_error(c, "WRONGTYPE Operation against a key holding the wrong "
			       "kind of value");
		return NULL;
	}
	if (o || !is_made)
		return o;
	model.objects =
		model_grow(model.objects, model.count, &model.cap, sizeof *model.objects);
	o = &model.objects[model.count++];
	*o = (struct object){.key = model_keep(key), .type = type};
	return o;
}

void
object_remove(struct object *o)
{
	*o = model.objects[--model.count];
}

/* ---- commands ---- */

static void
cmd_time(struct call *c)
{
	struct redis_reply *items = reply_array(c->arena, c->reply, 2);
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)(stint_unix_ms() / 1000));
	reply_bytes(&items[0], arena_copy(c->arena, text, strlen(text)));
	snprintf(text, sizeof text, "%lld", (long long)(stint_unix_ms() % 1000 * 1000));
	reply_bytes(&items[1], arena_copy(c->arena, text, strlen(text)));
}

/* CLIENT UNBLOCK id */
static void
cmd_client(struct call *c)
{
	const int64_t id = bytes_int(c->argv[2]);

	reply_int(c, 0);
	for (struct model_client *m = model.blocked; m; m = m->next_blocked)
		if (m->id == id) {
			model_unblock(m);
			return reply_int(c, 1);
		}
}

enum { WRITES = 1, TAKES_MEMORY = 2, WHILE_LOADING = 4 };

static const struct {
	const char *name;
	command_fn fn;
	size_t argc_min;
	int flags;
} commands[] = {
	{"EVALSHA", script_call, 3, 0},
	{"XREADGROUP", group_read, 7, WRITES},
	{"XREAD", stream_read, 4, 0},
	{"XREVRANGE", stream_revrange, 4, 0},
	{"XPENDING", group_pending, 3, 0},
	{"XACK", group_ack, 4, WRITES},
	{"XDEL", stream_del, 3, WRITES},
	{"XRANGE", stream_range, 4, 0},
	{"TIME", cmd_time, 1, 0},
	{"SET", plain_set, 3, WRITES | TAKES_MEMORY},
	{"HDEL", plain_hdel, 3, WRITES},
	{"HGET", plain_hget, 3, 0},
	{"HSET", plain_hset, 4, WRITES | TAKES_MEMORY},
	{"HINCRBY", plain_hincrby, 4, WRITES | TAKES_MEMORY},
	{"XADD", stream_add, 5, WRITES | TAKES_MEMORY},
	{"XCLAIM", group_claim, 6, WRITES},
	{"XAUTOCLAIM", group_autoclaim, 6, WRITES},
	{"XINFO", stream_info, 4, 0},
	{"XGROUP", group_create, 4, WRITES},
	{"XLEN", stream_len, 2, 0},
	{"ZRANGE", plain_zrange, 4, 0},
	{"ZSCORE", plain_zscore, 3, 0},
	{"ZADD", plain_zadd, 4, WRITES | TAKES_MEMORY},
	{"ZREM", plain_zrem, 3, WRITES},
	{"GET", plain_get, 2, 0},
	{"EXISTS", plain_exists, 2, 0},
	{"DEL", plain_del, 2, WRITES},
	{"PEXPIRE", plain_pexpire, 3, WRITES},
	{"SCRIPT", script_load, 2, 0},
	{"CLIENT", cmd_client, 3, WHILE_LOADING},
};

static size_t
find_command(struct bytes name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(commands) && !bytes_is(name, commands[i].name))
		i++;
	return i;
}

/* Why commands with these flags are not carried out now; NULL: they are. */
static const char *
refusal(int flags)
{
	if (model.is_loading && !(flags & WHILE_LOADING) && !model.in_script)
		return "LOADING Redis is loading the dataset in memory";
	if (model.is_readonly && (flags & WRITES))
		return "READONLY You can't write against a read only replica.";
	if (model.is_full && (flags & TAKES_MEMORY) &&
		!(model.in_script && model.script_has_written))
		return "OOM command not allowed when used memory > 'maxmemory'.";
	return NULL;
}

static bool
is_refused(struct call *c, int flags)
{
	const char *why = refusal(flags);

	if (why)
		reply_error(c, "%s", why);
	return why != NULL;
}

/* Outside of MULTI, or from EXEC or a script. */
static void
execute(struct call *c)
{
	const size_t i = find_command(c->argv[0]);

	if (i == ARRAY_LEN(commands) || c->argc < commands[i].argc_min) {
		fprintf(stderr, "sim: the model does not know this %s\n", c->argv[0].p);
		abort();
	}
	if (is_refused(c, commands[i].flags))
		return;
	if (commands[i].flags & WRITES) {
		model.is_written = true;
		model.script_has_written = true;
	}
	commands[i].fn(c);
}

void
model_call(struct call *c)
{
	execute(c);
}

static void
exec(struct call *c)
{
	struct model_client *m = c->client;
	struct redis_reply *items;
	const char *why = NULL;

	m->is_multi = false;
	if (m->is_multi_refused)
		return reply_error(
			c, "EXECABORT Transaction discarded because of previous errors.");
	for (size_t i = 0; i < m->queued && !why; i++)
		why = refusal(m->queue[i].flags);
	if (why)
		return reply_error(
			c, "EXECABORT Transaction discarded because of: %s", why);
	items = reply_array(c->arena, c->reply, m->queued);
	for (size_t i = 0; i < m->queued; i++)
		execute(&(struct call){.argv = m->queue[i].argv,
			.argc = m->queue[i].argc,
			.reply = &items[i],
			.arena = c->arena});
}

static void
enqueue(struct call *c)
{
	struct model_client *m = c->client;
	const size_t i = find_command(c->argv[0]);

	if (i < ARRAY_LEN(commands) && is_refused(c, commands[i].flags)) {
		m->is_multi_refused = true;
		return;
	}
	if (m->queued == CLIENT_QUEUE_MAX)
		abort();
	m->queue[m->queued].argv = c->argv;
	m->queue[m->queued].flags = i < ARRAY_LEN(commands) ? commands[i].flags : 0;
	m->queue[m->queued++].argc = c->argc;
	reply_status(c, "QUEUED");
}

/* Nothing was found: the client is answered when there is something, or at the end of
 * its time. */
void
model_block(struct call *c, int64_t block_ms)
{
	struct model_client *m = c->client, **at = &model.blocked;

	m->is_blocked = true;
	m->blocked_until_ms = stint_now_ms() + block_ms;
	m->blocked_argv = c->argv;
	m->blocked_argc = c->argc;
	m->blocked_reply = c->reply;
	m->blocked_arena = c->arena;
	m->next_blocked = NULL;
	while (*at)
		at = &(*at)->next_blocked;
	*at = m;
}

static void
serve_blocked(void)
{
	struct model_client **at = &model.blocked;

	model.is_signalled = false;
	while (*at) {
		struct model_client *m = *at;
		struct call again = {.argv = m->blocked_argv,
			.argc = m->blocked_argc,
			.reply = m->blocked_reply,
			.arena = m->blocked_arena};

		/* without a client it does not block again, and answers nil */
		execute(&again);
		if (m->blocked_reply->type == REDIS_NIL) {
			at = &m->next_blocked;
			continue;
		}
		m->is_blocked = false;
		*at = m->next_blocked;
	}
}

void
model_execute(struct model_client *m, const struct bytes *argv, size_t argc,
	struct arena *arena, struct redis_reply *reply)
{
	struct call c = {
		.argv = argv, .argc = argc, .reply = reply, .arena = arena, .client = m};

	reply_nil(&c);
	model.is_written = false;
	if (bytes_is(argv[0], "MULTI")) {
		m->is_multi = true;
		m->is_multi_refused = false;
		m->queued = 0;
		return reply_status(&c, "OK");
	}
	if (bytes_is(argv[0], "EXEC"))
		exec(&c);
	else if (m->is_multi)
		enqueue(&c);
	else
		execute(&c);
	if (model.is_signalled)
		serve_blocked();
}

void
model_drop_client(struct model_client *c)
{
	struct model_client **at = &model.blocked;

	while (*at && *at != c)
		at = &(*at)->next_blocked;
	if (*at)
		*at = c->next_blocked;
	c->is_blocked = false;
}

void
model_unblock(struct model_client *c)
{
	model_drop_client(c);
	*c->blocked_reply = (struct redis_reply){.type = REDIS_NIL};
}

void
model_unblock_all(const char *why)
{
	struct model_client *m;

	while ((m = model.blocked)) {
		struct call c = {.reply = m->blocked_reply, .arena = m->blocked_arena};

		model_drop_client(m);
		reply_error(&c, "%s", why);
	}
}

void
model_flush(void)
{
	struct model_client *m, *next;

	model.count = 0;
	for (m = model.blocked; m; m = next) {
		struct call c = {.reply = m->blocked_reply, .arena = m->blocked_arena};

		next = m->next_blocked;
		if (!bytes_is(m->blocked_argv[0], "XREADGROUP"))
			continue;
		model_drop_client(m);
		reply_error(&c, "UNBLOCKED the stream key no longer exists");
	}
}

void
model_reset(void)
{
	arena_free(&model.arena);
	model.objects = NULL;
	model.count = model.cap = 0;
	model.is_full = model.is_readonly = model.is_loading = false;
	model.is_written = model.is_signalled = false;
	model.scripts_loaded = 0;
	model.blocked = NULL;
}

void
model_end(void)
{
	model_reset();
	script_end();
	arena_end();
}
