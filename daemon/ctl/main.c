/*
 * stintctl - submit jobs to stintd and look after them
 *
 * One pass over the arguments takes the options of all commands, so that they may
 * stand anywhere; what is left is the command and its arguments. Only then is it
 * known which options belong to the command, and the others are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"
#include "lib/wire/keys.h"
#include "lib/wire/url.h"

/* "dead" alone comes after those that begin with it. */
static const struct ctl_command *const commands[] = {&cmd_submit, &cmd_result, &cmd_wait,
	&cmd_cancel, &cmd_queues, &cmd_pause, &cmd_resume, &cmd_dead_list, &cmd_dead_show,
	&cmd_dead_retry, &cmd_dead_drop, &cmd_dead};

/* The code of an option is also its short form where SHORT_OPTIONS has it. */
#define SHORT_OPTIONS  ":q:x:hV"
#define COMMON_OPTIONS "RCPjhV"

static const struct option options[] = {
	{"redis", required_argument, NULL, 'R'},
	{"config", required_argument, NULL, 'C'},
	{"prefix", required_argument, NULL, 'P'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"queue", required_argument, NULL, 'q'},
	{"id", required_argument, NULL, 'i'},
	{"all", no_argument, NULL, 'a'},
	{"limit", required_argument, NULL, 'l'},
	{"delay", required_argument, NULL, 'D'},
	{"at", required_argument, NULL, 'A'},
	{"timeout", required_argument, NULL, 't'},
	{"deadline", required_argument, NULL, 'd'},
	{"retries", required_argument, NULL, 'n'},
	{"reply-to", required_argument, NULL, 'r'},
	{"traceparent", required_argument, NULL, 'p'},
	{"x", required_argument, NULL, 'x'},
	{"wait", no_argument, NULL, 'w'},
	{"wait-timeout", required_argument, NULL, 'W'},
	{0},
};

/* Options whose text is only noted, and where. */
static const struct {
	int code;
	size_t offset;
} texts[] = {
	{'C', offsetof(struct ctl_opts, config)},
	{'P', offsetof(struct ctl_opts, prefix)},
	{'l', offsetof(struct ctl_opts, limit)},
	{'i', offsetof(struct ctl_opts, id)},
	{'D', offsetof(struct ctl_opts, delay)},
	{'A', offsetof(struct ctl_opts, at)},
	{'t', offsetof(struct ctl_opts, timeout)},
	{'d', offsetof(struct ctl_opts, deadline)},
	{'n', offsetof(struct ctl_opts, retries)},
	{'r', offsetof(struct ctl_opts, reply_to)},
	{'p', offsetof(struct ctl_opts, traceparent)},
	{'W', offsetof(struct ctl_opts, wait_timeout)},
};

static const char help_main[] =
	"Usage: stintctl COMMAND [OPTION]... [ARGUMENT]...\n"
	"\n"
	"  submit HANDLER [PAYLOAD | -]  add a job, perhaps wait for its result\n"
	"  result ID                     print the result of a job\n"
	"  wait ID                       wait for the result of a job, print it\n"
	"  cancel ID                     cancel a job, wherever it is\n"
	"  queues                        list the queues and what is in them\n"
	"  pause, resume                 stop fetching jobs from queues, or go on\n"
	"  dead list                     list dead letters: jobs that failed for good\n"
	"  dead show ID                  print all fields of a dead letter\n"
	"  dead retry ID... | --all      submit dead letters again\n"
	"  dead drop ID... | --all       delete dead letters\n"
	"\n"
	"stintctl COMMAND --help tells more about each.\n";

static const char help_common[] =
	"\n"
	"Options of all commands; they may stand anywhere, \"--\" ends them:\n"
	"  --redis URL    redis://[user][:password@]host[:port][/db], or\n"
	"                 unix:///path[?db=0]; if left out, STINT_REDIS, the\n"
	"                 configuration file, or redis://localhost:6379/0\n"
	"  --config FILE  the daemon's configuration; if left out, STINT_CONFIG, or\n"
	"                 /etc/stint/stint.yaml where there is one\n"
	"  --prefix NAME  of all keys; if left out, the configuration's, or stint\n"
	"  --json         print one JSON document\n"
	"  -h, --help     print this\n"
	"  -V, --version  print the version\n"
	"\n"
	"Exit codes: 0 done, 1 the job failed, 3 there is none (result, job to cancel,\n"
	"dead letter), 64 usage, 69 Redis cannot be reached or refused, 71 out of\n"
	"memory, 74 input or output failed, 75 time-out, 78 configuration.\n";

int
ctl_say(int code, const char *fmt, ...)
{
	cleanup(freep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	/* an argument that is quoted may be a URL at the wrong place */
	if (text)
		redis_url_mask(text);
	fprintf(stderr, "stintctl: %s\n", text ? text : "out of memory");
	return code;
}

/* What an error of the client means for the process, and what people can do. */
static const struct {
	int error;
	int exit_code;
	const char *advice;
} failures[] = {
	{-ENOTCONN, EX_UNAVAILABLE, "; start it, or say where it is with --redis URL"},
	{-EACCES, EX_UNAVAILABLE, "; check user, password and what the user may do"},
	{-ENOENT, EXIT_NONE, ": unknown, queued, delayed or running, or it has expired"},
	{-ETIMEDOUT, EX_TEMPFAIL, "; \"stintctl wait\" waits on"},
	{-EINVAL, EX_USAGE, ""},
	{-ENOMEM, EX_OSERR, ""},
};

int
ctl_fail(const struct stint_err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		if (failures[i].error == err->code)
			return ctl_say(failures[i].exit_code, "%s%s", err->msg,
				failures[i].advice);
	}
	return ctl_say(EX_UNAVAILABLE, "%s", err->msg);
}

int
ctl_span(const char *option, const char *span, int64_t *ret_ms)
{
	*ret_ms = STINT_NEVER;
	if (span && units_parse_span(span, strlen(span), ret_ms) < 0)
		return ctl_say(EX_USAGE,
			"%s: expected a time span such as \"30s\", got \"%s\"", option,
			span);
	return 0;
}

int
ctl_check_id(const char *id)
{
	if (keys_is_job_id(id, strlen(id)))
		return 0;
	return ctl_say(EX_USAGE, "ID: expected 1 to %d of A-Za-z0-9_.:-, got \"%s\"",
		JOB_ID_MAX, id);
}

/* NAME=VALUE */
static int
take_x_field(struct ctl_opts *o, const char *text)
{
	const char *equals = strchrnul(text, '=');
	const struct bytes name = {text, (size_t)(equals - text)};

	if (*equals != '=' || !keys_is_queue_name(name.p, name.n))
		return ctl_say(EX_USAGE,
			"-x: expected NAME=VALUE, NAME of A-Za-z0-9_.-, got \"%s\"",
			text);
	if (o->x_count == JOB_X_FIELDS_MAX)
		return ctl_say(
			EX_USAGE, "-x: expected at most %d of them", JOB_X_FIELDS_MAX);
	o->x[o->x_count++] = (struct job_x_field){name, {equals + 1, strlen(equals + 1)}};
	return 0;
}

static int
take_queue(struct ctl_opts *o, const char *name)
{
	if (!keys_is_queue_name(name, strlen(name)))
		return ctl_say(EX_USAGE,
			"--queue: expected 1 to %d of A-Za-z0-9_.-, got \"%s\"",
			QUEUE_NAME_MAX, name);
	if (o->queue_count == CTL_QUEUES_MAX)
		return ctl_say(
			EX_USAGE, "--queue: expected at most %d of them", CTL_QUEUES_MAX);
	o->queues[o->queue_count++] = o->queue = name;
	return 0;
}

static void
ctl_opts_fini(struct ctl_opts *o)
{
	if (o->redis)
		explicit_bzero(o->redis, strlen(o->redis));
	free(o->redis);
}

/* Others see the arguments of a process. They might have seen this one before now. */
static int
take_redis(struct ctl_opts *o, char *url)
{
	ctl_opts_fini(o);
	o->redis = strdup(url);
	redis_url_mask(url);
	return o->redis ? 0 : ctl_say(EX_OSERR, "out of memory");
}

/* What one option says; --help and --version only count as seen. */
static int
take_option(struct ctl_opts *o, int code, char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].code == code)
			*(const char **)((char *)o + texts[i].offset) = value;
	}
	switch (code) {
	case 'R':
		return take_redis(o, value);
	case 'j':
		o->is_json = true;
		return 0;
	case 'q':
		return take_queue(o, value);
	case 'a':
		o->is_all = true;
		return 0;
	case 'x':
		return take_x_field(o, value);
	case 'w':
		o->is_waiting = true;
		return 0;
	default:
		return 0;
	}
}

/* What getopt stumbled over: a short option, which may stand amid others, or a long
 * one, which is unknown, not unique, or has a value that it does not take. */
static int
say_unknown(const char *arg)
{
	if (optopt != 0 && strncmp(arg, "--", 2) != 0)
		return ctl_say(
			EX_USAGE, "-%c: no such option; see stintctl --help", optopt);
	return ctl_say(EX_USAGE,
		"%s: no such option, or it takes no value; see stintctl --help", arg);
}

/* @seen: a flag per option code */
static int
take_options(struct ctl_opts *o, int argc, char **argv, bool seen[256])
{
	int code, r = 0;

	opterr = 0;
	while (r == 0 &&
		(code = getopt_long(argc, argv, SHORT_OPTIONS, options, NULL)) >= 0) {
		if (code == ':')
			return ctl_say(EX_USAGE, "%s needs a value; see stintctl --help",
				argv[optind - 1]);
		if (code == '?')
			return say_unknown(argv[optind - 1]);
		seen[code] = true;
		r = take_option(o, code, optarg);
	}
	return r;
}

/* The command that @args begin with, and how many of them name it; NULL: none. */
static const struct ctl_command *
find_command(char **args, int count, int *ret_words)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *name = commands[i]->name;
		const size_t n = strcspn(name, " ");
		const char *second = name[n] ? name + n + 1 : NULL;

		if (strlen(args[0]) != n || strncmp(name, args[0], n) != 0)
			continue;
		if (second && (count < 2 || strcmp(second, args[1]) != 0))
			continue;
		*ret_words = second ? 2 : 1;
		return commands[i];
	}
	return NULL;
}

/* Options and arguments must be ones that @cmd takes. */
static int
check_usage(const struct ctl_command *cmd, const bool seen[256], int count)
{
	for (const struct option *opt = options; opt->name; opt++) {
		if (seen[opt->val] && !strchr(COMMON_OPTIONS, opt->val) &&
			!strchr(cmd->takes, opt->val))
			return ctl_say(EX_USAGE,
				"%s has no option --%s; see stintctl %s --help",
				cmd->name, opt->name, cmd->name);
	}
	if (count < cmd->min_args)
		return ctl_say(EX_USAGE,
			"%s: an argument is missing; see stintctl %s --help", cmd->name,
			cmd->name);
	if (count > cmd->max_args)
		return ctl_say(EX_USAGE, "%s: too many arguments; see stintctl %s --help",
			cmd->name, cmd->name);
	return 0;
}

static int
run(int argc, char **argv)
{
	cleanup(ctl_opts_fini) struct ctl_opts o = {.queue = "default"};
	const struct ctl_command *cmd = NULL;
	bool seen[256] = {false};
	int code, words = 0;

	code = take_options(&o, argc, argv, seen);
	if (code != 0)
		return code;
	if (seen['V']) {
		puts("stintctl " STINT_VERSION);
		return EXIT_OK;
	}
	if (optind < argc) {
		cmd = find_command(argv + optind, argc - optind, &words);
		if (!cmd)
			return ctl_say(EX_USAGE,
				"unknown command \"%s\"; see stintctl --help",
				argv[optind]);
	}
	if (seen['h']) {
		printf("%s%s", cmd ? cmd->help : help_main, help_common);
		return EXIT_OK;
	}
	if (!cmd)
		return ctl_say(EX_USAGE, "a command is missing; see stintctl --help");
	argv += optind + words;
	argc -= optind + words;
	code = check_usage(cmd, seen, argc);
	return code != 0 ? code : cmd->run(&o, argv, argc);
}

/* A standard stream that came closed would give its number to the connection, and
 * Redis would be sent what is printed. With O_PATH, its use fails as if it were
 * still closed. */
static void
hold_standard_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_CLOEXEC | O_PATH);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	hold_standard_streams();
	signal(SIGPIPE, SIG_IGN); /* a reader that has gone is a write error */
	return out_finish(run(argc, argv));
}
