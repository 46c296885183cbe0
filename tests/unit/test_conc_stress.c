/*
 * test_conc_stress.c - channels and contexts under load: no item is lost, doubled
 * or overtaken, whatever ends the waits at whatever moment
 */
#include "tests/unit/conc_util.h"

struct message {
	int payload[16]; /* written by the sender before, read by the receiver after */
};

static void
send_messages(void *arg)
{
	struct op *op = arg;

	for (int i = 0; i < op->item; i++) {
		struct message *msg = malloc(sizeof(*msg));

		if (!msg)
			abort();
		for (int j = 0; j < 16; j++)
			msg->payload[j] = i + j;
		if (stint_chan_send(op->ctx, op->ch, &msg) < 0)
			abort();
	}
}

static void
what_was_written_before_send_is_seen_after_recv(void **state)
{
	enum { COUNT = 2000 };

	(void)state;
	for (size_t cap = 0; cap < 3; cap++) {
		struct stint_chan *ch = new_chan(sizeof(struct message *), cap);
		struct op op = {.ctx = BACKGROUND, .ch = ch, .item = test_rounds(COUNT)};
		struct task task;

		task_start(&task, send_messages, &op);
		for (int i = 0; i < op.item; i++) {
			struct message *msg;

			assert_int_equal(stint_chan_recv(BACKGROUND, ch, &msg), 0);
			for (int j = 0; j < 16; j++)
				assert_true(msg->payload[j] == i + j);
			free(msg);
		}
		task_join(&task);
		stint_chan_free(ch);
	}
}

struct stage {
	struct stint_chan *in, *out;
};

static void
pass_on(void *arg)
{
	struct stage *s = arg;
	int item;

	while (stint_chan_recv(BACKGROUND, s->in, &item) == 0) {
		item++;
		if (stint_chan_send(BACKGROUND, s->out, &item) < 0)
			abort();
	}
	stint_chan_close(s->out);
}

static void
chained_stages_keep_order_and_end_with_the_first(void **state)
{
	enum { STAGES = 100, ITEMS = 50 };
	struct stint_chan *ch[STAGES + 1];
	struct stage stage[STAGES];
	struct task task[STAGES];
	int item;

	(void)state;
	for (size_t i = 0; i <= STAGES; i++)
		ch[i] = new_chan(sizeof(int), i == 0 ? ITEMS : i % 3);
	for (int i = 0; i < STAGES; i++) {
		stage[i] = (struct stage){ch[i], ch[i + 1]};
		task_start(&task[i], pass_on, &stage[i]);
	}
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(stint_chan_try_send(ch[0], &i), 0);
	stint_chan_close(ch[0]);
	for (int i = 0; i < ITEMS; i++) {
		assert_int_equal(stint_chan_recv(BACKGROUND, ch[STAGES], &item), 0);
		assert_int_equal(item, i + STAGES);
	}
	assert_int_equal(stint_chan_recv(BACKGROUND, ch[STAGES], &item), -EPIPE);
	for (int i = 0; i < STAGES; i++)
		task_join(&task[i]);
	for (int i = 0; i <= STAGES; i++)
		stint_chan_free(ch[i]);
}

/* ---- histories ---- */

enum { SENDERS = 4, RECEIVERS = 4, ITEMS_EACH = 2000, BATCH_MAX = 9 };

struct record {
	int sender, number;
};

/* One run: what is in `sent` and `got` afterwards must be the same, in order. */
struct history {
	struct stint_chan *ch, *other;
	bool is_rough; /* contexts end all the time */
	_Atomic int senders_left;
};

struct party {
	struct history *h;
	int id;
	uint64_t seed;
	int next[SENDERS]; /* receiver: the least number that may come from each */
	int received;
	const char *fault;
};

/* A context that ends soon, by deadline or by the other thread, or does not. */
static struct stint_ctx *
some_ctx(struct party *p)
{
	struct stint_ctx *ctx;

	if (!p->h->is_rough || random_next(&p->seed) % 4 == 0)
		return BACKGROUND;
	if (stint_ctx_with_timeout(BACKGROUND, random_next(&p->seed) % 2, &ctx) < 0)
		abort();
	return ctx;
}

static int
send_somehow(struct party *p, struct record *items, int count)
{
	struct stint_ctx *ctx = some_ctx(p);
	struct stint_case cases[] = {
		{STINT_RECV, p->h->other, NULL, 0},
		{STINT_SEND, p->h->ch, items, 0},
	};
	int r;

	switch (random_next(&p->seed) % 4) {
	case 0:
		r = stint_chan_try_send_many(p->h->ch, items, (size_t)count);
		break;
	case 1:
		r = stint_select(ctx, cases, 2) == 1 ? 1 : -EAGAIN;
		break;
	case 2:
		r = stint_chan_try_send(p->h->ch, items) == 0 ? 1 : -EAGAIN;
		break;
	default:
		r = stint_chan_send(ctx, p->h->ch, items) == 0 ? 1 : -EAGAIN;
		break;
	}
	stint_ctx_free(ctx);
	return r;
}

static void
send_all(void *arg)
{
	struct party *p = arg;
	struct record items[ITEMS_EACH];
	int count = test_rounds(ITEMS_EACH);

	for (int i = 0; i < count; i++)
		items[i] = (struct record){p->id, i};
	for (int i = 0; i < count;) {
		int left = count - i;
		int n = send_somehow(p, &items[i], left < BATCH_MAX ? left : BATCH_MAX);

		if (n > 0)
			i += n;
	}
	if (atomic_fetch_sub(&p->h->senders_left, 1) == 1)
		stint_chan_close(p->h->ch);
}

/* How many came; -EPIPE at the end. */
static int
recv_somehow(struct party *p, struct record *items)
{
	struct stint_ctx *ctx = some_ctx(p);
	struct stint_case cases[] = {
		{STINT_RECV, p->h->ch, items, 0},
		{STINT_RECV, p->h->other, NULL, 0},
	};
	int r;

	switch (random_next(&p->seed) % 4) {
	case 0:
		r = stint_chan_try_recv_many(p->h->ch, items, BATCH_MAX);
		break;
	case 1:
		r = stint_select(ctx, cases, 2);
		r = r == 0 ? (cases[0].result < 0 ? cases[0].result : 1) : r;
		break;
	case 2:
		r = stint_chan_try_recv(p->h->ch, items);
		r = r == 0 ? 1 : r;
		break;
	default:
		r = stint_chan_recv(ctx, p->h->ch, items);
		r = r == 0 ? 1 : r;
		break;
	}
	stint_ctx_free(ctx);
	return r;
}

static void
recv_all(void *arg)
{
	struct party *p = arg;
	struct record items[BATCH_MAX];
	int n;

	while ((n = recv_somehow(p, items)) != -EPIPE) {
		for (int i = 0; i < n; i++) {
			/* FIFO per sender: to each receiver its items come in order. */
			if (items[i].number < p->next[items[i].sender])
				p->fault = "overtaken or doubled";
			p->next[items[i].sender] = items[i].number + 1;
			p->received++;
		}
	}
}

static void
run_history(size_t cap, bool is_rough, uint64_t seed)
{
	struct history h = {.is_rough = is_rough, .senders_left = SENDERS};
	struct party party[SENDERS + RECEIVERS] = {0};
	struct task task[SENDERS + RECEIVERS];
	int received = 0;

	h.ch = new_chan(sizeof(struct record), cap);
	h.other = new_chan(0, 0);
	for (int i = 0; i < SENDERS + RECEIVERS; i++) {
		party[i].h = &h;
		party[i].id = i;
		party[i].seed = seed * 1000 + (uint32_t)i + 1;
		task_start(&task[i], i < SENDERS ? send_all : recv_all, &party[i]);
	}
	for (int i = 0; i < SENDERS + RECEIVERS; i++) {
		task_join(&task[i]);
		assert_null(party[i].fault);
		received += party[i].received;
	}
	assert_int_equal(received, SENDERS * test_rounds(ITEMS_EACH));
	assert_int_equal(stint_chan_len(h.ch), 0);
	stint_chan_free(h.ch);
	stint_chan_free(h.other);
}

static void
every_item_arrives_once_and_in_order(void **state)
{
	static const size_t caps[] = {0, 1, 2, 7, 64};

	(void)state;
	for (uint32_t i = 0; i < sizeof(caps) / sizeof(*caps); i++)
		run_history(caps[i], false, i + 1);
}

static void
ends_at_random_moments_lose_nothing(void **state)
{
	static const size_t caps[] = {0, 1, 7};

	(void)state;
	for (uint32_t i = 0; i < sizeof(caps) / sizeof(*caps); i++)
		run_history(caps[i], true, i + 11);
}

/* ---- one wait, and everything that may end it at once ---- */

struct trigger {
	pthread_barrier_t *start;
	struct stint_ctx *ctx;
	struct stint_chan *ch;
	int kind;
	int result;
};

static void
pull_trigger(void *arg)
{
	struct trigger *t = arg;
	int item = 7;

	pthread_barrier_wait(t->start);
	switch (t->kind) {
	case 0:
		t->result = stint_chan_try_send(t->ch, &item);
		break;
	case 1:
		stint_ctx_cancel(t->ctx);
		break;
	default:
		t->result = stint_chan_close(t->ch);
		break;
	}
}

/* Send, cancel, close and a deadline race for one parked receiver. Whichever wins,
 * a sent item is either received or still in the channel. */
static void
rivals_for_one_waiter_agree_on_one_end(void **state)
{
	enum { ROUNDS = 400, KINDS = 3 };

	(void)state;
	for (int round = 0; round < test_rounds(ROUNDS); round++) {
		struct stint_chan *ch = new_chan(sizeof(int), (size_t)round % 2);
		struct stint_ctx *parent = new_ctx(BACKGROUND), *ctx;
		struct trigger trigger[KINDS];
		struct task task[KINDS], receiver;
		pthread_barrier_t start;
		struct op op = {.ch = ch};
		int left = 0;

		assert_int_equal(stint_ctx_with_timeout(parent, round % 3, &ctx), 0);
		op.ctx = ctx;
		pthread_barrier_init(&start, NULL, KINDS);
		for (int i = 0; i < KINDS; i++) {
			trigger[i] = (struct trigger){&start, parent, ch, i, 1};
			task_start(&task[i], pull_trigger, &trigger[i]);
		}
		task_start(&receiver, op_recv, &op);
		for (int i = 0; i < KINDS; i++)
			task_join(&task[i]);
		task_join(&receiver);
		left = (int)stint_chan_len(ch);
		assert_int_equal(trigger[0].result == 0, left + (op.result == 0));
		if (op.result == 0)
			assert_int_equal(op.item, 7);
		pthread_barrier_destroy(&start);
		stint_ctx_free(parent);
		stint_ctx_free(ctx);
		stint_chan_free(ch);
	}
}

/* A receiver that is called and cancelled at the same time must pass the call on,
 * or the item it leaves has nobody who comes for it. */
static void
call_to_a_cancelled_receiver_is_passed_on(void **state)
{
	enum { ROUNDS = 500 };

	(void)state;
	for (int round = 0; round < test_rounds(ROUNDS); round++) {
		struct stint_chan *ch = new_chan(sizeof(int), 1);
		struct op first = {.ctx = new_ctx(BACKGROUND), .ch = ch};
		struct op second = {.ctx = BACKGROUND, .ch = ch};
		struct task first_task, second_task;
		int item = round;

		task_start(&first_task, op_recv, &first);
		wait_until(task_sleeps(&first_task));
		task_start(&second_task, op_recv, &second);
		wait_until(task_sleeps(&second_task));
		assert_int_equal(stint_chan_try_send(ch, &item), 0);
		stint_ctx_cancel(first.ctx);
		task_join(&first_task);
		if (first.result == 0) /* it was faster */
			assert_int_equal(stint_chan_try_send(ch, &item), 0);
		else
			assert_int_equal(first.result, -ECANCELED);
		task_join(&second_task);
		assert_int_equal(second.result, 0);
		assert_int_equal(second.item, round);
		stint_ctx_free(first.ctx);
		stint_chan_free(ch);
	}
}

/* A call that comes late: its item is taken back, the context ends, another item is
 * sent. That one is not for the receiver. (It may still be when the thread lost its
 * processor between a look at the context and one at the channel: hence "few".) */
static void
called_receiver_takes_nothing_once_its_context_ended(void **state)
{
	enum { ROUNDS = 500, FEW = 5 };
	int taken_too_late = 0;

	(void)state;
	for (int round = 0; round < test_rounds(ROUNDS); round++) {
		struct op op = {
			.ctx = new_ctx(BACKGROUND), .ch = new_chan(sizeof(int), 1)};
		struct task task;
		int first = 1, second = 2, back;

		task_start(&task, op_recv, &op);
		wait_until(task_sleeps(&task));
		assert_int_equal(stint_chan_try_send(op.ch, &first), 0);
		(void)!stint_chan_try_recv(op.ch, &back); /* unless it was faster */
		stint_ctx_cancel(op.ctx);
		assert_int_equal(stint_chan_try_send(op.ch, &second), 0);
		task_join(&task);
		if (op.result == 0 && op.item == second)
			taken_too_late++;
		stint_ctx_free(op.ctx);
		stint_chan_free(op.ch);
	}
	assert_true(taken_too_late <= FEW);
}

/* ---- a pipeline that is cancelled ---- */

struct filter {
	struct stint_ctx *ctx;
	struct stint_chan *in, *out;
	int prime, result;
};

static void
count_up(void *arg)
{
	struct filter *f = arg;

	for (int i = 2; f->result == 0; i++)
		f->result = stint_chan_send(f->ctx, f->out, &i);
}

static void
drop_multiples(void *arg)
{
	struct filter *f = arg;
	int n;

	while ((f->result = stint_chan_recv(f->ctx, f->in, &n)) == 0) {
		if (n % f->prime == 0)
			continue;
		f->result = stint_chan_send(f->ctx, f->out, &n);
		if (f->result < 0)
			return;
	}
}

static void
sieve_finds_primes_and_ends_when_cancelled(void **state)
{
	enum { PRIMES = 30 };
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct filter filter[PRIMES + 1];
	struct task task[PRIMES + 1];
	struct stint_chan *ch[PRIMES + 1];
	int prime = 0;

	(void)state;
	for (int i = 0; i <= PRIMES; i++) {
		ch[i] = new_chan(sizeof(int), 0);
		filter[i] = (struct filter){ctx, i ? ch[i - 1] : NULL, ch[i], prime, 0};
		task_start(&task[i], i ? drop_multiples : count_up, &filter[i]);
		assert_int_equal(stint_chan_recv(BACKGROUND, ch[i], &prime), 0);
	}
	assert_int_equal(prime, 127); /* the 31st */
	stint_ctx_cancel(ctx);
	for (int i = 0; i <= PRIMES; i++) {
		task_join(&task[i]);
		assert_int_equal(filter[i].result, -ECANCELED);
	}
	for (int i = 0; i <= PRIMES; i++)
		stint_chan_free(ch[i]);
	stint_ctx_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_before_send_is_seen_after_recv),
		cmocka_unit_test(chained_stages_keep_order_and_end_with_the_first),
		cmocka_unit_test(every_item_arrives_once_and_in_order),
		cmocka_unit_test(ends_at_random_moments_lose_nothing),
		cmocka_unit_test(rivals_for_one_waiter_agree_on_one_end),
		cmocka_unit_test(call_to_a_cancelled_receiver_is_passed_on),
		cmocka_unit_test(called_receiver_takes_nothing_once_its_context_ended),
		cmocka_unit_test(sieve_finds_primes_and_ends_when_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
