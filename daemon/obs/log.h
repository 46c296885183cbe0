/*
 * log.h - one line per event: a fixed sentence and named values
 *
 *	log_warn("redis lost, reconnecting", F_STR("why", err.msg), F_INT("retry_ms", n));
 *
 * text
 *	2026-11-21T04:12:09.123Z warning redis lost, reconnecting why="..." retry_ms=50
 * json
 *	{"time":"...","level":"warning","msg":"redis lost, reconnecting","why":"..."}
 * journal
 *	an entry whose fields are the values (log_journal.h), and whose MESSAGE is the
 *	text without time and level
 * auto
 *	journal where standard error is the journal's, as JOURNAL_STREAM tells, else text
 *
 * Lines go to standard error, one write(2) each, entries to the journal's socket, and
 * neither ever blocks: one for which there is no room (a full pipe, a full disk, a
 * journald that does not read) is dropped and counted, and the next that gets through
 * says how many are missing. Where there is no journal, entries become lines, too, with
 * "<4>" in the place of time and level, see sd-daemon(3). Thread: any.
 *
 * In text a value stands in quotes when it is empty or holds blanks, quotes or
 * bytes that cannot be shown; in the quotes \n, \r, \t, \", \\ and \xNN stand for
 * such. Values over 1 KiB are cut with "...", LOG_PRINTED in front, others at the end;
 * where a line comes near 4 KiB, the remaining fields are missing and a last one, cut=1,
 * says so. The journal has the values as they are.
 */
#ifndef OBS_LOG_H
#define OBS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JOURNAL, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
	const char *name;
	const char *str; /* NULL: the number counts */
	int64_t num;
};

/* The name of what a job has printed: several lines, perhaps. */
#define LOG_PRINTED "text"
/* The name of the event's ID (log_ids.h): for programs, so not in text. */
#define LOG_MESSAGE_ID "message_id"

#define F_STR(name, value) ((struct log_field){(name), (value), 0})
#define F_INT(name, value) ((struct log_field){(name), NULL, (int64_t)(value)})
#define F_MESSAGE_ID(id)   F_STR(LOG_MESSAGE_ID, id)

/* Where in the code, and how bad. */
struct log_site {
	enum log_level level;
	const char *file;
	const char *func;
	int line;
};

/* Thread: the loop's, at start and on reload. Until then: info, auto. */
void log_setup(enum log_level level, enum log_format format);

bool log_is_on(enum log_level level);

/* Lines dropped since start. */
uint64_t log_dropped_count(void);

/* What the macros below call; errno stays as it was. */
void log_write(const struct log_site *site, const char *msg,
	const struct log_field *fields, size_t count);

#define log_at(level, msg, ...)                                                          \
	do {                                                                             \
		if (log_is_on(level)) {                                                  \
			static const struct log_site site_ = {                           \
				level, __FILE__, __func__, __LINE__};                    \
			const struct log_field f_[] = {{0}, ##__VA_ARGS__};              \
			log_write(&site_, msg, f_ + 1, sizeof f_ / sizeof *f_ - 1);      \
		}                                                                        \
	} while (0)

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
