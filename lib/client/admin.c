/*
 * admin.c - the operator's questions: which queues there are, and how full
 */
#include "lib/client/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/client/link.h"
#include "lib/wire/keys.h"

/* Keys looked at per SCAN: few round trips, and well below 1 ms of Redis' time each. */
#define SCAN_COUNT "1000"

/* Where @name is, or would be. */
static size_t
find_name(const struct client_names *set, const char *name, bool *ret_found)
{
	size_t low = 0, high = set->count;

	*ret_found = false;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const int order = strcmp(set->names[middle], name);

		*ret_found |= order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int
client_names_add(struct client_names *set, const char *name, size_t n)
{
	cleanup(freep) char *copy = strndup(name, n);
	bool is_known;
	size_t at;
	char **grown;

	if (!copy)
		return -ENOMEM;
	at = find_name(set, copy, &is_known);
	if (is_known)
		return 0;
	grown = reallocarray(set->names, set->count + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	memmove(grown + at + 1, grown + at, (set->count - at) * sizeof *grown);
	grown[at] = take_ptr(copy);
	set->names = grown;
	set->count++;
	return 0;
}

void
client_names_fini(struct client_names *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->names[i]);
	free(set->names);
	*set = (struct client_names){0};
}

/* Between "<prefix>:{" and "}:jobs" of a key stands the queue; other programs may
 * have keys that match the pattern, but are no queue's. */
static int
add_queue_of(struct client_names *set, const redisReply *key, size_t before, size_t after)
{
	if (!link_is_string(key) || key->len <= before + after ||
		!keys_is_queue_name(key->str + before, key->len - before - after))
		return 0;
	return client_names_add(set, key->str + before, key->len - before - after);
}

/* One page: @cursor "0" begins and, coming back, ends the scan. */
static int
scan(struct client *c, char cursor[32], struct client_names *set, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const size_t before = strlen(c->prefix) + strlen(":{");
	const redisReply *next, *keys, *key;
	int r;

	/* A prefix has no characters that mean something in a pattern. */
	r = link_command(c, &reply, err,
		"SCAN %s MATCH %s:{*}:jobs COUNT " SCAN_COUNT " TYPE stream", cursor,
		c->prefix);
	if (r < 0)
		return r;
	next = link_item(reply, 0);
	keys = link_item(reply, 1);
	if (!link_is_string(next) || !keys)
		return stint_err_set(err, -EREMOTEIO, "%s: odd reply to SCAN", c->where);
	snprintf(cursor, 32, "%s", next->str);
	for (size_t i = 0; (key = link_item(keys, i)); i++) {
		if (add_queue_of(set, key, before, strlen("}:jobs")) < 0)
			return link_no_memory(err);
	}
	return 0;
}

int
client_find_queues(struct client *c, struct client_names *set, struct stint_err *err)
{
	char cursor[32] = "0";
	int r;

	do {
		r = scan(c, cursor, set, err);
	} while (r == 0 && strcmp(cursor, "0") != 0);
	return r;
}

/* XLEN, ZCARD or EXISTS */
static int
number_of(struct client *c, const char *command, const struct buf *key, int64_t *ret,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	int r;

	r = link_command(c, &reply, err, "%s %b", command, key->data, key->len);
	*ret = link_integer(reply);
	return r;
}

/* What is put aside is held by no daemon: it waits. */
static int
set_aside_apart(struct client *c, const struct buf *key, struct client_queue_stats *stats,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const redisReply *holder, *name, *count;
	int r;

	r = link_command(
		c, &reply, err, "XPENDING %b %s", key->data, key->len, KEYS_GROUP);
	if (r < 0)
		return r;
	for (size_t i = 0; (holder = link_item(link_item(reply, 3), i)); i++) {
		name = link_item(holder, 0);
		count = link_item(holder, 1);
		if (!link_is_string(name) || !link_is_string(count) ||
			strncmp(name->str, KEYS_ASIDE, strlen(KEYS_ASIDE)) != 0)
			continue;
		stats->running_count -= strtoll(count->str, NULL, 10);
		stats->consumer_count--;
	}
	/* two commands: there may have been fewer before */
	if (stats->running_count < 0)
		stats->running_count = 0;
	if (stats->consumer_count < 0)
		stats->consumer_count = 0;
	return 0;
}

static int
group_state(struct client *c, const struct buf *key, struct client_queue_stats *stats,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const redisReply *group, *name;
	bool is_found = false;
	int r;

	r = link_command(c, &reply, err, "XINFO GROUPS %b", key->data, key->len);
	if (r < 0)
		return r;
	for (size_t i = 0; (group = link_item(reply, i)); i++) {
		name = link_member(group, "name");
		if (!link_is_string(name) || strcmp(name->str, KEYS_GROUP) != 0)
			continue;
		stats->running_count = link_integer(link_member(group, "pending"));
		stats->consumer_count = link_integer(link_member(group, "consumers"));
		is_found = true;
	}
	return is_found && stats->running_count > 0 ? set_aside_apart(c, key, stats, err)
						    : 0;
}

/* What the daemons have counted in a queue's stats. */
static int
counted(struct client *c, const char *queue, const char *name, int64_t *ret,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key(c, queue, "stats");
	int r;

	r = link_command(c, &reply, err, "HGET %b %s", key->data, key->len, name);
	*ret = link_is_string(reply) ? strtoll(reply->str, NULL, 10) : 0;
	return r;
}

static int
jobs_state(struct client *c, const char *queue, struct client_queue_stats *stats,
	struct stint_err *err)
{
	int64_t exists, length;
	int r;

	/* XINFO takes a missing stream for an error, and a stream without jobs is none.
	 */
	r = number_of(c, "EXISTS", link_key(c, queue, "jobs"), &exists, err);
	if (r < 0 || !exists)
		return r;
	r = number_of(c, "XLEN", &c->key, &length, err);
	if (r == 0)
		r = group_state(c, &c->key, stats, err);
	/* Two commands: a job may have come and been taken between them. */
	if (r == 0 && length > stats->running_count)
		stats->waiting_count = length - stats->running_count;
	return r;
}

int
client_queue_stats(struct client *c, const char *queue, struct client_queue_stats *ret,
	struct stint_err *err)
{
	struct client_queue_stats stats = {0};
	int r;

	r = number_of(c, "XLEN", link_key(c, queue, "dead"), &stats.dead_count, err);
	if (r == 0)
		r = number_of(c, "ZCARD", link_key(c, queue, "delayed"),
			&stats.delayed_count, err);
	if (r == 0)
		r = counted(c, queue, "dead_lost", &stats.dead_lost_count, err);
	if (r == 0)
		r = client_is_paused(c, queue, &stats.is_paused, err);
	if (r == 0)
		r = jobs_state(c, queue, &stats, err);
	if (r == 0)
		*ret = stats;
	return r;
}
