/*
 * job_fixture.h - jobs from literal fields, for the tests of lib/wire/job.c
 */
#ifndef TESTS_JOB_FIXTURE_H
#define TESTS_JOB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/job.h"

#define ENTRY_ID "1732153200000-7"
#define PARENT   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* Names and values in turn, as literals that may hold NUL. */
#define B(text)                                                                          \
	{                                                                                \
		text, sizeof(text) - 1                                                   \
	}
#define HANDLER B("handler"), B("resize")

#define job_of(...)                                                                      \
	({                                                                               \
		const struct bytes fields_[] = {__VA_ARGS__};                            \
		make_job(fields_, ARRAY_LEN(fields_));                                   \
	})

static inline struct job *
make_job(const struct bytes *fields, size_t count)
{
	struct job *job = job_new(ENTRY_ID, fields, count);

	assert_non_null(job);
	return job;
}

static inline void
assert_bytes(struct bytes b, const char *expected, size_t n)
{
	assert_non_null(b.p);
	assert_int_equal(b.n, n);
	assert_memory_equal(b.p, expected, n);
	assert_int_equal(b.p[n], '\0');
}

static inline void
assert_text(struct bytes b, const char *expected)
{
	assert_bytes(b, expected, strlen(expected));
}

/* @job is faulty for that reason; it is freed. */
static inline void
assert_fault(struct job *job, const char *expected)
{
	cleanup(freep) struct job *owned = job;

	assert_string_equal(owned->fault, expected);
}

#endif
