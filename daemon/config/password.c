/*
 * password.c - redis.password_file: the password that stands in a file of its own
 *
 * With systemd's LoadCredential= the file lies in $CREDENTIALS_DIRECTORY; by hand, a
 * relative name is one beside the configuration.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/config/file.h"
#include "daemon/config/load.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

enum {
	PASSWORD_MAX_BYTES = 4096,
};

/* Where to look; @ret_where says so in a fault. */
static char *
find_file(const struct loader *l, const char **ret_where)
{
	const char *name = l->config->password_file;
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	const char *slash = l->path ? strrchr(l->path, '/') : NULL;
	char *path;
	int n;

	*ret_where = "";
	if (name[0] == '/')
		return strdup(name);
	if (folder && *folder) {
		*ret_where = " in $CREDENTIALS_DIRECTORY";
		n = asprintf(&path, "%s/%s", folder, name);
	} else {
		*ret_where = " beside this one";
		n = asprintf(&path, "%.*s%s", slash ? (int)(slash - l->path + 1) : 0,
			l->path ? l->path : "", name);
	}
	return n < 0 ? NULL : path;
}

static void
take_password(struct loader *l, struct buf *content)
{
	size_t n = content->len;
	char *password;

	if (n > 0 && content->data[n - 1] == '\n')
		n--;
	if (n == 0 || memchr(content->data, '\0', n)) {
		faults_at(&l->faults, l->password_file,
			"expected a password in the file, got %s",
			n == 0 ? "nothing" : "a NUL byte");
		return;
	}
	password = strndup(content->data, n);
	if (!password) {
		l->failed = true;
		return;
	}
	if (l->config->redis.password)
		explicit_bzero(
			l->config->redis.password, strlen(l->config->redis.password));
	free(l->config->redis.password);
	l->config->redis.password = password;
}

/* The name is not shown: somebody will write the password itself there. */
void
password_load(struct loader *l)
{
	cleanup(buf_wipe) struct buf content = {0};
	cleanup(freep) char *path = NULL;
	const char *where;
	int64_t bytes;
	int r;

	path = find_file(l, &where);
	r = path ? file_read(path, PASSWORD_MAX_BYTES, &content, &bytes) : -ENOMEM;
	if (r == 0)
		take_password(l, &content);
	else if (r == -ENOMEM)
		l->failed = true;
	else if (r == -EFBIG)
		faults_at(&l->faults, l->password_file,
			"expected a file of at most 4KiB%s, got more", where);
	else
		faults_at(&l->faults, l->password_file,
			"expected a file that can be read%s: %s", where, strerror(-r));
}
