/*
 * log_ids.h - MESSAGE_ID of the events that people alarm on or look up
 *
 *	log_warn("redis is away, trying again", F_MESSAGE_ID(LOG_ID_REDIS_AWAY), ...);
 *
 * An ID, once released, stays with its meaning, also when the sentence changes. Each has
 * its text in packaging/systemd/stint.catalog and its line in stint-ops(7). A new one
 * comes from `systemd-id128 new`.
 */
#ifndef OBS_LOG_IDS_H
#define OBS_LOG_IDS_H

#define LOG_ID_JOB_FAILED     "efdfc872d79e4054a8e2787ad430a7f5"
#define LOG_ID_JOB_POISON     "0247d280a4c044e1ba0a5865a8daf7b9"
#define LOG_ID_REDIS_AWAY     "1b722f77042040f28e090baa1b872d64"
#define LOG_ID_REDIS_REFUSES  "c9641d2d9643406cbe5e7915b67cf317"
#define LOG_ID_REDIS_BACK     "93d9cb7e240d4d93963c89dcfc52fc8d"
#define LOG_ID_RESULTS_WAIT   "7d6504d0458d4da8b4b89e4ba4813adb"
#define LOG_ID_RELOADED       "9866b7bf364c4b559f666376bb3c5ce3"
#define LOG_ID_RELOAD_REFUSED "559769a47069454e88c5737e656b31a7"
#define LOG_ID_THREAD_KEPT    "6288973b37ab4789acbc7e8c0acfb60a"
#define LOG_ID_MAX_STUCK      "2b2a6e3bb69e45c8a054bc9e7ea5884d"
#define LOG_ID_STOPPING       "814e6f7a2c774916a67c871b787cfcc6"
#define LOG_ID_STOPPED        "96039a85630648f8988abc0ed31ac810"

#endif
