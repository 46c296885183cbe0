/*
 * main.c - stint-host: the process that a plugin with `isolation: process` runs in
 *
 *	stint-host PLUGIN            serve jobs, as a worker process does
 *	stint-host --check PLUGIN    load it, say what is wrong with it, and exit
 *
 * stintd starts it; on its own it is of use only with --check.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "daemon/handler/plugin_load.h"
#include "daemon/host/serve.h"

enum {
	/* Loading runs code of the plugin, which must not keep a daemon from starting. */
	CHECK_S = 10,
};

/* What the plugin starts must not hold our ends of the pipes. */
static int
keep_from_children(int fd)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* A file of this folder, not a library that dlopen(3) goes looking for. */
static void
as_path(const char *name, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s%s", strchr(name, '/') ? "" : "./", name);
}

int
main(int argc, char **argv)
{
	const bool is_check = argc == 3 && strcmp(argv[1], "--check") == 0;
	struct stint_err err = {0};
	stint_plugin_fn run;
	char path[PATH_MAX];

	if (!is_check && (argc != 2 || argv[1][0] == '-')) {
		fputs("usage: stint-host [--check] PLUGIN\n", stderr);
		return HOST_USAGE;
	}
	if (is_check)
		alarm(CHECK_S);
	else if (keep_from_children(3) < 0 || keep_from_children(4) < 0) {
		fputs("stint-host: descriptors 3 and 4 are not there: stintd starts it\n",
			stderr);
		return HOST_USAGE;
	}
	/* a pipe: else what it prints would come when a block of it is full */
	setvbuf(stdout, NULL, _IOLBF, 0);
	as_path(argv[argc - 1], path);
	if (plugin_load(path, &run, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return HOST_FAULTY;
	}
	if (is_check || serve(run, &err) == 0)
		return 0;
	fprintf(stderr, "stint-host: %s\n", err.msg);
	return HOST_LOST;
}
