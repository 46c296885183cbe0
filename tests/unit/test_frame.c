/*
 * test_frame.c - frames of worker processes: whole ones, cut ones, and garbage
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/handler/frame.h"
#include "lib/base/cleanup.h"
#include "lib/base/random.h"

static const char ok[] = "*3\r\n$2\r\nOK\r\n$3\r\na-1\r\n$5\r\n1\r\n$2\r\n";

static ssize_t
parse(const char *text, struct frame *f)
{
	return frame_parse(text, strlen(text), f);
}

static void
a_whole_frame_is_its_strings(void **state)
{
	struct frame f;

	(void)state;
	assert_int_equal(parse(ok, &f), sizeof ok - 1);
	assert_int_equal(f.count, 3);
	assert_true(frame_is(&f, "OK"));
	assert_false(frame_is(&f, "O"));
	assert_false(frame_is(&f, "OKAY"));
	assert_int_equal(f.string[1].n, 3);
	assert_memory_equal(f.string[1].p, "a-1", 3);
	assert_int_equal(f.string[2].n, 5); /* bytes are bytes, also line ends */
	assert_memory_equal(f.string[2].p, "1\r\n$2", 5);
}

static void
what_follows_a_frame_is_not_looked_at(void **state)
{
	struct frame f;

	(void)state;
	assert_int_equal(parse("*1\r\n$0\r\n\r\nrubbish", &f), 10);
	assert_int_equal(f.count, 1);
	assert_int_equal(f.string[0].n, 0);
	assert_false(frame_is(&f, "OK"));
	assert_true(frame_is(&f, ""));
}

/* The copy ends where the cut is, so that ASan sees who reads on. */
static void
a_frame_cut_anywhere_asks_for_more_and_for_no_more_than_there_is(void **state)
{
	struct frame f;

	(void)state;
	for (size_t n = 0; n < sizeof ok - 1; n++) {
		cleanup(freep) char *cut = malloc(n + 1);

		assert_non_null(cut);
		memcpy(cut, ok, n);
		assert_int_equal(frame_parse(cut, n, &f), 0);
		assert_true(f.need_bytes > n);
		assert_true(f.need_bytes <= sizeof ok - 1);
	}
}

static void
the_length_of_a_string_is_known_before_it_comes(void **state)
{
	static const char begun[] = "*3\r\n$2\r\nOK\r\n$1\r\n7\r\n$60000000\r\nab";
	struct frame f;

	(void)state;
	assert_int_equal(parse(begun, &f), 0);
	assert_int_equal(f.count, 2);
	assert_true(frame_is(&f, "OK"));
	assert_int_equal(f.next_bytes, 60000000);
	assert_int_equal(f.need_bytes, sizeof begun - 3 + 60000000 + 2);
}

static void
limits_are_seen_in_the_number_that_breaks_them(void **state)
{
	static const char *const cases[] = {
		"*65\r\n",
		"*99999999\r\n",
		"*999999999",
		"*1\r\n$67108864\r\n",
		"*1\r\n$99999999\r\n",
		"*1\r\n$100000000",
		"*1\r\n$999999999999999999999",
		/* 64 MiB are for all of it */
		"*2\r\n$4\r\nlong\r\n$67108840\r\n",
	};
	struct frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (parse(cases[i], &f) != -EMSGSIZE)
			fail_msg("%s", cases[i]);
	assert_int_equal(parse("*64\r\n", &f), 0);
	assert_int_equal(parse("*1\r\n$67108847\r\n", &f), 0);
	assert_int_equal(f.need_bytes, FRAME_BYTES_MAX);
}

static void
what_is_no_frame_is_refused_at_once(void **state)
{
	static const char *const cases[] = {
		"x",
		"\r",
		"\n",
		"OK 1\n",
		"$2\r\n",
		"+OK\r\n",
		"*\r",
		"*x",
		"*-1\r\n",
		"*+1\r\n",
		"* 1\r\n",
		"*1 ",
		"*1\n",
		"*1\rx",
		"*0\r\n",
		"*1\r\n*",
		"*1\r\n:1",
		"*1\r\n$\r",
		"*1\r\n$-1\r\n",
		"*1\r\n$1\n",
		"*1\r\n$1\r\nabc",
		"*1\r\n$1\r\na\rx",
		"*2\r\n$1\r\na\r\n*",
	};
	struct frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (parse(cases[i], &f) != -EPROTO)
			fail_msg("%s", cases[i]);
}

static void
random_bytes_and_damaged_frames_never_lead_outside(void **state)
{
	static const char letters[] = "*$0123456789\r\nOK";
	uint64_t seed = 1;
	struct frame f;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = random_next(&seed) % 40;
		cleanup(freep) char *bytes = malloc(n + 1);

		assert_non_null(bytes);
		for (size_t i = 0; i < n; i++)
			bytes[i] = letters[random_next(&seed) % (sizeof letters - 1)];
		if (round % 2) {
			n = n < sizeof ok - 1 ? n : sizeof ok - 1;
			memcpy(bytes, ok, n);
			if (n > 0)
				bytes[random_next(&seed) % n] =
					letters[random_next(&seed) % 15];
		}
		ssize_t r = frame_parse(bytes, n, &f);

		assert_true(r <= (ssize_t)n);
		for (size_t i = 0; i < f.count; i++) {
			assert_true(f.string[i].p >= bytes);
			assert_true(f.string[i].p + f.string[i].n + 2 <= bytes + n);
		}
		assert_true(r != 0 || f.need_bytes > n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_frame_is_its_strings),
		cmocka_unit_test(what_follows_a_frame_is_not_looked_at),
		cmocka_unit_test(
			a_frame_cut_anywhere_asks_for_more_and_for_no_more_than_there_is),
		cmocka_unit_test(the_length_of_a_string_is_known_before_it_comes),
		cmocka_unit_test(limits_are_seen_in_the_number_that_breaks_them),
		cmocka_unit_test(what_is_no_frame_is_refused_at_once),
		cmocka_unit_test(random_bytes_and_damaged_frames_never_lead_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
