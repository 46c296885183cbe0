/*
 * test_resp.c - Redis commands; what was written is read back by hiredis
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/resp.h"

static void
replyp(redisReply **reply)
{
	if (*reply)
		freeReplyObject(*reply);
}

static void
readerp(redisReader **reader)
{
	redisReaderFree(*reader);
}

static redisReply *
next_command(redisReader *reader)
{
	void *reply = NULL;

	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	return reply;
}

static redisReader *
read_back(const struct buf *b)
{
	redisReader *reader = redisReaderCreate();

	assert_false(b->failed);
	assert_non_null(reader);
	assert_int_equal(redisReaderFeed(reader, b->data, b->len), REDIS_OK);
	return reader;
}

static void
assert_arg_is(const redisReply *command, size_t i, const void *p, size_t n)
{
	assert_true(i < command->elements);
	assert_int_equal(command->element[i]->type, REDIS_REPLY_STRING);
	assert_int_equal(command->element[i]->len, n);
	if (n > 0)
		assert_memory_equal(command->element[i]->str, p, n);
}

static void
bytes_are_those_of_the_protocol(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	resp_cmd(&b, 3);
	resp_str(&b, "SET");
	resp_bulk(&b, "key", 3);
	resp_int(&b, -42);
	assert_string_equal(
		buf_cstr(&b), "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$3\r\n-42\r\n");
}

static void
arguments_are_binary_safe(void **state)
{
	cleanup(buf_fini) struct buf b = {0};
	cleanup(readerp) redisReader *reader = NULL;
	cleanup(replyp) redisReply *command = NULL;
	char all[256];

	(void)state;
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (char)i;
	resp_cmd(&b, 4);
	resp_bulk(&b, all, sizeof all);
	resp_bulk(&b, NULL, 0);
	resp_bulk(&b, "\r\n$1\r\n", 6);
	resp_str(&b, "");
	reader = read_back(&b);
	command = next_command(reader);
	assert_int_equal(command->elements, 4);
	assert_arg_is(command, 0, all, sizeof all);
	assert_arg_is(command, 1, NULL, 0);
	assert_arg_is(command, 2, "\r\n$1\r\n", 6);
	assert_arg_is(command, 3, NULL, 0);
	assert_null(next_command(reader));
}

static void
arguments_of_any_length_read_back(void **state)
{
	enum { LENGTH_COUNT = 1200 };
	cleanup(buf_fini) struct buf b = {0};
	cleanup(readerp) redisReader *reader = NULL;
	cleanup(replyp) redisReply *command = NULL;
	cleanup(freep) char *text = malloc(LENGTH_COUNT);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < LENGTH_COUNT; i++)
		text[i] = (char)('a' + i % 26);
	resp_cmd(&b, LENGTH_COUNT);
	for (size_t n = 0; n < LENGTH_COUNT; n++)
		resp_bulk(&b, text, n);
	reader = read_back(&b);
	command = next_command(reader);
	assert_int_equal(command->elements, LENGTH_COUNT);
	for (size_t n = 0; n < LENGTH_COUNT; n++)
		assert_arg_is(command, n, text, n);
}

static void
extreme_ints_are_strings(void **state)
{
	cleanup(buf_fini) struct buf b = {0};
	cleanup(readerp) redisReader *reader = NULL;
	cleanup(replyp) redisReply *command = NULL;

	(void)state;
	resp_cmd(&b, 3);
	resp_int(&b, 0);
	resp_int(&b, INT64_MAX);
	resp_int(&b, INT64_MIN);
	reader = read_back(&b);
	command = next_command(reader);
	assert_arg_is(command, 0, "0", 1);
	assert_arg_is(command, 1, "9223372036854775807", 19);
	assert_arg_is(command, 2, "-9223372036854775808", 20);
}

static void
commands_follow_each_other(void **state)
{
	cleanup(buf_fini) struct buf b = {0};
	cleanup(readerp) redisReader *reader = NULL;

	(void)state;
	resp_cmd(&b, 1);
	resp_str(&b, "MULTI");
	resp_cmd(&b, 3);
	resp_str(&b, "SET");
	resp_str(&b, "key");
	resp_str(&b, "value");
	resp_cmd(&b, 1);
	resp_str(&b, "EXEC");
	reader = read_back(&b);
	for (size_t i = 0; i < 3; i++) {
		static const size_t counts[] = {1, 3, 1};
		cleanup(replyp) redisReply *command = next_command(reader);

		assert_non_null(command);
		assert_int_equal(command->elements, counts[i]);
		if (i == 1)
			assert_arg_is(command, 2, "value", 5);
	}
	assert_null(next_command(reader));
}

static void
failed_buffer_stays_failed(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	buf_char(&b, 'x');
	buf_room(&b, SIZE_MAX);
	resp_cmd(&b, 1);
	resp_str(&b, "PING");
	resp_int(&b, 1);
	assert_true(b.failed);
	assert_int_equal(b.len, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_those_of_the_protocol),
		cmocka_unit_test(arguments_are_binary_safe),
		cmocka_unit_test(arguments_of_any_length_read_back),
		cmocka_unit_test(extreme_ints_are_strings),
		cmocka_unit_test(commands_follow_each_other),
		cmocka_unit_test(failed_buffer_stays_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
