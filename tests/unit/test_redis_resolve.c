/*
 * Host names, with a name server that answers when the test says so: getaddrinfo() is
 * the test's own.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include "daemon/redis/resolve.h"
#include "tests/unit/redis_harness.h"

enum {
	SHORT_MS = 40,
};

/* The name server: a lookup waits until the gate is readable. */
static int gate[2];
static _Atomic int lookup_count; /* begun */
static _Atomic int answer_count; /* ended */
static int freed_count;          /* answers that were given back */
static _Atomic int answer_error; /* EAI_..., 0: the address below */
static struct sockaddr_in answer;
static struct sockaddr_in first_answer; /* port 0: there is only one */

static struct addrinfo *
info_new(const struct sockaddr_in *sin, struct addrinfo *next)
{
	struct addrinfo *ai = calloc(1, sizeof *ai);

	assert_non_null(ai);
	ai->ai_addr = malloc(sizeof *sin);
	assert_non_null(ai->ai_addr);
	memcpy(ai->ai_addr, sin, sizeof *sin);
	ai->ai_addrlen = sizeof *sin;
	ai->ai_next = next;
	return ai;
}

int
getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
	struct addrinfo **ret)
{
	struct pollfd p = {.fd = gate[0], .events = POLLIN};

	(void)host, (void)port;
	if (hints->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	atomic_fetch_add(&lookup_count, 1);
	while (poll(&p, 1, -1) < 0)
		;
	if (answer_error == 0)
		*ret = info_new(&answer, NULL);
	if (answer_error == 0 && first_answer.sin_port != 0)
		*ret = info_new(&first_answer, *ret);
	atomic_fetch_add(&answer_count, 1);
	return answer_error;
}

void
freeaddrinfo(struct addrinfo *ai)
{
	freed_count++;
	while (ai) {
		struct addrinfo *next = ai->ai_next;

		free(ai->ai_addr);
		free(ai);
		ai = next;
	}
}

static void
open_gate(void)
{
	assert_int_equal(write(gate[1], "x", 1), 1);
}

/* A TCP socket on the loopback; @sin tells where. */
static int
tcp_bind(struct sockaddr_in *sin)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = sizeof *sin;

	*sin = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)sin, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sin, &n), 0);
	return fd;
}

static char host[] = "redis.example";

static int
setup(void **state)
{
	(void)state;
	lookup_count = answer_count = answer_error = freed_count = 0;
	first_answer = (struct sockaddr_in){0};
	return pipe2(gate, O_CLOEXEC);
}

static int
teardown(void **state)
{
	(void)state;
	close(gate[0]);
	close(gate[1]);
	return 0;
}

/* The fake server, on TCP. */
static void
fake_open_tcp(struct fake *f, struct event_base *base)
{
	fake_open(f, base);
	event_free(f->accept_event);
	close_fd(&f->listen_fd);
	f->listen_fd = tcp_bind(&answer);
	assert_int_equal(listen(f->listen_fd, 8), 0);
	f->accept_event = event_new(
		base, f->listen_fd, EV_READ | EV_PERSIST, fake_on_connection, f);
	assert_int_equal(event_add(f->accept_event, NULL), 0);
}

static void
a_name_is_looked_up_and_connected_to(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct client c;
	struct fake f;

	(void)state;
	client_init(&c);
	fake_open_tcp(&f, c.base);
	c.url.host = host;
	open_gate();
	client_start(&c);
	RUN_UNTIL(c.base, c.up_count == 1);
	ping(c.conn, &o);
	fake_text(&f, "+PONG\r\n");
	RUN_UNTIL(c.base, o.done_count > 0);
	assert_outcome(&o, 0, "+PONG");
	fake_close(&f);
	client_fini(&c);
}

static void
the_next_address_is_tried_when_the_first_refuses(void **state)
{
	struct client c;
	struct fake f;
	int closed_fd;

	(void)state;
	client_init(&c);
	fake_open_tcp(&f, c.base);
	closed_fd = tcp_bind(&first_answer); /* nobody listens */
	c.url.host = host;
	open_gate();
	client_start(&c);
	RUN_UNTIL(c.base, c.up_count == 1);
	assert_int_equal(c.down_count, 0);
	fake_close(&f);
	client_fini(&c);
	close(closed_fd);
}

static void
a_name_that_is_not_found_is_told(void **state)
{
	struct client c;

	(void)state;
	client_init(&c);
	c.url.host = host;
	answer_error = EAI_NONAME;
	open_gate();
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 2);
	assert_int_equal(c.why.code, -EHOSTUNREACH);
	assert_non_null(strstr(c.why.msg, "cannot resolve redis.example: "));
	client_fini(&c);
}

static void
a_slow_lookup_serves_the_tries_that_come_after_it(void **state)
{
	struct client c;
	struct fake f;

	(void)state;
	client_init(&c);
	fake_open_tcp(&f, c.base);
	c.url.host = host;
	c.opts.connect_timeout_ms = SHORT_MS;
	client_start(&c);
	RUN_UNTIL(c.base, c.down_count == 3);
	assert_int_equal(c.why.code, -ETIMEDOUT);
	assert_string_equal(
		c.why.msg, "cannot resolve redis.example: no answer in 40 ms");
	assert_int_equal(lookup_count, 1); /* one thread waits, not three */
	open_gate();
	RUN_UNTIL(c.base, c.up_count == 1);
	fake_close(&f);
	client_fini(&c);
}

static void
free_does_not_wait_for_the_name_server(void **state)
{
	struct outcome_of o = OUTCOME_NONE;
	struct client c;

	(void)state;
	client_init(&c);
	c.url.host = host;
	client_start(&c);
	ping(c.conn, &o);
	RUN_UNTIL(c.base, lookup_count == 1);
	client_fini(&c); /* the test would hang here */
	assert_int_equal(o.done_count, 1);
	assert_int_equal(answer_count, 0);
	open_gate();
	while (freed_count == 0) { /* joined by the first call after its end */
		resolve_abandon(NULL);
		usleep(1000);
	}
	assert_int_equal(answer_count, 1);
}

static void
free_takes_an_answer_that_nobody_has_read(void **state)
{
	struct client c;

	(void)state;
	client_init(&c);
	c.url.host = host;
	open_gate();
	client_start(&c);
	while (answer_count == 0)
		usleep(1000);
	client_fini(&c);
	while (freed_count == 0) {
		resolve_abandon(NULL);
		usleep(1000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_name_is_looked_up_and_connected_to, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_next_address_is_tried_when_the_first_refuses, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_name_that_is_not_found_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_slow_lookup_serves_the_tries_that_come_after_it, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			free_does_not_wait_for_the_name_server, setup, teardown),
		cmocka_unit_test_setup_teardown(
			free_takes_an_answer_that_nobody_has_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
