/*
 * load.h - what the parts of loading share: one run over one file
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include <stdbool.h>
#include "daemon/config/config.h"
#include "daemon/config/faults.h"
#include "daemon/config/schema.h"
#include "daemon/config/yaml.h"

/* Of the names of environment variables; the first is no digit. */
#define VARIABLE_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

struct loader {
	const char *path;      /* NULL: built in */
	struct config *config; /* half-built; owned */
	struct handler_conf
		preset; /* `defaults` and `results`: each handler begins as this */
	struct handler_conf
		*handler; /* where KEY_OF_HANDLER goes: preset, or a handler */
	const struct yaml_tree
		*handlers; /* kept for last: presets may stand behind them */
	const struct yaml_tree
		*password_file; /* likewise; its content overrides the url's */
	struct faults faults;
	bool is_for_clients; /* only what config_load_redis() needs */
	bool failed;         /* out of memory */
};

/* Put what @node says into the field of @row, or add faults. For all types but
 * KEY_SECTION and KEY_HANDLERS. */
void value_load(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node);

/* The lists and maps among them: KEY_QUEUES, KEY_ARGV, KEY_ENVIRONMENT. */
void value_load_queues(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node);
void value_load_argv(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node);
void value_load_environment(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node);

/* KEY_PLUGIN. */
void value_load_plugin(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node);

/* All keys of a handler's section are loaded: which kind of handler it is, and those that
 * another kind has. */
void kind_check(struct loader *l, const struct yaml_tree *section);

/* A text with ${NAME} and $$ replaced, to be freed; NULL after a fault ("expected
 * @what, got ...") or without memory. */
char *value_text(struct loader *l, const struct yaml_tree *node, const char *what);

/* A number in the row's range (or its word: 0); false after a fault. @type is
 * KEY_COUNT, KEY_SPAN or KEY_SIZE. */
bool value_number(struct loader *l, const struct schema_key *row, enum schema_type type,
	const struct yaml_tree *node, int64_t *ret);

/* Where the row's value goes. */
void *value_field(const struct loader *l, const struct schema_key *row);

/* Who the account's user and group are, on this host; faults name keys of @section,
 * the handler's. Blocks: on the host's user database. */
void account_resolve(struct loader *l, const struct yaml_tree *section);
void account_fini(struct handler_account *a);

/* The password from config->password_file into config->redis. */
void password_load(struct loader *l);

/* For the one who half-built them; all take zeroed structs. */
void config_free(struct config *c);
void config_free_queues(struct config *c);
void config_free_handler(struct handler_conf *h);
void config_free_strings(char **strings);

#endif
