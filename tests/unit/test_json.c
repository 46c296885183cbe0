/*
 * test_json.c - the JSON writer; what it wrote is read back by jansson
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/random.h"

enum {
	RANDOM_ROUNDS = 20000,
	RANDOM_BYTES_MAX = 40,
};

static void
json_freep(json_t **j)
{
	json_decref(*j);
}

static json_t *
read_back(const struct buf *b)
{
	json_error_t error;
	json_t *j;

	assert_false(b->failed);
	j = json_loadb(b->data, b->len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
	if (!j)
		fail_msg("%.*s: %s", (int)b->len, b->data, error.text);
	return j;
}

static void
assert_string_is(const json_t *j, const void *s, size_t n)
{
	assert_true(json_is_string(j));
	assert_int_equal(json_string_length(j), n);
	if (n > 0)
		assert_memory_equal(json_string_value(j), s, n);
}

static size_t
fill_random(char out[RANDOM_BYTES_MAX], uint64_t *seed)
{
	/* Lead and continuation bytes at the edges of what is valid come often. */
	static const unsigned char edges[] = {0x00, 0x22, 0x5c, 0x7f, 0x80, 0x8f, 0x90,
		0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
		0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
	size_t n = random_next(seed) % RANDOM_BYTES_MAX;
	uint32_t kind = random_next(seed) % 3;

	for (size_t i = 0; i < n; i++) {
		uint32_t r = random_next(seed);

		if (kind == 0 || (kind == 1 && i + 4 < n))
			out[i] = (char)(r % 128);
		else if (kind == 1)
			out[i] = (char)edges[r % sizeof edges];
		else
			out[i] = (char)r;
	}
	return n;
}

static void
members_are_separated_by_commas(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	json_open(&b);
	json_str(&b, "status", "ok", 2);
	json_int(&b, "attempt", -1);
	json_cstr(&b, "empty", "");
	json_close(&b);
	assert_string_equal(
		buf_cstr(&b), "{\"status\":\"ok\",\"attempt\":-1,\"empty\":\"\"}");
}

static void
objects_and_arrays_nest(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	json_open(&b);
	json_key(&b, "inner");
	json_open(&b);
	json_close(&b);
	json_key(&b, "value");
	json_int(&b, NULL, 7);
	json_key(&b, "list");
	buf_char(&b, '[');
	json_cstr(&b, NULL, "a[{:");
	json_int(&b, NULL, 1);
	json_open(&b);
	json_int(&b, "x", 2);
	json_close(&b);
	json_open(&b);
	json_close(&b);
	buf_char(&b, ']');
	json_close(&b);
	assert_string_equal(buf_cstr(&b),
		"{\"inner\":{},\"value\":7,\"list\":[\"a[{:\",1,{\"x\":2},{}]}");
}

static void
lines_are_not_separated(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		json_open(&b);
		json_int(&b, "line", i);
		json_close(&b);
		buf_char(&b, '\n');
	}
	assert_string_equal(buf_cstr(&b), "{\"line\":0}\n{\"line\":1}\n");
}

static void
control_characters_and_quotes_are_escaped(void **state)
{
	cleanup(buf_fini) struct buf b = {0};
	static const char text[] = "a\"b\\c/\b\f\n\r\t\0\x01\x1f\x7f\xe2\x80\xa8";

	(void)state;
	json_str(&b, NULL, text, sizeof text - 1);
	assert_string_equal(buf_cstr(&b),
		"\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\x7f\xe2\x80\xa8\"");
}

static void
every_ascii_byte_reads_back(void **state)
{
	cleanup(buf_fini) struct buf b = {0};
	cleanup(json_freep) json_t *j = NULL;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)i;
	json_open(&b);
	json_str(&b, "all", text, sizeof text);
	json_close(&b);
	j = read_back(&b);
	assert_string_is(json_object_get(j, "all"), text, sizeof text);
}

static void
keys_are_escaped_too(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	json_open(&b);
	json_int(&b, "a\"b", 1);
	json_bytes(&b, "c\\d", "\xff", 1);
	json_close(&b);
	assert_string_equal(buf_cstr(&b), "{\"a\\\"b\":1,\"c\\\\d_base64\":\"/w==\"}");
}

static void
extreme_ints_read_back(void **state)
{
	cleanup(buf_fini) struct buf b = {0};
	cleanup(json_freep) json_t *j = NULL;

	(void)state;
	json_open(&b);
	json_int(&b, "min", INT64_MIN);
	json_int(&b, "max", INT64_MAX);
	json_close(&b);
	j = read_back(&b);
	assert_true(json_integer_value(json_object_get(j, "min")) == INT64_MIN);
	assert_true(json_integer_value(json_object_get(j, "max")) == INT64_MAX);
}

static void
empty_buffer_is_an_empty_string(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	json_open(&b);
	json_str(&b, "a", NULL, 0);
	json_bytes(&b, "b", NULL, 0);
	json_str_lossy(&b, "c", NULL, 0);
	json_close(&b);
	assert_string_equal(buf_cstr(&b), "{\"a\":\"\",\"b\":\"\",\"c\":\"\"}");
}

static size_t
encode(uint32_t c, char out[4])
{
	static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(leads[n] | c);
	return n;
}

static void
every_code_point_but_surrogates_is_utf8(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x200000; c++) {
		bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
		char text[4];
		size_t n = encode(c, text);

		if (json_is_utf8(text, n) != (!is_surrogate && c <= 0x10ffff))
			fail_msg("U+%04X", c);
		for (size_t cut = 1; cut < n; cut++)
			assert_false(json_is_utf8(text, cut));
	}
}

static void
malformed_utf8_is_seen_anywhere(void **state)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
		"\xc2\x41", "\xc2\xc0", "\xe0\x9f\xbf", "\xe0\xa0", "\xe2\x82\x28",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe",
		"\xff"};
	char text[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (size_t at = 0; at < 24; at++) {
			memset(text, 'x', sizeof text);
			memcpy(text + at, bad[i], strlen(bad[i]));
			assert_false(json_is_utf8(text, sizeof text));
			assert_false(json_is_utf8(text, at + strlen(bad[i])));
			assert_true(json_is_utf8(text, at));
		}
}

static void
utf8_check_agrees_with_jansson(void **state)
{
	char text[RANDOM_BYTES_MAX];
	uint64_t seed = 1;
	int valid_count = 0;

	(void)state;
	for (int i = 0; i < RANDOM_ROUNDS; i++) {
		size_t n = fill_random(text, &seed);
		cleanup(json_freep) json_t *j = json_stringn(text, n);

		assert_true(json_is_utf8(text, n) == (j != NULL));
		valid_count += j != NULL;
	}
	assert_in_range(valid_count, RANDOM_ROUNDS / 10, RANDOM_ROUNDS * 9 / 10);
}

/* Length of what @text stands for; the test fails when it is not padded base64. */
static size_t
decode_base64(const char *text, unsigned char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(text), n = 0;
	unsigned int bits = 0;

	assert_int_equal(len % 4, 0);
	for (size_t i = 0; i < len && text[i] != '='; i++) {
		const char *digit = strchr(digits, text[i]);

		assert_non_null(digit);
		bits = bits << 6 | (unsigned int)(digit - digits);
		if (i % 4 > 0)
			out[n++] = (unsigned char)(bits >> (6 - i % 4 * 2));
	}
	assert_int_equal((n + 2) / 3 * 4, len);
	return n;
}

static void
bytes_of_any_kind_read_back(void **state)
{
	unsigned char decoded[RANDOM_BYTES_MAX];
	char text[RANDOM_BYTES_MAX];
	uint64_t seed = 2;

	(void)state;
	for (int i = 0; i < RANDOM_ROUNDS; i++) {
		cleanup(buf_fini) struct buf b = {0};
		cleanup(json_freep) json_t *j = NULL;
		const json_t *plain, *base64;
		size_t n = fill_random(text, &seed);

		json_open(&b);
		json_bytes(&b, "output", text, n);
		json_close(&b);
		j = read_back(&b);
		assert_int_equal(json_object_size(j), 1);
		plain = json_object_get(j, "output");
		base64 = json_object_get(j, "output_base64");
		if (plain) {
			assert_string_is(plain, text, n);
			continue;
		}
		assert_int_equal(decode_base64(json_string_value(base64), decoded), n);
		assert_memory_equal(decoded, text, n);
	}
}

static void
base64_is_padded_to_fours(void **state)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{"\xff", "{\"b_base64\":\"/w==\"}"},
		{"\xfb\xff", "{\"b_base64\":\"+/8=\"}"},
		{"\xff\xff\xff", "{\"b_base64\":\"////\"}"},
		{"abc\xff", "{\"b_base64\":\"YWJj/w==\"}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(buf_fini) struct buf b = {0};

		json_open(&b);
		json_bytes(&b, "b", cases[i].bytes, strlen(cases[i].bytes));
		json_close(&b);
		assert_string_equal(buf_cstr(&b), cases[i].text);
	}
}

static void
lossy_replaces_each_bad_byte(void **state)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{"abc", "abc"},
		{"\xff", "\xef\xbf\xbd"},
		{"a\xff\xfe\"b", "a\xef\xbf\xbd\xef\xbf\xbd\\\"b"},
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xe2\x82\xac\x80", "\xe2\x82\xac\xef\xbf\xbd"},
		{"\xf0\x9f\x98\x80 12345678\xc3",
			"\xf0\x9f\x98\x80 12345678\xef\xbf\xbd"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(buf_fini) struct buf b = {0};

		json_str_lossy(&b, NULL, cases[i].bytes, strlen(cases[i].bytes));
		buf_shift(&b, 1);
		b.len--; /* both quotation marks */
		assert_string_equal(buf_cstr(&b), cases[i].text);
	}
}

static void
lossy_of_any_bytes_reads_back(void **state)
{
	char text[RANDOM_BYTES_MAX];
	uint64_t seed = 3;

	(void)state;
	for (int i = 0; i < RANDOM_ROUNDS; i++) {
		cleanup(buf_fini) struct buf b = {0};
		cleanup(json_freep) json_t *j = NULL;
		size_t n = fill_random(text, &seed);

		json_open(&b);
		json_str_lossy(&b, "line", text, n);
		json_close(&b);
		j = read_back(&b);
		if (json_is_utf8(text, n))
			assert_string_is(json_object_get(j, "line"), text, n);
		else
			assert_non_null(strstr(buf_cstr(&b), "\xef\xbf\xbd"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_separated_by_commas),
		cmocka_unit_test(objects_and_arrays_nest),
		cmocka_unit_test(lines_are_not_separated),
		cmocka_unit_test(control_characters_and_quotes_are_escaped),
		cmocka_unit_test(every_ascii_byte_reads_back),
		cmocka_unit_test(keys_are_escaped_too),
		cmocka_unit_test(extreme_ints_read_back),
		cmocka_unit_test(empty_buffer_is_an_empty_string),
		cmocka_unit_test(every_code_point_but_surrogates_is_utf8),
		cmocka_unit_test(malformed_utf8_is_seen_anywhere),
		cmocka_unit_test(utf8_check_agrees_with_jansson),
		cmocka_unit_test(bytes_of_any_kind_read_back),
		cmocka_unit_test(base64_is_padded_to_fours),
		cmocka_unit_test(lossy_replaces_each_bad_byte),
		cmocka_unit_test(lossy_of_any_bytes_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
