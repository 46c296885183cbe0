/*
 * log.h - one line per event: a fixed sentence and named values
 *
 *	log_warn("redis lost, reconnecting", F_STR("why", err.msg), F_INT("retry_ms", n));
 *
 * text:  2026-11-21T04:12:09.123Z warning redis lost, reconnecting why="..." retry_ms=50
 *        (auto: the same, but "<4>redis lost, ..." without the time where standard
 *        error is the journal, as JOURNAL_STREAM tells)
 * json:  {"time":"...","level":"warning","msg":"redis lost, reconnecting","why":"..."}
 *
 * Lines go to standard error, one write(2) each, and never block: a line for
 * which there is no room (a full pipe, a full disk) is dropped and counted, and
 * the next line that gets through says how many are missing. Thread: any.
 *
 * In text a value stands in quotes when it is empty or holds blanks, quotes or
 * bytes that cannot be shown; in the quotes \n, \r, \t, \", \\ and \xNN stand for
 * such. Values over 1 KiB are cut with "..."; where a line comes near 4 KiB, the
 * remaining fields are missing and a last one, cut=1, says so.
 */
#ifndef OBS_LOG_H
#define OBS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
	const char *name;
	const char *str; /* NULL: the number counts */
	int64_t num;
};

#define F_STR(name, value) ((struct log_field){(name), (value), 0})
#define F_INT(name, value) ((struct log_field){(name), NULL, (int64_t)(value)})

/* Thread: the loop's, at start and on reload. Until then: info, auto. */
void log_setup(enum log_level level, enum log_format format);

bool log_is_on(enum log_level level);

/* Lines dropped since start. */
uint64_t log_dropped_count(void);

/* What the macros below call; errno stays as it was. */
void log_write(enum log_level level, const char *msg, const struct log_field *fields,
	size_t count);

#define log_at(level, msg, ...)                                                          \
	do {                                                                             \
		if (log_is_on(level)) {                                                  \
			const struct log_field f_[] = {{0}, ##__VA_ARGS__};              \
			log_write(level, msg, f_ + 1, sizeof f_ / sizeof *f_ - 1);       \
		}                                                                        \
	} while (0)

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
