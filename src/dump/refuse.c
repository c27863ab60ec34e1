/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refuse.c - reasons why a group can't be dumped, gathered while the looking goes on */
#include "dump/kinds.h"

#include <stdio.h>

void cpt_refuse(struct cpt_dump *d, const struct cpt_task *t, const char *fmt, ...)
{
	struct cpt_err line;
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (t)
		cpt_fail(&line, CPT_UNSUPPORTED, "task %d (%s): %s", t->pid, t->comm, text);
	else
		cpt_fail(&line, CPT_UNSUPPORTED, "%s", text);
	if (!d->refused++)
		memcpy(d->first_reason, line.text, sizeof(d->first_reason) - 1);
	if (d->opt->refused.line)
		d->opt->refused.line(d->opt->refused.arg, line.text);
}
