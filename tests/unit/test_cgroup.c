/*
 * test_cgroup.c - the part of the cgroup tree that a daemon uses, on directories that
 * only look like one: what is written, what is read, and where it is looked for
 *
 * The real thing is in tests/integration/test_cgroups.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/handler/cgroup.h"
#include "daemon/handler/leaf.h"
#include "lib/base/cleanup.h"

#define MIB (INT64_C(1) << 20)

static char dir[] = "/tmp/stint-cgroup-XXXXXX";
static struct leaf leaf = LEAF_NONE;

static void
put(const char *file, const char *text)
{
	cleanup(fdp) int fd = openat(leaf.fd, file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static const char *
get(const char *file)
{
	static char text[256];

	assert_true(cgroup_read(leaf.fd, file, text, sizeof text) >= 0);
	return text;
}

static const char *const files[] = {"memory.max", "memory.swap.max", "memory.oom.group",
	"pids.max", "memory.peak", "memory.events", "pids.events", "cgroup.kill"};

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/stint-cgroup-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	leaf.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return leaf.fd < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlinkat(leaf.fd, files[i], 0);
	close_fd(&leaf.fd);
	return rmdir(dir);
}

/* ---- where it is ---- */

#define MOUNTS                                                                           \
	"22 1 0:20 / /proc rw,nosuid - proc proc rw\n"                                   \
	"30 22 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"              \
	"31 22 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"

static void
the_group_is_found_below_its_mount(void **state)
{
	static const struct {
		const char *mounts, *membership, *path; /* NULL: none */
	} cases[] = {
		{MOUNTS, "0::/system.slice/stintd.service\n",
			"/sys/fs/cgroup/system.slice/stintd.service"},
		{MOUNTS, "9:memory:/a\n1:name=systemd:/b\n0::/c\n", "/sys/fs/cgroup/c"},
		{MOUNTS, "0::/\n", "/sys/fs/cgroup/"},
		{"1 2 0:3 /docker/x /cg rw - cgroup2 cgroup rw\n", "0::/docker/x/y\n",
			"/cg/y"},
		{"1 2 0:3 /docker/x /cg rw - cgroup2 cgroup rw\n", "0::/docker/z\n",
			NULL},
		{"1 2 0:3 /docker/x /cg rw - cgroup2 cgroup rw\n", "0::/docker/xy\n",
			NULL},
		{"1 2 0:3 /docker/x /cg rw - cgroup2 cgroup rw\n", "0::/docker/x\n",
			"/cg"},
		{MOUNTS, "0::/../../other\n", NULL}, /* of another namespace */
		{MOUNTS, "9:memory:/a\n", NULL},
		{"30 22 0:26 / /a rw - cgroup cgroup rw,memory\n", "0::/c\n", NULL},
		{"1 2 0:3 / /a\\040b rw - cgroup2 cgroup rw\n", "0::/c\n", NULL},
		{"", "", NULL},
		{"cgroup2", "0::", NULL},
	};
	char path[CGROUP_PATH_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = cgroup_locate(cases[i].mounts, cases[i].membership, path);

		assert_int_equal(r, cases[i].path ? 0 : -ENOENT);
		if (cases[i].path)
			assert_string_equal(path, cases[i].path);
	}
}

static void
a_path_that_is_too_long_is_none(void **state)
{
	char membership[2 * CGROUP_PATH_BYTES], path[CGROUP_PATH_BYTES];

	(void)state;
	memset(membership, 'x', sizeof membership);
	memcpy(membership, "0::/", 4);
	membership[sizeof membership - 1] = '\0';
	assert_int_equal(cgroup_locate(MOUNTS, membership, path), -ENOENT);
}

static void
a_word_is_a_whole_word(void **state)
{
	(void)state;
	assert_true(cgroup_has_word("cpu memory pids\n", "memory"));
	assert_true(cgroup_has_word("pids\n", "pids"));
	assert_true(cgroup_has_word("memory", "memory"));
	assert_false(cgroup_has_word("cpuset hugetlb\n", "cpu"));
	assert_false(cgroup_has_word("", "pids"));
	assert_false(cgroup_has_word("\n", "pids"));
}

static void
what_is_not_delegated_is_refused_with_the_reason(void **state)
{
	struct cgroup cg;

	(void)state;
	if (geteuid() != 0)
		skip(); /* it is the user's own then */
	cgroup_take_at(&cg, dir);
	assert_string_equal(cg.root, "");
	assert_non_null(strstr(cg.why, "not delegated"));
	assert_int_equal(cg.lock_fd, -1);
	cgroup_sweep(&cg, LEAF_PREFIX); /* nothing */
	cgroup_close(&cg);
}

/* ---- limits ---- */

static void
make_files(void)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		put(files[i], "");
}

static void
limits_are_written_where_there_are_controllers(void **state)
{
	const struct handler_limits limits = {
		.memory_bytes = 512 * MIB, .cpu_ms = 1000, .files = 9, .processes = 33};
	const struct cgroup both = {.has_memory = true, .has_pids = true}, none = {0};

	(void)state;
	make_files();
	assert_int_equal(leaf_limit(leaf.fd, &none, &limits), 0);
	assert_string_equal(get("memory.max"), "");
	assert_string_equal(get("pids.max"), "");
	assert_int_equal(leaf_limit(leaf.fd, &both, &limits), 0);
	assert_string_equal(get("memory.max"), "536870912");
	assert_string_equal(get("memory.swap.max"), "0");
	assert_string_equal(get("memory.oom.group"), "1");
	assert_string_equal(get("pids.max"), "33");
}

static void
what_has_no_limit_is_left_alone(void **state)
{
	const struct handler_limits limits = {0};
	const struct cgroup both = {.has_memory = true, .has_pids = true};

	(void)state;
	make_files();
	assert_int_equal(leaf_limit(leaf.fd, &both, &limits), 0);
	assert_string_equal(get("memory.max"), "");
	assert_string_equal(get("memory.swap.max"), "");
	assert_string_equal(get("pids.max"), "");
}

static void
a_kernel_without_account_of_swap_is_fine(void **state)
{
	const struct handler_limits limits = {.memory_bytes = MIB};
	const struct cgroup memory = {.has_memory = true};

	(void)state;
	make_files();
	unlinkat(leaf.fd, "memory.swap.max", 0);
	assert_int_equal(leaf_limit(leaf.fd, &memory, &limits), 0);
	assert_string_equal(get("memory.max"), "1048576");
}

static void
a_limit_that_cannot_be_set_is_an_error(void **state)
{
	const struct handler_limits limits = {.memory_bytes = MIB, .processes = 5};
	const struct cgroup memory = {.has_memory = true}, pids = {.has_pids = true};

	(void)state;
	assert_int_equal(leaf_limit(leaf.fd, &pids, &limits), -ENOENT);
	make_files();
	unlinkat(leaf.fd, "memory.oom.group", 0);
	assert_int_equal(leaf_limit(leaf.fd, &memory, &limits), -ENOENT);
}

/* ---- what was used ---- */

static void
what_the_kernel_counted_is_read(void **state)
{
	struct leaf_usage u;

	(void)state;
	put("memory.peak", "123456789\n");
	put("memory.events",
		"low 0\nhigh 0\nmax 70\noom 2\noom_kill 3\noom_group_kill 1\n");
	put("pids.events", "max 4\n");
	u = leaf_read(&leaf);
	assert_int_equal(u.memory_peak_bytes, 123456789);
	assert_true(u.was_killed);
	assert_true(u.hit_memory);
	assert_true(u.hit_processes);
}

/* The limit was that of a group above. */
static void
who_is_killed_for_others_has_not_hit_his_own_limit(void **state)
{
	struct leaf_usage u;

	(void)state;
	put("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\n");
	u = leaf_read(&leaf);
	assert_true(u.was_killed);
	assert_false(u.hit_memory);
}

static void
nobody_killed_is_nothing_to_tell(void **state)
{
	struct leaf_usage u;

	(void)state;
	put("memory.events",
		"low 0\nhigh 0\nmax 900\noom 1\noom_kill 0\noom_group_kill 0\n");
	put("pids.events", "max 0\n");
	u = leaf_read(&leaf);
	assert_false(u.was_killed || u.hit_memory || u.hit_processes);
	assert_int_equal(u.memory_peak_bytes, 0);
}

static void
odd_files_say_nothing(void **state)
{
	static const char *const odd[] = {"", "\n", "oom_kill", "oom_kill\n",
		"oom_kill x\n", "xoom_kill 5\noom 5\n", "max"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct leaf_usage u;

		put("memory.peak", "max\n");
		put("memory.events", odd[i]);
		put("pids.events", odd[i]);
		u = leaf_read(&leaf);
		assert_false(u.was_killed || u.hit_memory || u.hit_processes);
		assert_int_equal(u.memory_peak_bytes, 0);
	}
}

static void
no_leaf_is_fine_everywhere(void **state)
{
	struct leaf none = LEAF_NONE;

	(void)state;
	leaf_kill(&none);
	assert_false(leaf_read(&none).was_killed);
	leaf_remove(&none);
	assert_int_equal(none.fd, -1);
}

/* ---- removing ---- */

static void
groups_within_a_group_are_removed_with_it(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "%s/job-1-0", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mkdirat(leaf.fd, "job-1-0/a", 0700), 0);
	assert_int_equal(mkdirat(leaf.fd, "job-1-0/a/b", 0700), 0);
	assert_int_equal(cgroup_remove(path, 0), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(cgroup_remove(path, 0), 0); /* gone is gone */
}

static void
only_leaves_of_that_name_are_swept(void **state)
{
	struct cgroup cg = {.lock_fd = -1};

	(void)state;
	snprintf(cg.root, sizeof cg.root, "%s", dir);
	assert_int_equal(mkdirat(leaf.fd, "job-1-0", 0700), 0);
	assert_int_equal(mkdirat(leaf.fd, "job-1-1", 0700), 0);
	assert_int_equal(mkdirat(leaf.fd, "job-12-0", 0700), 0);
	assert_int_equal(mkdirat(leaf.fd, "other", 0700), 0);
	cgroup_sweep(&cg, "job-1-");
	assert_int_equal(faccessat(leaf.fd, "job-1-0", F_OK, 0), -1);
	assert_int_equal(faccessat(leaf.fd, "job-1-1", F_OK, 0), -1);
	assert_int_equal(faccessat(leaf.fd, "job-12-0", F_OK, 0), 0);
	cgroup_sweep(&cg, LEAF_PREFIX);
	assert_int_equal(faccessat(leaf.fd, "job-12-0", F_OK, 0), -1);
	assert_int_equal(unlinkat(leaf.fd, "other", AT_REMOVEDIR), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_group_is_found_below_its_mount),
		cmocka_unit_test(a_path_that_is_too_long_is_none),
		cmocka_unit_test(a_word_is_a_whole_word),
		TEST(what_is_not_delegated_is_refused_with_the_reason),
		TEST(limits_are_written_where_there_are_controllers),
		TEST(what_has_no_limit_is_left_alone),
		TEST(a_kernel_without_account_of_swap_is_fine),
		TEST(a_limit_that_cannot_be_set_is_an_error),
		TEST(what_the_kernel_counted_is_read),
		TEST(who_is_killed_for_others_has_not_hit_his_own_limit),
		TEST(nobody_killed_is_nothing_to_tell),
		TEST(odd_files_say_nothing),
		cmocka_unit_test(no_leaf_is_fine_everywhere),
		TEST(groups_within_a_group_are_removed_with_it),
		TEST(only_leaves_of_that_name_are_swept),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
