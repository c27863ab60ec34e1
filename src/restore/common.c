/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common.c - what kinds of state ask of the engine */
#include "restore/kinds.h"

#include <stdio.h>
#include <sys/syscall.h>

void cpt_missing(struct cpt_restore *r, const char *fmt, ...)
{
	struct cpt_err line;
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cpt_fail(&line, CPT_UNSUPPORTED, "%s", text);
	if (!r->missing++)
		memcpy(r->first_missing, line.text, sizeof(r->first_missing) - 1);
	if (r->opt->refused.line)
		r->opt->refused.line(r->opt->refused.arg, line.text);
}

size_t cpt_restore_take(struct cpt_restore *r, struct cpt_batch *b, int from)
{
	return CPT_CALL(b, pidfd_getfd, CPT_NUM(r->self_fd), CPT_NUM(from), CPT_NUM(0));
}
