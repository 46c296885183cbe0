/*
 * schema.h - the table of all configuration keys
 *
 * One row per key; checking, defaults, suggestions and what a reload can change
 * all follow from it. A key is added by a row here and a line in config/stint.yaml.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stddef.h>

enum schema_type {
	KEY_SECTION,       /* a map of keys that have rows of their own */
	KEY_HANDLERS,      /* a map from names to sections */
	KEY_COUNT,         /* int, or the word, which gives 0 */
	KEY_SPAN,          /* int64_t ms, likewise */
	KEY_SIZE,          /* int64_t bytes */
	KEY_CHOICE,        /* an enum: which of the words */
	KEY_NAME,          /* char *: 1..64 of A-Za-z0-9_.- */
	KEY_URL,           /* struct redis_url */
	KEY_PASSWORD_FILE, /* char *: the path as written; the content goes to
			      redis.password */
	KEY_QUEUES,        /* config.queues, queue_count, is_weighted */
	KEY_ARGV,          /* char **: NULL-terminated */
	KEY_ENVIRONMENT,   /* char **: "NAME=value", NULL-terminated */
	KEY_FOLDER,        /* char *: an absolute path */
	KEY_ACCOUNT,       /* char *: name or number of a user or group */
	KEY_PLUGIN,        /* char *: the path of a shared object; and its stamp */
};

enum schema_flags {
	KEY_OF_WORKER = 1 << 0,     /* only for a handler whose process stays */
	KEY_NEEDS_RESTART = 1 << 1, /* a reload cannot change it */
	KEY_FOR_CLIENTS = 1 << 2,   /* read by config_load_redis(), too */
	KEY_OF_HANDLER =
		1 << 3, /* the field is in struct handler_conf, else in struct config */
	KEY_OF_PLUGIN = 1 << 4,  /* only for a handler that has `plugin` */
	KEY_OF_PROCESS = 1 << 5, /* not for one that runs in a thread of the daemon */
};

struct schema_key {
	const char *path; /* "redis.url"; * stands for a handler's name */
	enum schema_type type;
	size_t offset;      /* of the field */
	const char *preset; /* the default, in YAML; NULL: none, or inherited */
	const char *min;    /* KEY_COUNT, KEY_SPAN, KEY_SIZE; of KEY_QUEUES' weights */
	const char *max;
	const char *
		words; /* KEY_CHOICE: all, "a|b|c"; else one that stands for 0; or NULL */
	unsigned flags;   /* enum schema_flags */
	const char *help; /* one line */
};

extern const struct schema_key schema_keys[];
extern const size_t schema_key_count;

/* The row's last name when it stands directly in @section ("": the root), else NULL. */
const char *schema_name_in(const struct schema_key *row, const char *section);

/* The row of @name in @section, or NULL. */
const struct schema_key *schema_find(const char *section, const char *name);

/* The known name in @section that @name may be a misspelling of, or NULL. */
const char *schema_nearest(const char *section, const char *name);

#endif
