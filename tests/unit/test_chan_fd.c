/*
 * test_chan_fd.c - channels: the descriptor that says there is something to receive
 */
#include "tests/unit/conc_util.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- a write(2) that takes its time ---- */

enum { HOLD_US = 20000 };

static _Atomic int held_fd = -1; /* the descriptor that it is about; -1: none */
static _Atomic bool is_in_write;

/* In place of the C library's. */
ssize_t
write(int fd, const void *data, size_t size)
{
	if (fd >= 0 && fd == atomic_load(&held_fd)) {
		atomic_store(&is_in_write, true);
		usleep(HOLD_US);
	}
	return syscall(SYS_write, fd, data, size);
}

/* ---- tests ---- */

static void
recv_fd_is_readable_while_there_is_something(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 4);
	int fd = stint_chan_recv_fd(ch), item = 0, items[4] = {0};

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stint_chan_recv_fd(ch), fd);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	for (int round = 0; round < 3; round++) {
		assert_false(fd_is_readable(fd));
		assert_int_equal(stint_chan_try_send(ch, &item), 0);
		assert_true(fd_is_readable(fd));
		assert_int_equal(stint_chan_try_send_many(ch, items, 4), 3);
		assert_int_equal(stint_chan_try_recv_many(ch, items, 2), 2);
		assert_true(fd_is_readable(fd));
		assert_int_equal(stint_chan_try_recv_many(ch, items, 4), 2);
		assert_false(fd_is_readable(fd));
		assert_int_equal(stint_chan_try_send(ch, &item), 0);
		assert_true(fd_is_readable(fd));
		assert_int_equal(stint_chan_try_recv(ch, &item), 0);
		assert_int_equal(stint_chan_try_recv(ch, &item), -EAGAIN);
	}
	stint_chan_close(ch);
	assert_true(fd_is_readable(fd));
	assert_int_equal(stint_chan_try_recv(ch, &item), -EPIPE);
	assert_true(fd_is_readable(fd));
	stint_chan_free(ch);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
recv_fd_of_a_channel_in_use_starts_readable(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	int item = 0;

	(void)state;
	assert_int_equal(stint_chan_try_send(ch, &item), 0);
	assert_true(fd_is_readable(stint_chan_recv_fd(ch)));
	stint_chan_free(ch);
	ch = new_chan(sizeof(int), 1);
	stint_chan_close(ch);
	assert_true(fd_is_readable(stint_chan_recv_fd(ch)));
	stint_chan_free(ch);
}

static void
recv_fd_tells_of_a_sender_who_waits(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 0);
	struct op op = {.ctx = BACKGROUND, .ch = ch, .item = 3};
	int fd = stint_chan_recv_fd(ch), item;
	struct task task;

	(void)state;
	task_start(&task, op_send, &op);
	wait_until(fd_is_readable(fd));
	assert_int_equal(stint_chan_try_recv(ch, &item), 0);
	assert_int_equal(item, 3);
	assert_int_equal(stint_chan_try_recv(ch, &item), -EAGAIN);
	task_join(&task);
	assert_false(fd_is_readable(fd));
	stint_chan_free(ch);
}

static void
recv_fd_without_descriptors_left_says_so(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	struct rlimit old, none;
	int item = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(stint_chan_recv_fd(ch), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(stint_chan_try_send(ch, &item), 0);
	assert_true(fd_is_readable(stint_chan_recv_fd(ch)));
	stint_chan_free(ch);
}

static void
send_numbers(void *arg)
{
	struct op *op = arg;

	for (int i = 0; i < op->item; i++)
		if (stint_chan_send(op->ctx, op->ch, &i) < 0)
			abort();
}

/* A loop that sleeps in poll() only: one lost wake-up and it hangs. */
static void
recv_fd_never_loses_a_wake_up(void **state)
{
	enum { SENDERS = 3, EACH = 20000 };

	(void)state;
	for (size_t cap = 0; cap < 80; cap += 39) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct op op = {
			.ctx = BACKGROUND, .ch = ch, .item = cap ? EACH : EACH / 10};
		struct pollfd p = {.fd = stint_chan_recv_fd(ch), .events = POLLIN};
		struct task task[SENDERS];
		int got = 0, items[7];

		for (int i = 0; i < SENDERS; i++)
			task_start(&task[i], send_numbers, &op);
		while (got < SENDERS * op.item) {
			/* How many at a time differs: also less than there are. */
			int n = stint_chan_try_recv_many(ch, items, (size_t)got % 7 + 1);

			if (n > 0)
				got += n;
			if (n < 0 || got % 3 == 0)
				if (got < SENDERS * op.item)
					assert_int_equal(poll(&p, 1, WAIT_AT_MOST_MS), 1);
		}
		for (int i = 0; i < SENDERS; i++)
			task_join(&task[i]);
		assert_int_equal(stint_chan_try_recv(ch, items), -EAGAIN);
		assert_false(fd_is_readable(p.fd));
		stint_chan_free(ch);
	}
}

/* Whoever has received may free the channel, while the sender is about to tell of the
 * item: that must not go to what has the number of the descriptor by then. */
static void
late_signal_goes_to_no_descriptor_of_others(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 2; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct op op = {.ctx = BACKGROUND, .ch = ch, .item = 3};
		struct task task;
		uint64_t count;
		int other, item;

		atomic_store(&is_in_write, false);
		atomic_store(&held_fd, stint_chan_recv_fd(ch));
		task_start(&task, op_send, &op);
		wait_until(atomic_load(&is_in_write));
		assert_int_equal(stint_chan_try_recv(ch, &item), 0);
		stint_chan_free(ch);
		other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		task_join(&task);
		assert_int_equal(op.result, 0);
		assert_int_equal(read(other, &count, sizeof(count)), -1);
		assert_int_equal(errno, EAGAIN);
		atomic_store(&held_fd, -1);
		close(other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recv_fd_is_readable_while_there_is_something),
		cmocka_unit_test(recv_fd_of_a_channel_in_use_starts_readable),
		cmocka_unit_test(recv_fd_tells_of_a_sender_who_waits),
		cmocka_unit_test(recv_fd_without_descriptors_left_says_so),
		cmocka_unit_test(recv_fd_never_loses_a_wake_up),
		cmocka_unit_test(late_signal_goes_to_no_descriptor_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
