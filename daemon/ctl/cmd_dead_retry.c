/*
 * cmd_dead_retry.c - stintctl dead retry, stintctl dead drop
 */
#include <limits.h>
#include "daemon/ctl/dead.h"

static int
run_retry(const struct ctl_opts *o, char **args, int count)
{
	return dead_act(o, args, count, true);
}

static int
run_drop(const struct ctl_opts *o, char **args, int count)
{
	return dead_act(o, args, count, false);
}

#define HELP_OPTIONS                                                                     \
	"ID is the letter's id, or the job's: then of its newest letter. Exit 3 if\n"    \
	"there is none; the others are dealt with all the same.\n"                       \
	"\n"                                                                             \
	"  -q, --queue QUEUE  of which queue; default if left out\n"                     \
	"  --all              all that are there now\n"

static const char help_retry[] =
	"Usage: stintctl dead retry [OPTION]... ID... | --all\n"
	"\n"
	"Submit the jobs of dead letters again, and print their ids, which they keep:\n"
	"for \"stintctl wait\". Their results go, the letters too; so do delay, at and\n"
	"deadline.\n" HELP_OPTIONS;

static const char help_drop[] = "Usage: stintctl dead drop [OPTION]... ID... | --all\n"
				"\n"
				"Delete dead letters, and print the ids of their jobs. "
				"Results stay.\n" HELP_OPTIONS;

const struct ctl_command cmd_dead_retry = {
	.name = "dead retry",
	.takes = "qa",
	.min_args = 0,
	.max_args = INT_MAX,
	.help = help_retry,
	.run = run_retry,
};

const struct ctl_command cmd_dead_drop = {
	.name = "dead drop",
	.takes = "qa",
	.min_args = 0,
	.max_args = INT_MAX,
	.help = help_drop,
	.run = run_drop,
};
