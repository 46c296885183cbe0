/*
 * model_group.c - the consumer group of a stream, and what its consumers hold
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "tests/sim/model.h"

static struct group *
group_of(struct call *c, struct bytes key, struct bytes name)
{
	const struct object *o = object_of(c, key, OBJECT_STREAM, false);

	if (o && o->stream.group && bytes_equal(o->stream.group->name, name))
		return o->stream.group;
	if (c->reply->type != REDIS_ERROR)
		reply_error(c, "NOGROUP No such key '%s' or consumer group '%s'", key.p,
			name.p);
	return NULL;
}

static struct stream *
stream_of(struct call *c)
{
	return &model_find(c->argv[1])->stream;
}

static struct consumer *
find_consumer(struct group *g, struct bytes name)
{
	for (size_t i = 0; i < g->consumer_count; i++)
		if (!g->consumers[i].is_gone && bytes_equal(g->consumers[i].name, name))
			return &g->consumers[i];
	return NULL;
}

static struct consumer *
make_consumer(struct group *g, struct bytes name)
{
	struct consumer *one = find_consumer(g, name);

	if (!one) {
		if (g->consumer_count == CONSUMERS_MAX)
			abort();
		one = &g->consumers[g->consumer_count++];
		*one = (struct consumer){.name = model_keep(name)};
	}
	one->seen_ms = stint_now_ms();
	return one;
}

static size_t
held_seek(const struct group *g, struct sid id)
{
	size_t i = 0;

	while (i < g->held_count && sid_compare(g->held[i].id, id) < 0)
		i++;
	return i;
}

static struct held *
held_find(const struct group *g, struct sid id)
{
	const size_t i = held_seek(g, id);

	return i < g->held_count && sid_compare(g->held[i].id, id) == 0 ? &g->held[i]
									: NULL;
}

static struct held *
held_add(struct group *g, struct sid id)
{
	const size_t at = held_seek(g, id);

	g->held = model_grow(g->held, g->held_count, &g->held_cap, sizeof *g->held);
	memmove(&g->held[at + 1], &g->held[at], (g->held_count - at) * sizeof *g->held);
	g->held_count++;
	g->held[at] = (struct held){.id = id};
	return &g->held[at];
}

static void
held_remove(struct group *g, struct held *h)
{
	memmove(h, h + 1, (size_t)(&g->held[g->held_count] - h - 1) * sizeof *h);
	g->held_count--;
}

/* ---- XGROUP ---- */

static void
delete_consumer(struct call *c)
{
	struct group *g = group_of(c, c->argv[2], c->argv[3]);
	struct consumer *one = g ? find_consumer(g, c->argv[4]) : NULL;
	int64_t dropped = 0;

	if (!g)
		return;
	for (size_t i = g->held_count; one && i-- > 0;)
		if (g->held[i].owner == one) {
			held_remove(g, &g->held[i]);
			dropped++;
		}
	if (one)
		one->is_gone = true;
	reply_int(c, dropped);
}

void
group_create(struct call *c)
{
	struct object *o;

	if (bytes_is(c->argv[1], "DELCONSUMER"))
		return delete_consumer(c);
	o = object_of(c, c->argv[2], OBJECT_STREAM, true);
	if (!o)
		return;
	if (o->stream.group)
		return reply_error(c, "BUSYGROUP Consumer Group name already exists");
	o->stream.group = arena_alloc(&model.arena, sizeof *o->stream.group);
	o->stream.group->name = model_keep(c->argv[3]);
	reply_status(c, "OK");
}

/* ---- XREADGROUP GROUP g me COUNT n [BLOCK ms] STREAMS key... >... ---- */

static size_t
read_one(struct call *c, struct object *o, size_t max, struct redis_reply *r)
{
	struct group *g = o->stream.group;
	struct consumer *me = make_consumer(g, c->argv[3]);
	const size_t first = stream_seek(&o->stream, sid_after(g->last));
	size_t count = o->stream.count - first;
	struct redis_reply *pair, *entries;

	count = count < max ? count : max;
	if (count == 0)
		return 0;
	pair = reply_array(c->arena, r, 2);
	reply_bytes(&pair[0], o->key);
	entries = reply_array(c->arena, &pair[1], count);
	for (size_t i = 0; i < count; i++) {
		const struct entry *e = &o->stream.entries[first + i];
		struct held *h = held_find(g, e->id);

		h = h ? h : held_add(g, e->id); /* pull.lua may have taken it before */
		*h = (struct held){.id = e->id,
			.owner = me,
			.delivered_ms = stint_now_ms(),
			.deliveries = 1};
		g->last = e->id;
		stream_reply_entry(c->arena, &entries[i], e);
	}
	return count;
}

void
group_read(struct call *c)
{
	const size_t streams = call_option(c, 1, "STREAMS") + 1;
	const size_t keys = (c->argc - streams) / 2;
	const size_t option = call_option(c, 4, "BLOCK");
	struct redis_reply *items = arena_alloc(c->arena, keys * sizeof *items);
	size_t n = 0;

	for (size_t k = 0; k < keys; k++) {
		const struct bytes key = c->argv[streams + k];
		struct object *o = object_of(c, key, OBJECT_STREAM, false);

		if (!o && c->reply->type == REDIS_ERROR)
			return;
		if (!o || !o->stream.group)
			return reply_error(c,
				"NOGROUP No such key '%s' or consumer group '%s' in "
				"XREADGROUP with GROUP option",
				key.p, c->argv[2].p);
	}
	for (size_t k = 0; k < keys; k++)
		n += read_one(c, model_find(c->argv[streams + k]),
			     (size_t)bytes_int(c->argv[5]), &items[n]) > 0;
	reply_nil(c);
	if (n > 0)
		*c->reply = (struct redis_reply){
			.type = REDIS_ARRAY, .items = items, .count = n};
	else if (option < streams && c->client)
		model_block(c, bytes_int(c->argv[option + 1]));
}

/* ---- pending lists ---- */

void
group_ack(struct call *c)
{
	const struct object *o = object_of(c, c->argv[1], OBJECT_STREAM, false);
	struct group *g = o ? o->stream.group : NULL;
	int64_t n = 0;

	if (!o && c->reply->type == REDIS_ERROR)
		return;
	for (size_t i = 3; g && i < c->argc; i++) {
		struct sid id;
		struct held *h = sid_parse(c->argv[i], &id, 0) ? held_find(g, id) : NULL;

		if (!h)
			continue;
		held_remove(g, h);
		n++;
	}
	reply_int(c, n);
}

static void
pending_summary(struct call *c, struct group *g)
{
	struct redis_reply *items = reply_array(c->arena, c->reply, 4);
	struct redis_reply *rows;
	size_t n = 0;

	items[0] = (struct redis_reply){
		.type = REDIS_INTEGER, .integer = (int64_t)g->held_count};
	if (g->held_count == 0)
		return;
	stream_reply_id(c->arena, &items[1], g->held[0].id);
	stream_reply_id(c->arena, &items[2], g->held[g->held_count - 1].id);
	rows = reply_array(c->arena, &items[3], g->consumer_count);
	for (size_t i = 0; i < g->consumer_count; i++) {
		struct redis_reply *row;
		int64_t held = 0;
		char text[24];

		for (size_t k = 0; k < g->held_count; k++)
			held += g->held[k].owner == &g->consumers[i];
		if (held == 0)
			continue;
		row = reply_array(c->arena, &rows[n++], 2);
		reply_bytes(&row[0], g->consumers[i].name);
		snprintf(text, sizeof text, "%lld", (long long)held);
		reply_bytes(&row[1], arena_copy(c->arena, text, strlen(text)));
	}
	items[3].count = n;
}

static void
reply_held(struct call *c, struct redis_reply *r, const struct held *h)
{
	struct redis_reply *row = reply_array(c->arena, r, 4);

	stream_reply_id(c->arena, &row[0], h->id);
	reply_bytes(&row[1], h->owner->name);
	row[2] = (struct redis_reply){
		.type = REDIS_INTEGER, .integer = stint_now_ms() - h->delivered_ms};
	row[3] = (struct redis_reply){.type = REDIS_INTEGER, .integer = h->deliveries};
}

/* XPENDING key group [[IDLE ms] from to count [consumer]] */
void
group_pending(struct call *c)
{
	struct group *g = group_of(c, c->argv[1], c->argv[2]);
	const bool has_idle = c->argc > 3 && bytes_is(c->argv[3], "IDLE");
	const struct bytes *argv = c->argv + (has_idle ? 5 : 3);
	const bool is_of_one = c->argc > (has_idle ? 8 : 6);
	const bool is_open = c->argc > 3 && argv[0].p[0] == '(';
	const int64_t idle_ms = has_idle ? bytes_int(c->argv[4]) : 0;
	const struct consumer *one = NULL;
	struct sid from, to;
	struct redis_reply *rows;
	size_t max, n = 0;

	if (!g)
		return;
	if (c->argc == 3)
		return pending_summary(c, g);
	if (!sid_parse(
		    (struct bytes){argv[0].p + is_open, argv[0].n - is_open}, &from, 0) ||
		!sid_parse(argv[1], &to, UINT64_MAX))
		return reply_error(c, "ERR Invalid stream ID specified as stream "
				      "command argument");
	from = is_open ? sid_after(from) : from;
	max = (size_t)bytes_int(argv[2]);
	rows = reply_array(c->arena, c->reply, max < g->held_count ? max : g->held_count);
	if (is_of_one)
		one = find_consumer(g, argv[3]);
	for (size_t i = held_seek(g, from); i < g->held_count && n < max; i++) {
		if (sid_compare(g->held[i].id, to) > 0)
			break;
		if ((!is_of_one || g->held[i].owner == one) &&
			stint_now_ms() - g->held[i].delivered_ms >= idle_ms)
			reply_held(c, &rows[n++], &g->held[i]);
	}
	c->reply->count = n;
}

/* ---- claiming ---- */

static void
claim(struct call *c, struct held *h, struct consumer *me, bool is_justid,
	int64_t retrycount)
{
	if (h->owner && h->owner != me && model.on_move)
		model.on_move(&c->argv[1], h, &me->name);
	h->owner = me;
	h->delivered_ms = stint_now_ms();
	if (retrycount >= 0)
		h->deliveries = retrycount;
	else if (!is_justid)
		h->deliveries++;
}

static void
reply_claimed(struct call *c, struct redis_reply *r, const struct held *h,
	const struct stream *s, bool is_justid)
{
	if (is_justid)
		stream_reply_id(c->arena, r, h->id);
	else
		stream_reply_entry(c->arena, r, model_entry(s, h->id));
}

/* XCLAIM key group me min-idle id... [RETRYCOUNT n] [FORCE] [JUSTID] */
void
group_claim(struct call *c)
{
	struct group *g = group_of(c, c->argv[1], c->argv[2]);
	const bool is_justid = call_option(c, 5, "JUSTID") < c->argc;
	const bool is_forced = call_option(c, 5, "FORCE") < c->argc;
	const size_t option = call_option(c, 5, "RETRYCOUNT");
	const int64_t retrycount = option < c->argc ? bytes_int(c->argv[option + 1]) : -1;
	struct consumer *me;
	struct redis_reply *items;
	struct sid id;
	size_t n = 0;

	if (!g)
		return;
	me = make_consumer(g, c->argv[3]);
	items = reply_array(c->arena, c->reply, c->argc);
	for (size_t i = 5; i < c->argc && sid_parse(c->argv[i], &id, 0); i++) {
		struct held *h = held_find(g, id);
		const struct stream *s = stream_of(c);

		if (!model_entry(s, id)) { /* deleted: since 7.0 it leaves the list */
			if (h)
				held_remove(g, h);
			continue;
		}
		if (!h && is_forced)
			h = held_add(g, id);
		if (!h || (h->owner && stint_now_ms() - h->delivered_ms <
					       bytes_int(c->argv[4])))
			continue;
		claim(c, h, me, is_justid, retrycount);
		reply_claimed(c, &items[n++], h, s, is_justid);
	}
	c->reply->count = n;
}

/* XAUTOCLAIM key group me min-idle from COUNT n; it looks at ten times as many. */
void
group_autoclaim(struct call *c)
{
	struct group *g = group_of(c, c->argv[1], c->argv[2]);
	const size_t max = g ? (size_t)bytes_int(c->argv[7]) : 0;
	size_t looks = 10 * max, n = 0, deleted = 0, i;
	struct redis_reply *items, *claimed, *gone;
	struct consumer *me;
	struct sid from;

	if (!g || !sid_parse(c->argv[5], &from, 0))
		return;
	me = make_consumer(g, c->argv[3]);
	items = reply_array(c->arena, c->reply, 3);
	claimed = reply_array(c->arena, &items[1], max);
	gone = reply_array(c->arena, &items[2], g->held_count);
	for (i = held_seek(g, from); i < g->held_count && looks > 0 && n < max; looks--) {
		struct held *h = &g->held[i];

		if (!model_entry(stream_of(c), h->id)) {
			stream_reply_id(c->arena, &gone[deleted++], h->id);
			held_remove(g, h);
			continue;
		}
		i++;
		if (stint_now_ms() - h->delivered_ms < bytes_int(c->argv[4]))
			continue;
		claim(c, h, me, false, -1);
		reply_claimed(c, &claimed[n++], h, stream_of(c), false);
	}
	items[1].count = n;
	items[2].count = deleted;
	stream_reply_id(
		c->arena, &items[0], i < g->held_count ? g->held[i].id : (struct sid){0});
}
