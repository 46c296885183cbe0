/*
 * The connection to a real redis-server, on a private unix socket.
 */
#include "tests/unit/redis_harness.h"

static struct server server;

static int
start_server(void **state)
{
	(void)state;
	server_prepare(&server);
	server_start(&server, NULL);
	return 0;
}

static int
remove_server(void **state)
{
	(void)state;
	server_remove(&server);
	return 0;
}

static void
client_at_server(struct client *c)
{
	client_init(c);
	c->url.path = server.path;
	client_start(c);
	RUN_UNTIL(c->base, c->up_count == 1);
}

/* One command from strings, ended by NULL; waits for its reply. @o was used before, or
 * is OUTCOME_NONE. */
static void
call(struct client *c, struct outcome_of *o, const char *first, ...)
{
	struct redis_batch b;
	size_t argc = 0;
	va_list ap;

	buf_fini(&o->text);
	*o = (struct outcome_of)OUTCOME_NONE;
	va_start(ap, first);
	for (const char *s = first; s; s = va_arg(ap, const char *))
		argc++;
	va_end(ap);
	redis_batch_begin(c->conn, &b);
	redis_cmd(&b, argc);
	va_start(ap, first);
	for (const char *s = first; s; s = va_arg(ap, const char *))
		redis_str(&b, s);
	va_end(ap);
	redis_batch_send(&b, PATIENCE_MS, outcome_take, o);
	RUN_UNTIL(c->base, o->done_count > 0);
}

static void
a_batch_gets_one_reply_per_command(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct redis_batch b;
	struct client c;

	(void)state;
	client_at_server(&c);
	assert_true(redis_conn_is_up(c.conn));
	redis_batch_begin(c.conn, &b);
	redis_cmd(&b, 3);
	redis_str(&b, "SET");
	redis_str(&b, "k");
	redis_int(&b, -7);
	redis_cmd(&b, 2);
	redis_str(&b, "GET");
	redis_bulk(&b, "k", 1);
	redis_cmd(&b, 2);
	redis_str(&b, "GET");
	redis_str(&b, "nothing");
	redis_cmd(&b, 1);
	redis_str(&b, "NONSENSE");
	assert_true(redis_batch_bytes(&b) > 0);
	redis_batch_send(&b, PATIENCE_MS, outcome_take, &o);
	assert_int_equal(o.done_count, 0); /* never from inside */
	assert_int_equal(redis_conn_waiting_count(c.conn), 1);
	RUN_UNTIL(c.base, o.done_count > 0);
	assert_int_equal(o.count, 4);
	assert_non_null(strstr(buf_cstr(&o.text), "+OK \"-7\" nil -ERR unknown command"));
	assert_int_equal(redis_conn_waiting_count(c.conn), 0);
	assert_int_equal(redis_conn_queued_bytes(c.conn), 0);
	buf_fini(&o.text);
	client_fini(&c);
}

static void
errors_inside_exec_are_replies_like_any_other(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct client c;

	(void)state;
	client_at_server(&c);
	call(&c, &o, "SET", "text", "x", NULL);
	call(&c, &o, "MULTI", NULL);
	call(&c, &o, "LPUSH", "text", "y", NULL);
	call(&c, &o, "GET", "text", NULL);
	call(&c, &o, "EXEC", NULL);
	assert_non_null(strstr(buf_cstr(&o.text), "[-WRONGTYPE "));
	assert_non_null(strstr(buf_cstr(&o.text), "\"x\"]"));
	buf_fini(&o.text);
	client_fini(&c);
}

static void
the_introduction_sets_name_and_database_and_tells_the_id(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct client c;
	char id[64];

	(void)state;
	client_init(&c);
	c.url.path = server.path;
	c.url.db = 3;
	c.opts.name = "stint-test";
	client_start(&c);
	RUN_UNTIL(c.base, c.up_count == 1);
	call(&c, &o, "CLIENT", "LIST", NULL);
	assert_non_null(strstr(buf_cstr(&o.text), "name=stint-test "));
	assert_non_null(strstr(buf_cstr(&o.text), " db=3 "));
	assert_true(redis_conn_client_id(c.conn) > 0);
	snprintf(id, sizeof id, "id=%lld ", (long long)redis_conn_client_id(c.conn));
	assert_non_null(strstr(buf_cstr(&o.text), id));
	buf_fini(&o.text);
	client_fini(&c);
}

static void
twenty_mebibytes_go_out_and_come_back(void **state)
{
	enum { BIG = 20 * 1024 * 1024 };
	char *big = malloc(BIG);
	struct outcome_of o = OUTCOME_NONE;
	struct redis_batch b;
	struct client c;

	(void)state;
	assert_non_null(big);
	memset(big, 'v', BIG);
	client_init(&c);
	c.url.path = server.path;
	c.opts.string_limit_bytes = BIG;
	client_start(&c);
	RUN_UNTIL(c.base, c.up_count == 1);
	redis_batch_begin(c.conn, &b);
	redis_cmd(&b, 2);
	redis_str(&b, "ECHO");
	redis_bulk(&b, big, BIG);
	redis_cmd(&b, 1);
	redis_str(&b, "PING");
	redis_batch_send(&b, PATIENCE_MS, outcome_take, &o);
	assert_true(redis_conn_queued_bytes(c.conn) > 0); /* more than the socket takes */
	RUN_UNTIL(c.base, o.done_count > 0);
	assert_int_equal(o.status, 0);
	assert_int_equal(o.text.len, BIG + strlen("\"\" +PONG"));
	assert_memory_equal(o.text.data + 1, big, BIG);
	free(big);
	buf_fini(&o.text);
	client_fini(&c);
}

/* Output grows while the server is slow to read: the sent part must go, the rest stay. */
static void
batches_sent_behind_a_full_socket_arrive_in_order(void **state)
{
	enum { COUNT = 300, SIZE = 32 * 1024 };
	static struct outcome_of o[COUNT];
	static char value[SIZE];
	struct redis_batch b;
	struct client c;

	(void)state;
	client_at_server(&c);
	for (int i = 0; i < COUNT; i++) {
		o[i] = (struct outcome_of)OUTCOME_NONE;
		memset(value, 'a' + i % 26, sizeof value);
		redis_batch_begin(c.conn, &b);
		redis_cmd(&b, 2);
		redis_str(&b, "ECHO");
		redis_bulk(&b, value, sizeof value);
		redis_batch_send(&b, PATIENCE_MS, outcome_take, &o[i]);
		if (i % 10 == 0)
			event_base_loop(c.base, EVLOOP_NONBLOCK);
	}
	RUN_UNTIL(c.base, o[COUNT - 1].done_count > 0);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(o[i].status, 0);
		assert_int_equal(o[i].done_count, 1);
		assert_int_equal(o[i].text.data[1], 'a' + i % 26);
		buf_fini(&o[i].text);
	}
	client_fini(&c);
}

static void
a_dropped_batch_leaves_no_trace(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct redis_batch b;
	struct client c;

	(void)state;
	client_at_server(&c);
	redis_batch_begin(c.conn, &b);
	redis_cmd(&b, 2);
	redis_str(&b, "ECHO");
	redis_batch_drop(&b);
	assert_int_equal(redis_batch_bytes(&b), 0);
	assert_int_equal(redis_conn_queued_bytes(c.conn), 0);
	ping(c.conn, &o);
	RUN_UNTIL(c.base, o.done_count > 0);
	assert_outcome(&o, 0, "+PONG");
	client_fini(&c);
}

static void
a_batch_of_no_commands_completes_in_its_turn(void **state)
{
	struct outcome_of alone = OUTCOME_NONE, before = OUTCOME_NONE,
			  behind = OUTCOME_NONE;
	struct client c;

	(void)state;
	client_at_server(&c);
	send_pings(c.conn, 0, PATIENCE_MS, &alone);
	assert_int_equal(alone.done_count, 0);
	RUN_UNTIL(c.base, alone.done_count > 0);
	assert_outcome(&alone, 0, "");
	ping(c.conn, &before);
	send_pings(c.conn, 0, PATIENCE_MS, &behind);
	RUN_UNTIL(c.base, behind.done_count > 0);
	assert_outcome(&before, 0, "+PONG");
	assert_outcome(&behind, 0, "");
	client_fini(&c);
}

static void
a_killed_client_comes_back_and_its_batches_are_unknown(void **state)
{
	struct outcome_of blocked = OUTCOME_NONE, o = OUTCOME_NONE;
	struct client c, killer;
	struct redis_batch b;
	int64_t id;

	(void)state;
	client_at_server(&c);
	client_at_server(&killer);
	redis_batch_begin(c.conn, &b);
	redis_cmd(&b, 3);
	redis_str(&b, "BLPOP");
	redis_str(&b, "nothing");
	redis_str(&b, "0");
	redis_batch_send(&b, PATIENCE_MS, outcome_take, &blocked);
	id = redis_conn_client_id(c.conn);
	call(&killer, &o, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL);
	buf_fini(&o.text);
	RUN_UNTIL(c.base, c.down_count == 1);
	assert_outcome(&blocked, -EIO, "");
	assert_int_equal(c.why.code, -EIO);
	assert_in_range(c.retry_ms, 1, 50);
	RUN_UNTIL(c.base, c.up_count == 2);
	assert_int_not_equal(redis_conn_client_id(c.conn), id);
	client_fini(&c);
	client_fini(&killer);
}

/* The wait grows with each loss, but not above its limit. */
static void
however_often_it_is_lost_it_is_tried_again_before_long(void **state)
{
	enum { LOSSES = 12 };
	struct client c;

	(void)state;
	client_at_server(&c);
	for (int i = 1; i <= LOSSES; i++) {
		redis_conn_reset(c.conn, "once more");
		RUN_UNTIL(c.base, c.down_count == i);
		assert_in_range(c.retry_ms, 1, RETRY_MAX_MS);
		RUN_UNTIL(c.base, c.up_count == i + 1);
	}
	client_fini(&c);
}

static void
a_reset_closes_tells_why_and_connects_again(void **state)
{
	struct outcome_of before = OUTCOME_NONE, after = OUTCOME_NONE;
	struct client c;

	(void)state;
	client_at_server(&c);
	ping(c.conn, &before);
	redis_conn_reset(c.conn, "READONLY after a failover");
	assert_false(redis_conn_is_up(c.conn));
	assert_int_equal(c.down_count + before.done_count, 0); /* never from inside */
	ping(c.conn, &after);
	redis_conn_reset(c.conn, "not told: there is nothing to close");
	RUN_UNTIL(c.base, c.down_count == 1);
	assert_string_equal(c.why.msg, "READONLY after a failover");
	assert_outcome(&before, -EIO, "");
	assert_outcome(&after, -ENOTCONN, "");
	RUN_UNTIL(c.base, c.up_count == 2);
	assert_int_equal(c.down_count, 1);
	client_fini(&c);
}

static void
a_server_that_appears_later_is_found(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct server late;
	struct client c;

	(void)state;
	server_prepare(&late);
	client_init(&c);
	c.url.path = late.path;
	client_start(&c);
	assert_int_equal(c.down_count, 0); /* never from inside */
	ping(c.conn, &o);
	RUN_UNTIL(c.base, c.down_count == 3);
	assert_outcome(&o, -ENOTCONN, "");
	assert_string_equal(c.why.msg, "cannot connect: No such file or directory");
	server_start(&late, NULL);
	RUN_UNTIL(c.base, c.up_count == 1);
	server_stop(&late);
	RUN_UNTIL(c.base, !redis_conn_is_up(c.conn));
	server_start(&late, NULL);
	RUN_UNTIL(c.base, c.up_count == 2);
	client_fini(&c);
	server_remove(&late);
}

static void
a_password_is_needed_and_a_wrong_one_is_told(void **state)
{
	char user[] = "default", password[] = "right horse", wrong[] = "wrong horse";
	struct server guarded;
	struct client c;

	(void)state;
	server_prepare(&guarded);
	server_start(&guarded, password);
	client_init(&c);
	c.url = (struct redis_url){.path = guarded.path, .password = wrong, .db = 2};
	client_start(&c);
	RUN_UNTIL(c.base, strstr(c.why.msg, "AUTH: WRONGPASS"));
	assert_null(strstr(c.why.msg, "horse"));
	assert_int_equal(c.why.code, -EACCES);
	client_fini(&c);

	client_init(&c);
	c.url = (struct redis_url){.path = guarded.path};
	client_start(&c);
	RUN_UNTIL(c.base, strstr(c.why.msg, "PING: NOAUTH"));
	assert_int_equal(c.up_count, 0);
	client_fini(&c);

	for (int with_user = 0; with_user < 2; with_user++) {
		client_init(&c);
		c.url = (struct redis_url){.path = guarded.path, .password = password};
		c.url.user = with_user ? user : NULL;
		client_start(&c);
		RUN_UNTIL(c.base, c.up_count == 1);
		client_fini(&c);
	}
	server_remove(&guarded);
}

/* Far more than one wake-up's share of work: the rest must not be forgotten. */
static void
thousands_of_batches_complete_in_order(void **state)
{
	enum { COUNT = 20000 };
	static struct outcome_of o[COUNT];
	struct client c;

	(void)state;
	client_at_server(&c);
	for (int i = 0; i < COUNT; i++) {
		o[i] = (struct outcome_of)OUTCOME_NONE;
		ping(c.conn, &o[i]);
	}
	assert_int_equal(redis_conn_waiting_count(c.conn), COUNT);
	RUN_UNTIL(c.base, o[COUNT - 1].done_count > 0);
	for (int i = 0; i < COUNT; i++)
		assert_outcome(&o[i], 0, "+PONG");
	client_fini(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_gets_one_reply_per_command),
		cmocka_unit_test(errors_inside_exec_are_replies_like_any_other),
		cmocka_unit_test(
			the_introduction_sets_name_and_database_and_tells_the_id),
		cmocka_unit_test(twenty_mebibytes_go_out_and_come_back),
		cmocka_unit_test(batches_sent_behind_a_full_socket_arrive_in_order),
		cmocka_unit_test(a_dropped_batch_leaves_no_trace),
		cmocka_unit_test(a_batch_of_no_commands_completes_in_its_turn),
		cmocka_unit_test(a_killed_client_comes_back_and_its_batches_are_unknown),
		cmocka_unit_test(a_reset_closes_tells_why_and_connects_again),
		cmocka_unit_test(however_often_it_is_lost_it_is_tried_again_before_long),
		cmocka_unit_test(a_server_that_appears_later_is_found),
		cmocka_unit_test(a_password_is_needed_and_a_wrong_one_is_told),
		cmocka_unit_test(thousands_of_batches_complete_in_order),
	};

	return cmocka_run_group_tests(tests, start_server, remove_server);
}
