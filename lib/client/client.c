/*
 * client.c - submit a job, read its result, wait for it
 */
#include "lib/client/link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <stint/clock.h>
#include "lib/base/cleanup.h"

enum {
	/* How long one XREAD blocks: the stored result is looked at as often, which is
	 * how a duplicate finds the result of the first. */
	REPLY_BLOCK_MS = 1000,
	POLL_FIRST_MS = 20,
	POLL_LAST_MS = 500,
	/* The same once the job has told its progress, which changes as often. */
	PROGRESS_LOOK_MS = 250,
	/* handler, id, delay, at, timeout, deadline, retries, reply_to, traceparent,
	 * payload */
	OWN_FIELDS_MAX = 10,
	X_NAME_BYTES =
		sizeof "x-" + JOB_NAME_MAX + 1, /* one more, so that too long shows */
};

/* Replies read at once; a reply stream that others use, too, may hold many. */
#define REPLY_COUNT "16"

/* A job as names and values, and those names that its struct does not hold. */
struct fields {
	struct bytes at[2 * (OWN_FIELDS_MAX + JOB_X_FIELDS_MAX)];
	size_t count; /* names and values together */
	char x_names[JOB_X_FIELDS_MAX][X_NAME_BYTES];
};

static void
add_bytes(struct fields *f, const char *name, struct bytes value)
{
	f->at[f->count++] = (struct bytes){name, strlen(name)};
	f->at[f->count++] = value;
}

static void
add_text(struct fields *f, const char *name, const char *value)
{
	if (value)
		add_bytes(f, name, (struct bytes){value, strlen(value)});
}

static void
list_fields(struct fields *f, const struct client_job *job)
{
	f->count = 0;
	add_text(f, "handler", job->handler);
	add_text(f, "id", job->id);
	add_text(f, "delay", job->delay);
	add_text(f, "at", job->at);
	add_text(f, "timeout", job->timeout);
	add_text(f, "deadline", job->deadline);
	add_text(f, "retries", job->retries);
	add_text(f, "reply_to", job->reply_to);
	add_text(f, "traceparent", job->traceparent);
	for (size_t i = 0; i < job->x_count; i++) {
		snprintf(f->x_names[i], X_NAME_BYTES, "x-%.*s", (int)job->x[i].name.n,
			job->x[i].name.p);
		add_bytes(f, f->x_names[i], job->x[i].value);
	}
	if (job->payload.n > 0)
		add_bytes(f, "payload", job->payload);
}

int
client_job_check(const struct client_job *job, struct stint_err *err)
{
	struct client_job light = *job;
	cleanup(freep) struct job *parsed = NULL;
	struct fields f;

	if (job->x_count > JOB_X_FIELDS_MAX)
		return stint_err_set(
			err, -EINVAL, "expected at most %d x- fields", JOB_X_FIELDS_MAX);
	light.payload.n = 0; /* any is right, and parsing would copy it */
	list_fields(&f, &light);
	parsed = job_new("0-0", f.at, f.count);
	if (!parsed)
		return link_no_memory(err);
	if (parsed->fault[0] != '\0')
		return stint_err_set(err, -EINVAL, "%s", parsed->fault);
	return 0;
}

int
client_submit(struct client *c, const struct client_job *job, char **ret_id,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	cleanup(buf_fini) struct buf command = {0};
	const struct buf *key = link_key(c, job->queue, "jobs");
	struct fields f;
	int r;

	if (job->x_count > JOB_X_FIELDS_MAX)
		return stint_err_set(
			err, -EINVAL, "expected at most %d x- fields", JOB_X_FIELDS_MAX);
	list_fields(&f, job);
	resp_cmd(&command, 3 + f.count);
	resp_str(&command, "XADD");
	resp_bulk(&command, key->data, key->len);
	resp_str(&command, "*");
	for (size_t i = 0; i < f.count; i++)
		resp_bulk(&command, f.at[i].p, f.at[i].n);
	r = link_exchange(c, &reply, &command, err);
	if (r < 0)
		return r;
	if (!link_is_string(reply))
		return stint_err_set(err, -EREMOTEIO, "%s: odd reply to XADD", c->where);
	*ret_id = strdup(job->id ? job->id : reply->str);
	return *ret_id ? 0 : link_no_memory(err);
}

static int
append_string(const redisReply *reply, struct buf *ret, struct stint_err *err)
{
	buf_add(ret, reply->str, reply->len);
	return ret->failed ? link_no_memory(err) : 0;
}

int
client_result(struct client *c, const char *queue, const char *id, struct buf *ret,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key_named(c, queue, "result", id);
	int r;

	r = link_command(c, &reply, err, "GET %b", key->data, key->len);
	if (r < 0)
		return r;
	if (!link_is_string(reply))
		return stint_err_set(err, -ENOENT, "no result for %s (yet)", id);
	return append_string(reply, ret, err);
}

int
client_progress(struct client *c, const char *queue, const char *id, struct progress *ret,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key_named(c, queue, "state", id);
	const redisReply *percent, *note;
	int r;

	r = link_command(c, &reply, err, "HMGET %b percent note", key->data, key->len);
	if (r < 0)
		return r;
	percent = link_item(reply, 0);
	note = link_item(reply, 1);
	if (!link_is_string(percent) || !link_is_string(note) ||
		!progress_set(ret, (struct bytes){percent->str, percent->len},
			(struct bytes){note->str, note->len}))
		return stint_err_set(err, -ENOENT, "%s has told no progress", id);
	return 0;
}

/* Read what comes to the reply stream within @block_ms. -ENOENT: not this job's. */
static int
read_replies(struct client *c, struct client_wait *w, int64_t block_ms, struct buf *ret,
	struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key_named(c, w->queue, "reply", w->reply_to);
	const redisReply *entries, *entry, *entry_id, *job_id, *result;
	char block[24];
	int r;

	snprintf(block, sizeof block, "%lld", (long long)block_ms);
	r = link_command(c, &reply, err,
		"XREAD COUNT " REPLY_COUNT " BLOCK %s STREAMS %b %s", block, key->data,
		key->len, w->after);
	if (r < 0)
		return r;
	/* nil when none came, else [[stream, [[entry id, [name, value, ...]], ...]]] */
	entries = link_item(link_item(reply, 0), 1);
	for (size_t i = 0; (entry = link_item(entries, i)); i++) {
		entry_id = link_item(entry, 0);
		job_id = link_member(link_item(entry, 1), "id");
		result = link_member(link_item(entry, 1), "result");
		if (link_is_string(entry_id))
			snprintf(w->after, sizeof w->after, "%s", entry_id->str);
		if (link_is_string(job_id) && strcmp(job_id->str, w->id) == 0 &&
			link_is_string(result))
			return append_string(result, ret, err);
	}
	return -ENOENT;
}

static void
sleep_ms(int64_t ms)
{
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL); /* a signal only makes the next look come sooner */
}

static int64_t
min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Tell what there is to tell. Return: how long to wait until the next look; below 0: the
 * connection was lost. */
static int64_t
look_at_progress(struct client *c, struct client_wait *w, struct stint_err *err)
{
	struct progress progress;
	int r;

	if (!w->on_progress)
		return REPLY_BLOCK_MS;
	r = client_progress(c, w->queue, w->id, &progress, err);
	if (r == 0) {
		w->on_progress(w->arg, &progress);
		return PROGRESS_LOOK_MS;
	}
	if (r == -EIO || r == -ENOMEM)
		return r;
	if (r != -ENOENT) /* it may not be read: then it is not for us */
		w->on_progress = NULL;
	return REPLY_BLOCK_MS;
}

int
client_wait(
	struct client *c, struct client_wait *w, struct buf *ret, struct stint_err *err)
{
	int64_t poll_ms = POLL_FIRST_MS, left_ms, look_ms;
	int r;

	for (;;) {
		r = client_result(c, w->queue, w->id, ret, err);
		if (r != -ENOENT)
			return r;
		left_ms = w->at_ms - stint_now_ms();
		if (left_ms <= 0) /* also: BLOCK 0 would be for ever */
			return stint_err_set(
				err, -ETIMEDOUT, "no result for %s in time", w->id);
		look_ms = look_at_progress(c, w, err);
		if (look_ms < 0)
			return (int)look_ms;
		look_ms = min_ms(look_ms, left_ms);
		if (!w->reply_to) {
			sleep_ms(min_ms(look_ms, min_ms(poll_ms, POLL_LAST_MS)));
		} else {
			if (w->on_progress) /* its first may come soon */
				look_ms = min_ms(look_ms, poll_ms);
			r = read_replies(c, w, look_ms, ret, err);
			if (r != -ENOENT)
				return r;
		}
		poll_ms = min_ms(2 * poll_ms, REPLY_BLOCK_MS);
	}
}

int
client_reply_name(char ret[CLIENT_REPLY_NAME_BYTES], struct stint_err *err)
{
	uint64_t random[2];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return stint_err_set(
			err, -errno, "no random numbers: %s", strerror(errno));
	snprintf(ret, CLIENT_REPLY_NAME_BYTES, "client-%016" PRIx64 "%016" PRIx64,
		random[0], random[1]);
	return 0;
}

int
client_reply_end(struct client *c, const char *queue, const char *name,
	char ret_after[ENTRY_ID_BYTES], struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key_named(c, queue, "reply", name);
	const redisReply *id;
	int r;

	r = link_command(c, &reply, err, "XREVRANGE %b + - COUNT 1", key->data, key->len);
	if (r < 0)
		return r;
	id = link_item(link_item(reply, 0), 0);
	snprintf(ret_after, ENTRY_ID_BYTES, "%s", link_is_string(id) ? id->str : "0-0");
	return 0;
}

int
client_reply_drop(
	struct client *c, const char *queue, const char *name, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key_named(c, queue, "reply", name);

	return link_command(c, &reply, err, "DEL %b", key->data, key->len);
}
