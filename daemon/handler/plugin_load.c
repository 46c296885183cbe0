/*
 * plugin_load.c - opens a plugin; see plugin_load.h
 *
 * What the plugin says of itself was written by its compiler, from the header that it
 * had. The header's structs grow only at their ends: one that knows less than we do fits,
 * one that knows more would read behind what we give it.
 */
#include <dlfcn.h>
#include <errno.h>
#include "daemon/handler/plugin_load.h"

/* The structs of the first version of the header. */
#define PLUGIN_BYTES_MIN (offsetof(struct stint_plugin, run) + sizeof(stint_plugin_fn))
#define JOB_BYTES_MIN    (offsetof(struct stint_job, field_count) + sizeof(size_t))

static int
check(const struct stint_plugin *plugin, const char *path, struct stint_err *err)
{
	if (plugin->abi != STINT_PLUGIN_ABI)
		return stint_err_set(err, -ENOEXEC,
			"%s was compiled for version %u of stint/plugin.h, this stint "
			"has version %d: compile it again",
			path, plugin->abi, STINT_PLUGIN_ABI);
	if (plugin->plugin_bytes > sizeof *plugin ||
		plugin->job_bytes > sizeof(struct stint_job))
		return stint_err_set(err, -ENOEXEC,
			"%s was compiled with the stint/plugin.h of a newer stint: "
			"compile "
			"it again with the one of this stint (" STINT_VERSION ")",
			path);
	if (plugin->plugin_bytes < PLUGIN_BYTES_MIN || plugin->job_bytes < JOB_BYTES_MIN)
		return stint_err_set(err, -ENOEXEC,
			"%s: what it calls stint_plugin was not made by STINT_PLUGIN()",
			path);
	if (!plugin->run)
		return stint_err_set(
			err, -ENOEXEC, "%s: its STINT_PLUGIN() has no function", path);
	return 0;
}

int
plugin_load(const char *path, stint_plugin_fn *ret, struct stint_err *err)
{
	const struct stint_plugin *plugin;
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int r;

	if (!handle)
		return stint_err_set(err, -ENOEXEC, "%s", dlerror());
	plugin = dlsym(handle, "stint_plugin");
	if (!plugin)
		return stint_err_set(err, -ENOEXEC,
			"%s has no STINT_PLUGIN(): it is no plugin of stint", path);
	r = check(plugin, path, err);
	if (r == 0)
		*ret = plugin->run;
	return r;
}
