/*
 * consumer.c - a program of somebody else, in plain C11: numbers through a channel to
 * tasks
 */
#include <errno.h>
#include <stdio.h>
#include <stint/stint.h>

static int
add_up(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_chan *numbers = (struct stint_chan *)arg;
	int number, sum = 0, r;

	STINT_CHAN_EACH (ctx, numbers, &number, r)
		sum += number;
	if (r != -EPIPE)
		return stint_err_set(err, r, "numbers");
	printf("sum %d\n", sum);
	return 0;
}

int
main(void)
{
	struct stint_ctx *ctx = stint_ctx_background();
	struct stint_chan *numbers;
	struct stint_task *task;
	struct stint_err result;
	int i, r;

	if (stint_chan_new(sizeof(int), 2, &numbers) < 0)
		return 1;
	if (stint_task_start(ctx, "add", add_up, numbers, &task) < 0)
		return 1;
	for (i = 1, r = 0; i <= 10 && r == 0; i++)
		r = stint_chan_send(ctx, numbers, &i);
	stint_chan_close(numbers);
	if (stint_task_join(ctx, task, &result) < 0)
		return 1;
	stint_chan_free(numbers);
	return r < 0 || result.code < 0;
}
