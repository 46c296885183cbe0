/*
 * test_progress.c - what handlers tell of their progress: percentages, notes, lines
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/handler/progress_lines.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"

static bool
set(struct progress *p, const char *percent, const char *note)
{
	return progress_set(p, (struct bytes){percent, strlen(percent)},
		(struct bytes){note, strlen(note)});
}

static void
a_percentage_is_a_number_from_0_on(void **state)
{
	static const struct {
		const char *text;
		int percent; /* -1: none */
	} cases[] = {
		{"0", 0},
		{"7", 7},
		{"007", 7},
		{"50", 50},
		{"100", 100},
		{"50%", 50},
		{"33.3", 33},
		{"99.99%", 99},
		{"5.", 5},
		{"101", 100},
		{"4294967297", 100},
		{"999999999999999999999999", 100},
		{"", -1},
		{"-1", -1},
		{"+1", -1},
		{"nan", -1},
		{"inf", -1},
		{".5", -1},
		{"1e2", -1},
		{"0x10", -1},
		{"5,5", -1},
		{"50%%", -1},
		{"%", -1},
		{" 5", -1},
		{"half", -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct progress p = {.percent = -2, .note = "before"};
		const bool is_set = set(&p, cases[i].text, "now");

		if (is_set != (cases[i].percent >= 0) ||
			p.percent != (is_set ? cases[i].percent : -2) ||
			strcmp(p.note, is_set ? "now" : "before") != 0)
			fail_msg("\"%s\": %d \"%s\"", cases[i].text, p.percent, p.note);
	}
}

static void
a_note_is_one_line_of_utf8(void **state)
{
	static const struct {
		const char *text, *note;
	} cases[] = {
		{"", ""}, {"half done", "half done"}, {" \t half  done \r", "half  done"},
		{"a\nb\tc\033[2J\x7f", "a b c [2J "},
		{"a\xc2\x9b\x32J", "a 2J"}, /* CSI in one character */
		{"\xc3\xbc \xe2\x82\xac \xf0\x9f\x8d\xba",
			"\xc3\xbc \xe2\x82\xac \xf0\x9f\x8d\xba"},
		{"\xff\xc3(", "\xef\xbf\xbd\xef\xbf\xbd("},
		{"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct progress p;

		assert_true(set(&p, "1", cases[i].text));
		assert_string_equal(p.note, cases[i].note);
		assert_true(json_is_utf8(p.note, strlen(p.note)));
	}
}

static void
a_nul_in_a_note_ends_nothing(void **state)
{
	struct progress p;

	(void)state;
	assert_true(progress_set(&p, (struct bytes){"1", 1}, (struct bytes){"a\0b", 3}));
	assert_string_equal(p.note, "a b");
}

static void
a_long_note_is_cut_at_a_whole_character(void **state)
{
	char text[2 * PROGRESS_NOTE_BYTES];
	struct progress p;

	(void)state;
	for (size_t lead = 0; lead < 3; lead++) {
		memset(text, 'x', lead);
		for (size_t i = lead; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		assert_true(set(&p, "1", text));
		assert_true(json_is_utf8(p.note, strlen(p.note)));
		assert_in_range(
			strlen(p.note), PROGRESS_NOTE_BYTES - 3, PROGRESS_NOTE_BYTES - 1);
	}
}

static bool
set_line(struct progress *p, const char *line)
{
	return progress_set_line(p, (struct bytes){line, strlen(line)});
}

static void
a_line_is_a_percentage_and_perhaps_a_note(void **state)
{
	struct progress p = {0};

	(void)state;
	assert_true(set_line(&p, "50 half done"));
	assert_int_equal(p.percent, 50);
	assert_string_equal(p.note, "half done");
	assert_true(set_line(&p, "  60%\t more \r"));
	assert_int_equal(p.percent, 60);
	assert_string_equal(p.note, "more");
	assert_true(set_line(&p, "70"));
	assert_string_equal(p.note, "");
	assert_false(set_line(&p, ""));
	assert_false(set_line(&p, "  "));
	assert_false(set_line(&p, "about 80"));
	assert_int_equal(p.percent, 70);
}

/* ---- lines as they come ---- */

static int
take(struct progress_lines *l, const char *text, struct progress *p)
{
	cleanup(freep) char *exact = strdup(text); /* so that reading behind it shows */
	bool is_told;

	assert_non_null(exact);
	*p = (struct progress){.percent = -1};
	is_told = progress_lines_take(l, exact, strlen(text), p);
	assert_int_equal(is_told, p->percent >= 0);
	return p->percent;
}

static void
the_newest_line_counts(void **state)
{
	struct progress_lines l = {0};
	struct progress p;

	(void)state;
	assert_int_equal(take(&l, "1 one\n2 two\n3 three\n", &p), 3);
	assert_string_equal(p.note, "three");
	assert_int_equal(take(&l, "4\nwhat?\n-5\n", &p), 4);
	assert_int_equal(take(&l, "what?\n\n\n", &p), -1);
	assert_int_equal(take(&l, "\n5\n", &p), 5);
}

static void
a_line_may_come_in_pieces(void **state)
{
	struct progress_lines l = {0};
	struct progress p;

	(void)state;
	assert_int_equal(take(&l, "1", &p), -1);
	assert_int_equal(take(&l, "0 te", &p), -1);
	assert_int_equal(take(&l, "n\n2", &p), 10);
	assert_string_equal(p.note, "ten");
	assert_int_equal(take(&l, "0 twenty\n30", &p), 20);
	assert_string_equal(p.note, "twenty");
	assert_int_equal(take(&l, "\n", &p), 30);
	/* the piece is no line, but a whole one came behind it */
	assert_int_equal(take(&l, "4", &p), -1);
	assert_int_equal(take(&l, "x\n50\n6", &p), 50);
	assert_int_equal(take(&l, "0\nrubbish\n", &p), 60);
}

static void
an_endless_line_takes_no_memory_and_ends_with_its_end(void **state)
{
	struct progress_lines l = {0};
	char many[4001];
	struct progress p;

	(void)state;
	memset(many, '7', sizeof many - 1);
	many[sizeof many - 1] = '\0';
	assert_int_equal(take(&l, "5 ", &p), -1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(take(&l, many, &p), -1);
	assert_int_equal(take(&l, "\n8 next\n", &p), 8);
	assert_int_equal(take(&l, "6 ", &p), -1);
	assert_int_equal(take(&l, many, &p), -1);
	assert_int_equal(take(&l, "\n", &p), 6);
	assert_int_equal(strlen(p.note), PROGRESS_NOTE_BYTES - 1);
	memcpy(many, "9 ", 2);
	many[sizeof many - 2] = '\n';
	assert_int_equal(take(&l, "1\n", &p), 1);
	assert_int_equal(take(&l, many, &p), 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_percentage_is_a_number_from_0_on),
		cmocka_unit_test(a_note_is_one_line_of_utf8),
		cmocka_unit_test(a_nul_in_a_note_ends_nothing),
		cmocka_unit_test(a_long_note_is_cut_at_a_whole_character),
		cmocka_unit_test(a_line_is_a_percentage_and_perhaps_a_note),
		cmocka_unit_test(the_newest_line_counts),
		cmocka_unit_test(a_line_may_come_in_pieces),
		cmocka_unit_test(an_endless_line_takes_no_memory_and_ends_with_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
