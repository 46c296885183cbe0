/*
 * kind.c - what a handler is: a command, a worker or a plugin; and where a plugin lies
 *
 * A plugin in a process is a worker whose program is stint-host. It and the folder of
 * plugins are found from where this program lies: beside it in a build, below the same
 * prefix once it is installed.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/config/load.h"
#include "lib/base/cleanup.h"

#define HOST "stint-host"

/* ---- where things lie ---- */

/* What a path lies in. */
static void
cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

/* Return: is it a build? @dir: where this program lies then, else the prefix. */
static bool
find_home(char dir[PATH_MAX])
{
	char host[PATH_MAX + sizeof HOST + 1];
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);

	dir[n < 0 ? 0 : n] = '\0';
	cut_last(dir);
	snprintf(host, sizeof host, "%s/" HOST, dir);
	if (access(host, F_OK) == 0)
		return true;
	cut_last(dir);
	return false;
}

/* Where a name without a slash is looked up; to be freed. */
static char *
plugin_folder(void)
{
	char dir[PATH_MAX], *path;
	bool is_build = find_home(dir);

	return asprintf(&path, is_build ? "%s/plugins" : "%s/lib/stint/plugins", dir) < 0
		       ? NULL
		       : path;
}

static char *
host_path(void)
{
	char dir[PATH_MAX], *path;
	bool is_build = find_home(dir);

	return asprintf(&path, is_build ? "%s/" HOST : "%s/libexec/stint/" HOST, dir) < 0
		       ? NULL
		       : path;
}

/* ---- the key `plugin` ---- */

/* Which file it is now: another one in its place is another plugin. 0 or -errno. */
static int
look_at_file(const char *path, struct plugin_stamp *ret)
{
	cleanup(fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char magic[SELFMAG];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || read(fd, magic, SELFMAG) != SELFMAG ||
		memcmp(magic, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	*ret = (struct plugin_stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
	return 0;
}

/* @folder: where the name was looked up; NULL: it is a path. */
static void
report_file(struct loader *l, const struct yaml_tree *node, const char *folder, int r)
{
	char got[FAULTS_GOT_BYTES];

	faults_at(&l->faults, node, "expected a plugin (a shared object)%s%s, got %s: %s",
		folder ? " in " : "", folder ? folder : "", faults_got(node, got),
		r == -ENOEXEC ? "not a shared object" : strerror(-r));
}

void
value_load_plugin(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	char **field = value_field(l, row);
	cleanup(freep) char *text = value_text(l, node, "a path"), *folder = NULL;
	char *path;
	int r;

	if (!text)
		return;
	if (!strchr(text, '/'))
		folder = plugin_folder();
	if (asprintf(&path, "%s%s%s", folder ? folder : "", folder ? "/" : "", text) <
		0) {
		l->failed = true;
		return;
	}
	free(*field);
	*field = path;
	l->handler->plugin_line = node->line;
	l->handler->plugin_column = node->column;
	r = look_at_file(path, &l->handler->plugin_stamp);
	if (path[0] != '/')
		faults_at(&l->faults, node,
			"expected an absolute path or a name without a slash, got "
			"another path");
	else if (r < 0)
		report_file(l, node, folder, r);
}

/* ---- what a handler is ---- */

/* A process that runs the plugin. */
static void
host_plugin(struct loader *l, const struct yaml_tree *node)
{
	struct handler_conf *h = l->handler;
	char **argv = calloc(3, sizeof *argv);

	if (!argv) {
		l->failed = true;
		return;
	}
	config_free_strings(h->argv);
	h->argv = argv;
	argv[0] = host_path();
	argv[1] = h->plugin ? strdup(h->plugin) : NULL;
	l->failed |= !argv[0] || (h->plugin && !argv[1]);
	if (argv[0] && access(argv[0], X_OK) < 0)
		faults_at(&l->faults, node,
			"expected %s, which runs plugins, to be there: %s; install it, "
			"or "
			"set `isolation: thread`",
			argv[0], strerror(errno));
}

/* NULL: it may stand there. */
static const char *
why_misplaced(const struct handler_conf *h, const struct schema_key *row)
{
	if (row->flags & KEY_OF_PLUGIN && !h->plugin)
		return "expected only for a handler with \"plugin\"";
	if (row->flags & KEY_OF_PROCESS && h->isolation == ISOLATION_THREAD && h->plugin)
		return "expected only for a handler with processes, not with "
		       "\"isolation: thread\"";
	if (row->flags & KEY_OF_WORKER && !h->is_worker)
		return "expected only for a handler with \"worker\" or \"plugin\"";
	return NULL;
}

void
kind_check(struct loader *l, const struct yaml_tree *section)
{
	static const char *const kinds[] = {"command", "worker", "plugin"};
	struct handler_conf *h = l->handler;
	const struct yaml_tree *found = NULL;
	const char *kind = NULL;

	if (section->kind != TREE_MAP && section->kind != TREE_NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct yaml_tree *node = yaml_tree_find(section, kinds[i]);

		if (node && found)
			faults_at(&l->faults, node,
				"expected only one of \"%s\" and \"%s\", got both", kind,
				kinds[i]);
		if (node) {
			found = node;
			kind = kinds[i];
		}
	}
	if (!found)
		faults_at(&l->faults, section,
			"expected the key \"command\", \"worker\" or \"plugin\", got "
			"none");
	h->is_worker = yaml_tree_find(section, "worker") ||
		       (h->plugin && h->isolation == ISOLATION_PROCESS);
	if (found && h->plugin && h->isolation == ISOLATION_PROCESS)
		host_plugin(l, found);
	for (const struct yaml_tree *n = section->first; found && n; n = n->next) {
		const struct schema_key *row = schema_find("handlers.*", n->key);
		const char *why = row ? why_misplaced(h, row) : NULL;

		if (why)
			faults_at(&l->faults, n, "%s", why);
	}
}
