/* lodger.c - a plugin that starts a process when it is loaded, which holds what it has
 *
 * LODGER names the file for its pid; without it none is started.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <stint/plugin.h>

enum { STAYS_S = 60 }; /* should nobody end it */

__attribute__((constructor)) static void
start(void)
{
	const char *path = getenv("LODGER");
	FILE *file;

	if (!path || fork() != 0)
		return;
	file = fopen(path, "w");
	if (file) {
		fprintf(file, "%d", (int)getpid());
		fclose(file);
	}
	alarm(STAYS_S);
	pause();
	_exit(0);
}

static int
run(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	(void)ctx, (void)job, (void)reply;
	return 0;
}

STINT_PLUGIN(run);
