/*
 * model_stream.c - streams without their groups
 */
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "lib/base/buf.h"
#include "tests/sim/model.h"

/* ---- ids ---- */

int
sid_compare(struct sid a, struct sid b)
{
	if (a.ms != b.ms)
		return a.ms < b.ms ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

bool
sid_parse(struct bytes text, struct sid *ret, uint64_t default_seq)
{
	char *end;

	if (bytes_is(text, "-") || bytes_is(text, "+")) {
		const uint64_t v = text.p[0] == '-' ? 0 : UINT64_MAX;

		*ret = (struct sid){v, v};
		return true;
	}
	if (text.n == 0 || *text.p < '0' || *text.p > '9')
		return false;
	*ret = (struct sid){.ms = strtoull(text.p, &end, 10), .seq = default_seq};
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		ret->seq = strtoull(end + 1, &end, 10);
	return *end == '\0';
}

/* Times are far from what an int64_t cannot hold. */
size_t
sid_print(struct sid id, char out[ENTRY_ID_BYTES])
{
	size_t n = buf_print_int(out, (int64_t)id.ms);

	out[n++] = '-';
	n += buf_print_int(out + n, (int64_t)id.seq);
	out[n] = '\0';
	return n;
}

struct sid
sid_after(struct sid id)
{
	if (id.seq == UINT64_MAX)
		return (struct sid){id.ms + 1, 0};
	return (struct sid){id.ms, id.seq + 1};
}

void
stream_reply_id(struct arena *a, struct redis_reply *r, struct sid id)
{
	char text[ENTRY_ID_BYTES];

	reply_bytes(r, arena_copy(a, text, sid_print(id, text)));
}

/* ---- entries ---- */

size_t
stream_seek(const struct stream *s, struct sid id)
{
	size_t i = 0;

	while (i < s->count && sid_compare(s->entries[i].id, id) < 0)
		i++;
	return i;
}

struct entry *
model_entry(const struct stream *s, struct sid id)
{
	const size_t i = stream_seek(s, id);

	return i < s->count && sid_compare(s->entries[i].id, id) == 0 ? &s->entries[i]
								      : NULL;
}

void
stream_reply_entry(struct arena *a, struct redis_reply *r, const struct entry *e)
{
	struct redis_reply *items = reply_array(a, r, 2);
	struct redis_reply *fields = reply_array(a, &items[1], e->count);

	stream_reply_id(a, &items[0], e->id);
	for (size_t i = 0; i < e->count; i++)
		reply_bytes(&fields[i], e->fields[i]);
}

/* XADD key [MAXLEN ~ n] * name value ...; an approximate MAXLEN trims nothing here. */
void
stream_add(struct call *c)
{
	const size_t at = call_option(c, 2, "*") + 1;
	struct object *o = object_of(c, c->argv[1], OBJECT_STREAM, true);
	const uint64_t now = (uint64_t)stint_unix_ms();
	struct stream *s;
	struct entry *e;

	if (!o)
		return;
	if (model.on_add)
		model.on_add(&c->argv[1], &c->argv[at], c->argc - at);
	s = &o->stream;
	s->last = s->last.ms < now ? (struct sid){now, 0} : sid_after(s->last);
	s->entries = model_grow(s->entries, s->count, &s->cap, sizeof *s->entries);
	e = &s->entries[s->count++];
	e->id = s->last;
	e->count = c->argc - at;
	e->fields = arena_alloc(&model.arena, e->count * sizeof *e->fields);
	for (size_t i = 0; i < e->count; i++)
		e->fields[i] = model_keep(c->argv[at + i]);
	model.is_signalled = true;
	stream_reply_id(c->arena, c->reply, e->id);
}

void
stream_del(struct call *c)
{
	struct object *o = object_of(c, c->argv[1], OBJECT_STREAM, false);
	int64_t n = 0;

	if (!o && c->reply->type == REDIS_ERROR)
		return;
	for (size_t i = 2; o && i < c->argc; i++) {
		struct stream *s = &o->stream;
		struct entry *e;
		struct sid id;

		if (!sid_parse(c->argv[i], &id, 0) || !(e = model_entry(s, id)))
			continue;
		memmove(e, e + 1, (size_t)(&s->entries[s->count] - e - 1) * sizeof *e);
		s->count--;
		n++;
	}
	reply_int(c, n);
}

void
stream_len(struct call *c)
{
	const struct object *o = object_of(c, c->argv[1], OBJECT_STREAM, false);

	if (o || c->reply->type != REDIS_ERROR)
		reply_int(c, o ? (int64_t)o->stream.count : 0);
}

void
stream_range(struct call *c)
{
	const struct object *o = object_of(c, c->argv[1], OBJECT_STREAM, false);
	const size_t option = call_option(c, 4, "COUNT");
	size_t max = option < c->argc ? (size_t)bytes_int(c->argv[option + 1]) : SIZE_MAX;
	struct sid from, to;
	size_t first, n = 0;
	struct redis_reply *items;

	if (!o && c->reply->type == REDIS_ERROR)
		return;
	if (!sid_parse(c->argv[2], &from, 0) || !sid_parse(c->argv[3], &to, UINT64_MAX))
		return reply_error(c, "ERR Invalid stream ID specified as stream "
				      "command argument");
	first = o ? stream_seek(&o->stream, from) : 0;
	while (o && n < max && first + n < o->stream.count &&
		sid_compare(o->stream.entries[first + n].id, to) <= 0)
		n++;
	items = reply_array(c->arena, c->reply, n);
	for (size_t i = 0; i < n; i++)
		stream_reply_entry(c->arena, &items[i], &o->stream.entries[first + i]);
}

/* XREVRANGE key + - COUNT 1, as stint asks: the last entry */
void
stream_revrange(struct call *c)
{
	const struct object *o = object_of(c, c->argv[1], OBJECT_STREAM, false);
	const bool any = o && o->stream.count > 0;
	struct redis_reply *items;

	if (!o && c->reply->type == REDIS_ERROR)
		return;
	items = reply_array(c->arena, c->reply, any);
	if (any)
		stream_reply_entry(
			c->arena, &items[0], &o->stream.entries[o->stream.count - 1]);
}

/* XREAD [COUNT n] [BLOCK ms] STREAMS key... id... */
void
stream_read(struct call *c)
{
	const size_t streams = call_option(c, 1, "STREAMS") + 1;
	const size_t keys = (c->argc - streams) / 2;
	const size_t option = call_option(c, 1, "COUNT");
	const size_t block = call_option(c, 1, "BLOCK");
	const size_t max =
		option < streams ? (size_t)bytes_int(c->argv[option + 1]) : SIZE_MAX;
	struct redis_reply *items = arena_alloc(c->arena, keys * sizeof *items);
	size_t n = 0;

	for (size_t k = 0; k < keys; k++) {
		const struct object *o =
			model_find_typed(c->argv[streams + k], OBJECT_STREAM);
		struct redis_reply *pair, *entries;
		size_t first, count;
		struct sid id;

		if (!o || !sid_parse(c->argv[streams + keys + k], &id, 0))
			continue;
		first = stream_seek(&o->stream, sid_after(id));
		count = o->stream.count - first;
		count = count < max ? count : max;
		if (count == 0)
			continue;
		pair = reply_array(c->arena, &items[n++], 2);
		reply_bytes(&pair[0], o->key);
		entries = reply_array(c->arena, &pair[1], count);
		for (size_t i = 0; i < count; i++)
			stream_reply_entry(
				c->arena, &entries[i], &o->stream.entries[first + i]);
	}
	reply_nil(c);
	if (n > 0)
		*c->reply = (struct redis_reply){
			.type = REDIS_ARRAY, .items = items, .count = n};
	else if (block < streams && c->client)
		model_block(c, bytes_int(c->argv[block + 1]));
}

/* XINFO CONSUMERS key group */
void
stream_info(struct call *c)
{
	const struct object *o = object_of(c, c->argv[2], OBJECT_STREAM, false);
	const struct group *g = o ? o->stream.group : NULL;
	struct redis_reply *rows;
	size_t n = 0;

	if (!o)
		return reply_error(c, "ERR no such key");
	if (!g)
		return reply_error(c,
			"NOGROUP No such consumer group '%s' for key name "
			"'%s'",
			c->argv[3].p, c->argv[2].p);
	rows = reply_array(c->arena, c->reply, g->consumer_count);
	for (size_t i = 0; i < g->consumer_count; i++) {
		const struct consumer *one = &g->consumers[i];
		struct redis_reply *row;
		int64_t held = 0;

		if (one->is_gone)
			continue;
		for (size_t k = 0; k < g->held_count; k++)
			held += g->held[k].owner == one;
		row = reply_array(c->arena, &rows[n++], 6);
		reply_bytes(&row[0], (struct bytes){"name", 4});
		reply_bytes(&row[1], one->name);
		reply_bytes(&row[2], (struct bytes){"pending", 7});
		row[3] = (struct redis_reply){.type = REDIS_INTEGER, .integer = held};
		reply_bytes(&row[4], (struct bytes){"idle", 4});
		row[5] = (struct redis_reply){
			.type = REDIS_INTEGER, .integer = stint_now_ms() - one->seen_ms};
	}
	c->reply->count = n;
}
