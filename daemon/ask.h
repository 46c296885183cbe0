/*
 * ask.h - a reload that somebody waits for: `stintd --reload PID`, and the answer
 *
 * A SIGHUP says nothing to who sends it. One that is sent with a value (sigqueue(3)) is
 * answered by a SIGURG with a value, when the reload is over: the new configuration is in
 * force, or it is not. SIGURG, since a process that does not expect it does not notice.
 *
 * The kernel keeps one SIGHUP at a time: a question that comes while another one waits
 * is lost. So it is asked again until there is an answer; a reload more does no harm.
 */
#ifndef DAEMON_ASK_H
#define DAEMON_ASK_H

#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/types.h>

/**
 * ask_reload() - have a daemon load its configuration again, and wait for that
 * @daemon: its process id; it runs as this user, or this is root, who becomes that user
 *
 * What goes wrong is printed. Blocks: until the answer, at most a minute. Thread: a
 * process that does nothing else.
 * Return: the exit code: 0: it is in force; EXIT_CONFIG: the old one stays;
 *         EXIT_UNAVAILABLE: no answer, or nobody there.
 */
int ask_reload(pid_t daemon);

/* The daemon's side, after a reload: @signal is the SIGHUP that was its cause. A signal
 * that was no question is not answered. */
void ask_answer(const struct signalfd_siginfo *signal, bool is_in_force);

#endif
