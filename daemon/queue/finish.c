/*
 * finish.c - what is said to Redis when jobs end
 */
#include "daemon/queue/finish.h"

#include <string.h>
#include "daemon/queue/lease.h"
#include "daemon/queue/retry.h"

enum finish_kind
finish_kind(const struct attempt *a)
{
	if (a->outcome.status == JOB_HANDED_BACK)
		return a->is_put_aside ? FINISH_ASIDE : FINISH_RELEASE;
	if (a->retry_delay_ms >= 0)
		return FINISH_RETRY;
	if (a->outcome.status == JOB_OK && !a->job->reply_to.p &&
		!attempt_may_have_state(a))
		return FINISH_PLAIN;
	return FINISH_SCRIPT;
}

static void
write_plain_set(struct redis_batch *b, const struct attempt *a)
{
	redis_cmd(b, 6);
	redis_str(b, "SET");
	redis_key_of(b, &a->queue->result_stem, a->job->id.p, a->job->id.n);
	redis_bulk(b, a->result.data, a->result.len);
	redis_str(b, "NX");
	redis_str(b, "PX");
	redis_int(b, attempt_ttl_ms(a));
}

static void
write_entry_ids(struct redis_batch *b, const struct attempt_list *list)
{
	const struct attempt *a;

	TAILQ_FOREACH (a, list, link)
		redis_str(b, a->job->entry_id);
}

/* Copies, and jobs that brought an id of their own: they stand in `ids`. */
static bool
has_other_id(const struct attempt *a)
{
	const struct job *job = a->job;

	return job->id.n != strlen(job->entry_id) ||
	       memcmp(job->id.p, job->entry_id, job->id.n) != 0;
}

/* Should we have been suspended past the lease, another daemon may have got it, failed,
 * and put it off. Where no result is stored, this could be another job of the same id. */
static bool
may_be_put_off(const struct attempt *a)
{
	return attempt_is_stored(a) && a->handler && retry_limit(a->job, a->handler) > 0;
}

static bool
may_stand_in_ids(const struct attempt *a)
{
	return has_other_id(a) || may_be_put_off(a);
}

typedef bool (*which_fn)(const struct attempt *a);

static size_t
count_of(const struct attempt_list *list, which_fn which)
{
	const struct attempt *a;
	size_t n = 0;

	TAILQ_FOREACH (a, list, link)
		n += which(a);
	return n;
}

/* COMMAND key id..., of those that there are */
static void
write_forget(struct redis_batch *b, const char *command, const struct buf *key,
	const struct attempt_list *list, which_fn which)
{
	const size_t n = count_of(list, which);
	const struct attempt *a;

	if (n == 0)
		return;
	redis_cmd(b, 2 + n);
	redis_str(b, command);
	redis_key(b, key);
	TAILQ_FOREACH (a, list, link)
		if (which(a))
			redis_bulk(b, a->job->id.p, a->job->id.n);
}

static void
write_forget_states(struct redis_batch *b, const struct attempt_list *list)
{
	const size_t n = count_of(list, may_be_put_off);
	const struct attempt *a;

	if (n == 0)
		return;
	redis_cmd(b, 1 + n);
	redis_str(b, "DEL");
	TAILQ_FOREACH (a, list, link)
		if (may_be_put_off(a))
			redis_key_of(
				b, &a->queue->state_stem, a->job->id.p, a->job->id.n);
}

/* May somebody have told of its progress: this attempt, an earlier holder, or, with the
 * lease over, whoever has the job by now? */
static bool
may_be_told(const struct attempt *a)
{
	return attempt_may_have_state(a) ||
	       lease_is_over(a->leased_at_ms, a->config->lease_ms);
}

/* What release.lua takes for "none" is the jobs stream. */
static void
write_state_key(struct redis_batch *b, const struct attempt *a)
{
	if (may_be_told(a))
		redis_key_of(b, &a->queue->state_stem, a->job->id.p, a->job->id.n);
	else
		redis_key(b, &a->queue->jobs_key);
}

static size_t
list_len(const struct attempt_list *list)
{
	const struct attempt *a;
	size_t n = 0;

	TAILQ_FOREACH (a, list, link)
		n++;
	return n;
}

static void
write_plain(struct redis_batch *b, const struct attempt_list *list)
{
	const struct queue *q = TAILQ_FIRST(list)->queue;
	const size_t n = list_len(list);
	const struct attempt *a;

	redis_cmd(b, 1);
	redis_str(b, "MULTI");
	TAILQ_FOREACH (a, list, link)
		if (attempt_is_stored(a))
			write_plain_set(b, a);
	redis_cmd(b, 3 + n);
	redis_str(b, "XACK");
	redis_key(b, &q->jobs_key);
	redis_str(b, KEYS_GROUP);
	write_entry_ids(b, list);
	redis_cmd(b, 2 + n);
	redis_str(b, "XDEL");
	redis_key(b, &q->jobs_key);
	write_entry_ids(b, list);
	/* last: finish_answer() counts from the front */
	write_forget(b, "HDEL", &q->ids_key, list, may_stand_in_ids);
	write_forget(b, "ZREM", &q->delayed_key, list, may_be_put_off);
	write_forget(b, "HDEL", &q->bodies_key, list, may_be_put_off);
	write_forget_states(b, list);
	redis_cmd(b, 1);
	redis_str(b, "EXEC");
}

/* "ok", "failed", "dead" as finish.lua wants them. */
static const char *
script_kind(const struct attempt *a)
{
	switch (a->outcome.status) {
	case JOB_OK:
		return "ok";
	case JOB_CANCELLED:
	case JOB_EXPIRED:
		return "failed";
	default:
		return "dead";
	}
}

static void
write_script(struct redis_batch *b, const struct finish_who *who,
	const struct attempt_list *list)
{
	const struct queue *q = TAILQ_FIRST(list)->queue;
	const size_t n = list_len(list);
	const struct attempt *a;

	redis_script_call(b, who->scripts, SCRIPT_FINISH, 6 + 3 * n, 5 + 7 * n);
	redis_key(b, &q->jobs_key);
	redis_key(b, &q->dead_key);
	redis_key(b, &q->ids_key);
	redis_key(b, &q->stats_key);
	redis_key(b, &q->delayed_key);
	redis_key(b, &q->bodies_key);
	TAILQ_FOREACH (a, list, link) {
		redis_key_of(b, &q->result_stem, a->job->id.p, a->job->id.n);
		if (a->job->reply_to.p)
			redis_key_of(b, &q->reply_stem, a->job->reply_to.p,
				a->job->reply_to.n);
		else
			redis_key(b, &q->jobs_key);
		redis_key_of(b, &q->state_stem, a->job->id.p, a->job->id.n);
	}
	redis_str(b, KEYS_GROUP);
	redis_str(b, who->consumer);
	/* of several configurations on their way the newest counts */
	a = TAILQ_LAST(list, attempt_list);
	redis_int(b, a->config->dead_max_count);
	redis_int(b, a->config->dead_max_bytes);
	redis_int(b, REPLIES_MAX);
	TAILQ_FOREACH (a, list, link) {
		redis_str(b, a->job->entry_id);
		redis_str(b, script_kind(a));
		redis_str(b, attempt_is_stored(a) ? "1" : "0");
		redis_int(b, attempt_ttl_ms(a));
		redis_bulk(b, a->job->id.p, a->job->id.n);
		redis_bulk(b, a->result.data, a->result.len);
		redis_str(b, may_be_told(a) ? "1" : "0");
	}
}

/* What goes with a job from entry to entry. Deliveries are counted by entry: all but the
 * last one of this ended with the death of who held it. */
static void
write_copy(struct redis_batch *b, const struct job *job, int attempt, int interruptions)
{
	redis_str(b, job->entry_id);
	redis_bulk(b, job->id.p, job->id.n);
	redis_int(b, job->submitted_unix_ms);
	redis_int(b, attempt);
	redis_int(b, job_deaths(job));
	redis_int(b, interruptions);
}

static void
write_release(struct redis_batch *b, const struct finish_who *who,
	const struct attempt_list *list)
{
	const struct queue *q = TAILQ_FIRST(list)->queue;
	const size_t n = list_len(list);
	const struct attempt *a;

	redis_script_call(b, who->scripts, SCRIPT_RELEASE, 2 + n, 2 + 6 * n);
	redis_key(b, &q->jobs_key);
	redis_key(b, &q->ids_key);
	TAILQ_FOREACH (a, list, link)
		write_state_key(b, a);
	redis_str(b, KEYS_GROUP);
	redis_str(b, who->consumer);
	TAILQ_FOREACH (a, list, link)
		write_copy(b, a->job, a->job->attempt, a->job->interruptions + 1);
}

static void
write_aside(struct redis_batch *b, const struct finish_who *who,
	const struct attempt_list *list)
{
	const struct attempt *a;

	redis_script_call(b, who->scripts, SCRIPT_ASIDE, 1, 2 + 2 * list_len(list));
	redis_key(b, &TAILQ_FIRST(list)->queue->jobs_key);
	redis_str(b, KEYS_GROUP);
	redis_str(b, who->consumer);
	TAILQ_FOREACH (a, list, link) {
		redis_str(b, a->job->entry_id);
		redis_bulk(b, a->job->handler.p, a->job->handler.n);
	}
}

static void
write_retry(struct redis_batch *b, const struct finish_who *who,
	const struct attempt_list *list)
{
	const struct queue *q = TAILQ_FIRST(list)->queue;
	const size_t n = list_len(list);
	const struct attempt *a;

	redis_script_call(b, who->scripts, SCRIPT_RETRY, 4 + 2 * n, 2 + 8 * n);
	redis_key(b, &q->jobs_key);
	redis_key(b, &q->ids_key);
	redis_key(b, &q->delayed_key);
	redis_key(b, &q->bodies_key);
	TAILQ_FOREACH (a, list, link) {
		redis_key_of(b, &q->result_stem, a->job->id.p, a->job->id.n);
		redis_key_of(b, &q->state_stem, a->job->id.p, a->job->id.n);
	}
	redis_str(b, KEYS_GROUP);
	redis_str(b, who->consumer);
	TAILQ_FOREACH (a, list, link) {
		write_copy(b, a->job, a->job->attempt + 1, a->job->interruptions);
		redis_int(b, a->retry_delay_ms);
		redis_str(b, a->outcome.error);
	}
}

void
finish_write(struct redis_batch *b, enum finish_kind kind, const struct finish_who *who,
	const struct attempt_list *list)
{
	switch (kind) {
	case FINISH_PLAIN:
		return write_plain(b, list);
	case FINISH_RELEASE:
		return write_release(b, who, list);
	case FINISH_ASIDE:
		return write_aside(b, who, list);
	case FINISH_RETRY:
		return write_retry(b, who, list);
	default:
		return write_script(b, who, list);
	}
}

enum fault
finish_fault(enum finish_kind kind, const struct redis_reply *replies, size_t count,
	const struct redis_reply **ret_why)
{
	const struct redis_reply *last = &replies[count - 1];

	*ret_why = last;
	if (last->type == REDIS_ARRAY)
		return FAULT_NONE;
	/* EXEC only says that something was refused before; what and why stands there */
	for (size_t i = 0; kind == FINISH_PLAIN && i + 1 < count; i++)
		if (replies[i].type == REDIS_ERROR) {
			*ret_why = &replies[i];
			break;
		}
	return (*ret_why)->type == REDIS_ERROR ? fault_of(*ret_why) : FAULT_OTHER;
}

enum finish_answer
finish_answer(enum finish_kind kind, const struct redis_reply *replies, size_t count,
	size_t i, const struct attempt *a, size_t *nth_set, int *ret_flags)
{
	const struct redis_reply *last = &replies[count - 1];
	int64_t code;

	*ret_flags = 0;
	if (kind == FINISH_PLAIN) {
		if (!attempt_is_stored(a))
			return FINISH_RECORDED;
		i = (*nth_set)++;
		return i < last->count && last->items[i].type == REDIS_NIL
			       ? FINISH_DUPLICATE
			       : FINISH_RECORDED;
	}
	code = i < last->count ? last->items[i].integer : 0;
	*ret_flags = (code & 4 ? FINISH_NO_REPLY : 0) | (code & 8 ? FINISH_NO_LETTER : 0);
	switch (code & 3) {
	case 1:
		return FINISH_RECORDED;
	case 2:
		return FINISH_DUPLICATE;
	default:
		return FINISH_LOST;
	}
}

int64_t
finish_next_due_ms(enum finish_kind kind, const struct redis_reply *replies, size_t count)
{
	const struct redis_reply *last = &replies[count - 1];

	if (kind != FINISH_RETRY || last->type != REDIS_ARRAY || last->count == 0)
		return -1;
	return last->items[last->count - 1].integer;
}
