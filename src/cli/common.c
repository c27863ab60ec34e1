/* SPDX-License-Identifier: GPL-2.0-or-later */
/* common.c - messages, options that all verbs have, signals */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- saying ---------------------------------------------------------- */

void complain(const char *fmt, ...)
{
	bool hidden = progress_hide();
	va_list ap;

	/* what was printed before stands before it, also in one file */
	fflush(stdout);
	fputs("cptool: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	progress_again(hidden);
}

int usage_error(const char *verb, const char *fmt, ...)
{
	va_list ap;

	fputs("cptool: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (cptool %s%s--help tells more)\n", verb ? verb : "", verb ? " " : "");
	return EXIT_USAGE;
}

int failed(const char *verb, const struct cpt_err *err)
{
	progress_end();
	complain("%s: %s", verb, err->text);
	return err->fault == CPT_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static void line_to_stderr(void *arg, const char *text)
{
	complain("%s", text);
}

static void line_to_stdout(void *arg, const char *text)
{
	puts(text);
}

const struct cpt_sink to_stderr = { line_to_stderr, NULL };
const struct cpt_sink to_stdout = { line_to_stdout, NULL };

int flush(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return EXIT_FINE;
	complain("standard output: %s", strerror(errno));
	return EXIT_FAILED;
}

/* ---- options --------------------------------------------------------- */

void louder(void)
{
	static enum cpt_log_level level = CPT_LOG_WARN;

	if (level < CPT_LOG_DEBUG)
		level++;
	cpt_set_log(level, to_stderr);
}

static unsigned permit_of(int option)
{
	switch (option) {
	case OPT_TCP_ESTABLISHED:
		return CPT_PERMIT_TCP_ESTABLISHED;
	case OPT_TCP_CLOSE:
		return CPT_PERMIT_TCP_CLOSE;
	case OPT_SHELL_JOB:
		return CPT_PERMIT_SHELL_JOB;
	case OPT_EXT_UNIX_SK:
		return CPT_PERMIT_EXT_UNIX_SK;
	default:
		return 0;
	}
}

int own_option(const struct options *o, int argc, char **argv, int *status)
{
	char letters[32];
	int c;

	snprintf(letters, sizeof(letters), "%svh", o->letters);
	*status = -1;
	while ((c = getopt_long(argc, argv, letters, o->names, NULL)) != -1) {
		switch (c) {
		case 'v':
			louder();
			break;
		case OPT_NO_PROGRESS:
			progress_off();
			break;
		case 'h':
			printf("usage: cptool %s %s", o->verb, o->help);
			*status = flush();
			return -1;
		case '?':		/* getopt has said why */
			*status = EXIT_USAGE;
			return -1;
		default:
			if (!o->permit || !permit_of(c))
				return c;
			*o->permit |= permit_of(c);
		}
	}
	return -1;
}

int seconds(const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s > 0) || s * 1000 >= INT_MAX)
		return 0;
	s *= 1000;
	return s < 1 ? 1 : (int)s;
}

const char *one_group(const char *verb, int argc, char **argv)
{
	if (optind + 1 == argc)
		return argv[optind];
	if (optind == argc)
		usage_error(verb, "%s: which group?", verb);
	else
		usage_error(verb, "%s: one group at a time: %s", verb, argv[optind + 1]);
	return NULL;
}

const char *one_image(const char *verb, const char *usual, int argc, char **argv)
{
	if (optind + 1 < argc) {
		usage_error(verb, "%s: one image at a time: %s", verb, argv[optind + 1]);
		return NULL;
	}
	return optind < argc ? argv[optind] : usual;
}

/* ---- signals --------------------------------------------------------- */

static pid_t self;
static volatile sig_atomic_t came_late;

int late_signal(void)
{
	return came_late;
}

/* only calls that are allowed in a handler */
static void interrupted(int sig)
{
	static const char *const text[] = {
		[SIGHUP] = "cptool: the terminal hung up: given up, everything is as it was\n",
		[SIGINT] = "cptool: interrupted: given up, everything is as it was\n",
		[SIGTERM] = "cptool: terminated: given up, everything is as it was\n",
	};

	if (getpid() != self)
		_exit(EXIT_FAILED);	/* a child that was about to become somebody else */
	if (!cpt_interrupt()) {
		came_late = sig;
		return;		/* it is done in a moment */
	}
	progress_end();
	if (write(STDERR_FILENO, text[sig], strlen(text[sig])) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction act = { .sa_handler = interrupted, .sa_flags = SA_RESTART };
	struct sigaction old;

	self = getpid();
	sigfillset(&act.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		/* nohup and shells' background jobs ignore some: so do we */
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
}
