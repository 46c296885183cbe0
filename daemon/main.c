/*
 * main.c - stintd: arguments, configuration, and the daemon
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "daemon/ask.h"
#include "daemon/daemon.h"
#include "daemon/dev.h"
#include "daemon/handler/plugins.h"
#include "lib/base/cleanup.h"
#include "lib/wire/url.h"

#define DEFAULT_CONFIG "/etc/stint/stint.yaml"

static const char usage[] =
	"usage: stintd [--config FILE] [--check | --dev]\n"
	"       stintd --reload PID\n"
	"\n"
	"Reads jobs from Redis Streams, runs them in a pool of workers and writes their\n"
	"results back. Stays in the foreground; SIGTERM stops it gracefully.\n"
	"\n"
	"  -c, --config FILE  the configuration (default " DEFAULT_CONFIG ")\n"
	"      --check        check the configuration, say what is wrong with it, and "
	"exit\n"
	"      --reload PID   have a daemon read its configuration again, and wait\n"
	"      --dev          try it out: with a private redis-server, and, without\n"
	"                     --config, a few handlers that are built in\n"
	"  -h, --help         this text\n"
	"  -V, --version      the version\n"
	"\n"
	"exit status: 0 done, 64 wrong usage, 69 Redis not reachable, 70 internal "
	"failure,\n"
	"78 faulty configuration\n";

struct args {
	const char *config;
	pid_t reload; /* 0: no */
	bool is_check;
	bool is_dev;
	int exit_code; /* -1: go on */
};

/* 0: it is none. */
static pid_t
parse_pid(const char *text)
{
	char *end;
	long pid;

	if (*text < '1' || *text > '9')
		return 0;
	errno = 0;
	pid = strtol(text, &end, 10);
	return errno == 0 && !*end && pid <= INT_MAX ? (pid_t)pid : 0;
}

static void
parse_args(int argc, char **argv, struct args *args)
{
	enum { OPT_CHECK = 256, OPT_RELOAD, OPT_DEV };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, OPT_CHECK},
		{"reload", required_argument, NULL, OPT_RELOAD},
		{"dev", no_argument, NULL, OPT_DEV},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int c;

	*args = (struct args){.exit_code = -1};
	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1)
		switch (c) {
		case 'c':
			args->config = optarg;
			break;
		case OPT_CHECK:
			args->is_check = true;
			break;
		case OPT_RELOAD:
			args->reload = parse_pid(optarg);
			if (args->reload > 0)
				break;
			fprintf(stderr,
				"stintd: --reload: expected a process id, got \"%s\", "
				"see "
				"stintd --help\n",
				optarg);
			args->exit_code = EXIT_USAGE;
			return;
		case OPT_DEV:
			args->is_dev = true;
			break;
		case 'h':
			fputs(usage, stdout);
			args->exit_code = 0;
			return;
		case 'V':
			puts("stintd " STINT_VERSION);
			args->exit_code = 0;
			return;
		default:
			fputs("stintd: see stintd --help\n", stderr);
			args->exit_code = EXIT_USAGE;
			return;
		}
	if (optind < argc) {
		fprintf(stderr, "stintd: unexpected argument \"%s\", see stintd --help\n",
			argv[optind]);
		args->exit_code = EXIT_USAGE;
	}
}

static int
load(const struct daemon_opts *opts, struct config **ret)
{
	cleanup(buf_fini) struct buf faults = {0};
	const int r = daemon_load(opts, ret, &faults);

	if (r == 0)
		return 0;
	if (faults.len > 0)
		fputs(buf_cstr(&faults), stderr);
	else
		fprintf(stderr, "stintd: %s: %s\n", opts->config_path, strerror(-r));
	return EXIT_CONFIG;
}

static int
tell(int r, struct buf *faults)
{
	if (r == -ENOMEM)
		fputs("stintd: no memory to load plugins\n", stderr);
	else if (r < 0)
		fputs(buf_cstr(faults), stderr);
	return r < 0 ? EXIT_CONFIG : 0;
}

static int
check_plugins(const struct config *config, bool with_threads)
{
	cleanup(buf_fini) struct buf faults = {0};

	return tell(plugins_check(config, with_threads, &faults), &faults);
}

static int
load_plugins(struct config *config)
{
	cleanup(buf_fini) struct buf faults = {0};

	return tell(plugins_load(config, &faults), &faults);
}

/* Each running command needs a handful of descriptors. */
static void
raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int
run(struct daemon_opts *opts, struct config *config, bool *ret_is_stuck)
{
	struct stint_err err = {0};
	int code;

	code = check_plugins(config, false);
	if (code != 0)
		return code;
	cgroup_take(&opts->cgroup);
	if (zygote_start(&opts->cgroup, &opts->zygote, &err) < 0) {
		fprintf(stderr, "stintd: %s\n", err.msg);
		return EXIT_SOFTWARE;
	}
	raise_file_limit();
	/* behind the fork of the zygote: they may start threads */
	code = load_plugins(config);
	if (code == 0)
		code = daemon_run(opts, config, ret_is_stuck);
	zygote_stop(opts->zygote);
	cgroup_close(&opts->cgroup);
	return code;
}

int
main(int argc, char **argv)
{
	struct daemon_opts opts = {0};
	struct config *config = NULL;
	struct stint_err err = {0};
	struct dev *dev = NULL;
	struct args args;
	bool is_stuck = false;
	sigset_t signals;
	int code;

	/* No option takes a URL; one that comes all the same is not repeated. */
	for (int i = 1; i < argc; i++)
		redis_url_mask(argv[i]);
	parse_args(argc, argv, &args);
	if (args.exit_code >= 0)
		return args.exit_code;
	if (args.reload > 0)
		return ask_reload(args.reload);
	daemon_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	opts.config_path = args.config   ? args.config
			   : args.is_dev ? NULL
					 : DEFAULT_CONFIG;
	opts.config_text = opts.config_path ? NULL : dev_config;
	code = load(&opts, &config);
	if (code == 0 && args.is_check)
		code = check_plugins(config, true);
	if (code == 0 && args.is_check) {
		printf("%s: no faults\n",
			opts.config_path ? opts.config_path : "built in");
	} else if (code == 0 && args.is_dev && dev_start(&dev, &err) < 0) {
		fprintf(stderr, "stintd: --dev: %s\n", err.msg);
		code = EXIT_UNAVAILABLE;
	} else if (code == 0) {
		opts.redis_url = dev ? dev_redis_url(dev) : NULL;
		config_unref(config);
		config = NULL;
		code = load(&opts, &config);
		code = code == 0 ? run(&opts, config, &is_stuck) : code;
	}
	dev_stop(dev);
	if (is_stuck)
		_exit(code);
	config_unref(config);
	return code;
}
