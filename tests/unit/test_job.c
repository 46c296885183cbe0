/*
 * test_job.c - from the fields of a stream entry to a job, or to its fault
 */
#include "tests/unit/job_fixture.h"

enum {
	MANY_FIELDS = 1000,
	LARGE_BYTES = 100 * 1000 * 1000,
};

static void
a_handler_is_all_that_a_job_needs(void **state)
{
	cleanup(freep) struct job *job = job_of(HANDLER);

	(void)state;
	assert_string_equal(job->fault, "");
	assert_string_equal(job->entry_id, ENTRY_ID);
	assert_text(job->id, ENTRY_ID);
	assert_text(job->handler, "resize");
	assert_int_equal(job->payload.n, 0);
	assert_null(job->reply_to.p);
	assert_null(job->traceparent.p);
	assert_true(job->timeout_ms == 0 && job->deadline_unix_ms == 0);
	assert_true(job->submitted_unix_ms == INT64_C(1732153200000));
	assert_true(job->due_unix_ms == 0);
	assert_int_equal(job->retries, -1);
	assert_int_equal(job->attempt, 1);
	assert_int_equal(job->deliveries, 1);
	assert_int_equal(job->deaths, 0);
	assert_int_equal(job->interruptions, 0);
	assert_false(job->has_own_id);
	assert_false(job->is_copy);
	assert_int_equal(job->x_count, 0);
	assert_true(job->block_bytes >= sizeof *job);
}

static void
every_field_is_taken(void **state)
{
	cleanup(freep) struct job *job = job_of(B("x-user"), B("ann"), B("payload"),
		B("a\0b\xff"), B("timeout"), B("1min 30s"), B("id"), B("order:1_2.3-4"),
		B("deadline"), B("1732153260000"), B("reply_to"), B("web-1"),
		B("traceparent"), B(PARENT), B("x-empty"), B(""), B("retries"), B("7"),
		B("at"), B("1732153240000"), HANDLER);

	(void)state;
	assert_string_equal(job->fault, "");
	assert_text(job->id, "order:1_2.3-4");
	assert_true(job->has_own_id);
	assert_int_equal(job->retries, 7);
	assert_true(job->due_unix_ms == INT64_C(1732153240000));
	assert_text(job->handler, "resize");
	assert_bytes(job->payload, "a\0b\xff", 4);
	assert_true(job->timeout_ms == 90000);
	assert_true(job->deadline_unix_ms == INT64_C(1732153260000));
	assert_text(job->reply_to, "web-1");
	assert_text(job->traceparent, PARENT);
	assert_int_equal(job->x_count, 2);
	assert_text(job->x[0].name, "user");
	assert_text(job->x[0].value, "ann");
	assert_text(job->x[1].name, "empty");
	assert_text(job->x[1].value, "");
}

static void
a_job_keeps_nothing_of_the_fields(void **state)
{
	char handler[] = "resize", id[] = ENTRY_ID;
	const struct bytes fields[] = {B("handler"), {handler, 6}};
	cleanup(freep) struct job *job = job_new(id, fields, ARRAY_LEN(fields));

	(void)state;
	assert_non_null(job);
	memset(handler, '#', sizeof handler - 1);
	memset(id, '#', sizeof id - 1);
	assert_text(job->handler, "resize");
	assert_text(job->id, ENTRY_ID);
}

static void
a_copy_brings_what_was_counted(void **state)
{
	cleanup(freep) struct job *job = job_of(HANDLER, B("id"), B("first"),
		B("stint-submitted"), B("1700000000123"), B("stint-attempt"), B("3"),
		B("stint-deaths"), B("4"), B("stint-interruptions"), B("5"));

	(void)state;
	assert_string_equal(job->fault, "");
	assert_true(job->submitted_unix_ms == INT64_C(1700000000123));
	assert_string_equal(job->entry_id, ENTRY_ID);
	assert_text(job->id, "first");
	assert_true(job->is_copy);
	assert_false(job->has_own_id); /* it was looked at when the first was admitted */
	assert_int_equal(job->attempt, 3);
	assert_int_equal(job->deaths, 4);
	assert_int_equal(job->interruptions, 5);
	assert_int_equal(job->deliveries, 1);
	assert_fault(job_of(HANDLER, B("stint-submitted"), B("-1")),
		"stint-submitted: expected a unix time in ms");
	assert_fault(job_of(HANDLER, B("stint-submitted"), B("")),
		"stint-submitted: expected a unix time in ms");
	assert_fault(job_of(HANDLER, B("stint-other"), B("1")),
		"unknown field \"stint-other\"; own fields begin with \"x-\"");
	assert_fault(job_of(HANDLER, B("stint-attempt"), B("0")),
		"stint-attempt: expected a number from 1");
	assert_fault(job_of(HANDLER, B("stint-deaths"), B("-1")),
		"stint-deaths: expected a number");
	assert_fault(job_of(HANDLER, B("stint-interruptions"), B("4294967297")),
		"stint-interruptions: expected a number");
}

static void
a_handler_has_1_to_64_bytes(void **state)
{
	static const char fault[] = "handler: expected a name of 1 to 64 bytes, no NUL";
	char name[JOB_NAME_MAX + 2];

	(void)state;
	memset(name, 'h', sizeof name);
	assert_fault(job_of(B("handler"), {name, JOB_NAME_MAX}), "");
	assert_fault(job_of(B("handler"), {name, JOB_NAME_MAX + 1}), fault);
	assert_fault(job_of(B("handler"), B("")), fault);
	assert_fault(job_of(B("handler"), B("a\0b")), fault);
	assert_fault(job_of(B("payload"), B("x")), "field \"handler\" is missing");
	assert_fault(make_job(NULL, 0), "field \"handler\" is missing");
}

static void
ids_and_reply_names_keep_to_their_alphabet(void **state)
{
	static const char *const bad[] = {"", "a b", "a/b", "{a}", "a\n", "\xc3\xa4"};
	char name[JOB_ID_MAX + 1];

	(void)state;
	memset(name, 'n', sizeof name);
	assert_fault(job_of(HANDLER, B("id"), {name, JOB_ID_MAX}), "");
	assert_fault(job_of(HANDLER, B("id"), {name, JOB_ID_MAX + 1}),
		"id: expected 1 to 128 of A-Za-z0-9_.:-");
	assert_fault(job_of(HANDLER, B("reply_to"), {name, REPLY_NAME_MAX}), "");
	assert_fault(job_of(HANDLER, B("reply_to"), {name, REPLY_NAME_MAX + 1}),
		"reply_to: expected 1 to 128 of A-Za-z0-9_.:-");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_fault(job_of(HANDLER, B("id"), {bad[i], strlen(bad[i])}),
			"id: expected 1 to 128 of A-Za-z0-9_.:-");
		assert_fault(job_of(HANDLER, B("reply_to"), {bad[i], strlen(bad[i])}),
			"reply_to: expected 1 to 128 of A-Za-z0-9_.:-");
	}
	assert_fault(job_of(HANDLER, B("id"), B("a\0b")),
		"id: expected 1 to 128 of A-Za-z0-9_.:-");
}

static void
a_faulty_id_leaves_the_entry_s(void **state)
{
	cleanup(freep) struct job *job = job_of(HANDLER, B("id"), B("a b"));

	(void)state;
	assert_text(job->id, ENTRY_ID);
	assert_false(job->has_own_id);
}

static void
times_that_do_not_parse_are_faults(void **state)
{
	static const char *const spans[] = {
		"", "0", "soon", "-1s", "1s 2", "99999999999w"};
	static const char *const times[] = {
		"", "0", "-5", "1.5", "1s", "tomorrow", "9223372036854775807"};
	char expected[JOB_FAULT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
		snprintf(expected, sizeof expected,
			"timeout: expected a time span above 0 such as \"30s\", got "
			"\"%s\"",
			spans[i]);
		assert_fault(job_of(HANDLER, B("timeout"), {spans[i], strlen(spans[i])}),
			expected);
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		snprintf(expected, sizeof expected,
			"deadline: expected a unix time in ms, got \"%s\"", times[i]);
		assert_fault(job_of(HANDLER, B("deadline"), {times[i], strlen(times[i])}),
			expected);
	}
}

static void
a_traceparent_is_hex_of_55_to_512_bytes(void **state)
{
	static const char fault[] = "traceparent: expected a W3C trace context";
	char longest[514] = "";

	(void)state;
	memset(longest, '0', 513);
	assert_fault(job_of(HANDLER, B("traceparent"), B(PARENT "-later")), "");
	assert_fault(job_of(HANDLER, B("traceparent"), {longest, 512}), "");
	assert_fault(job_of(HANDLER, B("traceparent"), {longest, 513}), fault);
	assert_fault(job_of(HANDLER, B("traceparent"), B("")), fault);
	assert_fault(job_of(HANDLER, B("traceparent"), {PARENT, 54}), fault);
	assert_fault(job_of(HANDLER, B("traceparent"), B(PARENT "\0")), fault);
	assert_fault(
		job_of(HANDLER, B("traceparent"),
			B("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")),
		fault);
}

static void
unknown_and_doubled_fields_are_faults(void **state)
{
	static const char *const names[] = {"handler", "payload", "id", "timeout",
		"deadline", "reply_to", "traceparent", "at", "delay", "retries",
		"stint-submitted", "stint-attempt", "stint-deaths",
		"stint-interruptions"};
	static const char *const values[] = {"resize", "p", "i", "1s", "1", "r", PARENT,
		"1", "1s", "1", "1", "1", "1", "1"};
	char expected[JOB_FAULT_BYTES];

	(void)state;
	assert_fault(job_of(HANDLER, B("paylod"), B("x")),
		"unknown field \"paylod\"; own fields begin with \"x-\"");
	assert_fault(job_of(HANDLER, B("Payload"), B("x")),
		"unknown field \"Payload\"; own fields begin with \"x-\"");
	assert_fault(job_of(HANDLER, B(""), B("x")),
		"unknown field \"\"; own fields begin with \"x-\"");
	assert_fault(job_of(HANDLER, B("id\0"), B("x")),
		"unknown field \"id\"; own fields begin with \"x-\"");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct bytes name = {names[i], strlen(names[i])};
		const struct bytes value = {values[i], strlen(values[i])};

		snprintf(
			expected, sizeof expected, "field \"%s\" stands twice", names[i]);
		assert_fault(job_of(name, value, name, value), expected);
	}
}

static void
the_first_fault_is_the_one_that_is_told(void **state)
{
	cleanup(freep) struct job *job = job_of(B("timeout"), B("soon"), B("what"),
		B("x"), B("id"), B("a-1"), B("reply_to"), B("web"));

	(void)state;
	assert_string_equal(job->fault,
		"timeout: expected a time span above 0 such as \"30s\", got \"soon\"");
	/* where to answer is known all the same */
	assert_text(job->id, "a-1");
	assert_text(job->reply_to, "web");
}

static void
a_long_value_is_not_repeated_in_its_fault(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'y', sizeof text);
	assert_fault(job_of(HANDLER, B("timeout"), {text, sizeof text}),
		"timeout: expected a time span above 0 such as \"30s\", got "
		"\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"");
	assert_fault(job_of(HANDLER, {text, sizeof text}, B("v")),
		"unknown field \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"; "
		"own fields begin with \"x-\"");
}

static void
what_was_too_large_to_keep_is_a_fault(void **state)
{
	cleanup(freep) struct job *job =
		job_of({NULL, LARGE_BYTES}, B("x"), HANDLER, B("id"), B("a-1"));

	(void)state;
	assert_string_equal(job->fault, "field name of 100000000 bytes is too large");
	assert_text(job->id, "a-1");
	assert_true(job->block_bytes < 10000);
	assert_fault(job_of(HANDLER, B("payload"), {NULL, LARGE_BYTES}),
		"payload: 100000000 bytes are more than this daemon takes");
	assert_fault(job_of(HANDLER, B("x-a"), {NULL, LARGE_BYTES}),
		"x-a: 100000000 bytes are more than this daemon takes");
	assert_fault(job_of(B("handler"), {NULL, LARGE_BYTES}),
		"handler: 100000000 bytes are more than this daemon takes");
	assert_fault(job_of({NULL, LARGE_BYTES}, {NULL, LARGE_BYTES}),
		"field name of 100000000 bytes is too large");
}

static void
x_fields_have_names_of_1_to_64_bytes(void **state)
{
	static const char fault[] = "x- field: expected a name of 1 to 64 bytes";
	char name[2 + JOB_NAME_MAX + 1] = "x-";

	(void)state;
	memset(name + 2, 'n', JOB_NAME_MAX + 1);
	assert_fault(job_of(HANDLER, {name, 2 + JOB_NAME_MAX}, B("v")), "");
	assert_fault(job_of(HANDLER, {name, 2 + JOB_NAME_MAX + 1}, B("v")), fault);
	assert_fault(job_of(HANDLER, B("x-"), B("v")), fault);
	assert_fault(job_of(HANDLER, B("x-a\0b"), B("v")), fault);
	assert_fault(job_of(HANDLER, B("x-\xff="), B("")), "");
}

/* handler, and x-0, x-1, ... : @count fields in all */
static struct job *
job_of_many(size_t count, struct bytes fields[2 * MANY_FIELDS])
{
	static char names[MANY_FIELDS][16];

	fields[0] = (struct bytes)B("handler");
	fields[1] = (struct bytes)B("resize");
	for (size_t i = 1; i < count; i++) {
		int n = snprintf(names[i], sizeof names[i], "x-%zu", i);

		fields[2 * i] = (struct bytes){names[i], (size_t)n};
		fields[2 * i + 1] = (struct bytes)B("value");
	}
	return make_job(fields, 2 * count);
}

static void
there_may_be_24_x_fields(void **state)
{
	static struct bytes fields[2 * MANY_FIELDS];
	cleanup(freep) struct job *job = job_of_many(1 + JOB_X_FIELDS_MAX, fields);

	(void)state;
	assert_string_equal(job->fault, "");
	assert_int_equal(job->x_count, JOB_X_FIELDS_MAX);
	assert_text(job->x[JOB_X_FIELDS_MAX - 1].name, "24");
	assert_text(job->x[JOB_X_FIELDS_MAX - 1].value, "value");
	assert_fault(job_of_many(2 + JOB_X_FIELDS_MAX, fields),
		"expected at most 24 x- fields");
}

static void
of_a_thousand_fields_the_first_64_are_read(void **state)
{
	static struct bytes fields[2 * MANY_FIELDS];
	cleanup(freep) struct job *job = job_of_many(MANY_FIELDS, fields);

	(void)state;
	assert_string_equal(job->fault, "expected at most 64 fields, got 1000");
	assert_text(job->handler, "resize");
	assert_int_equal(job->x_count, JOB_X_FIELDS_MAX);
	assert_fault(
		job_of_many(JOB_FIELDS_MAX, fields), "expected at most 24 x- fields");
	assert_fault(job_of_many(JOB_FIELDS_MAX + 1, fields),
		"expected at most 64 fields, got 65");
}

static void
an_entry_id_of_any_length_is_kept_in_its_bounds(void **state)
{
	static const char longest[] = "18446744073709551615-18446744073709551615";
	const struct bytes fields[] = {HANDLER};
	cleanup(freep) struct job *job = job_new(longest, fields, ARRAY_LEN(fields));
	char text[200] = "";
	cleanup(freep) struct job *cut = NULL;

	(void)state;
	assert_non_null(job);
	assert_text(job->id, longest);
	memset(text, '1', sizeof text - 1);
	cut = job_new(text, fields, ARRAY_LEN(fields));
	assert_non_null(cut);
	assert_int_equal(strlen(cut->entry_id), ENTRY_ID_BYTES - 1);
	assert_text(cut->id, cut->entry_id);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_is_all_that_a_job_needs),
		cmocka_unit_test(every_field_is_taken),
		cmocka_unit_test(a_job_keeps_nothing_of_the_fields),
		cmocka_unit_test(a_copy_brings_what_was_counted),
		cmocka_unit_test(a_handler_has_1_to_64_bytes),
		cmocka_unit_test(ids_and_reply_names_keep_to_their_alphabet),
		cmocka_unit_test(a_faulty_id_leaves_the_entry_s),
		cmocka_unit_test(times_that_do_not_parse_are_faults),
		cmocka_unit_test(a_traceparent_is_hex_of_55_to_512_bytes),
		cmocka_unit_test(unknown_and_doubled_fields_are_faults),
		cmocka_unit_test(the_first_fault_is_the_one_that_is_told),
		cmocka_unit_test(a_long_value_is_not_repeated_in_its_fault),
		cmocka_unit_test(what_was_too_large_to_keep_is_a_fault),
		cmocka_unit_test(x_fields_have_names_of_1_to_64_bytes),
		cmocka_unit_test(there_may_be_24_x_fields),
		cmocka_unit_test(of_a_thousand_fields_the_first_64_are_read),
		cmocka_unit_test(an_entry_id_of_any_length_is_kept_in_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
