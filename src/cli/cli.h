/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cli.h - what the verbs share
 *
 * Only this folder prints, parses options or exits. One file a verb; it uses
 * nothing of libcptool but cptool.h.
 */
#ifndef CPT_CLI_H
#define CPT_CLI_H

#include "cptool.h"

#include <getopt.h>
#include <stdio.h>

enum exit_status { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* ---- verbs: an exit status each -------------------------------------- */

int verb_check(int argc, char **argv);
int verb_dump(int argc, char **argv);
int verb_freeze(int argc, char **argv);
int verb_kill(int argc, char **argv);
int verb_merge(int argc, char **argv);
int verb_restore(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_thaw(int argc, char **argv);
int verb_verify(int argc, char **argv);

/* ---- saying ---------------------------------------------------------- */

/** complain - one line on stderr, after "cptool: " */
void complain(const char *fmt, ...) PRINTF(1, 2);
/** usage_error - the same, and where help is; returns EXIT_USAGE */
int usage_error(const char *verb, const char *fmt, ...) PRINTF(2, 3);
/** failed - say why a call of the library failed; returns its exit status */
int failed(const char *verb, const struct cpt_err *err);
/** to_stderr - a sink for refusals and log lines; to_stdout - one for results */
extern const struct cpt_sink to_stderr, to_stdout;
/** flush - EXIT_FINE when all that was printed has got out, else EXIT_FAILED, said */
int flush(void);

/* ---- options --------------------------------------------------------- */

enum long_option {		/* those without a letter */
	OPT_TCP_ESTABLISHED = 256,
	OPT_TCP_CLOSE,
	OPT_SHELL_JOB,
	OPT_EXT_UNIX_SK,
	OPT_LEAVE_FROZEN,
	OPT_BASE,
	OPT_TRACK,
	OPT_SNAPSHOT,
	OPT_TIMEOUT,
	OPT_STATS,
	OPT_CGROUP,
	OPT_WAIT,
	OPT_JSON,
	OPT_NO_PROGRESS,
	OPT_LAZY,
};

#define COMMON_LONG							\
	{ "verbose", no_argument, NULL, 'v' },				\
	{ "help", no_argument, NULL, 'h' }
#define PROGRESS_LONG { "no-progress", no_argument, NULL, OPT_NO_PROGRESS }
#define PERMIT_LONG							\
	{ "tcp-established", no_argument, NULL, OPT_TCP_ESTABLISHED },	\
	{ "tcp-close", no_argument, NULL, OPT_TCP_CLOSE },		\
	{ "shell-job", no_argument, NULL, OPT_SHELL_JOB },		\
	{ "ext-unix-sk", no_argument, NULL, OPT_EXT_UNIX_SK }
#define END_LONG { NULL, 0, NULL, 0 }

/* a verb's options */
struct options {
	const char *verb, *help;
	const char *letters;		/* as getopt wants them, beside v and h */
	const struct option *names;
	unsigned *permit;		/* gets the bits of PERMIT_LONG; NULL: it has none of them */
};
/**
 * own_option - the next option that not every verb has, -1 at the end
 * @status: negative, or the exit status that the verb is to end with now
 */
int own_option(const struct options *o, int argc, char **argv, int *status);
/** louder - one -v more */
void louder(void);
/** seconds - parse "2" or "0.5" into milliseconds, 1 to INT_MAX; 0: it is no such number */
int seconds(const char *text);
/** one_group - the one group that is left on the command line; NULL after saying what is wrong */
const char *one_group(const char *verb, int argc, char **argv);
/** one_image - the one image that is left, or @usual; NULL after saying what is wrong */
const char *one_image(const char *verb, const char *usual, int argc, char **argv);

/* ---- progress -------------------------------------------------------- */

/**
 * progress_start - from now on a line on stderr tells how far the library is, if that is a terminal
 * @verb: stands before it
 */
void progress_start(const char *verb);
/** progress_off - there shall be none */
void progress_off(void);
/** progress_end - take it away; safe in a signal handler, and when there is none */
void progress_end(void);
/** progress_hide - make room for a message; the result is for progress_again() */
bool progress_hide(void);
void progress_again(bool hidden);

/* ---- signals and results --------------------------------------------- */

/** catch_signals - from now on Ctrl-C undoes what runs, says so and ends */
void catch_signals(void);
/** late_signal - one that came when there was nothing left to undo; 0: none did */
int late_signal(void);

/** write_stats - as JSON into a file, or "-" for stdout; @what is the verb */
int write_stats(const char *file, const char *what, const struct cpt_stats *stats);

#endif
