/*
 * schema.c - the table of all configuration keys
 *
 * Defaults and ranges are written as a user would write them: the default is read
 * by the very code that reads the file, and a fault can show the range as it
 * stands here.
 */
#include <stdbool.h>
#include <string.h>
#include "daemon/config/config.h"
#include "daemon/config/schema.h"
#include "lib/base/cleanup.h"

#define IN_CONFIG(field)  .offset = offsetof(struct config, field)
#define IN_HANDLER(field) .offset = offsetof(struct handler_conf, field)

/* Keys that `defaults` or `results` have, and each handler, too. */
#define TIMEOUT    KEY_SPAN, IN_HANDLER(timeout_ms), .min = "1ms", .max = "30d"
#define KILL_GRACE KEY_SPAN, IN_HANDLER(kill_grace_ms), .min = "0s", .max = "1h"
#define OUTPUT_LIMIT                                                                     \
	KEY_SIZE, IN_HANDLER(output_limit_bytes), .min = "1KiB", .max = "64MiB"
#define PAYLOAD_LIMIT                                                                    \
	KEY_SIZE, IN_HANDLER(payload_limit_bytes), .min = "1B", .max = "512MiB"
#define RETRIES     KEY_COUNT, IN_HANDLER(retries), .min = "0", .max = "1000"
#define MAX_RETRIES KEY_COUNT, IN_HANDLER(max_retries), .min = "0", .max = "1000"
#define BACKOFF     KEY_SPAN, IN_HANDLER(backoff_ms), .min = "1ms", .max = "1d"
#define BACKOFF_MAX KEY_SPAN, IN_HANDLER(backoff_max_ms), .min = "1ms", .max = "30d"
#define LIMIT_MEMORY                                                                     \
	KEY_SIZE, IN_HANDLER(limits.memory_bytes), .min = "1MiB", .max = "65536GiB",     \
						   .words = "none"
#define LIMIT_CPU                                                                        \
	KEY_SPAN, IN_HANDLER(limits.cpu_ms), .min = "1s", .max = "365d", .words = "none"
#define LIMIT_FILES                                                                      \
	KEY_COUNT, IN_HANDLER(limits.files), .min = "8", .max = "1048576", .words = "none"
#define LIMIT_PROCESSES                                                                  \
	KEY_COUNT, IN_HANDLER(limits.processes), .min = "1", .max = "1048576",           \
						 .words = "none"
#define RESULT_TTL   KEY_SPAN, IN_HANDLER(result_ttl_ms), .min = "1s", .max = "365d"
#define RESULT_STORE KEY_CHOICE, IN_HANDLER(store), .words = "all|failures|none"

/* clang-format off */
const struct schema_key schema_keys[] = {
	{"redis", KEY_SECTION, .flags = KEY_FOR_CLIENTS,
		.help = "where Redis is"},
	{"redis.url", KEY_URL, IN_CONFIG(redis), .preset = "redis://localhost:6379/0",
		.flags = KEY_NEEDS_RESTART | KEY_FOR_CLIENTS,
		.help = "redis://[user][:password]@host[:port][/db], unix:///path[?db=0]"},
	{"redis.password_file", KEY_PASSWORD_FILE, IN_CONFIG(password_file),
		.flags = KEY_NEEDS_RESTART | KEY_FOR_CLIENTS,
		.help = "file whose content is the password, in place of one in the url"},
	{"prefix", KEY_NAME, IN_CONFIG(prefix), .preset = "stint",
		.flags = KEY_NEEDS_RESTART | KEY_FOR_CLIENTS,
		.help = "what all keys in Redis begin with"},
	{"concurrency", KEY_COUNT, IN_CONFIG(concurrency), .preset = "16",
		.min = "1", .max = "4096", .words = "auto",
		.help = "how many jobs run at once; auto: one per processor"},
	{"queues", KEY_QUEUES, IN_CONFIG(queues), .preset = "[default]",
		.min = "1", .max = "1000",
		.help = "a list: strict priority, first is highest; a map: name: weight"},

	{"defaults", KEY_SECTION,
		.help = "for each handler that does not say otherwise"},
	{"defaults.timeout", TIMEOUT, .preset = "30s", .flags = KEY_OF_HANDLER,
		.help = "how long one attempt may run"},
	{"defaults.kill_grace", KILL_GRACE, .preset = "5s", .flags = KEY_OF_HANDLER,
		.help = "from being asked to stop until being killed"},
	{"defaults.output_limit", OUTPUT_LIMIT, .preset = "1MiB", .flags = KEY_OF_HANDLER,
		.help = "a job that writes more is killed"},
	{"defaults.payload_limit", PAYLOAD_LIMIT, .preset = "16MiB",
		.flags = KEY_OF_HANDLER,
		.help = "a job that brings more is rejected"},
	{"defaults.retries", RETRIES, .preset = "0", .flags = KEY_OF_HANDLER,
		.help = "how often a failed attempt is tried again"},
	{"defaults.max_retries", MAX_RETRIES, .preset = "25", .flags = KEY_OF_HANDLER,
		.help = "how many retries a job may ask for"},
	{"defaults.backoff", BACKOFF, .preset = "1s", .flags = KEY_OF_HANDLER,
		.help = "wait before the first retry; doubled before each further one"},
	{"defaults.backoff_max", BACKOFF_MAX, .preset = "10min", .flags = KEY_OF_HANDLER,
		.help = "the longest wait before a retry"},
	{"defaults.limits", KEY_SECTION, .flags = KEY_OF_HANDLER,
		.help = "what a program may use of the host"},
	{"defaults.limits.memory", LIMIT_MEMORY, .preset = "none",
		.flags = KEY_OF_HANDLER,
		.help = "each process; under Delegate= all of a job together"},
	{"defaults.limits.cpu", LIMIT_CPU, .preset = "none", .flags = KEY_OF_HANDLER,
		.help = "processor time of each process"},
	{"defaults.limits.files", LIMIT_FILES, .preset = "none", .flags = KEY_OF_HANDLER,
		.help = "descriptors open at once in each process"},
	{"defaults.limits.processes", LIMIT_PROCESSES, .preset = "none",
		.flags = KEY_OF_HANDLER,
		.help = "under Delegate= of the job, else of its user on this host"},

	{"handlers", KEY_HANDLERS,
		.help = "what a job can name as its handler"},
	{"handlers.*.command", KEY_ARGV, IN_HANDLER(argv), .flags = KEY_OF_HANDLER,
		.help = "program and arguments, a list; no shell; started for each job"},
	{"handlers.*.worker", KEY_ARGV, IN_HANDLER(argv), .flags = KEY_OF_HANDLER,
		.help = "in place of command: a process that serves one job after another"},
	{"handlers.*.plugin", KEY_PLUGIN, IN_HANDLER(plugin), .flags = KEY_OF_HANDLER,
		.help = "in place of command: a shared object that serves jobs"},
	{"handlers.*.isolation", KEY_CHOICE, IN_HANDLER(isolation), .preset = "process",
		.words = "process|thread", .flags = KEY_OF_HANDLER | KEY_OF_PLUGIN,
		.help = "where a plugin runs: in a process of its own, or in the daemon"},
	{"handlers.*.ready_timeout", KEY_SPAN, IN_HANDLER(ready_timeout_ms),
		.preset = "30s", .min = "1ms", .max = "1h",
		.flags = KEY_OF_HANDLER | KEY_OF_WORKER | KEY_OF_PROCESS,
		.help = "how long a worker may take until it says READY"},
	{"handlers.*.idle_timeout", KEY_SPAN, IN_HANDLER(idle_timeout_ms),
		.preset = "none", .min = "1ms", .max = "30d", .words = "none",
		.flags = KEY_OF_HANDLER | KEY_OF_WORKER | KEY_OF_PROCESS,
		.help = "a worker that had no job for so long is ended"},
	{"handlers.*.max_jobs", KEY_COUNT, IN_HANDLER(max_jobs), .preset = "none",
		.min = "1", .max = "1000000000", .words = "none",
		.flags = KEY_OF_HANDLER | KEY_OF_WORKER | KEY_OF_PROCESS,
		.help = "a worker is replaced after so many jobs"},
	{"handlers.*.concurrency", KEY_COUNT, IN_HANDLER(concurrency),
		.preset = "none", .min = "1", .max = "4096", .words = "none",
		.flags = KEY_OF_HANDLER,
		.help = "how many of the workers it may have at once"},
	{"handlers.*.timeout", TIMEOUT, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.timeout"},
	{"handlers.*.kill_grace", KILL_GRACE, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.kill_grace"},
	{"handlers.*.output_limit", OUTPUT_LIMIT, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.output_limit"},
	{"handlers.*.payload_limit", PAYLOAD_LIMIT, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.payload_limit"},
	{"handlers.*.retries", RETRIES, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.retries"},
	{"handlers.*.max_retries", MAX_RETRIES, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.max_retries"},
	{"handlers.*.backoff", BACKOFF, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.backoff"},
	{"handlers.*.backoff_max", BACKOFF_MAX, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.backoff_max"},
	{"handlers.*.environment", KEY_ENVIRONMENT, IN_HANDLER(environment),
		.flags = KEY_OF_HANDLER | KEY_OF_PROCESS,
		.help = "variables for the command or worker"},
	{"handlers.*.directory", KEY_FOLDER, IN_HANDLER(directory),
		.flags = KEY_OF_HANDLER | KEY_OF_PROCESS,
		.help = "where the command or worker runs"},
	{"handlers.*.limits", KEY_SECTION, .flags = KEY_OF_HANDLER | KEY_OF_PROCESS,
		.help = "in place of defaults.limits"},
	{"handlers.*.limits.memory", LIMIT_MEMORY, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.limits.memory"},
	{"handlers.*.limits.cpu", LIMIT_CPU, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.limits.cpu"},
	{"handlers.*.limits.files", LIMIT_FILES, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.limits.files"},
	{"handlers.*.limits.processes", LIMIT_PROCESSES, .flags = KEY_OF_HANDLER,
		.help = "in place of defaults.limits.processes"},
	{"handlers.*.user", KEY_ACCOUNT, IN_HANDLER(account.user),
		.flags = KEY_OF_HANDLER | KEY_OF_PROCESS,
		.help = "as whom the program runs; needs a daemon started as root"},
	{"handlers.*.group", KEY_ACCOUNT, IN_HANDLER(account.group),
		.flags = KEY_OF_HANDLER | KEY_OF_PROCESS,
		.help = "in place of the user's own group"},
	{"handlers.*.results", KEY_SECTION, .flags = KEY_OF_HANDLER,
		.help = "in place of results"},
	{"handlers.*.results.ttl", RESULT_TTL, .flags = KEY_OF_HANDLER,
		.help = "in place of results.ttl"},
	{"handlers.*.results.store", RESULT_STORE, .flags = KEY_OF_HANDLER,
		.help = "in place of results.store"},

	{"results", KEY_SECTION,
		.help = "what becomes of results"},
	{"results.ttl", RESULT_TTL, .preset = "1h", .flags = KEY_OF_HANDLER,
		.help = "how long Redis keeps a result"},
	{"results.store", RESULT_STORE, .preset = "all", .flags = KEY_OF_HANDLER,
		.help = "which results are stored"},

	{"dead_letters", KEY_SECTION,
		.help = "how many jobs that failed for good are kept"},
	{"dead_letters.max_count", KEY_COUNT, IN_CONFIG(dead_max_count),
		.preset = "10000", .min = "0", .max = "10000000",
		.help = "in each queue; the oldest go first"},
	{"dead_letters.max_size", KEY_SIZE, IN_CONFIG(dead_max_bytes),
		.preset = "64MiB", .min = "1KiB", .max = "64GiB",
		.help = "likewise, all their fields together"},

	{"lease", KEY_SPAN, IN_CONFIG(lease_ms), .preset = "30s",
		.min = "1s", .max = "1h", .flags = KEY_NEEDS_RESTART,
		.help = "a daemon's jobs are taken over when it was silent for so long"},
	{"max_deliveries", KEY_COUNT, IN_CONFIG(max_deliveries), .preset = "5",
		.min = "1", .max = "1000",
		.help = "a job whose daemon died so often while it ran is given up"},

	{"max_stuck", KEY_COUNT, IN_CONFIG(max_stuck), .preset = "4",
		.min = "1", .max = "1000",
		.help = "with so many threads that plugins do not give back, it restarts"},

	{"unknown_handler", KEY_SPAN, IN_CONFIG(unknown_handler_ms), .preset = "reject",
		.min = "1ms", .max = "30d", .words = "reject",
		.help = "reject, or for how long to hand back: others may know it"},
	{"shutdown_timeout", KEY_SPAN, IN_CONFIG(shutdown_timeout_ms), .preset = "25s",
		.min = "0s", .max = "1d",
		.help = "how long running jobs may go on once the daemon is told to stop"},
	{"start_timeout", KEY_SPAN, IN_CONFIG(start_timeout_ms), .preset = "30s",
		.min = "1ms", .max = "1d",
		.help = "how long Redis may be unreachable at start"},

	{"log", KEY_SECTION,
		.help = "what is told of, to the journal or on standard error"},
	{"log.level", KEY_CHOICE, IN_CONFIG(log_level), .preset = "info",
		.words = "error|warning|info|debug",
		.help = "this and what is worse"},
	{"log.format", KEY_CHOICE, IN_CONFIG(log_format), .preset = "auto",
		.words = "auto|journal|text|json",
		.help = "auto: to the journal under systemd, else text"},
};
/* clang-format on */

const size_t schema_key_count = ARRAY_LEN(schema_keys);

/* The words of a choice are the enums in order. */
_Static_assert(STORE_ALL == 0 && STORE_FAILURES == 1 && STORE_NONE == 2, "results.store");
_Static_assert(ISOLATION_PROCESS == 0 && ISOLATION_THREAD == 1, "handlers.*.isolation");
_Static_assert(LOG_LEVEL_ERROR == 0 && LOG_LEVEL_WARNING == 1 && LOG_LEVEL_INFO == 2 &&
		       LOG_LEVEL_DEBUG == 3,
	"log.level");
_Static_assert(LOG_FORMAT_AUTO == 0 && LOG_FORMAT_JOURNAL == 1 && LOG_FORMAT_TEXT == 2 &&
		       LOG_FORMAT_JSON == 3,
	"log.format");

const char *
schema_name_in(const struct schema_key *row, const char *section)
{
	size_t n = strlen(section);
	const char *name = row->path;

	if (n > 0) {
		if (strncmp(row->path, section, n) != 0 || row->path[n] != '.')
			return NULL;
		name += n + 1;
	}
	return strchr(name, '.') ? NULL : name;
}

const struct schema_key *
schema_find(const char *section, const char *name)
{
	for (size_t i = 0; i < schema_key_count; i++) {
		const char *known = schema_name_in(&schema_keys[i], section);

		if (known && strcmp(known, name) == 0)
			return &schema_keys[i];
	}
	return NULL;
}

enum { COMPARED_MAX = 32 }; /* bytes; no key is nearly as long */

static size_t
min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be put in, taken out, changed, or swapped with their
 * neighbour to make one name of the other (optimal string alignment). */
static size_t
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t d[COMPARED_MAX + 1][COMPARED_MAX + 1];

	for (size_t i = 0; i <= a_len; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a_len; i++)
		for (size_t j = 1; j <= b_len; j++) {
			bool is_same = a[i - 1] == b[j - 1];

			d[i][j] = min_of(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = min_of(d[i][j], d[i - 1][j - 1] + !is_same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
				a[i - 2] == b[j - 1])
				d[i][j] = min_of(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[a_len][b_len];
}

const char *
schema_nearest(const char *section, const char *name)
{
	size_t n = strlen(name), best = SIZE_MAX, far;
	const char *nearest = NULL;

	if (n == 0 || n > COMPARED_MAX)
		return NULL;
	for (size_t i = 0; i < schema_key_count; i++) {
		const char *known = schema_name_in(&schema_keys[i], section);

		if (!known)
			continue;
		far = distance(name, n, known, strlen(known));
		if (far < best) {
			best = far;
			nearest = known;
		}
	}
	/* With more than a third of the letters wrong it is another word: "retries" is no
	 * "redis". Short names may have one wrong all the same. */
	return best <= (n < 3 ? 1 : n / 3) ? nearest : NULL;
}
