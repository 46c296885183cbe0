/*
 * letters.c - dead letters: list, read, submit again, drop
 */
#include "lib/client/letters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/client/link.h"

enum {
	PAGE_COUNT = 200,
	BOUND_BYTES = ENTRY_ID_BYTES + 1, /* "(" and an id */
};

static struct bytes
bytes_of(const redisReply *reply)
{
	return link_is_string(reply) ? (struct bytes){reply->str, reply->len}
				     : (struct bytes){"", 0};
}

static int
odd_reply(const struct client *c, const char *what, struct stint_err *err)
{
	return stint_err_set(err, -EREMOTEIO, "%s: odd reply to %s", c->where, what);
}

static int
no_letter(const char *queue, const char *id, struct stint_err *err)
{
	return stint_err_set(err, -ENOENT, "no dead letter %s in queue %s", id, queue);
}

/* ---- walking along them ---- */

struct walk {
	struct client *client;
	const struct client_letters *which;
	char from[BOUND_BYTES]; /* where the next page begins; "": there is none */
	int64_t left_count;
};

static int
ask_page(const struct walk *w, redisReply **ret, struct stint_err *err)
{
	const struct client_letters *which = w->which;
	const char *end = which->is_newest_first ? "-" : "+";
	cleanup(buf_fini) struct buf command = {0};

	link_eval(&command, SCRIPT_LETTER_LIST, 1, 5);
	link_add_key(&command, link_key(w->client, which->queue, "dead"));
	resp_str(&command, which->is_newest_first ? "XREVRANGE" : "XRANGE");
	resp_str(&command, w->from);
	resp_str(&command, which->to ? which->to : end);
	resp_int(&command, w->left_count < PAGE_COUNT ? w->left_count : PAGE_COUNT);
	resp_str(&command, which->job_id ? which->job_id : "");
	return link_exchange(w->client, ret, &command, err);
}

static int
pass_page(struct walk *w, const redisReply *page, client_letter_fn fn, void *arg,
	struct stint_err *err)
{
	const redisReply *row;
	int r = 0;

	for (size_t i = 1; r == 0 && w->left_count > 0 && (row = link_item(page, i));
		i++) {
		const struct client_letter letter = {
			.letter_id = bytes_of(link_item(row, 0)).p,
			.job_id = bytes_of(link_item(row, 1)),
			.handler = bytes_of(link_item(row, 2)),
			.attempt = bytes_of(link_item(row, 3)),
			.status = bytes_of(link_item(row, 4)),
			.error = bytes_of(link_item(row, 5)),
		};

		w->left_count--;
		r = fn(arg, &letter, err);
	}
	return r;
}

int
client_letters_each(struct client *c, const struct client_letters *which,
	client_letter_fn fn, void *arg, struct stint_err *err)
{
	const char *begin = which->is_newest_first ? "+" : "-";
	struct walk w = {.client = c, .which = which, .left_count = which->max_count};
	int r = 0;

	snprintf(w.from, sizeof w.from, "%s", which->from ? which->from : begin);
	while (r == 0 && w.left_count > 0 && w.from[0] != '\0') {
		cleanup(link_reply_freep) redisReply *page = NULL;

		r = ask_page(&w, &page, err);
		if (r == 0 && !link_is_string(link_item(page, 0)))
			r = odd_reply(c, "EVAL", err);
		if (r == 0) {
			snprintf(w.from, sizeof w.from, "%s", link_item(page, 0)->str);
			r = pass_page(&w, page, fn, arg, err);
		}
	}
	return r;
}

/* ---- which one is meant ---- */

void
client_letter_name_of(const struct client_letter *l, struct client_letter_name *ret)
{
	*ret = (struct client_letter_name){0};
	snprintf(ret->letter_id, sizeof ret->letter_id, "%s", l->letter_id);
	if (keys_is_job_id(l->job_id.p, l->job_id.n))
		snprintf(ret->job_id, sizeof ret->job_id, "%s", l->job_id.p);
}

static int
take_name(void *arg, const struct client_letter *l, struct stint_err *err)
{
	(void)err;
	client_letter_name_of(l, arg);
	return 0;
}

/* One of the two numbers of an entry's id, 64 bits each. */
static bool
skip_number(const char **s)
{
	char *end;

	if (**s < '0' || **s > '9')
		return false;
	errno = 0;
	strtoull(*s, &end, 10);
	*s = end;
	return errno == 0;
}

static bool
is_entry_id(const char *s)
{
	return skip_number(&s) && *s++ == '-' && skip_number(&s) && *s == '\0';
}

/* The id of a job may be that of another job's letter: both are times of Redis' clock.
 * Then the wrong one must not be dropped. */
int
client_letter_find(struct client *c, const char *queue, const char *id,
	struct client_letter_name *ret, struct stint_err *err)
{
	const struct client_letters itself = {
		.queue = queue, .max_count = 1, .from = id, .to = id};
	const struct client_letters of_job = {
		.queue = queue, .max_count = 1, .is_newest_first = true, .job_id = id};
	struct client_letter_name letter = {0}, job = {0};
	int r = 0;

	if (is_entry_id(id))
		r = client_letters_each(c, &itself, take_name, &letter, err);
	if (r == 0)
		r = client_letters_each(c, &of_job, take_name, &job, err);
	if (r < 0)
		return r;
	if (letter.letter_id[0] && job.letter_id[0] &&
		strcmp(letter.letter_id, job.letter_id) != 0 &&
		strcmp(letter.job_id, id) != 0)
		return stint_err_set(err, -EINVAL,
			"%s is both a letter, of job %s, and a job, with letter %s: say "
			"which by one of those",
			id, letter.job_id, job.letter_id);
	*ret = letter.letter_id[0] ? letter : job;
	return ret->letter_id[0] ? 0 : no_letter(queue, id, err);
}

/* ---- one of them ---- */

int
client_letter_read(struct client *c, const char *queue, const char *letter_id,
	client_field_fn fn, void *arg, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key(c, queue, "dead");
	const redisReply *fields;
	int r;

	r = link_command(c, &reply, err, "XRANGE %b %s %s", key->data, key->len,
		letter_id, letter_id);
	if (r < 0)
		return r;
	fields = link_item(link_item(reply, 0), 1);
	if (!fields)
		return no_letter(queue, letter_id, err);
	for (size_t i = 0; r == 0 && link_item(fields, i + 1); i += 2)
		r = fn(arg, bytes_of(link_item(fields, i)),
			bytes_of(link_item(fields, i + 1)));
	return r;
}

int
client_letter_retry(struct client *c, const char *queue,
	const struct client_letter_name *letter, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	cleanup(buf_fini) struct buf command = {0};
	int r;

	if (letter->job_id[0] == '\0')
		return stint_err_set(err, -ENOENT,
			"letter %s in queue %s does not say of which job it is",
			letter->letter_id, queue);
	link_eval(&command, SCRIPT_LETTER_RETRY, 4, 1);
	link_add_key(&command, link_key(c, queue, "dead"));
	link_add_key(&command, link_key(c, queue, "jobs"));
	link_add_key(&command, link_key(c, queue, "stats"));
	link_add_key(&command, link_key_named(c, queue, "result", letter->job_id));
	resp_str(&command, letter->letter_id);
	r = link_exchange(c, &reply, &command, err);
	if (r == 0 && !link_is_string(reply))
		return no_letter(queue, letter->letter_id, err);
	return r;
}

int
client_letter_drop(
	struct client *c, const char *queue, const char *letter_id, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	cleanup(buf_fini) struct buf command = {0};
	int r;

	link_eval(&command, SCRIPT_LETTER_DROP, 2, 1);
	link_add_key(&command, link_key(c, queue, "dead"));
	link_add_key(&command, link_key(c, queue, "stats"));
	resp_str(&command, letter_id);
	r = link_exchange(c, &reply, &command, err);
	if (r == 0 && link_integer(reply) != 1)
		return no_letter(queue, letter_id, err);
	return r;
}
