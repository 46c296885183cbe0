/*
 * test_results.c - the slots of a fan-out: once each, nothing lost
 */
#include "tests/unit/conc_util.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { PARTS = 10, TOLD_BYTES = 1024 };

/* What is told on standard error, from stderr_capture() to stderr_release(). */
static int told_fd, old_stderr_fd;

static void
stderr_capture(void)
{
	old_stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	told_fd = memfd_create("told", MFD_CLOEXEC);
	assert_int_equal(dup2(told_fd, STDERR_FILENO), STDERR_FILENO);
}

static void
stderr_release(char told[TOLD_BYTES])
{
	ssize_t n;

	assert_int_equal(dup2(old_stderr_fd, STDERR_FILENO), STDERR_FILENO);
	close(old_stderr_fd);
	n = pread(told_fd, told, TOLD_BYTES - 1, 0);
	close(told_fd);
	assert_true(n >= 0);
	told[n] = '\0';
}

static struct stint_results *
new_results(size_t count, size_t item_bytes)
{
	struct stint_results *results = NULL;

	assert_int_equal(stint_results_new(count, item_bytes, &results), 0);
	return results;
}

static void
fail_part(struct stint_results *results, size_t index, const char *why)
{
	struct stint_err err;

	stint_err_set(&err, -EIO, "%s", why);
	assert_int_equal(stint_results_fail(results, index, &err), 0);
}

static void
set_part(struct stint_results *results, size_t index, int item)
{
	assert_int_equal(stint_results_set(results, index, &item), 0);
}

static void
results_come_back_from_their_slots(void **state)
{
	struct stint_results *results = new_results(PARTS, sizeof(int));
	struct stint_err err = {.code = -1};
	int item = 0;

	(void)state;
	assert_int_equal(stint_results_count(results), PARTS);
	for (size_t i = PARTS; i-- > 0;)
		set_part(results, i, 100 + (int)i);
	for (size_t i = 0; i < PARTS; i++) {
		assert_int_equal(stint_results_get(results, i, &item, &err), 0);
		assert_int_equal(err.code, 0);
		assert_string_equal(err.msg, "");
		assert_int_equal(item, 100 + i);
	}
	assert_int_equal(stint_results_get(results, 0, NULL, &err), 0);
	assert_int_equal(stint_results_summary(results, &err), 0);
	assert_int_equal(err.code, 0);
	stint_results_free(results);
}

static void
failures_are_kept_beside_what_succeeded(void **state)
{
	struct stint_results *results = new_results(3, sizeof(int));
	struct stint_err err;
	int item = 77;

	(void)state;
	set_part(results, 0, 5);
	fail_part(results, 1, "disk on fire");
	set_part(results, 2, 6);
	assert_int_equal(stint_results_get(results, 1, &item, &err), -EIO);
	assert_int_equal(err.code, -EIO);
	assert_string_equal(err.msg, "disk on fire");
	assert_int_equal(item, 77);
	assert_int_equal(stint_results_get(results, 2, &item, &err), 0);
	assert_int_equal(item, 6);
	stint_results_free(results);
}

static void
failure_without_a_sentence_gets_strerrors(void **state)
{
	struct stint_results *results = new_results(1, 0);
	struct stint_err err = {.code = -ENOENT};

	(void)state;
	assert_int_equal(stint_results_fail(results, 0, &err), 0);
	assert_int_equal(stint_results_get(results, 0, NULL, &err), -ENOENT);
	assert_string_equal(err.msg, "No such file or directory");
	stint_results_free(results);
}

static void
slot_takes_the_first_answer_only(void **state)
{
	struct stint_results *results = new_results(2, sizeof(int));
	struct stint_err err, late = {.code = -EPERM};
	int item = 2;

	(void)state;
	set_part(results, 0, 1);
	assert_int_equal(stint_results_set(results, 0, &item), -EALREADY);
	assert_int_equal(stint_results_fail(results, 0, &late), -EALREADY);
	assert_int_equal(stint_results_get(results, 0, &item, &err), 0);
	assert_int_equal(item, 1);
	fail_part(results, 1, "first");
	assert_int_equal(stint_results_fail(results, 1, &late), -EALREADY);
	assert_int_equal(stint_results_set(results, 1, &item), -EALREADY);
	assert_int_equal(stint_results_get(results, 1, &item, &err), -EIO);
	assert_string_equal(err.msg, "first");
	stint_results_free(results);
}

static void
wrong_use_is_an_error(void **state)
{
	struct stint_results *results = new_results(2, sizeof(int));
	struct stint_err err = {.code = -EIO}, none = {0}, positive = {.code = EIO};
	int item = 0;

	(void)state;
	assert_int_equal(stint_results_set(results, 2, &item), -ERANGE);
	assert_int_equal(stint_results_fail(results, SIZE_MAX, &err), -ERANGE);
	assert_int_equal(stint_results_fail(results, 0, &none), -EINVAL);
	assert_int_equal(stint_results_fail(results, 0, &positive), -EINVAL);
	assert_int_equal(stint_results_get(results, 2, &item, &err), -ERANGE);
	assert_int_equal(err.code, -ERANGE);
	assert_string_equal(err.msg, "there is no part 2 of 2");
	stint_results_free(results);
}

static void
part_without_an_answer_says_so(void **state)
{
	struct stint_results *results = new_results(3, sizeof(int));
	struct stint_err err;
	int item = 0;

	(void)state;
	assert_int_equal(stint_results_get(results, 1, &item, &err), -ENODATA);
	assert_string_equal(err.msg, "part 1 has no result");
	set_part(results, 0, 1);
	assert_int_equal(stint_results_summary(results, &err), -ENODATA);
	assert_string_equal(err.msg, "2 of 3 have no result");
	set_part(results, 1, 1);
	assert_int_equal(stint_results_summary(results, &err), -ENODATA);
	assert_string_equal(err.msg, "1 of 3 has no result");
	stint_results_free(results);
}

static void
summary_counts_and_names_the_first_in_time(void **state)
{
	struct stint_results *results = new_results(PARTS, sizeof(int));
	struct stint_err err;

	(void)state;
	fail_part(results, 7, "seven");
	fail_part(results, 3, "three");
	for (size_t i = 4; i < PARTS; i++)
		if (i != 7)
			set_part(results, i, 0);
	assert_int_equal(stint_results_summary(results, &err), -EIO);
	assert_string_equal(err.msg, "2 of 10 failed and 3 have no result, first: seven");
	set_part(results, 0, 0);
	set_part(results, 1, 0);
	fail_part(results, 2, "two");
	assert_int_equal(stint_results_summary(results, &err), -EIO);
	assert_int_equal(err.code, -EIO);
	assert_string_equal(err.msg, "3 of 10 failed, first: seven");
	stint_results_free(results);
}

static void
nothing_at_all_is_a_success(void **state)
{
	struct stint_results *results = new_results(0, sizeof(int));
	struct stint_err err = {.code = -1};

	(void)state;
	assert_int_equal(stint_results_count(results), 0);
	assert_int_equal(stint_results_summary(results, &err), 0);
	assert_int_equal(stint_results_set(results, 0, &err), -ERANGE);
	stint_results_free(results);
	stint_results_free(NULL);
}

static void
unread_failure_is_told_when_freed(void **state)
{
	struct stint_results *results = new_results(4, 0);
	struct stint_err err;
	char told[TOLD_BYTES];

	(void)state;
	fail_part(results, 1, "no tea");
	fail_part(results, 2, "no milk");
	fail_part(results, 3, "no cup");
	assert_int_equal(stint_results_get(results, 1, NULL, &err), -EIO);
	stderr_capture();
	stint_results_free(results);
	stderr_release(told);
	assert_non_null(
		strstr(told, "stint: results made at tests/unit/test_results.c:"));
	assert_non_null(strstr(told,
		": freed with 2 of 4 failed and not read, such as part 2: no milk\n"));
	assert_ptr_equal(strchr(told, '\n'), told + strlen(told) - 1); /* one line */
}

static void
read_failure_is_not_told(void **state)
{
	struct stint_results *each = new_results(2, 0), *summed = new_results(2, 0);
	struct stint_err err;
	char told[TOLD_BYTES];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		fail_part(each, i, "no tea");
		fail_part(summed, i, "no tea");
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(stint_results_get(each, i % 2, NULL, &err), -EIO);
	assert_int_equal(stint_results_summary(summed, &err), -EIO);
	stderr_capture();
	stint_results_free(each);
	stint_results_free(summed);
	stderr_release(told);
	assert_string_equal(told, "");
}

enum { RACERS = 4, SLOTS_TO_RACE_FOR = 2000 };

struct racer {
	struct stint_results *results;
	int number;
	int won;
};

static void
race(void *arg)
{
	struct racer *me = arg;
	struct stint_err err = {.code = -me->number};

	for (size_t i = 0; i < SLOTS_TO_RACE_FOR; i++)
		if ((me->number % 2 ? stint_results_set(me->results, i, &me->number)
				    : stint_results_fail(me->results, i, &err)) == 0)
			me->won++;
}

static void
racing_threads_fill_each_slot_once(void **state)
{
	struct stint_results *results = new_results(SLOTS_TO_RACE_FOR, sizeof(int));
	int slots_of[RACERS + 1] = {0};
	struct racer racers[RACERS];
	struct task tasks[RACERS];
	struct stint_err err;
	int item, r;

	(void)state;
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){.results = results, .number = i + 1};
		task_start(&tasks[i], race, &racers[i]);
	}
	for (int i = 0; i < RACERS; i++)
		task_join(&tasks[i]);
	for (size_t i = 0; i < SLOTS_TO_RACE_FOR; i++) {
		r = stint_results_get(results, i, &item, &err);
		item = r == 0 ? item : -r;
		assert_in_range(item, 1, RACERS);
		slots_of[item]++;
	}
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(slots_of[i + 1], racers[i].won);
	stint_results_free(results);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_come_back_from_their_slots),
		cmocka_unit_test(failures_are_kept_beside_what_succeeded),
		cmocka_unit_test(failure_without_a_sentence_gets_strerrors),
		cmocka_unit_test(slot_takes_the_first_answer_only),
		cmocka_unit_test(wrong_use_is_an_error),
		cmocka_unit_test(part_without_an_answer_says_so),
		cmocka_unit_test(summary_counts_and_names_the_first_in_time),
		cmocka_unit_test(nothing_at_all_is_a_success),
		cmocka_unit_test(unread_failure_is_told_when_freed),
		cmocka_unit_test(read_failure_is_not_told),
		cmocka_unit_test(racing_threads_fill_each_slot_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
