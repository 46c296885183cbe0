/* newer.c - a plugin whose header had more in a job than ours */
#define MISFIT_ABI       STINT_PLUGIN_ABI
#define MISFIT_JOB_BYTES (sizeof(struct stint_job) + 8)
#include "misfit.h"
