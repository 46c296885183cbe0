/*
 * yaml.h - YAML text to a tree that knows where everything stands
 *
 * The subset that a configuration needs: maps with plain keys, lists, texts. What
 * makes YAML dangerous or surprising (anchors and aliases, tags, a key twice,
 * several documents) is a fault, and size, nesting and the number of nodes are
 * bounded, so that no file costs more than its own size.
 *
 * (The names begin with yaml_tree_ because libyaml has yaml_* for itself.)
 */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include <stddef.h>

struct faults;

enum {
	YAML_TREE_BYTES_MAX = 1 << 20,
	YAML_TREE_DEPTH_MAX = 16,
	YAML_TREE_NODES_MAX = 20000,
};

enum yaml_tree_kind {
	TREE_NULL, /* nothing, `~` or `null`, unquoted */
	TREE_TEXT, /* any other scalar, as written: numbers are texts, too */
	TREE_LIST,
	TREE_MAP,
	TREE_FAULTY, /* a fault was reported here: to be passed over */
};

/* A node, and the tree below it. */
struct yaml_tree {
	enum yaml_tree_kind kind;
	int line; /* from 1: of the key in a map, else of the value */
	int column;
	char *key;                /* in a map; else NULL */
	char *text;               /* TREE_TEXT: UTF-8, no NUL inside */
	struct yaml_tree *parent; /* NULL: the root */
	struct yaml_tree *first;  /* children, in the order of the file */
	struct yaml_tree *last;
	struct yaml_tree *next; /* sibling */
	size_t count;           /* of children */
};

/**
 * yaml_tree_parse() - the one document in @text
 *
 * An empty text is a TREE_NULL. The tree is made even when some of its nodes are
 * faulty, so that the rest can be checked in the same go.
 *
 * Return: 0 and the tree, perhaps with faults added; -EINVAL and at least one fault
 * when there is no tree to be had; -ENOMEM.
 */
int yaml_tree_parse(
	const char *text, size_t n, struct faults *faults, struct yaml_tree **ret);

/* The child of a map by its key, or NULL. */
const struct yaml_tree *yaml_tree_find(const struct yaml_tree *map, const char *key);

void yaml_tree_free(struct yaml_tree *tree);   /* takes NULL */
void yaml_tree_freep(struct yaml_tree **tree); /* cleanup() handler */

#endif
