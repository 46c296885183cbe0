/*
 * model.h - Redis as far as stint uses it: the keys, one command at a time, in one thread
 *
 *	model.c          keys, MULTI, who is blocked
 *	model_values.c   strings, hashes, sorted sets
 *	model_stream.c   streams
 *	model_group.c    consumer groups and pending lists
 *	model_script.c   the scripts of lib/wire/scripts, run by Lua as they are
 *
 * Errors are worded as Redis 7.0 words them. The clock is the scripted one. Results are
 * kept for ever: no schedule is as long as their TTL.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "daemon/redis/conn.h"
#include "tests/sim/arena.h"

/* ---- what is stored ---- */

struct sid {
	uint64_t ms, seq;
};

struct entry {
	struct sid id;
	struct bytes *fields;
	size_t count; /* of names and values */
};

struct consumer {
	struct bytes name;
	int64_t seen_ms;
	bool is_gone;
};

struct held {
	struct sid id;
	struct consumer *owner;
	int64_t delivered_ms;
	int64_t deliveries;
};

enum { CONSUMERS_MAX = 64 };

struct group {
	struct bytes name;
	struct sid last;
	struct held *held; /* by id */
	size_t held_count, held_cap;
	struct consumer consumers[CONSUMERS_MAX];
	size_t consumer_count;
};

struct stream {
	struct entry *entries; /* by id */
	size_t count, cap;
	struct sid last;
	struct group *group; /* NULL: none; stint has one */
};

struct pair {
	struct bytes name, value; /* value: of a hash */
	double score;             /* of a sorted set, by which they are in order */
};

enum object_type { OBJECT_STRING, OBJECT_HASH, OBJECT_ZSET, OBJECT_STREAM };

struct object {
	struct bytes key;
	enum object_type type;
	struct bytes string;
	struct pair *pairs;
	size_t count, cap;
	struct stream stream;
};

/* ---- who asks ---- */

enum { CLIENT_QUEUE_MAX = 512 };

struct model_client {
	int64_t id;
	bool is_blocked; /* its command is answered later, into @blocked_reply */
	int64_t blocked_until_ms;
	const struct bytes *blocked_argv;
	size_t blocked_argc;
	struct redis_reply *blocked_reply;
	struct arena *blocked_arena;
	struct model_client *next_blocked;

	bool is_multi, is_multi_refused;
	struct {
		const struct bytes *argv;
		size_t argc;
		int flags;
	} queue[CLIENT_QUEUE_MAX];
	size_t queued;
};

/* One command being executed. Replies are made in @arena. */
struct call {
	const struct bytes *argv;
	size_t argc;
	struct redis_reply *reply;
	struct arena *arena;
	struct model_client *client; /* NULL: a script's */
};

struct model {
	struct arena arena;
	struct object *objects;
	size_t count, cap;
	bool is_full;      /* out of memory: what takes some is refused */
	bool is_readonly;  /* a replica: what writes is refused */
	bool is_loading;   /* nearly all is refused */
	bool is_written;   /* since model_execute() began: invariants are worth a look */
	bool is_signalled; /* a stream has got an entry: somebody may be waiting for it */
	bool in_script, script_has_written;
	uint64_t scripts_loaded; /* bit by script */
	struct model_client *blocked;
	/* What the checker wants to know of, before it happens; NULL: nobody asks. */
	void (*on_set)(const struct bytes *key, const struct bytes *value, bool is_new,
		bool is_nx);
	void (*on_del)(const struct bytes *key);
	void (*on_add)(const struct bytes *key, const struct bytes *fields, size_t count);
	void (*on_zadd)(
		const struct bytes *key, const struct bytes *member, double score);
	/* It is about to get another owner. */
	void (*on_move)(const struct bytes *key, const struct held *held,
		const struct bytes *owner);
};

extern struct model model;

/* An empty Redis. Hooks stay. */
void model_reset(void);
void model_end(void);

/* Execute one command. @argv must stay while the client is blocked or in MULTI. */
void model_execute(struct model_client *c, const struct bytes *argv, size_t argc,
	struct arena *arena, struct redis_reply *reply);

/* FLUSHALL: keys and groups are gone, scripts stay. Hooks are not called. */
void model_flush(void);

/* All reads that block end with this error. */
void model_unblock_all(const char *why);

/* The time of a blocked read is over, or it is ended from outside. */
void model_unblock(struct model_client *c);
/* It went away: nothing is delivered to it any more. */
void model_drop_client(struct model_client *c);

/* NULL: there is none of that name (and type). */
struct object *model_find(struct bytes key);
struct object *model_find_typed(struct bytes key, enum object_type type);
struct pair *model_pair(const struct object *o, struct bytes name);
struct entry *model_entry(const struct stream *s, struct sid id);
bool sid_parse(struct bytes text, struct sid *ret, uint64_t default_seq);
size_t sid_print(struct sid id, char out[ENTRY_ID_BYTES]);
int sid_compare(struct sid a, struct sid b);
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_is(struct bytes a, const char *word);

/* ---- for the commands ---- */

typedef void (*command_fn)(struct call *c);

void reply_int(struct call *c, int64_t v);
void reply_nil(struct call *c);
void reply_bytes(struct redis_reply *r, struct bytes text);
void reply_status(struct call *c, const char *text);
void reply_error(struct call *c, const char *fmt, ...) STINT_PRINTF(2, 3);
struct redis_reply *reply_array(struct arena *a, struct redis_reply *r, size_t count);

/* NULL and an error when it is of another type; NULL alone when it is not there, unless
 * it is to be made. */
struct object *object_of(
	struct call *c, struct bytes key, enum object_type type, bool is_made);
void object_remove(struct object *o);

void model_block(struct call *c, int64_t block_ms);

/* From a script: no MULTI, nobody blocks. */
void model_call(struct call *c);

/* A larger array in the model's memory: the old one stays until the end. */
void *model_grow(void *old, size_t count, size_t *cap, size_t size);
struct bytes model_keep(struct bytes text);
int64_t bytes_int(struct bytes text);
double bytes_double(struct bytes text);

/* model_values.c */
void plain_del(struct call *c);
void plain_exists(struct call *c);
void plain_pexpire(struct call *c);
void plain_set(struct call *c);
void plain_get(struct call *c);
void plain_hset(struct call *c);
void plain_hget(struct call *c);
void plain_hdel(struct call *c);
void plain_hincrby(struct call *c);
void plain_zadd(struct call *c);
void plain_zrem(struct call *c);
void plain_zscore(struct call *c);
void plain_zrange(struct call *c);

/* model_stream.c, model_group.c, model_script.c */
void stream_add(struct call *c);
void stream_del(struct call *c);
void stream_len(struct call *c);
void stream_range(struct call *c);
void stream_revrange(struct call *c);
void stream_read(struct call *c);
void stream_info(struct call *c);
void stream_reply_entry(struct arena *a, struct redis_reply *r, const struct entry *e);
void stream_reply_id(struct arena *a, struct redis_reply *r, struct sid id);
/* Index of the first entry that is not before @id. */
size_t stream_seek(const struct stream *s, struct sid id);
struct sid sid_after(struct sid id);

void group_create(struct call *c); /* XGROUP */
void group_read(struct call *c);
void group_ack(struct call *c);
void group_pending(struct call *c);
void group_claim(struct call *c);
void group_autoclaim(struct call *c);

/* Word @name among the arguments from @from on; argc: it is not there. */
size_t call_option(const struct call *c, size_t from, const char *name);

void script_init(void);
void script_end(void);
void script_load(struct call *c);
void script_call(struct call *c);

#endif
