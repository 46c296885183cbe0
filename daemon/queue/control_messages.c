/*
 * control_messages.c - the entries of a control stream, as what they say
 */
#include "daemon/queue/control_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/obs/log.h"

/* ---- ids ---- */

static bool
parse_number(const char **s, uint64_t *ret)
{
	char *end;

	if (**s < '0' || **s > '9')
		return false;
	errno = 0;
	*ret = strtoull(*s, &end, 10);
	*s = end;
	return errno == 0;
}

/* "1732153200000-0" as a number; false: it is none. */
static bool
stream_id_parse(const char *s, struct stream_id *ret)
{
	return parse_number(&s, &ret->ms) && *s++ == '-' && parse_number(&s, &ret->seq) &&
	       *s == '\0';
}

void
stream_id_print(struct stream_id id, char out[STREAM_ID_BYTES])
{
	snprintf(out, STREAM_ID_BYTES, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

bool
stream_id_is_before(struct stream_id a, struct stream_id b)
{
	return a.ms != b.ms ? a.ms < b.ms : a.seq < b.seq;
}

bool
stream_id_of(const struct redis_reply *entry, struct stream_id *ret)
{
	return entry->type == REDIS_ARRAY && entry->count == 2 && entry->items[0].str &&
	       entry->items[1].type == REDIS_ARRAY &&
	       stream_id_parse(entry->items[0].str, ret);
}

/* ---- messages ---- */

static const struct redis_reply *
field(const struct redis_reply *fields, const char *name)
{
	for (size_t i = 0; i + 1 < fields->count; i += 2)
		if (fields->items[i].str && !strcmp(fields->items[i].str, name))
			return &fields->items[i + 1];
	return NULL;
}

static bool
is_word(const struct redis_reply *value, const char *word)
{
	return value && value->str && value->len == strlen(word) &&
	       !memcmp(value->str, word, value->len);
}

static const char *
take_cancel(struct control *c, struct control_queue *cq, struct stream_id at,
	const struct redis_reply *id)
{
	const int64_t unix_ms = at.ms > INT64_MAX ? INT64_MAX : (int64_t)at.ms;

	if (!id || !id->str || !keys_is_job_id(id->str, id->len))
		return "cancel without a valid id";
	if (cancels_add(&cq->cancels, id->str, id->len, unix_ms) < 0)
		log_error("no memory to remember a cancel",
			F_STR("queue", cq->queue->name), F_STR("job", id->str));
	c->o.ops->on_cancel(c->o.arg, cq->queue, id->str, unix_ms);
	return NULL;
}

/* NULL, or what is wrong with the message. */
static const char *
take_message(struct control *c, struct control_queue *cq, struct stream_id at,
	const struct redis_reply *fields)
{
	const struct redis_reply *command = field(fields, "command");
	const bool is_pause = is_word(command, "pause");

	if (is_word(command, "cancel"))
		return take_cancel(c, cq, at, field(fields, "id"));
	if (!is_pause && !is_word(command, "resume"))
		return command ? "unknown command" : "no field \"command\"";
	cq->wants_pause = is_pause;
	cq->state = at;
	return NULL;
}

/* Malformed ones are told together: there may be many. */
void
control_take_entries(
	struct control *c, struct control_queue *cq, const struct redis_reply *entries)
{
	const char *why = NULL, *first = NULL;
	size_t bad = 0;

	for (size_t i = 0; i < entries->count; i++) {
		const struct redis_reply *entry = &entries->items[i];
		const char *fault;
		struct stream_id id;

		if (!stream_id_of(entry, &id) || !stream_id_is_before(cq->last, id))
			continue;
		cq->last = id;
		fault = take_message(c, cq, id, &entry->items[1]);
		if (!fault)
			continue;
		if (bad++ == 0) {
			why = fault;
			first = entry->items[0].str;
		}
	}
	if (bad > 0)
		log_warn("control messages make no sense, ignored",
			F_STR("queue", cq->queue->name), F_INT("messages", bad),
			F_STR("first", first), F_STR("why", why));
}
