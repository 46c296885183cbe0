/*
 * warm_proc.c - the life of a worker process; see warm.h for the states
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "daemon/handler/command.h"
#include "daemon/handler/ending.h"
#include "daemon/handler/keeping.h"
#include "daemon/handler/limits.h"
#include "daemon/handler/warm.h"
#include "daemon/obs/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"

enum {
	/* A job may kill its process, and its retries may. More than that in a row, with
	 * no job done in between, is the handler's fault. */
	DEATHS_MAX = 3,
	EXIT_MS = 200,  /* from closing descriptor 4 until being gone, on a busy host */
	STARTS_MAX = 2, /* for one job: the first one may die before it gets it */
	READ_BYTES = 65536,          /* what a pipe holds */
	KEPT_BYTES = 4 * READ_BYTES, /* of the buffer, from job to job */
	QUIET_READS_MAX = 64,        /* of one that has no job and still says so much */
	/* From the end of one job to the next: in less than this a process is hardly ever
	 * lost, and to look would cost each job a system call. */
	FRESH_MS = 2,
	HOST_FAULTY = 78, /* exit code of stint-host: it cannot load the plugin */
};

/* Where a start puts its descriptors, in the order of START. */
enum { OUT, ERR, TO, FROM, PULSE, START_FDS };

/* ---- failing ---- */

/* There is no process, and for a while there will be none. */
static int
fail_start(struct warm *w, const struct outcome *out)
{
	const int64_t retry_ms = backoff_next(&w->backoff);

	w->retry_at_ms = stint_at_ms(retry_ms);
	w->why_status = out->status;
	snprintf(w->why, sizeof w->why, "%s", out->error);
	if (!w->is_failing)
		log_warn("worker cannot be used, trying again",
			F_STR("handler", w->conf->name), F_STR("error", out->error));
	w->is_failing = true;
	return -EAGAIN;
}

void
warm_died(struct warm *w, const char *why)
{
	struct outcome out = {.status = JOB_CRASHED};

	if (++w->deaths < DEATHS_MAX)
		return;
	snprintf(out.error, sizeof out.error, "%s", why);
	fail_start(w, &out);
}

static void
recovered(struct warm *w)
{
	w->deaths = 0;
	backoff_reset(&w->backoff);
	if (w->is_failing)
		log_info("worker can be used again", F_STR("handler", w->conf->name));
	w->is_failing = false;
}

/* ---- ending ---- */

/* What is left in our hands of a process that is gone. */
static void
forget(struct warm *w, const struct worker_log_of *of)
{
	worker_log_close(&w->log, of);
	close_fd(&w->in_fd);
	close_fd(&w->out_fd);
	if (w->pulse)
		munmap(w->pulse, sizeof *w->pulse);
	w->pulse = NULL;
	buf_reset(&w->in, KEPT_BYTES);
	w->jobs = 0;
	w->state = WARM_NONE;
}

int
warm_end(struct warm *w, enum warm_end how, const struct worker_log_of *of,
	struct keeper_reply *ret)
{
	struct pollfd p = {.fd = w->keeper_fd, .events = POLLIN};
	int r = 0;

	close_fd(&w->in_fd); /* it may wait for that */
	if (how == WARM_LET_EXIT)
		r = poll(&p, 1, EXIT_MS);
	if (r <= 0)
		keeping_tell(w->keeper_fd, KEEPER_KILL, 0);
	if (keeping_reply(&w->keeper_fd, ret) < 0)
		r = -EPIPE;
	forget(w, of);
	return r;
}

void
warm_retire(struct warm *w)
{
	if (w->state == WARM_NONE || w->state == WARM_RETIRING)
		return;
	close_fd(&w->in_fd);
	if (w->state == WARM_STARTING) /* it does not read yet, and has nothing to lose */
		keeping_tell(w->keeper_fd, KEEPER_TERM, 0);
	keeping_tell(w->keeper_fd, KEEPER_RETIRE, w->conf->kill_grace_ms);
	w->state = WARM_RETIRING;
}

static const struct worker_log_of *
nobody(const struct warm *w, struct worker_log_of *of)
{
	*of = (struct worker_log_of){.handler = w->conf ? w->conf->name : "removed"};
	return of;
}

bool
warm_is_gone(struct warm *w)
{
	struct pollfd p = {.fd = w->keeper_fd, .events = POLLIN};
	struct keeper_reply reply;
	struct worker_log_of of;

	worker_log_drain(&w->log, nobody(w, &of)); /* it may wait for room */
	if (poll(&p, 1, 0) <= 0)
		return false;
	keeping_reply(&w->keeper_fd, &reply);
	forget(w, &of);
	return true;
}

void
warm_release(struct warm *w, const struct worker_log_of *of)
{
	if (w->deaths > 0 || w->backoff.now_ms > 0)
		recovered(w);
	worker_log_settle(&w->log, of);
	if (w->in.len == 0)
		buf_reset(&w->in, KEPT_BYTES);
	w->idle_since_ms = stint_now_ms();
	if (++w->jobs == w->conf->max_jobs)
		warm_retire(w);
	else if (w->pulse)
		atomic_store_explicit(
			&w->pulse->idle_since_ms, w->idle_since_ms, memory_order_relaxed);
}

/* ---- starting ---- */

/* A pipe; the daemon's end does not block. */
static int
open_pipe(int *ours, int *theirs, bool is_to_process)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	*ours = p[is_to_process];
	*theirs = p[!is_to_process];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int
open_pulse(struct warm *w, int *theirs)
{
	void *p;

	*theirs = memfd_create("stint-pulse", MFD_CLOEXEC);
	if (*theirs < 0 || ftruncate(*theirs, sizeof *w->pulse) < 0)
		return -errno;
	p = mmap(NULL, sizeof *w->pulse, PROT_READ | PROT_WRITE, MAP_SHARED, *theirs, 0);
	if (p == MAP_FAILED)
		return -errno;
	w->pulse = p;
	w->idle_since_ms = KEEPER_BUSY;
	atomic_store_explicit(
		&w->pulse->idle_since_ms, KEEPER_BUSY, memory_order_relaxed);
	return 0;
}

static int
open_all(struct warm *w, int theirs[START_FDS])
{
	int r = open_pipe(&w->log.fd[WORKER_STDOUT], &theirs[OUT], false);

	if (r == 0)
		r = open_pipe(&w->log.fd[WORKER_STDERR], &theirs[ERR], false);
	if (r == 0)
		r = open_pipe(&w->in_fd, &theirs[TO], true);
	if (r == 0)
		r = open_pipe(&w->out_fd, &theirs[FROM], false);
	if (r == 0 && w->conf->idle_timeout_ms > 0)
		r = open_pulse(w, &theirs[PULSE]);
	return r;
}

static int
start(struct handler_slot *slot, struct warm *w, struct stint_err *err)
{
	int theirs[START_FDS] = {-1, -1, -1, -1, -1};
	struct keeper_msg msg;
	int r = open_all(w, theirs);

	if (r < 0)
		stint_err_set(err, r, "no pipes: %s", strerror(-r));
	else
		r = command_build_worker(&slot->block, &msg, w->conf, err);
	if (r == 0) {
		msg.is_worker = true;
		msg.idle_ms = w->conf->idle_timeout_ms;
		msg.grace_ms = w->conf->kill_grace_ms;
		r = keeping_start(slot->zygote, &w->keeper_fd, &msg, &slot->block, theirs,
			w->pulse ? START_FDS : PULSE, err);
	}
	/* theirs alone from here on: their end must be seen */
	for (int i = 0; i < START_FDS; i++)
		close_fd(&theirs[i]);
	return r;
}

static int
begin(struct handler_slot *slot, struct warm *w, const struct worker_log_of *of)
{
	struct stint_err err = {0};

	if (w->retry_at_ms > 0 && stint_now_ms() < w->retry_at_ms) {
		outcome_fail(of->out, w->why_status, "%s", w->why);
		return -EAGAIN;
	}
	w->retry_at_ms = 0;
	if (start(slot, w, &err) < 0) {
		forget(w, of);
		outcome_fail(of->out, JOB_ERROR, "%s", err.msg);
		return fail_start(w, of->out);
	}
	w->ready_by_ms = stint_at_ms(w->conf->ready_timeout_ms);
	w->state = WARM_STARTING;
	return 0;
}

int
warm_fill(struct warm *w, size_t need_bytes)
{
	size_t more = READ_BYTES;
	ssize_t n;
	char *room;

	if (need_bytes > w->in.len + READ_BYTES)
		more = need_bytes - w->in.len;
	room = buf_room(&w->in, more);
	if (!room)
		return -ENOMEM;
	n = read(w->out_fd, room, more);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	w->in.len += (size_t)n;
	return 1;
}

/* stint-host has said why, in its last line. */
static void
fail_plugin(struct outcome *out)
{
	struct buf *said = &out->stderr_tail;
	size_t end = said->len, begin;

	while (end > 0 && said->data[end - 1] == '\n')
		end--;
	for (begin = end; begin > 0 && said->data[begin - 1] != '\n'; begin--)
		;
	outcome_fail(out, JOB_ERROR, "its plugin cannot be loaded: %.*s",
		(int)(end - begin), said->data + begin);
}

/* It did not come as far as READY. */
static int
fail_early(struct warm *w, enum warm_end how, const struct worker_log_of *of,
	const char *why)
{
	struct outcome *out = of->out;
	struct keeper_reply reply = {0};
	char text[ENDING_TEXT_BYTES];
	int r = warm_end(w, how, of, &reply);

	if (r > 0)
		ending_status(&reply, out);
	if (r > 0 && w->conf->plugin && out->exit_code == HOST_FAULTY)
		fail_plugin(out);
	else if (r > 0 && reply.failed_at != KEEPER_DONE)
		ending_failed_start(&reply, w->conf, out);
	else if (r > 0)
		outcome_fail(out, JOB_CRASHED, "ended before it was READY: %s",
			ending_text(out, text));
	else if (r < 0)
		outcome_fail(out, JOB_CRASHED, "its supervisor was killed");
	else
		outcome_fail(out, JOB_ERROR, "%s", why);
	if (r > 0 && reply.failed_at == KEEPER_DONE)
		limits_told(&reply, w->conf, out);
	return fail_start(w, out);
}

/* The frames that have come so far. Return: 1: READY; 0: not yet; -errno: it failed. */
static int
hear_ready(struct warm *w, const struct worker_log_of *of)
{
	struct frame f;
	ssize_t n;

	while ((n = frame_parse(w->in.data, w->in.len, &f)) > 0) {
		bool is_ready = frame_is(&f, "READY");

		if (frame_is(&f, "OK") || frame_is(&f, "ERROR") || frame_is(&f, "FAIL"))
			return fail_early(
				w, WARM_KILL, of, "it answered before it was READY");
		if (is_ready &&
			(f.count < 2 || f.string[1].n != 1 || *f.string[1].p != '1'))
			return fail_early(w, WARM_KILL, of,
				"it speaks another version of the protocol than 1");
		buf_shift(&w->in, (size_t)n);
		if (is_ready)
			return 1;
	}
	if (n < 0)
		return fail_early(w, WARM_KILL, of, "it sent a malformed frame");
	return 0;
}

/* Wait for one of: its frames, what it prints, its keeper, the end of the context. */
static void
wait_for(struct stint_ctx *ctx, struct warm *w, const struct worker_log_of *of, int fd,
	int64_t until_ms)
{
	/* without a descriptor, the context is looked at now and then */
	enum { LOOK_MS = 100 };
	int done_fd = stint_ctx_done_fd(ctx), wait_ms = ending_poll_ms(until_ms);
	struct pollfd p[] = {
		{.fd = fd, .events = POLLIN},
		{.fd = w->log.fd[WORKER_STDOUT], .events = POLLIN},
		{.fd = w->log.fd[WORKER_STDERR], .events = POLLIN},
		{.fd = done_fd, .events = POLLIN},
	};

	if (done_fd < 0 && (wait_ms < 0 || wait_ms > LOOK_MS))
		wait_ms = LOOK_MS;
	if (poll(p, ARRAY_LEN(p), wait_ms) <= 0)
		return;
	if (p[1].revents)
		worker_log_read(&w->log, WORKER_STDOUT, of);
	if (p[2].revents)
		worker_log_read(&w->log, WORKER_STDERR, of);
}

static int
await_ready(struct stint_ctx *ctx, struct warm *w, const struct worker_log_of *of)
{
	char text[UNITS_TEXT_BYTES], why[OUTCOME_ERROR_BYTES];
	int r;

	for (;;) {
		r = warm_fill(w, 0);
		if (r == 1)
			r = hear_ready(w, of);
		else if (r == 0)
			return fail_early(w, WARM_LET_EXIT, of,
				"it closed descriptor 4 before it was READY");
		else if (r == -EAGAIN)
			r = 0;
		else
			return fail_early(w, WARM_KILL, of, "its frames cannot be read");
		if (r != 0)
			return r;
		if (stint_ctx_err(ctx) < 0)
			return -ECANCELED;
		if (w->ready_by_ms <= stint_now_ms()) {
			snprintf(why, sizeof why, "not READY within %s (ready_timeout)",
				units_format_span(w->conf->ready_timeout_ms, text));
			return fail_early(w, WARM_KILL, of, why);
		}
		wait_for(ctx, w, of, w->out_fd, w->ready_by_ms);
	}
}

/* ---- between two jobs ---- */

/* What came while it had no job: nothing that has to do with one. */
static bool
has_kept_quiet(struct warm *w)
{
	struct frame f;
	int reads = 0, r;
	ssize_t n;

	do {
		while ((n = frame_parse(w->in.data, w->in.len, &f)) > 0) {
			if (frame_is(&f, "OK") || frame_is(&f, "ERROR") ||
				frame_is(&f, "FAIL"))
				return false;
			buf_shift(&w->in, (size_t)n);
		}
		r = n < 0 ? 0 : warm_fill(w, 0);
	} while (r == 1 && ++reads < QUIET_READS_MAX);
	return r == -EAGAIN;
}

/* Is it there, and ready for a job? Where it is not, its state says what to do. */
static bool
is_fit(struct stint_ctx *ctx, struct warm *w, const struct handler_call *call)
{
	const int64_t begun_ms = stint_ctx_deadline(ctx) - call->budget_ms;
	struct pollfd p[] = {
		{.fd = w->out_fd, .events = POLLIN},
		{.fd = w->log.fd[WORKER_STDOUT], .events = POLLIN},
		{.fd = w->log.fd[WORKER_STDERR], .events = POLLIN},
	};
	const bool is_fresh = begun_ms - w->idle_since_ms < FRESH_MS;
	struct keeper_reply reply;
	struct worker_log_of of;

	if (w->pulse && !atomic_compare_exchange_strong_explicit(&w->pulse->idle_since_ms,
				&w->idle_since_ms, KEEPER_BUSY, memory_order_relaxed,
				memory_order_relaxed)) {
		w->state = WARM_RETIRING; /* its keeper has ended it */
		return false;
	}
	w->idle_since_ms = KEEPER_BUSY;
	if (w->in.len == 0 && (is_fresh || poll(p, ARRAY_LEN(p), 0) == 0))
		return true;
	worker_log_drain(&w->log, nobody(w, &of));
	if (has_kept_quiet(w))
		return true;
	log_info("worker ended while it had no job, or spoke out of turn",
		F_STR("handler", w->conf->name));
	warm_end(w, WARM_LET_EXIT, &of, &reply);
	return false;
}

int
warm_prepare(struct stint_ctx *ctx, struct handler_slot *slot, struct warm *w,
	const struct handler_call *call, struct outcome *out)
{
	const struct worker_log_of of = {w->conf->name, call->job, call->queue, out};
	struct worker_log_of old;
	int r = 1, starts = 0;

	while (w->state != WARM_IDLE || !is_fit(ctx, w, call)) {
		r = 0;
		if (stint_ctx_err(ctx) < 0)
			r = -ECANCELED;
		else if (w->state == WARM_NONE && starts++ == STARTS_MAX) {
			outcome_fail(out, JOB_CRASHED, "it ends before it has a job");
			r = fail_start(w, out);
		} else if (w->state == WARM_NONE)
			r = begin(slot, w, &of);
		else if (w->state == WARM_STARTING)
			r = await_ready(ctx, w, &of);
		else if (w->state == WARM_RETIRING && !warm_is_gone(w))
			wait_for(ctx, w, nobody(w, &old), w->keeper_fd, STINT_NEVER);
		if (r == 1)
			w->state = WARM_IDLE;
		if (r == -ECANCELED)
			ending_conclude(ctx, call, false, out);
		if (r < 0)
			return r;
		r = 0;
	}
	return r;
}
