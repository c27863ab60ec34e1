/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* err.c - errors as flat values, and the log */
#include "base/base.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

CPT_PRINTF(2, 0)
static void vformat(struct cpt_err *err, const char *fmt, va_list ap)
{
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	/* a hostile task's name must not be able to write a second line */
	for (char *c = err->text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
}

int cpt_fail(struct cpt_err *err, enum cpt_fault fault, const char *fmt, ...)
{
	va_list ap;

	err->fault = fault;
	err->sys = 0;
	va_start(ap, fmt);
	vformat(err, fmt, ap);
	va_end(ap);
	return -1;
}

CPT_PRINTF(3, 0)
static int fail_with(struct cpt_err *err, int sys, const char *fmt, va_list ap)
{
	size_t len;

	err->fault = CPT_SYSTEM;
	err->sys = sys;
	vformat(err, fmt, ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(sys));
	errno = sys;
	return -1;
}

int cpt_fail_sys(struct cpt_err *err, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;

	va_start(ap, fmt);
	fail_with(err, sys, fmt, ap);
	va_end(ap);
	return -1;
}

int cpt_fail_errno(struct cpt_err *err, int sys, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_with(err, sys, fmt, ap);
	va_end(ap);
	return -1;
}

int cpt_within(struct cpt_err *err, const char *fmt, ...)
{
	char inner[sizeof(err->text)];
	size_t len;
	va_list ap;

	memcpy(inner, err->text, sizeof(inner));
	va_start(ap, fmt);
	vformat(err, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", inner);
	return -1;
}

bool cpt_fault_here(void)
{
	static long left = -1;		/* -1: not asked yet, 0: off */

	if (left < 0) {
		const char *n = getenv("CPT_FAULT");

		left = n ? strtol(n, NULL, 10) : 0;
		if (left < 0)
			left = 0;
	}
	return left > 0 && --left == 0;
}

void cpt_kill_here(void)
{
	static long left = -1;

	if (left < 0) {
		const char *n = getenv("CPT_KILL");

		left = n ? CPT_MAX(strtol(n, NULL, 10), 0L) : 0;
	}
	if (left > 0 && --left == 0)
		raise(SIGKILL);
}

static struct {
	enum cpt_log_level level;
	struct cpt_sink sink;
} log_to = { CPT_LOG_WARN, { NULL, NULL } };

void cpt_set_log(enum cpt_log_level level, struct cpt_sink sink)
{
	log_to.level = level;
	log_to.sink = sink;
}

bool cpt_log_wanted(enum cpt_log_level level)
{
	return log_to.sink.line && level <= log_to.level;
}

void cpt_log(enum cpt_log_level level, const char *fmt, ...)
{
	struct cpt_err line;
	va_list ap;

	if (!cpt_log_wanted(level))
		return;
	va_start(ap, fmt);
	vformat(&line, fmt, ap);
	va_end(ap);
	log_to.sink.line(log_to.sink.arg, line.text);
}
