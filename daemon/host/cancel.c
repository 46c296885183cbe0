/*
 * cancel.c - hears a CANCEL while the plugin runs; see cancel.h
 *
 * The thread sleeps while there is no job. When there is one, it looks again a moment
 * later: if that is still the same job, it waits for input, until the job ends. So with
 * many short jobs it wakes a hundred times a second, and with none it does not.
 */
#include "daemon/host/cancel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "daemon/handler/frame.h"
#include "daemon/host/serve.h"
#include "lib/base/cleanup.h"

enum { READ_BYTES = 4096, KEPT_BYTES = 65536 };

struct cancel {
	int fd;
	int left_fd; /* eventfd: the job that is watched is over */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t entered;

	/* under the lock */
	struct stint_ctx *ctx; /* NULL: no job */
	const struct bytes *id;
	uint64_t number; /* of the job */
	bool is_watched; /* somebody waits for left_fd */
	bool is_deaf;    /* nothing more for this job: end of file, or another job */
	bool is_ending;
	struct buf in; /* from the end of the job's frame on */
};

static void
end_ctx(struct stint_ctx *ctx, const struct bytes *reason)
{
	static const struct {
		const char *word;
		int code;
		const char *why;
	} reasons[] = {
		{"timeout", -ETIMEDOUT, "timed out"},
		{"shutdown", -ESHUTDOWN, "the daemon is shutting down"},
		{"lease", -EKEYEXPIRED, "somebody else may run it soon"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reason->n == strlen(reasons[i].word) &&
			memcmp(reason->p, reasons[i].word, reason->n) == 0)
			return stint_ctx_cancel_cause(
				ctx, reasons[i].code, reasons[i].why);
	stint_ctx_cancel_cause(ctx, -ECANCELED, "cancelled");
}

/* What has come so far. A JOB is for the main thread. */
static void
hear(struct cancel *c)
{
	struct frame f;
	ssize_t n;

	while ((n = frame_parse(c->in.data, c->in.len, &f)) > 0) {
		if (frame_is(&f, "JOB"))
			break;
		if (frame_is(&f, "CANCEL") && f.count >= 3 && f.string[1].n == c->id->n &&
			memcmp(f.string[1].p, c->id->p, c->id->n) == 0)
			end_ctx(c->ctx, &f.string[2]);
		buf_shift(&c->in, (size_t)n);
	}
	if (n < 0) {
		fputs("stint-host: descriptor 3: no frame\n", stderr);
		_exit(HOST_LOST); /* the plugin cannot be ended otherwise */
	}
	c->is_deaf |= n != 0;
}

/* One read, if there is something to read. */
static void
read_more(struct cancel *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	char *room = buf_room(&c->in, READ_BYTES);
	ssize_t n;

	if (poll(&p, 1, 0) <= 0)
		return;
	n = room ? read(c->fd, room, READ_BYTES) : -1;
	if (n > 0)
		c->in.len += (size_t)n;
	else
		c->is_deaf = true; /* the main thread finds it again */
}

/* Until the job of that number is over. Called, and returns, with the lock held. */
static void
watch(struct cancel *c, uint64_t number)
{
	uint64_t count;

	hear(c);
	while (c->number == number && c->ctx) {
		struct pollfd p[] = {
			{.fd = c->left_fd, .events = POLLIN},
			{.fd = c->is_deaf ? -1 : c->fd, .events = POLLIN},
		};

		c->is_watched = true;
		pthread_mutex_unlock(&c->lock);
		poll(p, ARRAY_LEN(p), -1);
		pthread_mutex_lock(&c->lock);
		if (c->number != number || !c->ctx)
			break;
		read_more(c);
		hear(c);
	}
	c->is_watched = false;
	if (read(c->left_fd, &count, sizeof count) < 0)
		return; /* nothing was told: the job ended in between */
}

static void *
watcher(void *arg)
{
	const struct timespec moment = {.tv_nsec = WATCH_AFTER_MS * 1000000L};
	struct cancel *c = arg;
	uint64_t number;

	pthread_mutex_lock(&c->lock);
	while (!c->is_ending) {
		if (!c->ctx) {
			pthread_cond_wait(&c->entered, &c->lock);
			continue;
		}
		number = c->number;
		pthread_mutex_unlock(&c->lock);
		nanosleep(&moment, NULL);
		pthread_mutex_lock(&c->lock);
		if (c->ctx && c->number == number)
			watch(c, number);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

void
cancel_enter(struct cancel *c, struct stint_ctx *ctx, const struct bytes *id,
	struct bytes rest)
{
	pthread_mutex_lock(&c->lock);
	c->ctx = ctx;
	c->id = id;
	c->number++;
	c->is_deaf = false;
	if (rest.n > 0)
		buf_add(&c->in, rest.p, rest.n);
	/* costs nothing unless it sleeps */
	pthread_cond_signal(&c->entered);
	pthread_mutex_unlock(&c->lock);
}

void
cancel_leave(struct cancel *c, struct buf *ret)
{
	const uint64_t one = 1;
	struct buf old = *ret;

	pthread_mutex_lock(&c->lock);
	c->ctx = NULL;
	*ret = c->in;
	buf_reset(&old, KEPT_BYTES);
	c->in = old;
	if (c->is_watched && write(c->left_fd, &one, sizeof one) < 0)
		abort(); /* it takes 2^64 of them */
	pthread_mutex_unlock(&c->lock);
}

int
cancel_new(int fd, struct cancel **ret)
{
	cleanup(freep) struct cancel *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->left_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->left_fd < 0)
		return -errno;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->entered, NULL);
	r = pthread_create(&c->thread, NULL, watcher, c);
	if (r != 0) {
		close(c->left_fd);
		return -r;
	}
	*ret = take_ptr(c);
	return 0;
}

void
cancel_free(struct cancel *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->is_ending = true;
	pthread_cond_signal(&c->entered);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->entered);
	pthread_mutex_destroy(&c->lock);
	close(c->left_fd);
	buf_fini(&c->in);
	free(c);
}
