/*
 * What Redis says that a daemon holds is compared each minute with what it knows of, and
 * told in one line where it differs. The clock is moved by hand.
 */
#include <fcntl.h>
#include <unistd.h>
#include "daemon/queue/fetch.h"
#include "lib/wire/keys.h"
#include "tests/unit/held_fixture.h"

enum { LEASE_MS = 3600 * 1000, MINUTE_MS = 60000 };

struct me {
	struct held *held;
	struct fetch *fetch;
	int jobs;
	char found[ENTRY_ID_BYTES];
	const char *known; /* entry id */
	int readies;
	int64_t wake_at_ms;
	int old_stderr_fd;
	int log_fd;
};

static size_t
no_credit(void *arg)
{
	(void)arg;
	return 0;
}

static bool
is_known(void *arg, const struct queue *q, const char *entry_id)
{
	const struct me *me = arg;

	(void)q;
	return me->known && !strcmp(entry_id, me->known);
}

static bool
may_read(void *arg, const struct queue *q)
{
	(void)arg, (void)q;
	return true;
}

static void
on_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	struct me *me = arg;

	(void)q;
	assert_true(leased_at_ms <= stint_now_ms());
	me->jobs++;
	strcpy(me->found, job->entry_id);
	free(job);
}

static void
on_read(void *arg)
{
	(void)arg;
}

static void
on_ready(void *arg)
{
	((struct me *)arg)->readies++;
}

static void
wake_at(void *arg, int64_t at_ms)
{
	struct me *me = arg;

	if (at_ms < me->wake_at_ms)
		me->wake_at_ms = at_ms;
}

static const struct fetch_ops ops = {.credit = no_credit,
	.is_known = is_known,
	.may_read = may_read,
	.on_job = on_job,
	.on_read = on_read,
	.on_ready = on_ready,
	.wake_at = wake_at};

/* What is logged goes into a pipe. */
static void
catch_log(struct me *me)
{
	int fds[2];

	me->old_stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
	me->log_fd = fds[0];
}

/* Until @line was logged; it must be the only one. */
static void
assert_logged(struct me *me, const char *line)
{
	char text[4096] = "";
	const ssize_t n = read(me->log_fd, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	if (!*line)
		return assert_string_equal(text, "");
	assert_non_null(strstr(text, line));
	assert_string_equal(strchr(text, '\n'), "\n");
}

static void
begin(struct me *me, struct held *h, struct queue *q)
{
	*me = (struct me){.held = h, .wake_at_ms = STINT_NEVER};
	assert_int_equal(fetch_new(h->client.conn, "me", LEASE_MS, &h->queues, &ops, me,
				 &me->fetch),
		0);
	fetch_set_queues(me->fetch, &q, 1, false);
	fetch_on_up(me->fetch);
	RUN_UNTIL(h->client.base, me->readies == 1);
	catch_log(me);
}

static void
end(struct me *me)
{
	dup2(me->old_stderr_fd, STDERR_FILENO);
	close(me->old_stderr_fd);
	close(me->log_fd);
	fetch_free(me->fetch);
}

/* As the loop does when the time has come that was asked for. */
static void
wake(struct me *me)
{
	assert_true(me->wake_at_ms > me->held->now_ms);
	held_move_clock(me->held, me->wake_at_ms - me->held->now_ms);
	me->wake_at_ms = STINT_NEVER;
	fetch_poke(me->fetch);
	RUN_UNTIL(me->held->client.base, !fetch_is_reading(me->fetch));
}

static void
each_minute_what_is_held_and_not_known_is_read_again(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	const int64_t began_ms = h->now_ms;
	struct me me;

	begin(&me, h, q);
	for (int minute = 1; minute <= 3; minute++) {
		char entry[ENTRY_ID_BYTES];

		snprintf(entry, sizeof entry, "%d-1", minute);
		held_give(h, q, entry, "", "me");
		assert_int_equal(me.wake_at_ms, began_ms + minute * MINUTE_MS);
		wake(&me);
		assert_int_equal(me.jobs, minute);
		assert_string_equal(me.found, entry);
		assert_logged(&me, "read jobs again whose delivery was lost jobs=1");
		held_say(h, "XACK", buf_cstr(&q->jobs_key), KEYS_GROUP, entry);
	}
	end(&me);
}

static void
what_is_known_or_held_by_others_is_no_difference(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, h, q);
	me.known = "1-1";
	held_give(h, q, "1-1", "", "me");
	held_give(h, q, "1-2", "", "other");
	wake(&me);
	assert_int_equal(me.jobs, 0);
	assert_logged(&me, "");
	end(&me);
}

static void
before_the_minute_is_over_nobody_asks(void **state)
{
	struct held *h = *state;
	struct queue *q = held_queue(h, "a");
	struct me me;

	begin(&me, h, q);
	held_give(h, q, "1-1", "", "me");
	held_move_clock(h, MINUTE_MS - 1);
	fetch_poke(me.fetch);
	assert_false(fetch_is_reading(me.fetch));
	assert_int_equal(me.jobs, 0);
	end(&me);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(each_minute_what_is_held_and_not_known_is_read_again),
		HELD_TEST(what_is_known_or_held_by_others_is_no_difference),
		HELD_TEST(before_the_minute_is_over_nobody_asks),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, held_open, held_close);
}
