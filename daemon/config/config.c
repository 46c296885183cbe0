/*
 * config.c - the life of a snapshot
 */
#include <stdlib.h>
#include "daemon/config/config.h"
#include "daemon/config/load.h"

struct config *
config_ref(struct config *c)
{
	/* Who takes a reference holds one already: nothing to order. */
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
config_unref(struct config *c)
{
	/* The last holder must see the others' reads done before it frees. */
	if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		config_free(c);
}

const struct handler_conf *
config_handler(const struct config *c, const char *name, size_t n)
{
	const struct handler_conf *h;

	HASH_FIND(hh, c->handlers, name, n, h);
	return h;
}

void
config_free_strings(char **strings)
{
	if (!strings)
		return;
	for (char **s = strings; *s; s++)
		free(*s);
	free(strings);
}

void
config_free_handler(struct handler_conf *h)
{
	account_fini(&h->account);
	free(h->name);
	config_free_strings(h->argv);
	config_free_strings(h->environment);
	free(h->directory);
	free(h->plugin);
	free(h);
}

void
config_free_queues(struct config *c)
{
	for (size_t i = 0; i < c->queue_count; i++)
		free(c->queues[i].name);
	free(c->queues);
	c->queues = NULL;
	c->queue_count = 0;
}

void
config_free(struct config *c)
{
	struct handler_conf *h, *next;

	if (!c)
		return;
	HASH_ITER (hh, c->handlers, h, next) {
		HASH_DEL(c->handlers, h);
		config_free_handler(h);
	}
	config_free_queues(c);
	redis_url_fini(&c->redis);
	free(c->password_file);
	free(c->prefix);
	free(c->path);
	free(c);
}

void
config_redis_fini(struct config_redis *c)
{
	redis_url_fini(&c->url);
	free(c->prefix);
	*c = (struct config_redis){0};
}
