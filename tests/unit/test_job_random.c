/*
 * test_job_random.c - entries that somebody's broken program may have added
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/random.h"
#include "lib/wire/job.h"

enum {
	RANDOM_ROUNDS = 20000,
	RANDOM_FIELDS_MAX = 80, /* some more than are allowed */
	LARGE_BYTES = 100 * 1000 * 1000,
};

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* One name or value, most of them near to a valid one; a block of its own with just
 * its NUL behind, so that a byte too far is seen. */
static struct bytes
random_bytes(uint64_t *seed)
{
	static const char *const words[] = {"handler", "payload", "id", "timeout",
		"deadline", "reply_to", "traceparent", "at", "delay", "retries",
		"stint-submitted", "stint-attempt", "stint-deaths", "x-", "x-a",
		"x-trace", "7", "30s", "1h 30min", "1732153200000", "", PARENT};
	const char *word = words[random_next(seed) % ARRAY_LEN(words)];
	size_t n = strlen(word),
	       more = random_next(seed) % 8 == 0 ? random_next(seed) % 200 : 0;
	char *p;

	if (random_next(seed) % 64 == 0)
		return (struct bytes){NULL, LARGE_BYTES};
	p = malloc(n + more + 1);
	assert_non_null(p);
	memcpy(p, word, n);
	for (size_t i = n; i < n + more; i++)
		p[i] = (char)random_next(seed);
	n += more;
	if (n > 0 && random_next(seed) % 16 == 0)
		p[random_next(seed) % n] = (char)random_next(seed);
	p[n] = '\0';
	return (struct bytes){p, n};
}

static void
assert_inside(const struct job *job, struct bytes b)
{
	if (!b.p)
		return;
	assert_true(b.p >= (const char *)job);
	assert_true(b.p + b.n < (const char *)job + job->block_bytes);
	assert_int_equal(b.p[b.n], '\0');
}

static void
assert_sane(const struct job *job)
{
	assert_non_null(memchr(job->fault, '\0', sizeof job->fault));
	assert_true(job->id.n > 0 && job->id.n <= JOB_ID_MAX);
	assert_true(job->handler.n <= JOB_NAME_MAX);
	assert_true(job->handler.p || job->fault[0] != '\0');
	assert_true(job->x_count <= JOB_X_FIELDS_MAX);
	assert_true(job->timeout_ms >= 0 && job->deadline_unix_ms >= 0);
	assert_true(job->due_unix_ms >= 0 && job->retries >= -1);
	assert_true(job->attempt >= 1 && job->deaths >= 0 && job->interruptions >= 0);
	assert_inside(job, job->id);
	assert_inside(job, job->handler);
	assert_inside(job, job->payload);
	assert_inside(job, job->reply_to);
	assert_inside(job, job->traceparent);
	for (size_t i = 0; i < job->x_count; i++) {
		assert_inside(job, job->x[i].name);
		assert_inside(job, job->x[i].value);
	}
}

static void
random_fields_make_a_sane_job(void **state)
{
	uint64_t seed = 2463534242;
	size_t good = 0;

	(void)state;
	for (int round = 0; round < RANDOM_ROUNDS; round++) {
		const size_t most = round % 16 == 0 ? 2 * RANDOM_FIELDS_MAX : 6;
		const size_t count = random_next(&seed) % (most + 1);
		struct bytes *fields = calloc(count + 1, sizeof *fields);
		struct job *job;

		assert_non_null(fields);
		for (size_t i = 0; i < count; i++)
			fields[i] = random_bytes(&seed);
		job = job_new("1732153200000-7", fields, count);
		assert_non_null(job);
		assert_sane(job);
		good += job->fault[0] == '\0';
		for (size_t i = 0; i < count; i++)
			free((void *)(uintptr_t)fields[i].p);
		free(fields);
		free(job);
	}
	assert_true(good > 100); /* not only nonsense was tried */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_fields_make_a_sane_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
