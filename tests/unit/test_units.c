/*
 * test_units.c - time spans and sizes as people write them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/units.h"

enum {
	S = 1000,
	MIN = 60 * S,
	H = 60 * MIN,
	D = 24 * H,
	W = 7 * D,
	UNTOUCHED = -77, /* a result is written on success only */
};

struct good {
	const char *text;
	int64_t value;
};

typedef int (*parse_fn)(const char *s, size_t n, int64_t *ret);

static void
accepts(parse_fn parse, const struct good *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t v = UNTOUCHED;

		if (parse(cases[i].text, strlen(cases[i].text), &v) != 0)
			fail_msg("\"%s\" was refused", cases[i].text);
		if (v != cases[i].value)
			fail_msg("\"%s\": %jd, not %jd", cases[i].text, (intmax_t)v,
				(intmax_t)cases[i].value);
	}
}

static void
refuses(parse_fn parse, int expected, const char *const *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t v = UNTOUCHED;
		int r = parse(cases[i], strlen(cases[i]), &v);

		if (r != expected || v != UNTOUCHED)
			fail_msg("\"%s\": %d, %jd", cases[i], r, (intmax_t)v);
	}
}

static void
every_span_unit_is_known(void **state)
{
	static const struct good cases[] = {
		{"3000us", 3},
		{"3ms", 3},
		{"3s", 3 * S},
		{"3sec", 3 * S},
		{"3second", 3 * S},
		{"3seconds", 3 * S},
		{"3m", 3 * MIN},
		{"3min", 3 * MIN},
		{"3minute", 3 * MIN},
		{"3minutes", 3 * MIN},
		{"3h", 3 * H},
		{"3hr", 3 * H},
		{"3hour", 3 * H},
		{"3hours", 3 * H},
		{"3d", 3 * D},
		{"3day", 3 * D},
		{"3days", 3 * D},
		{"3w", 3 * (int64_t)W},
		{"3week", 3 * (int64_t)W},
		{"3weeks", 3 * (int64_t)W},
	};

	(void)state;
	accepts(units_parse_span, cases, ARRAY_LEN(cases));
}

static void
bare_number_is_seconds(void **state)
{
	static const struct good cases[] = {
		{"0", 0},
		{"1", 1 * S},
		{"1.5", 1500},
		{".5", 500},
		{"0.0", 0},
		{"007", 7 * S},
		{" 30 ", 30 * S},
	};

	(void)state;
	accepts(units_parse_span, cases, ARRAY_LEN(cases));
}

static void
parts_of_a_span_add_up(void **state)
{
	static const struct good cases[] = {
		{"1h 30min", 90 * MIN},
		{"1h30min", 90 * MIN},
		{"1min 1.5s", 61500},
		{"5 min", 5 * MIN},
		{"\t1 h\t 2 s", H + 2 * S},
		{"30min 1h", 90 * MIN},
		{"1s 1s", 2 * S},
		{"2weeks 3days 4hours 5minutes 6seconds 7ms 8000us",
			2 * (int64_t)W + 3 * D + 4 * H + 5 * MIN + 6 * S + 15},
		{"1h 0s", H},
	};

	(void)state;
	accepts(units_parse_span, cases, ARRAY_LEN(cases));
}

static void
fractions_are_exact_and_round_up(void **state)
{
	static const struct good cases[] = {
		{"0.07s", 70},
		{"1.1s", 1100},
		{"0.001", 1},
		{"0.5h", 30 * MIN},
		{"1.5d", 36 * H},
		{"0.1w", W / 10},
		{"1us", 1},
		{"999us", 1},
		{"1001us", 2},
		{"0.0001ms", 1},
		{"0.00000000000000000001", 1},
		{"0.00000000000000000000", 0},
		{"0.10000000000000000000", 100},
		{"1.2345s", 1235},
		{"500us 500us", 1},
	};

	(void)state;
	accepts(units_parse_span, cases, ARRAY_LEN(cases));
}

static void
what_is_no_span_is_invalid(void **state)
{
	static const char *const cases[] = {"", " ", "\t", "soon", "s", "-1", "-1s", "+1",
		"--1", "++1", "+-1s", "- 1s", "nan", "NaN", "inf", "infinity", "Infinity",
		"1e3", "1e3s", "0x10", "5x", "5 mins", "5S", "5M", "5 Min", "1month",
		"1y", "1.", "1.s", ".", ".s", "1. 5s", "1.5.5", "1,5", "1h 30", "30 1h",
		"1 2", "1h, 2s", "1h;", "5s!", "5s -1s", "5s 1", "5min\n", "5\xc2\xb5s",
		"5sec.", "99999999999999999999 parsecs"};

	(void)state;
	refuses(units_parse_span, -EINVAL, cases, ARRAY_LEN(cases));
}

static void
span_may_hold_no_nul(void **state)
{
	int64_t v = UNTOUCHED;

	(void)state;
	assert_int_equal(units_parse_span("5s\0", 3, &v), -EINVAL);
	assert_int_equal(units_parse_span("5\0s", 3, &v), -EINVAL);
	assert_int_equal(units_parse_span("5sec", 2, &v), 0); /* nor is one needed */
	assert_int_equal(v, 5 * S);
}

static void
spans_end_at_a_hundred_years(void **state)
{
	static const struct good most[] = {
		{"36600d", SPAN_MAX_MS},
		{"3162240000", SPAN_MAX_MS},
		{"3162239999.999", SPAN_MAX_MS - 1},
	};
	static const char *const over[] = {"36600d 1us", "3162240001", "5229w",
		"9223372036854775807", "9223372036854775808us", "18446744073709551616",
		"18446744073709551617us", "99999999999999999999999999999999",
		"18446744073709551615w",
		"15000000000000w 15000000000000w 15000000000000w"};

	(void)state;
	accepts(units_parse_span, most, ARRAY_LEN(most));
	refuses(units_parse_span, -ERANGE, over, ARRAY_LEN(over));
}

static void
sizes_are_powers_of_1024(void **state)
{
	static const struct good cases[] = {
		{"0", 0},
		{"1024", 1024},
		{"7B", 7},
		{"64K", 65536},
		{"64KB", 65536},
		{"64KiB", 65536},
		{"3M", 3 << 20},
		{"3MB", 3 << 20},
		{"3MiB", 3 << 20},
		{"3G", INT64_C(3) << 30},
		{"3GB", INT64_C(3) << 30},
		{"3GiB", INT64_C(3) << 30},
		{"64 MiB", 64 << 20},
		{" 1K ", 1024},
		{"9223372036854775807", INT64_MAX},
		{"8589934591GiB", INT64_C(8589934591) << 30},
	};

	(void)state;
	accepts(units_parse_size, cases, ARRAY_LEN(cases));
}

static void
what_is_no_size_is_refused(void **state)
{
	static const char *const invalid[] = {"", " ", "K", "big", "-1", "+1", "1.5M",
		"1e6", "0x10", "1 2", "1K1", "1KiB 1", "1k", "1kb", "1mib", "1T", "1KiBB",
		"1Ki", "1%", "nan", "inf", "99999999999999999999 tons"};
	static const char *const over[] = {"9223372036854775808", "18446744073709551616",
		"8589934592GiB", "99999999999999999999K"};

	(void)state;
	refuses(units_parse_size, -EINVAL, invalid, ARRAY_LEN(invalid));
	refuses(units_parse_size, -ERANGE, over, ARRAY_LEN(over));
}

static int
parse_any_int(const char *s, size_t n, int64_t *ret)
{
	return units_parse_int(s, n, INT64_MIN, INT64_MAX, ret);
}

static int
parse_percent(const char *s, size_t n, int64_t *ret)
{
	return units_parse_int(s, n, 0, 100, ret);
}

static void
ints_are_plain_decimal(void **state)
{
	static const struct good good[] = {
		{"0", 0},
		{"-0", 0},
		{"42", 42},
		{"-42", -42},
		{"007", 7},
		{"9223372036854775807", INT64_MAX},
		{"-9223372036854775808", INT64_MIN},
	};
	static const char *const invalid[] = {"", "-", "--1", "+1", " 1", "1 ", "1.0",
		"1e3", "0x1", "x", "1x", "99999999999999999999x"};
	static const char *const over[] = {"9223372036854775808", "-9223372036854775809",
		"18446744073709551616", "-99999999999999999999"};

	(void)state;
	accepts(parse_any_int, good, ARRAY_LEN(good));
	refuses(parse_any_int, -EINVAL, invalid, ARRAY_LEN(invalid));
	refuses(parse_any_int, -ERANGE, over, ARRAY_LEN(over));
}

static void
ints_keep_to_their_range(void **state)
{
	static const struct good good[] = {
		{"0", 0},
		{"100", 100},
	};
	static const char *const over[] = {"-1", "101", "18446744073709551615"};

	(void)state;
	accepts(parse_percent, good, ARRAY_LEN(good));
	refuses(parse_percent, -ERANGE, over, ARRAY_LEN(over));
}

static void
spans_are_shown_as_people_write_them(void **state)
{
	static const struct good cases[] = {
		{"0s", 0},
		{"1ms", 1},
		{"250ms", 250},
		{"1s", S},
		{"1.5s", 1500},
		{"1.05s", 1050},
		{"1.001s", 1001},
		{"30s", 30 * S},
		{"1min 30s", 90 * S},
		{"1min 1.5s", 61500},
		{"1min 5ms", MIN + 5},
		{"10min", 10 * MIN},
		{"1h 30min", 90 * MIN},
		{"1d 12h", 36 * H},
		{"2w", 2 * (int64_t)W},
		{"1w 1d 1h 1min 1.001s", W + D + H + MIN + S + 1},
		{"5228w 4d", SPAN_MAX_MS},
		{"-5ms", -5},
		{"9223372036854775807ms", INT64_MAX},
		{"-9223372036854775808ms", INT64_MIN},
	};
	char text[UNITS_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ptr_equal(units_format_span(cases[i].value, text), text);
		assert_string_equal(text, cases[i].text);
	}
}

static void
sizes_are_shown_in_the_largest_exact_unit(void **state)
{
	static const struct good cases[] = {
		{"0", 0},
		{"1", 1},
		{"1000", 1000},
		{"1KiB", 1024},
		{"1025", 1025},
		{"1536KiB", 1536 << 10},
		{"64MiB", 64 << 20},
		{"1024GiB", INT64_C(1) << 40},
		{"9223372036854775807", INT64_MAX},
		{"-1", -1},
		{"-8589934592GiB", INT64_MIN},
	};
	char text[UNITS_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ptr_equal(units_format_size(cases[i].value, text), text);
		assert_string_equal(text, cases[i].text);
	}
}

static void
what_is_shown_reads_back(void **state)
{
	char text[UNITS_TEXT_BYTES];
	uint64_t random = 1;
	int64_t v;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		int64_t value;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		value = (int64_t)(random >> (1 + random % 63)); /* of all magnitudes */
		units_format_size(value, text);
		assert_int_equal(units_parse_size(text, strlen(text), &v), 0);
		assert_int_equal(v, value);
		value %= SPAN_MAX_MS + 1;
		units_format_span(value, text);
		assert_int_equal(units_parse_span(text, strlen(text), &v), 0);
		assert_int_equal(v, value);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_span_unit_is_known),
		cmocka_unit_test(bare_number_is_seconds),
		cmocka_unit_test(parts_of_a_span_add_up),
		cmocka_unit_test(fractions_are_exact_and_round_up),
		cmocka_unit_test(what_is_no_span_is_invalid),
		cmocka_unit_test(span_may_hold_no_nul),
		cmocka_unit_test(spans_end_at_a_hundred_years),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(ints_are_plain_decimal),
		cmocka_unit_test(ints_keep_to_their_range),
		cmocka_unit_test(spans_are_shown_as_people_write_them),
		cmocka_unit_test(sizes_are_shown_in_the_largest_exact_unit),
		cmocka_unit_test(what_is_shown_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
