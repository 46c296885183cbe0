/*
 * model_values.c - strings, hashes, sorted sets
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/model.h"

struct pair *
model_pair(const struct object *o, struct bytes name)
{
	for (size_t i = 0; o && i < o->count; i++)
		if (bytes_equal(o->pairs[i].name, name))
			return &o->pairs[i];
	return NULL;
}

static void
pair_remove(struct object *o, struct pair *p)
{
	const size_t at = (size_t)(p - o->pairs);

	memmove(p, p + 1, (o->count - at - 1) * sizeof *p);
	if (--o->count == 0)
		object_remove(o);
}

void
plain_del(struct call *c)
{
	int64_t n = 0;

	for (size_t i = 1; i < c->argc; i++) {
		struct object *o = model_find(c->argv[i]);

		if (!o)
			continue;
		if (model.on_del)
			model.on_del(&c->argv[i]);
		object_remove(o);
		n++;
	}
	reply_int(c, n);
}

void
plain_exists(struct call *c)
{
	reply_int(c, model_find(c->argv[1]) != NULL);
}

void
plain_pexpire(struct call *c)
{
	plain_exists(c);
}

void
plain_set(struct call *c)
{
	struct object *o = model_find(c->argv[1]);
	const bool is_nx = call_option(c, 3, "NX") < c->argc;

	if (model.on_set)
		model.on_set(&c->argv[1], &c->argv[2], !o, is_nx);
	if (o && is_nx)
		return reply_nil(c);
	if (!o)
		o = object_of(c, c->argv[1], OBJECT_STRING, true);
	o->type = OBJECT_STRING;
	o->string = model_keep(c->argv[2]);
	reply_status(c, "OK");
}

void
plain_get(struct call *c)
{
	const struct object *o;

	reply_nil(c);
	o = object_of(c, c->argv[1], OBJECT_STRING, false);
	if (o)
		reply_bytes(c->reply, o->string);
}

/* ---- hashes ---- */

static bool
hash_put(struct object *o, struct bytes name, struct bytes value)
{
	struct pair *p = model_pair(o, name);
	const bool is_new = !p;

	if (!p) {
		o->pairs = model_grow(o->pairs, o->count, &o->cap, sizeof *o->pairs);
		p = &o->pairs[o->count++];
		*p = (struct pair){.name = model_keep(name)};
	}
	p->value = model_keep(value);
	return is_new;
}

void
plain_hset(struct call *c)
{
	struct object *o = object_of(c, c->argv[1], OBJECT_HASH, true);
	int64_t n = 0;

	for (size_t i = 2; o && i + 1 < c->argc; i += 2)
		n += hash_put(o, c->argv[i], c->argv[i + 1]);
	if (o)
		reply_int(c, n);
}

void
plain_hget(struct call *c)
{
	const struct pair *p;

	reply_nil(c);
	p = model_pair(object_of(c, c->argv[1], OBJECT_HASH, false), c->argv[2]);
	if (p)
		reply_bytes(c->reply, p->value);
}

void
plain_hdel(struct call *c)
{
	int64_t n = 0;

	for (size_t i = 2; i < c->argc; i++) {
		struct object *o = model_find_typed(c->argv[1], OBJECT_HASH);
		struct pair *p = model_pair(o, c->argv[i]);

		if (!p)
			continue;
		pair_remove(o, p);
		n++;
	}
	reply_int(c, n);
}

void
plain_hincrby(struct call *c)
{
	struct object *o = object_of(c, c->argv[1], OBJECT_HASH, true);
	const struct pair *p = model_pair(o, c->argv[2]);
	const int64_t v = (p ? bytes_int(p->value) : 0) + bytes_int(c->argv[3]);
	char text[32];

	if (!o)
		return;
	snprintf(text, sizeof text, "%lld", (long long)v);
	hash_put(o, c->argv[2], (struct bytes){text, strlen(text)});
	reply_int(c, v);
}

/* ---- sorted sets ---- */

static void
zset_insert(struct object *o, struct bytes name, double score)
{
	size_t at = 0;

	o->pairs = model_grow(o->pairs, o->count, &o->cap, sizeof *o->pairs);
	while (at < o->count && (o->pairs[at].score < score ||
					(o->pairs[at].score == score &&
						strcmp(o->pairs[at].name.p, name.p) < 0)))
		at++;
	memmove(&o->pairs[at + 1], &o->pairs[at], (o->count - at) * sizeof *o->pairs);
	o->pairs[at] = (struct pair){.name = name, .score = score};
	o->count++;
}

void
plain_zadd(struct call *c)
{
	const bool only_old = bytes_is(c->argv[2], "XX");
	const size_t at = only_old ? 3 : 2;
	const double score = bytes_double(c->argv[at]);
	struct object *o = object_of(c, c->argv[1], OBJECT_ZSET, !only_old);
	struct pair *p = model_pair(o, c->argv[at + 1]);
	const bool is_new = !p;
	struct bytes name;

	if (!o || (only_old && is_new))
		return reply_int(c, 0);
	if (model.on_zadd)
		model.on_zadd(&c->argv[1], &c->argv[at + 1], score);
	name = is_new ? model_keep(c->argv[at + 1]) : p->name;
	if (p) {
		memmove(p, p + 1, (size_t)(&o->pairs[o->count] - p - 1) * sizeof *p);
		o->count--;
	}
	zset_insert(o, name, score);
	reply_int(c, is_new);
}

void
plain_zrem(struct call *c)
{
	int64_t n = 0;

	for (size_t i = 2; i < c->argc; i++) {
		struct object *o = model_find_typed(c->argv[1], OBJECT_ZSET);
		struct pair *p = model_pair(o, c->argv[i]);

		if (!p)
			continue;
		pair_remove(o, p);
		n++;
	}
	reply_int(c, n);
}

static struct bytes
score_text(struct arena *a, double score)
{
	char text[32];

	snprintf(text, sizeof text, "%.17g", score);
	return arena_copy(a, text, strlen(text));
}

void
plain_zscore(struct call *c)
{
	const struct pair *p;

	reply_nil(c);
	p = model_pair(object_of(c, c->argv[1], OBJECT_ZSET, false), c->argv[2]);
	if (p)
		reply_bytes(c->reply, score_text(c->arena, p->score));
}

/* From the first on, as stint asks, WITHSCORES. */
void
plain_zrange(struct call *c)
{
	const struct object *o = model_find_typed(c->argv[1], OBJECT_ZSET);
	size_t n = (size_t)bytes_int(c->argv[3]) + 1;
	struct redis_reply *items;

	n = !o ? 0 : n < o->count ? n : o->count;
	items = reply_array(c->arena, c->reply, 2 * n);
	for (size_t i = 0; i < n; i++) {
		reply_bytes(&items[2 * i], o->pairs[i].name);
		reply_bytes(&items[2 * i + 1], score_text(c->arena, o->pairs[i].score));
	}
}
