/*
 * test_warm.c - what a worker process prints belongs to the job that it has, however what
 * it does falls between our looking and our reading
 */
#include <poll.h>
#include "tests/unit/command_fixture.h"

#define HEAR "printf '*2\\r\\n$5\\r\\nREADY\\r\\n$1\\r\\n1\\r\\n' >&4; read -r line <&3; "
#define PROGRESS                                                                         \
	"printf '*3\\r\\n$8\\r\\nPROGRESS\\r\\n$3\\r\\n1-0\\r\\n$1\\r\\n5\\r\\n' >&4; "
#define FAIL "printf '*3\\r\\n$4\\r\\nFAIL\\r\\n$3\\r\\n1-0\\r\\n$2\\r\\nno\\r\\n' >&4; "
#define STAY "exec cat <&3 >/dev/null"

/* The first look that sees something after `heard` takes until `answered`. */
static bool is_slow;

static void
make_file(const char *name)
{
	char path[64];
	FILE *f = fopen(file_in_dir(path, name), "w");

	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
}

/* Instead of the C library's. */
int
poll(struct pollfd *p, nfds_t count, int wait_ms)
{
	const struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000L};
	int r = ppoll(p, count, wait_ms < 0 ? NULL : &wait, NULL);
	char path[64];

	if (r > 0 && is_slow && access(file_in_dir(path, "heard"), F_OK) == 0) {
		is_slow = false;
		make_file("seen");
		wait_for_file("answered");
	}
	return r;
}

static void
what_is_printed_between_progress_and_answer_is_the_jobs(void **state)
{
	struct config config = {.refs = 1};
	struct handler_slot *own;
	struct attempt a;

	(void)state;
	assert_int_equal(handler_slot_new(zygote, &own), 0);
	attempt_init(&a,
		HEAR "touch $D/heard; " PROGRESS "while [ ! -e $D/seen ]; do :; done; "
		     "echo why >&2; " FAIL "touch $D/answered; " STAY,
		NULL, 0);
	a.conf.is_worker = true;
	a.conf.ready_timeout_ms = PATIENCE_MS;
	a.call.config = &config;
	is_slow = true;
	attempt_run_in(&a, own);
	assert_false(is_slow);
	assert_outcome(&a, JOB_ERROR, "no");
	assert_string_equal(buf_cstr(&a.out.stderr_tail), "why\n");
	handler_slot_free(own);
	attempt_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_between_progress_and_answer_is_the_jobs),
	};

	return cmocka_run_group_tests(tests, setup_zygote, teardown_zygote);
}
