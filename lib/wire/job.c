/*
 * job.c - from the fields of a stream entry to a struct job
 *
 * What a submitter may say is one table. A field that is not in it, stands twice
 * or does not parse makes the whole job faulty: a typing error must be seen, not
 * guessed at. The first fault is the one that is told.
 */
#include "lib/wire/job.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/units.h"

#define X_PREFIX "x-"

/* Far enough from the end of the range that spans can be added. */
#define UNIX_MS_MAX (INT64_MAX / 2)

/* Bytes are copied behind the struct, each piece with a NUL after it. */
struct parser {
	struct job *job;
	char *next; /* where the next piece goes */
	int64_t delay_ms;
	unsigned seen; /* one bit per row of the table */
};

static void STINT_PRINTF(2, 3) fault(struct job *job, const char *fmt, ...)
{
	va_list ap;

	if (job->fault[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(job->fault, sizeof job->fault, fmt, ap);
	va_end(ap);
}

static struct bytes
keep(struct parser *p, struct bytes b)
{
	char *at = p->next;

	if (b.n > 0)
		memcpy(at, b.p, b.n);
	at[b.n] = '\0';
	p->next += b.n + 1;
	return (struct bytes){at, b.n};
}

static void
take_handler(struct parser *p, struct bytes v)
{
	if (v.n == 0 || v.n > JOB_NAME_MAX || memchr(v.p, '\0', v.n))
		return fault(p->job, "handler: expected a name of 1 to %d bytes, no NUL",
			JOB_NAME_MAX);
	p->job->handler = keep(p, v);
}

static void
take_payload(struct parser *p, struct bytes v)
{
	p->job->payload = keep(p, v);
}

static void
take_id(struct parser *p, struct bytes v)
{
	if (!keys_is_job_id(v.p, v.n))
		return fault(p->job, "id: expected 1 to %d of A-Za-z0-9_.:-", JOB_ID_MAX);
	p->job->id = keep(p, v);
}

static void
take_timeout(struct parser *p, struct bytes v)
{
	int64_t ms;

	if (units_parse_span(v.p, v.n, &ms) < 0 || ms == 0)
		return fault(p->job,
			"timeout: expected a time span above 0 such as \"30s\", got "
			"\"%.*s\"",
			(int)(v.n > 40 ? 40 : v.n), v.p);
	p->job->timeout_ms = ms;
}

static void
take_deadline(struct parser *p, struct bytes v)
{
	if (units_parse_int(v.p, v.n, 1, UNIX_MS_MAX, &p->job->deadline_unix_ms) < 0)
		fault(p->job, "deadline: expected a unix time in ms, got \"%.*s\"",
			(int)(v.n > 40 ? 40 : v.n), v.p);
}

static void
take_at(struct parser *p, struct bytes v)
{
	if (units_parse_int(v.p, v.n, 1, UNIX_MS_MAX, &p->job->due_unix_ms) < 0)
		fault(p->job, "at: expected a unix time in ms, got \"%.*s\"",
			(int)(v.n > 40 ? 40 : v.n), v.p);
}

static void
take_delay(struct parser *p, struct bytes v)
{
	if (units_parse_span(v.p, v.n, &p->delay_ms) < 0)
		fault(p->job, "delay: expected a time span such as \"30s\", got \"%.*s\"",
			(int)(v.n > 40 ? 40 : v.n), v.p);
}

static bool
parse_count(struct bytes v, int min, int *ret)
{
	int64_t n;

	if (units_parse_int(v.p, v.n, min, INT_MAX / 2, &n) < 0)
		return false;
	*ret = (int)n;
	return true;
}

static void
take_retries(struct parser *p, struct bytes v)
{
	if (!parse_count(v, 0, &p->job->retries))
		fault(p->job, "retries: expected a whole number from 0, got \"%.*s\"",
			(int)(v.n > 40 ? 40 : v.n), v.p);
}

static void
take_reply_to(struct parser *p, struct bytes v)
{
	if (!keys_is_job_id(v.p, v.n))
		return fault(p->job, "reply_to: expected 1 to %d of A-Za-z0-9_.:-",
			REPLY_NAME_MAX);
	p->job->reply_to = keep(p, v);
}

static void
take_traceparent(struct parser *p, struct bytes v)
{
	/* version-trace-parent-flags in hex, 55 bytes in version 00; later versions
	 * may be longer (W3C Trace Context, section 3.2) */
	if (v.n < 55 || v.n > 512 || strspn(v.p, "0123456789abcdef-") < 55 ||
		memchr(v.p, '\0', v.n))
		return fault(p->job, "traceparent: expected a W3C trace context");
	p->job->traceparent = keep(p, v);
}

static void
take_submitted(struct parser *p, struct bytes v)
{
	if (units_parse_int(v.p, v.n, 0, UNIX_MS_MAX, &p->job->submitted_unix_ms) < 0)
		fault(p->job, JOB_FIELD_SUBMITTED ": expected a unix time in ms");
	p->job->is_copy = true;
}

static void
take_attempt(struct parser *p, struct bytes v)
{
	if (!parse_count(v, 1, &p->job->attempt))
		fault(p->job, JOB_FIELD_ATTEMPT ": expected a number from 1");
}

static void
take_deaths(struct parser *p, struct bytes v)
{
	if (!parse_count(v, 0, &p->job->deaths))
		fault(p->job, JOB_FIELD_DEATHS ": expected a number");
}

static void
take_interruptions(struct parser *p, struct bytes v)
{
	if (!parse_count(v, 0, &p->job->interruptions))
		fault(p->job, JOB_FIELD_INTERRUPTIONS ": expected a number");
}

static void
take_cancelled(struct parser *p, struct bytes v)
{
	(void)v; /* when, for people who look */
	p->job->is_cancelled = true;
}

static const struct {
	const char *name;
	size_t name_len;
	void (*take)(struct parser *p, struct bytes v);
} known_fields[] = {
#define FIELD(text, fn)                                                                  \
	{                                                                                \
		text, sizeof(text) - 1, fn                                               \
	}
	FIELD("handler", take_handler),
	FIELD("payload", take_payload),
	FIELD("id", take_id),
	FIELD("timeout", take_timeout),
	FIELD("deadline", take_deadline),
	FIELD("reply_to", take_reply_to),
	FIELD("traceparent", take_traceparent),
	FIELD("at", take_at),
	FIELD("delay", take_delay),
	FIELD("retries", take_retries),
	FIELD(JOB_FIELD_SUBMITTED, take_submitted),
	FIELD(JOB_FIELD_ATTEMPT, take_attempt),
	FIELD(JOB_FIELD_DEATHS, take_deaths),
	FIELD(JOB_FIELD_INTERRUPTIONS, take_interruptions),
	FIELD(JOB_FIELD_CANCELLED, take_cancelled),
#undef FIELD
};

static bool
is_x_field(struct bytes name)
{
	return name.n >= strlen(X_PREFIX) && !memcmp(name.p, X_PREFIX, strlen(X_PREFIX));
}

static void
take_x_field(struct parser *p, struct bytes name, struct bytes v)
{
	struct job *job = p->job;

	name.p += strlen(X_PREFIX);
	name.n -= strlen(X_PREFIX);
	if (name.n == 0 || name.n > JOB_NAME_MAX || memchr(name.p, '\0', name.n))
		return fault(
			job, "x- field: expected a name of 1 to %d bytes", JOB_NAME_MAX);
	if (job->x_count == JOB_X_FIELDS_MAX)
		return fault(job, "expected at most %d x- fields", JOB_X_FIELDS_MAX);
	job->x[job->x_count].name = keep(p, name);
	job->x[job->x_count].value = keep(p, v);
	job->x_count++;
}

static void
take_field(struct parser *p, struct bytes name, struct bytes v)
{
	const int shown = (int)(name.n > 40 ? 40 : name.n);

	if (!name.p)
		return fault(p->job, "field name of %zu bytes is too large", name.n);
	if (!v.p)
		return fault(p->job, "%.*s: %zu bytes are more than this daemon takes",
			shown, name.p, v.n);
	if (is_x_field(name))
		return take_x_field(p, name, v);
	for (size_t i = 0; i < sizeof known_fields / sizeof *known_fields; i++) {
		if (known_fields[i].name_len != name.n ||
			memcmp(known_fields[i].name, name.p, name.n) != 0)
			continue;
		if (p->seen & (1u << i))
			return fault(
				p->job, "field \"%.*s\" stands twice", shown, name.p);
		p->seen |= 1u << i;
		return known_fields[i].take(p, v);
	}
	fault(p->job, "unknown field \"%.*s\"; own fields begin with \"x-\"", shown,
		name.p);
}

static size_t
block_bytes(size_t entry_id_len, const struct bytes *fields, size_t count, size_t x_max)
{
	size_t n = sizeof(struct job) + x_max * sizeof(struct job_x_field) +
		   entry_id_len + 1;

	for (size_t i = 0; i < count; i++)
		n += fields[i].p ? fields[i].n + 1 : 0;
	return n;
}

static size_t
count_x_fields(const struct bytes *fields, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < count && n < JOB_X_FIELDS_MAX; i += 2)
		n += fields[i].p && is_x_field(fields[i]);
	return n;
}

/* What follows from several fields together. */
static void
conclude(struct parser *p)
{
	struct job *job = p->job;

	if (!job->handler.p)
		fault(job, "field \"handler\" is missing");
	if (p->delay_ms >= 0 && job->due_unix_ms > 0)
		fault(job, "expected only one of \"delay\" and \"at\"");
	else if (p->delay_ms > 0)
		job->due_unix_ms = job->submitted_unix_ms + p->delay_ms;
	if (job->fault[0] != '\0')
		job->due_unix_ms = 0; /* a rejection need not wait */
	job->has_own_id = job->id.p && !job->is_copy;
	if (!job->id.p)
		job->id = keep(p, (struct bytes){job->entry_id, strlen(job->entry_id)});
}

struct job *
job_new(const char *entry_id, const struct bytes *fields, size_t count)
{
	/* of too many fields the first are read all the same: id and reply_to tell
	 * where somebody waits for the rejection */
	const size_t taken = count > 2 * JOB_FIELDS_MAX ? 2 * JOB_FIELDS_MAX : count;
	const size_t id_len = strnlen(entry_id, ENTRY_ID_BYTES - 1);
	const size_t x_max = count_x_fields(fields, taken);
	const size_t bytes = block_bytes(id_len, fields, taken, x_max);
	struct job *job = malloc(bytes);
	struct parser p = {.job = job, .delay_ms = -1};

	if (!job)
		return NULL;
	memset(job, 0, offsetof(struct job, fault) + 1);
	job->block_bytes = bytes;
	job->attempt = 1;
	job->deliveries = 1;
	job->retries = -1;
	job->x = (struct job_x_field *)(job + 1);
	p.next = (char *)(job->x + x_max);
	memcpy(job->entry_id, entry_id, id_len);
	/* the entry id begins with the time at which Redis took the job */
	job->submitted_unix_ms = strtoll(job->entry_id, NULL, 10);
	if (job->submitted_unix_ms > UNIX_MS_MAX)
		job->submitted_unix_ms = UNIX_MS_MAX;
	if (taken < count)
		fault(job, "expected at most %d fields, got %zu", JOB_FIELDS_MAX,
			count / 2);
	for (size_t i = 0; i + 1 < taken; i += 2)
		take_field(&p, fields[i], fields[i + 1]);
	conclude(&p);
	return job;
}
