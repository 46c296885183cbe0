/*
 * stint/plugin.h - handlers that stintd loads: shared objects in C
 *
 *	#include <stint/plugin.h>
 *
 *	static int
 *	digest(struct stint_ctx *ctx, const struct stint_job *job,
 *		struct stint_reply *reply)
 *	{
 *		if (job->payload_len == 0)
 *			return stint_reply_fail(reply, "empty payload");
 *		return stint_reply_write(reply, job->payload, job->payload_len);
 *	}
 *	STINT_PLUGIN(digest);
 *
 *	cc -shared -fPIC -o digest.so digest.c $(pkg-config --cflags stint)
 *
 * Nothing has to be linked: the program that loads it has these functions, and all others
 * of libstint. stint-plugin(7) tells how such a handler is configured, and what it may
 * do.
 */
#ifndef STINT_PLUGIN_H
#define STINT_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <stint/api.h>
#include <stint/ctx.h>

STINT_BEGIN_DECLS

/* Of what stands below. Within a version the structs grow only at their ends. */
enum { STINT_PLUGIN_ABI = 1 };

/* One of a job's x- fields. */
struct stint_field {
	const char *name; /* with its x- */
	const char *value;
	size_t value_len; /* a NUL stands behind it, and may stand in it */
};

/* An attempt at a job. All of it is the caller's, and valid until the function returns.
 */
struct stint_job {
	const char *id;
	const char *queue;
	const char *handler;      /* as it is called in the configuration */
	int attempt;              /* 1: the first */
	int64_t deadline_unix_ms; /* when its time is up; see stint_ctx_deadline() */
	const void *payload;      /* a NUL stands behind it */
	size_t payload_len;
	const char *traceparent; /* NULL: it has none */
	const struct stint_field *fields;
	size_t field_count;
};

struct stint_reply;

/**
 * stint_plugin_fn - run one attempt at a job
 * @ctx:   ends when nobody waits for the job any more: its time is up, or it was
 *         cancelled. Hand it to everything that blocks, look at stint_ctx_err() now and
 *         then, or poll stint_ctx_done_fd(), and return.
 * @reply: takes the output, or the error
 *
 * Thread: one job at a time in a process; with `isolation: thread` any number at a time,
 * in as many threads. Return: 0: done, what was written is the output; anything else: it
 * failed, and may be retried, unless stint_reply_fail() has said otherwise.
 */
typedef int (*stint_plugin_fn)(
	struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply);

/**
 * stint_reply_write() - add bytes to the output
 * stint_reply_printf() - add text to the output
 *
 * Return: 0; -ENOMEM; -EMSGSIZE: it is more than the handler's output_limit (in a
 * process, where that is not known, than 64 MiB), and the job has failed.
 *
 * Thread: one at a time for a reply, as all calls with it.
 */
STINT_API int stint_reply_write(struct stint_reply *reply, const void *data, size_t len);
STINT_API int stint_reply_printf(struct stint_reply *reply, const char *fmt, ...)
	STINT_PRINTF(2, 3);

/**
 * stint_reply_error() - the job has failed; it may be retried
 * stint_reply_fail() - the job has failed for good
 * @fmt: why, for people: one line, at most 500 bytes are kept
 *
 * The last one that was said stands, whatever the function returns then; the output is
 * dropped. Return: a negative number, for the return statement.
 */
STINT_API int stint_reply_error(struct stint_reply *reply, const char *fmt, ...)
	STINT_PRINTF(2, 3);
STINT_API int stint_reply_fail(struct stint_reply *reply, const char *fmt, ...)
	STINT_PRINTF(2, 3);

/**
 * stint_reply_progress() - tell how far it is
 * @percent: 0 to 100; what is outside counts as the nearer one
 * @note:    one line for people; may be NULL
 *
 * Cheap: what is the same as before is not told again, and stintd stores the newest a few
 * times a second at most. `stintctl wait` shows it.
 */
STINT_API void stint_reply_progress(
	struct stint_reply *reply, int percent, const char *note);

/**
 * stint_job_field() - the value of an x- field, such as "x-tenant"
 * @ret_len: its length; may be NULL
 *
 * Return: the value, with a NUL behind it; NULL: the job has no such field.
 */
STINT_API const char *stint_job_field(
	const struct stint_job *job, const char *name, size_t *ret_len);

/* What a plugin says of itself: the host checks it before it calls anything. */
struct stint_plugin {
	uint32_t abi;
	uint32_t plugin_bytes; /* sizeof, as it was compiled */
	uint32_t job_bytes;    /* likewise, of struct stint_job */
	stint_plugin_fn run;
};

/* Once in each shared object, behind the function: what there is to load. */
#define STINT_PLUGIN(fn)                                                                 \
	STINT_EXTERN_C STINT_API const struct stint_plugin stint_plugin;                 \
	const struct stint_plugin stint_plugin = {STINT_PLUGIN_ABI,                      \
		sizeof(struct stint_plugin), sizeof(struct stint_job), fn}

STINT_END_DECLS

#endif
