/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seccomp.h - the filters of a thread, for creds.c */
#ifndef CPT_DUMP_SECCOMP_H
#define CPT_DUMP_SECCOMP_H

#include "dump/kinds.h"

/** cpt_dump_filters - fill in @c->filters; refuses those that talk to a supervisor */
int cpt_dump_filters(struct cpt_dump *d, struct cpt_task *t, pid_t tid, Cpt__Creds *c, struct cpt_err *err) CPT_CHECKED;
bool cpt_same_filter(const Cpt__SeccompFilter *a, const Cpt__SeccompFilter *b);

#endif
