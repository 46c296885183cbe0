/* other_abi.c - a plugin that was compiled for another version of the header */
#define MISFIT_ABI       (STINT_PLUGIN_ABI + 1)
#define MISFIT_JOB_BYTES sizeof(struct stint_job)
#include "misfit.h"
