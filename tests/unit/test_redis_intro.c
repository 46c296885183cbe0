/*
 * How the connection introduces itself, and what it makes of a server that refuses.
 */
#include <netinet/in.h>
#include "tests/unit/redis_harness.h"

enum {
	SHORT_MS = 60,
};

/* A try at a server that greets like this ends with @code and @text. */
static void
assert_refused(char *password, const char *greeting, int code, const char *text)
{
	struct client c;
	struct fake f;

	client_init(&c);
	fake_open(&f, c.base);
	f.greeting = greeting;
	c.url = (struct redis_url){.path = f.path, .password = password};
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 1);
	assert_int_equal(c.why.code, code);
	assert_string_equal(c.why.msg, text);
	assert_int_equal(c.up_count, 0);
	RUN_UNTIL(c.base, f.accepted_count == 2); /* it tries again */
	fake_close(&f);
	client_fini(&c);
}

static void
the_whole_introduction_goes_out_as_one(void **state)
{
	char user[] = "me", password[] = "secret";
	struct client c;
	struct fake f;

	(void)state;
	client_init(&c);
	fake_open(&f, c.base);
	f.greeting = "+OK\r\n+OK\r\n+PONG\r\n-ERR no names\r\n-ERR no ids\r\n";
	c.url = (struct redis_url){
		.path = f.path, .user = user, .password = password, .db = 5};
	c.opts.name = "stintd";
	client_start(&c);
	RUN_UNTIL(c.base, c.up_count == 1);
	assert_string_equal(buf_cstr(&f.intro),
		"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n"
		"*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n"
		"*1\r\n$4\r\nPING\r\n"
		"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$6\r\nstintd\r\n"
		"*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n");
	assert_int_equal(redis_conn_client_id(c.conn), 0); /* it would not tell */
	assert_int_equal(c.down_count, 0);
	fake_close(&f);
	client_fini(&c);
}

static void
the_client_id_is_known_while_up(void **state)
{
	struct client c;
	struct fake f;

	(void)state;
	client_at_fake(&c, &f);
	assert_int_equal(redis_conn_client_id(c.conn), 7);
	redis_conn_reset(c.conn, "test");
	assert_int_equal(redis_conn_client_id(c.conn), 0);
	fake_close(&f);
	client_fini(&c);
}

static void
a_server_that_is_not_ready_is_not_up(void **state)
{
	char password[] = "secret";

	(void)state;
	assert_refused(NULL, "-LOADING Redis is loading the dataset in memory\r\n:1\r\n",
		-EACCES, "PING: LOADING Redis is loading the dataset in memory");
	assert_refused(NULL, "-MASTERDOWN Link with MASTER is down\r\n:1\r\n", -EACCES,
		"PING: MASTERDOWN Link with MASTER is down");
	assert_refused(NULL, "-NOAUTH Authentication required.\r\n:1\r\n", -EACCES,
		"PING: NOAUTH Authentication required.");
	assert_refused(password, "-WRONGPASS invalid\r\n-NOAUTH x\r\n-NOAUTH x\r\n",
		-EACCES, "AUTH: WRONGPASS invalid");
}

static void
a_server_that_is_no_redis_is_not_up(void **state)
{
	(void)state;
	assert_refused(NULL, "$4\r\nPONG\r\n:1\r\n", -EPROTO,
		"PING: the answer is not that of a Redis");
	assert_refused(NULL, "*1\r\n$4\r\nPING\r\n:1\r\n", -EPROTO,
		"PING: the answer is not that of a Redis");
	assert_refused(NULL, "SSH-2.0-OpenSSH\r\n", -EPROTO,
		"not a reply: Protocol error, got \"S\" as reply type byte");
}

/* A server that does not know AUTH quotes its arguments, whole or cut short. */
static void
the_password_is_in_no_error_text(void **state)
{
	static const char told[] = "AUTH: refused, in words that may hold the password";
	char password[] = "secret";

	(void)state;
	assert_refused(
		password, "-ERR what is 'secret'?\r\n+PONG\r\n:1\r\n", -EACCES, told);
	assert_refused(password,
		"-ERR unknown command 'AUTH', with args beginning with: 'secr' \r\n"
		"+PONG\r\n:1\r\n",
		-EACCES, told);
}

static void
why_the_server_hung_up_is_told(void **state)
{
	struct client c;
	struct fake f;

	(void)state;
	client_init(&c);
	fake_open(&f, c.base);
	f.greeting = "-ERR max number of clients reached\r\n";
	f.closes_after_greeting = true;
	c.url.path = f.path;
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 1);
	assert_string_equal(c.why.msg, "PING: ERR max number of clients reached");
	fake_close(&f);
	client_fini(&c);
}

static void
silence_during_the_introduction_ends_the_try(void **state)
{
	struct client c;
	struct fake f;

	(void)state;
	client_init(&c);
	fake_open(&f, c.base);
	f.greeting = NULL;
	c.url.path = f.path;
	c.opts.connect_timeout_ms = SHORT_MS;
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 1);
	assert_int_equal(c.why.code, -ETIMEDOUT);
	assert_string_equal(c.why.msg, "connected, but no greeting in 60 ms");
	RUN_UNTIL(c.base, c.down_count == 2);
	f.greeting = "+PONG\r\n:7\r\n";
	RUN_UNTIL(c.base, c.up_count == 1);
	fake_close(&f);
	client_fini(&c);
}

static void
a_path_that_fits_no_socket_is_told(void **state)
{
	char path[300];
	struct client c;

	(void)state;
	memset(path, 'p', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	client_init(&c);
	c.url.path = path;
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 1);
	assert_int_equal(c.why.code, -ENAMETOOLONG);
	client_fini(&c);
}

static void
a_refused_tcp_connection_is_told(void **state)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof sin;
	char host[] = "127.0.0.1";
	struct client c;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	/* Bound, but nobody listens: refused, and nobody else gets the port. */
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &n), 0);
	client_init(&c);
	c.url = (struct redis_url){.host = host, .port = ntohs(sin.sin_port)};
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 2);
	assert_int_equal(c.why.code, -ECONNREFUSED);
	assert_string_equal(c.why.msg, "cannot connect: Connection refused");
	client_fini(&c);
	close(fd);
}

/* A listener whose queue is full drops what comes after, as a dead host would. */
static void
a_connection_that_hangs_ends_the_try(void **state)
{
	enum { FILLERS = 8 };
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof sin;
	char host[] = "127.0.0.1";
	struct client c;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[FILLERS];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &n), 0);
	assert_int_equal(listen(fd, 0), 0);
	for (int i = 0; i < FILLERS; i++) {
		fillers[i] =
			socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fillers[i], (struct sockaddr *)&sin, sizeof sin) < 0)
			assert_int_equal(errno, EINPROGRESS);
	}
	client_init(&c);
	c.url = (struct redis_url){.host = host, .port = ntohs(sin.sin_port)};
	c.opts.connect_timeout_ms = SHORT_MS;
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 2);
	assert_int_equal(c.why.code, -ETIMEDOUT);
	assert_string_equal(c.why.msg, "cannot connect: no answer in 60 ms");
	client_fini(&c);
	for (int i = 0; i < FILLERS; i++)
		close(fillers[i]);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_introduction_goes_out_as_one),
		cmocka_unit_test(the_client_id_is_known_while_up),
		cmocka_unit_test(a_server_that_is_not_ready_is_not_up),
		cmocka_unit_test(a_server_that_is_no_redis_is_not_up),
		cmocka_unit_test(the_password_is_in_no_error_text),
		cmocka_unit_test(why_the_server_hung_up_is_told),
		cmocka_unit_test(silence_during_the_introduction_ends_the_try),
		cmocka_unit_test(a_path_that_fits_no_socket_is_told),
		cmocka_unit_test(a_refused_tcp_connection_is_told),
		cmocka_unit_test(a_connection_that_hangs_ends_the_try),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
