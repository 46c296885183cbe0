/*
 * dead.c - see dead.h
 */
#include "daemon/ctl/dead.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"
#include "lib/client/letters.h"

const char *
dead_time(const char *letter_id, char out[DEAD_TIME_BYTES])
{
	const time_t seconds = (time_t)(strtoull(letter_id, NULL, 10) / 1000);
	struct tm utc = {0};

	out[0] = '\0';
	if (!gmtime_r(&seconds, &utc) ||
		strftime(out, DEAD_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		out[0] = '\0';
	return out;
}

int
dead_fail(const struct stint_err *err)
{
	return err->code == -ENOENT ? ctl_say(EXIT_NONE, "%s", err->msg) : ctl_fail(err);
}

struct act {
	const struct ctl_opts *o;
	struct client *client;
	bool is_retry;
	size_t done_count;
	int code; /* of what could not be done, while the rest could */
};

/* What is done is told at once: should the next one fail, people know. */
static int
tell(struct act *a, const struct client_letter_name *name, struct stint_err *err)
{
	cleanup(json_decrefp) json_t *row = NULL;
	const size_t index = a->done_count++;

	if (!a->o->is_json) {
		puts(name->job_id[0] ? name->job_id : name->letter_id);
		return 0;
	}
	row = json_pack("{s:s, s:s}", "letter", name->letter_id, "id", name->job_id);
	if (out_row(row, index) != EXIT_OK)
		return stint_err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int
act(struct act *a, const struct client_letter_name *name, struct stint_err *err)
{
	const char *queue = a->o->queue;
	int r;

	if (a->is_retry)
		r = client_letter_retry(a->client, queue, name, err);
	else
		r = client_letter_drop(a->client, queue, name->letter_id, err);
	if (r == -EIO)
		stint_err_wrap(
			err, r, "letter %s may or may not be gone", name->letter_id);
	return r < 0 ? r : tell(a, name, err);
}

/* A letter that went meanwhile, for a newer one or by somebody else, is no fault. */
static int
act_on_any(void *arg, const struct client_letter *l, struct stint_err *err)
{
	struct act *a = arg;
	struct client_letter_name name;
	int r;

	client_letter_name_of(l, &name);
	r = act(a, &name, err);
	if (r == -ENOENT && a->is_retry && name.job_id[0] == '\0')
		a->code = dead_fail(err);
	return r == -ENOENT ? 0 : r;
}

static int
note_last(void *arg, const struct client_letter *l, struct stint_err *err)
{
	(void)err;
	client_letter_name_of(l, arg);
	return 0;
}

/* Up to the letter that is the last one now: what is retried may die again. */
static int
act_on_all(struct act *a, struct stint_err *err)
{
	struct client_letter_name last = {0};
	struct client_letters which = {
		.queue = a->o->queue, .is_newest_first = true, .max_count = 1};
	int r;

	r = client_letters_each(a->client, &which, note_last, &last, err);
	if (r < 0 || last.letter_id[0] == '\0')
		return r;
	which = (struct client_letters){
		.queue = a->o->queue, .max_count = INT64_MAX, .to = last.letter_id};
	return client_letters_each(a->client, &which, act_on_any, a, err);
}

static int
act_on_named(struct act *a, char **ids, int count, struct stint_err *err)
{
	int r = 0;

	for (int i = 0; i < count && (r == 0 || r == -ENOENT); i++) {
		struct client_letter_name name;

		r = client_letter_find(a->client, a->o->queue, ids[i], &name, err);
		if (r == 0)
			r = act(a, &name, err);
		if (r == -ENOENT)
			a->code = dead_fail(err);
	}
	return r == -ENOENT ? 0 : r;
}

static int
check(const struct ctl_opts *o, char **ids, int count)
{
	int code = 0;

	if (o->is_all == (count > 0))
		return ctl_say(EX_USAGE, "expected either ID or --all");
	for (int i = 0; i < count && code == 0; i++)
		code = ctl_check_id(ids[i]);
	return code;
}

int
dead_act(const struct ctl_opts *o, char **ids, int count, bool is_retry)
{
	cleanup(client_freep) struct client *c = NULL;
	struct act a = {.o = o, .is_retry = is_retry};
	struct stint_err err = {0};
	int code, r;

	code = check(o, ids, count);
	if (code == 0)
		code = where_connect(o, &c);
	if (code != 0)
		return code;
	a.client = c;
	r = o->is_all ? act_on_all(&a, &err) : act_on_named(&a, ids, count, &err);
	if (o->is_json)
		out_rows_end(a.done_count);
	return r < 0 ? ctl_fail(&err) : a.code;
}
