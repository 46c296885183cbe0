/*
 * where.c - see where.h
 */
#include "daemon/ctl/where.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/config/config.h"
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"

#define DAEMON_CONFIG  "/etc/stint/stint.yaml"
#define DEFAULT_URL    "redis://localhost:6379/0"
#define DEFAULT_PREFIX "stint"

/* To connect, and for each answer: long enough for a large payload to be written, or
 * for a Redis that is busy, and short enough for people who wait. */
enum { REDIS_TIMEOUT_MS = 10000 };

/* Set and not empty: "STINT_REDIS= stintctl ..." is how shells take a setting away. */
static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

const char *
where_config(const struct ctl_opts *o)
{
	if (o->config)
		return o->config;
	if (o->prefix && (o->redis || environment("STINT_REDIS")))
		return NULL;
	if (environment("STINT_CONFIG"))
		return environment("STINT_CONFIG");
	return access(DAEMON_CONFIG, F_OK) == 0 ? DAEMON_CONFIG : NULL;
}

/* One line per fault, each as the daemon would say it. */
static void
say_faults(struct buf *faults)
{
	char *rest = faults->data, *line;

	while ((line = strsep(&rest, "\n"))) {
		if (*line)
			ctl_say(EX_CONFIG, "%s", line);
	}
}

static int
read_config(const struct ctl_opts *o, struct config_redis *conf)
{
	cleanup(buf_fini) struct buf faults = {0};
	const char *path = where_config(o);

	if (!path || config_load_redis(path, conf, &faults) == 0)
		return 0;
	if (*buf_cstr(&faults) == '\0')
		return ctl_say(EX_OSERR, "out of memory");
	say_faults(&faults);
	return ctl_say(EX_CONFIG,
		"%s cannot be used; do without by telling both --redis and --prefix",
		path);
}

/* Put a URL that was told in place of the file's. The text is not repeated in
 * messages: it may hold a password. */
static int
take_url(struct config_redis *conf, const char *text, const char *source, int code)
{
	struct redis_url url;
	struct stint_err err = {0};

	if (redis_url_parse(text, &url, &err) < 0)
		return ctl_say(code, "%s: %s", source, err.msg);
	redis_url_fini(&conf->url);
	conf->url = url;
	return 0;
}

static int
find_redis(const struct ctl_opts *o, struct config_redis *conf)
{
	const char *env = environment("STINT_REDIS");
	int code;

	if (o->prefix && !keys_is_queue_name(o->prefix, strlen(o->prefix)))
		return ctl_say(EX_USAGE,
			"--prefix: expected 1 to %d of A-Za-z0-9_.-, got \"%s\"",
			PREFIX_MAX, o->prefix);
	code = read_config(o, conf);
	if (code != 0)
		return code;
	if (o->redis)
		return take_url(conf, o->redis, "--redis", EX_USAGE);
	if (env)
		return take_url(conf, env, "STINT_REDIS", EX_CONFIG);
	if (!where_config(o))
		return take_url(conf, DEFAULT_URL, "default", EX_CONFIG);
	return 0;
}

int
where_connect(const struct ctl_opts *o, struct client **ret)
{
	cleanup(config_redis_fini) struct config_redis conf = {0};
	struct stint_err err = {0};
	struct client_opts opts = {
		.url = &conf.url, .name = "stintctl", .timeout_ms = REDIS_TIMEOUT_MS};
	const int code = find_redis(o, &conf);

	if (code != 0)
		return code;
	opts.prefix = o->prefix ? o->prefix : conf.prefix ? conf.prefix : DEFAULT_PREFIX;
	return client_open(&opts, ret, &err) < 0 ? ctl_fail(&err) : 0;
}
