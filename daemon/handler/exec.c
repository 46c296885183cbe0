/*
 * exec.c - one command per job, as a worker's thread sees it
 *
 *	prepare    pipes; the payload goes into stdin as far as it fits
 *	start      the slot's keeper gets the pipes and the command
 *	watch      feed stdin, gather stdout, stderr and progress, wait for the keeper's
 *	           answer
 *	conclude   what it all means
 *
 * The job is over when the keeper says so, never when a pipe ends: a process that
 * closes stdout goes on, and one that holds it open after the main process has ended
 * is killed by the keeper. Therefore the command's ends of the pipes stay open here,
 * too: no wake-ups for ends of file that say nothing, and no SIGPIPE from stdin.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/handler/command.h"
#include "daemon/handler/ending.h"
#include "daemon/handler/keeping.h"
#include "daemon/handler/limits.h"
#include "daemon/handler/progress_lines.h"
#include "daemon/handler/slot.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"

enum {
	READ_BYTES = 16384,
	/* READ_BYTES times this is what a pipe can hold (pipe-max-size, 1 MiB): who
	 * still writes after the job's end is outside of it. */
	DRAIN_READS = 64,
	/* sysexits.h: EX_USAGE and EX_DATAERR, failures that a retry will not mend */
	EXIT_USAGE = 64,
	EXIT_DATAERR = 65,
};

enum { OUT, ERR, PROGRESS, IN, STREAM_COUNT }; /* in the order of START's descriptors */

/* Why the command was made to end. The first reason stays. */
enum reason { BY_ITSELF, CTX_ENDED, OUTPUT_OVER };

struct run {
	struct stint_ctx *ctx;
	struct handler_slot *slot;
	const struct handler_call *call;
	struct outcome *out;
	int ours[STREAM_COUNT];
	int theirs[STREAM_COUNT];
	int done_fd;      /* the context's; negative: it never ends */
	size_t fed_bytes; /* of the payload */
	struct progress_lines progress;
	enum reason reason;
	bool is_over;        /* its limit: no more of stdout is read */
	int64_t asked_at_ms; /* to end */
	int64_t kill_at_ms;  /* STINT_NEVER: not asked to end, or killed */
	bool is_done;        /* with: */
	bool is_lost;        /* the keeper was */
	struct keeper_reply reply;
};

/* ---- prepare ---- */

static int
open_stream(struct run *run, int stream)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	run->ours[stream] = p[stream == IN];
	run->theirs[stream] = p[stream != IN];
	if (stream == PROGRESS) /* read only when there is something to read */
		return 0;
	return fcntl(run->ours[stream], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Write as much of the payload as the pipe takes; end of file after the last byte. */
static void
feed(struct run *run)
{
	const struct bytes *payload = &run->call->job->payload;

	while (run->fed_bytes < payload->n) {
		ssize_t n = write(run->ours[IN], payload->p + run->fed_bytes,
			payload->n - run->fed_bytes);

		if (n < 0)
			return; /* EAGAIN: full */
		run->fed_bytes += (size_t)n;
	}
	close_fd(&run->ours[IN]);
}

static int
prepare(struct run *run, struct stint_err *err)
{
	int r = open_stream(run, OUT);

	if (r == 0)
		r = open_stream(run, ERR);
	if (r == 0)
		r = open_stream(run, PROGRESS);
	/* Without a payload, stdin is the /dev/null that the keeper has. */
	if (r == 0 && run->call->job->payload.n > 0) {
		r = open_stream(run, IN);
		if (r == 0)
			feed(run);
	}
	return r < 0 ? stint_err_set(err, r, "no pipes: %s", strerror(-r)) : 0;
}

static void
run_fini(struct run *run)
{
	for (int i = 0; i < STREAM_COUNT; i++) {
		close_fd(&run->ours[i]);
		close_fd(&run->theirs[i]);
	}
}

/* ---- start ---- */

static int
start(struct run *run, struct stint_err *err)
{
	struct handler_slot *slot = run->slot;
	struct keeper_msg msg;
	int r = command_build(&slot->block, &msg, run->call, err);

	if (r < 0)
		return r;
	return keeping_start(slot->zygote, &slot->keeper_fd, &msg, &slot->block,
		run->theirs, run->theirs[IN] < 0 ? IN : STREAM_COUNT, err);
}

/* ---- watch ---- */

/* One read of stdout. Return: may there be more? */
static bool
gather_output(struct run *run)
{
	struct buf *output = &run->out->output;
	size_t room = (size_t)run->call->conf->output_limit_bytes - output->len;
	char chunk[READ_BYTES];
	ssize_t n = run->is_over ? 0 : read(run->ours[OUT], chunk, sizeof chunk);

	if (n <= 0)
		return false;
	if ((size_t)n <= room) {
		buf_add(output, chunk, (size_t)n);
		return true;
	}
	buf_add(output, chunk, room);
	run->is_over = true; /* not closed: it is to die by our signal, not by SIGPIPE */
	if (run->reason == BY_ITSELF)
		run->reason = OUTPUT_OVER;
	if (!run->is_done)
		keeping_tell(run->slot->keeper_fd, KEEPER_KILL, 0);
	run->kill_at_ms = STINT_NEVER;
	return false;
}

static bool
gather_stderr(struct run *run)
{
	char chunk[READ_BYTES];
	ssize_t n = read(run->ours[ERR], chunk, sizeof chunk);

	if (n <= 0)
		return false;
	ending_add_stderr(run->out, chunk, (size_t)n);
	return true;
}

/* What comes is always read: who tells of progress must not wait for us. */
static void
gather_progress(struct run *run)
{
	const struct handler_call *call = run->call;
	struct progress newest;
	char chunk[READ_BYTES];
	ssize_t n = read(run->ours[PROGRESS], chunk, sizeof chunk);

	if (n > 0 && progress_lines_take(&run->progress, chunk, (size_t)n, &newest) &&
		call->on_progress)
		call->on_progress(call->arg, &newest);
}

/* The context may have ended, and what it has ended may need more than a hint. */
static void
heed_ctx(struct run *run)
{
	if (run->reason == BY_ITSELF && stint_ctx_err(run->ctx) < 0) {
		run->reason = CTX_ENDED;
		run->asked_at_ms = stint_now_ms();
		run->kill_at_ms = stint_at_ms(run->call->conf->kill_grace_ms);
		keeping_tell(run->slot->keeper_fd, KEEPER_TERM, 0);
	}
	if (run->kill_at_ms != STINT_NEVER &&
		ending_kill_at_ms(run->call, run->asked_at_ms, run->kill_at_ms) <=
			stint_now_ms()) {
		run->kill_at_ms = STINT_NEVER;
		keeping_tell(run->slot->keeper_fd, KEEPER_KILL, 0);
	}
}

static void
take_reply(struct run *run)
{
	run->is_done = true;
	run->is_lost = keeping_reply(&run->slot->keeper_fd, &run->reply) < 0;
}

static void
watch(struct run *run)
{
	while (!run->is_done) {
		int64_t kill_at_ms =
			ending_kill_at_ms(run->call, run->asked_at_ms, run->kill_at_ms);
		struct pollfd p[] = {
			{.fd = run->slot->keeper_fd, .events = POLLIN},
			{.fd = run->is_over ? -1 : run->ours[OUT], .events = POLLIN},
			{.fd = run->ours[ERR], .events = POLLIN},
			{.fd = run->ours[IN], .events = POLLOUT},
			{.fd = run->ours[PROGRESS], .events = POLLIN},
			{.fd = run->reason == BY_ITSELF ? run->done_fd : -1,
				.events = POLLIN},
		};

		if (poll(p, ARRAY_LEN(p), ending_poll_ms(kill_at_ms)) < 0)
			continue; /* EINTR */
		if (p[1].revents)
			gather_output(run);
		if (p[2].revents)
			gather_stderr(run);
		if (p[3].revents)
			feed(run);
		if (p[4].revents)
			gather_progress(run);
		if (p[0].revents)
			take_reply(run);
		else
			heed_ctx(run);
	}
	for (int i = 0; i < DRAIN_READS && gather_output(run); i++)
		;
	for (int i = 0; i < DRAIN_READS && gather_stderr(run); i++)
		;
}

/* ---- conclude ---- */

static bool
has_exited_zero(const struct run *run)
{
	return run->is_done && !run->is_lost && run->reply.failed_at == KEEPER_DONE &&
	       WIFEXITED(run->reply.status) && WEXITSTATUS(run->reply.status) == 0;
}

static void
conclude_status(struct outcome *out)
{
	char text[ENDING_TEXT_BYTES];

	if (out->signal)
		outcome_fail(out, JOB_CRASHED, "%s", ending_text(out, text));
	else if (out->exit_code != 0)
		outcome_fail(out, JOB_ERROR, "%s", ending_text(out, text));
	out->for_good = out->exit_code == EXIT_USAGE || out->exit_code == EXIT_DATAERR;
}

static void
conclude(const struct run *run)
{
	const struct keeper_reply *reply = &run->reply;
	struct outcome *out = run->out;
	char text[UNITS_TEXT_BYTES];

	if (!run->is_lost) {
		ending_status(reply, out);
		limits_used(reply, out);
	}
	if (run->reason == CTX_ENDED) {
		ending_conclude(run->ctx, run->call, has_exited_zero(run), out);
	} else if (run->reason == OUTPUT_OVER) {
		outcome_fail(out, JOB_ERROR, "output over %s (output_limit)",
			units_format_size(run->call->conf->output_limit_bytes, text));
		out->for_good = true;
	} else if (run->is_lost) {
		outcome_fail(out, JOB_CRASHED, "its supervisor was killed");
	} else if (reply->failed_at != KEEPER_DONE) {
		ending_failed_start(reply, run->call->conf, out);
	} else if (out->output.failed) {
		outcome_fail(out, JOB_ERROR, "no memory for its output");
	} else {
		conclude_status(out);
		limits_told(reply, run->call->conf, out);
	}
}

/* Return: 0, it runs; else the outcome says why not. */
static int
begin(struct run *run)
{
	struct stint_err err = {0};
	int r = prepare(run, &err);

	if (r == 0) {
		run->done_fd = stint_ctx_done_fd(run->ctx);
		if (run->done_fd < 0 && run->done_fd != -EOPNOTSUPP)
			r = stint_err_set(&err, run->done_fd,
				"cannot watch its context: %s", strerror(-run->done_fd));
	}
	if (r == 0)
		r = start(run, &err);
	if (r < 0) {
		outcome_fail(run->out, JOB_ERROR, "%s", err.msg);
		run->out->for_good = r == -EINVAL; /* by command_build() */
	}
	return r;
}

void
exec_run(struct stint_ctx *ctx, struct handler_slot *slot,
	const struct handler_call *call, struct outcome *out)
{
	cleanup(run_fini) struct run run = {
		.ctx = ctx,
		.slot = slot,
		.call = call,
		.out = out,
		.ours = {-1, -1, -1, -1},
		.theirs = {-1, -1, -1, -1},
		.kill_at_ms = STINT_NEVER,
	};

	if (begin(&run) < 0)
		return;
	watch(&run);
	conclude(&run);
}
