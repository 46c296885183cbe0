/*
 * command.c - puts the START block of a command together; see command.h, keeper.h
 *
 * Variables are added by descending rank, and a name that is there already is not
 * added again: a command never sees a name twice.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "daemon/handler/command.h"

struct command {
	struct buf *block;
	size_t env_start; /* in block */
	uint32_t argc;
	uint32_t envc;
};

static void
add_string(struct command *c, const char *s)
{
	buf_add(c->block, s, strlen(s) + 1);
}

static bool
has_name(const struct command *c, const char *name, size_t name_len)
{
	const char *s = c->block->data + c->env_start,
		   *end = c->block->data + c->block->len;

	for (; s < end; s += strlen(s) + 1)
		if (strncmp(s, name, name_len) == 0 && s[name_len] == '=')
			return true;
	return false;
}

/* An entry "NAME=value". */
static void
add_entry(struct command *c, const char *entry)
{
	if (c->block->failed || has_name(c, entry, strcspn(entry, "=")))
		return;
	add_string(c, entry);
	c->envc++;
}

static void
add_value(struct command *c, const char *name, const char *value, size_t n)
{
	buf_str(c->block, name);
	buf_char(c->block, '=');
	buf_add(c->block, value, n);
	buf_char(c->block, '\0');
	c->envc++;
}

static void
add_int(struct command *c, const char *name, int64_t value)
{
	buf_fmt(c->block, "%s=%lld", name, (long long)value);
	buf_char(c->block, '\0');
	c->envc++;
}

static int
check_value(const char *field, const struct bytes *value, struct stint_err *err)
{
	if (!memchr(value->p, '\0', value->n))
		return 0;
	return stint_err_set(err, -EINVAL,
		"field %s holds a NUL byte, which an environment variable cannot", field);
}

static void
x_name(char out[static sizeof "STINT_X_" + JOB_NAME_MAX], const struct bytes *name)
{
	size_t n = name->n < JOB_NAME_MAX ? name->n : JOB_NAME_MAX;
	char *to = stpcpy(out, "STINT_X_");

	for (size_t i = 0; i < n; i++) {
		char ch = name->p[i];

		if (ch >= 'a' && ch <= 'z')
			ch = (char)(ch - 'a' + 'A');
		else if (!(ch >= 'A' && ch <= 'Z') && !(ch >= '0' && ch <= '9'))
			ch = '_';
		*to++ = ch;
	}
	*to = '\0';
}

static int
add_x_fields(struct command *c, const struct job *job, struct stint_err *err)
{
	char name[sizeof "STINT_X_" + JOB_NAME_MAX], field[sizeof "x-" + JOB_NAME_MAX];

	for (size_t i = 0; i < job->x_count; i++) {
		const struct job_x_field *x = &job->x[i];
		int r;

		snprintf(field, sizeof field, "x-%s", x->name.p);
		r = check_value(field, &x->value, err);
		if (r < 0)
			return r;
		x_name(name, &x->name);
		if (!c->block->failed && !has_name(c, name, strlen(name)))
			add_value(c, name, x->value.p, x->value.n);
	}
	return 0;
}

static int
add_job(struct command *c, const struct handler_call *call, struct stint_err *err)
{
	const struct job *job = call->job;

	add_value(c, "STINT_JOB_ID", job->id.p, job->id.n);
	add_value(c, "STINT_QUEUE", call->queue, strlen(call->queue));
	add_value(c, "STINT_HANDLER", call->conf->name, strlen(call->conf->name));
	add_int(c, "STINT_ATTEMPT", job->attempt);
	add_int(c, "STINT_PROGRESS_FD", KEEPER_PROGRESS_FD);
	if (call->deadline_unix_ms)
		add_int(c, "STINT_DEADLINE_MS", call->deadline_unix_ms);
	if (job->traceparent.p) {
		int r = check_value("traceparent", &job->traceparent, err);

		if (r < 0)
			return r;
		add_value(c, "TRACEPARENT", job->traceparent.p, job->traceparent.n);
	}
	return add_x_fields(c, job, err);
}

static bool
is_inherited(const char *entry)
{
	static const char *const names[] = {"PATH=", "HOME=", "LANG=", "TZ=", "USER=",
		"LOGNAME=", "TMPDIR=", "SHELL="};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	return strncmp(entry, "LC_", 3) == 0;
}

/* Directory and arguments. */
static void
begin(struct command *c, const struct handler_conf *conf)
{
	buf_reset(c->block, KEEPER_CHUNK_BYTES);
	add_string(c, conf->directory ? conf->directory : "");
	for (; conf->argv[c->argc]; c->argc++)
		add_string(c, conf->argv[c->argc]);
	c->env_start = c->block->len;
}

static int
no_memory(struct stint_err *err)
{
	return stint_err_set(err, -ENOMEM, "no memory for the environment");
}

static int
finish(struct command *c, const struct handler_conf *conf, struct keeper_msg *ret_msg,
	struct stint_err *err)
{
	for (char **e = conf->environment; *e; e++)
		add_entry(c, *e);
	for (char **e = conf->account.environment; e && *e; e++)
		add_entry(c, *e);
	for (char **e = environ; *e; e++)
		if (is_inherited(*e))
			add_entry(c, *e);
	if (c->block->failed)
		return no_memory(err);
	*ret_msg = (struct keeper_msg){.verb = KEEPER_START,
		.argc = c->argc,
		.envc = c->envc,
		.confine = confine_of(conf, c->block)};
	ret_msg->block_bytes = c->block->len;
	return c->block->failed ? no_memory(err) : 0;
}

int
command_build(struct buf *block, struct keeper_msg *ret_msg,
	const struct handler_call *call, struct stint_err *err)
{
	struct command c = {.block = block};
	int r;

	begin(&c, call->conf);
	r = add_job(&c, call, err);
	return r < 0 ? r : finish(&c, call->conf, ret_msg, err);
}

int
command_build_worker(struct buf *block, struct keeper_msg *ret_msg,
	const struct handler_conf *conf, struct stint_err *err)
{
	struct command c = {.block = block};

	begin(&c, conf);
	add_value(&c, "STINT_HANDLER", conf->name, strlen(conf->name));
	return finish(&c, conf, ret_msg, err);
}
