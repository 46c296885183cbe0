/*
 * account.c - handlers.*.user and group: who they are on this host
 *
 * Looked up when the configuration is loaded, so that a name that is not known is a fault
 * of the file, and no job waits for a user database. What a handler gets is what login
 * would give it: the user's group and supplementary groups, and HOME and the like.
 *
 * Only a daemon that was started as root can become somebody else.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/config/load.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"

enum {
	ENTRY_BYTES = 4096, /* of passwd or group, at first */
	ENTRY_MAX_BYTES = 4 << 20,
	GROUPS_MAX = 65536,     /* NGROUPS_MAX of the kernel */
	USER_VARIABLES = 4 + 1, /* with the NULL */
};

/* One entry of passwd or group, with its strings; only one of them is filled. */
struct entry {
	struct passwd user;
	struct group group;
	char *strings;
};

static void
entry_fini(struct entry *e)
{
	free(e->strings);
}

static bool
is_number(const char *name, int64_t *ret)
{
	return units_parse_int(name, strlen(name), 0, UINT32_MAX - 1, ret) == 0;
}

/* One try. Return: as getpwnam_r(3); @ret_found with 0. */
static int
look_up(const char *name, bool is_group, size_t room, struct entry *e, bool *ret_found)
{
	struct passwd *user = NULL;
	struct group *group = NULL;
	int64_t id;
	int r;

	if (is_group && is_number(name, &id))
		r = getgrgid_r((gid_t)id, &e->group, e->strings, room, &group);
	else if (is_group)
		r = getgrnam_r(name, &e->group, e->strings, room, &group);
	else if (is_number(name, &id))
		r = getpwuid_r((uid_t)id, &e->user, e->strings, room, &user);
	else
		r = getpwnam_r(name, &e->user, e->strings, room, &user);
	*ret_found = user || group;
	return r;
}

/* False: a fault was added, or there is no memory. */
static bool
find(struct loader *l, const struct yaml_tree *node, const char *name, bool is_group,
	struct entry *e)
{
	const char *what = is_group ? "group" : "user";
	char got[FAULTS_GOT_BYTES];
	bool is_found = false;
	int r = ERANGE;

	for (size_t room = ENTRY_BYTES; r == ERANGE && room <= ENTRY_MAX_BYTES;
		room *= 2) {
		char *strings = realloc(e->strings, room);

		if (!strings) {
			l->failed = true;
			return false;
		}
		e->strings = strings;
		r = look_up(name, is_group, room, e, &is_found);
	}
	if (is_found)
		return true;
	/* what means "not found" differs from one database to the other: getpwnam(3) */
	if (r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM)
		faults_at(&l->faults, node, "expected a %s of this host, got %s", what,
			faults_got(node, got));
	else
		faults_at(&l->faults, node, "expected a %s that can be looked up: %s",
			what, strerror(r));
	return false;
}

/* The supplementary groups of the user; of no user, the group alone. */
static void
load_groups(struct loader *l, struct handler_account *a, const char *user)
{
	int count = user ? 64 : 1, had = 0;

	while (count > had && count <= GROUPS_MAX) {
		gid_t *groups = reallocarray(a->groups, (size_t)count, sizeof *groups);

		if (!groups) {
			l->failed = true;
			return;
		}
		a->groups = groups;
		had = count;
		*groups = a->gid;
		if (!user || getgrouplist(user, a->gid, groups, &count) >= 0)
			break; /* else it has set how many there are */
	}
	a->group_count = (size_t)count;
}

static void
load_variables(struct loader *l, struct handler_account *a, const struct passwd *user)
{
	const struct {
		const char *name, *value;
	} variables[USER_VARIABLES - 1] = {{"HOME", user->pw_dir},
		{"USER", user->pw_name}, {"LOGNAME", user->pw_name},
		{"SHELL", *user->pw_shell ? user->pw_shell : "/bin/sh"}};

	a->environment = calloc(USER_VARIABLES, sizeof *a->environment);
	for (size_t i = 0; a->environment && i < ARRAY_LEN(variables); i++)
		if (asprintf(&a->environment[i], "%s=%s", variables[i].name,
			    variables[i].value) < 0) {
			a->environment[i] = NULL;
			l->failed = true;
			return;
		}
	l->failed |= !a->environment;
}

static void
check_rights(
	struct loader *l, const struct handler_account *a, const struct yaml_tree *node)
{
	char got[FAULTS_GOT_BYTES];

	if (a->is_other && geteuid() != 0)
		faults_at(&l->faults, node,
			"expected the daemon's own, or a daemon that is started as "
			"root, got %s",
			faults_got(node, got));
}

void
account_resolve(struct loader *l, const struct yaml_tree *section)
{
	struct handler_account *a = &l->handler->account;
	const struct yaml_tree *user_node = yaml_tree_find(section, "user");
	const struct yaml_tree *group_node = yaml_tree_find(section, "group");
	cleanup(entry_fini) struct entry user = {0}, group = {0};

	if (a->user && !find(l, user_node, a->user, false, &user))
		return;
	if (a->group && !find(l, group_node, a->group, true, &group))
		return;
	if (!a->user && !a->group)
		return;
	a->uid = a->user ? user.user.pw_uid : geteuid();
	a->gid = a->group ? group.group.gr_gid : user.user.pw_gid;
	a->is_other = a->uid != geteuid() || a->gid != getegid();
	load_groups(l, a, a->user ? user.user.pw_name : NULL);
	if (a->user)
		load_variables(l, a, &user.user);
	check_rights(l, a, a->user && a->uid != geteuid() ? user_node : group_node);
}

void
account_fini(struct handler_account *a)
{
	free(a->user);
	free(a->group);
	free(a->groups);
	config_free_strings(a->environment);
}
