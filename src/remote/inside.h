/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inside.h - how the files of this folder meet: a task that runs the code */
#ifndef CPT_REMOTE_INSIDE_H
#define CPT_REMOTE_INSIDE_H

#include "remote/remote.h"

/** cpt_remote_wait - a change of state of a tracee; 0 ms: however long it takes, else ETIMEDOUT */
int cpt_remote_wait(pid_t tid, int deadline_ms, int *status, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_remote_arm - the way back, which must stand before the task is let run
 * It also takes away the scratch mapping at @scratch of @size bytes. Another thread's stands until then.
 */
int cpt_remote_arm(struct cpt_remote *r, uint64_t scratch, uint64_t size, struct cpt_err *err) CPT_CHECKED;
/** cpt_remote_entry - what an entry into the code needs, once that is done */
struct cpt_arch_entry cpt_remote_entry(const struct cpt_remote *r);
/** cpt_remote_let_run - let it go on with @regs */
int cpt_remote_let_run(struct cpt_remote *r, const struct cpt_regs *regs, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_remote_wait_end - until the code has come to its end; other stops on the way are passed over
 * Returns 1 at a PTRACE_EVENT_CLONE, which comes only when asked for.
 */
int cpt_remote_wait_end(struct cpt_remote *r, struct cpt_regs *regs, struct cpt_err *err) CPT_CHECKED;

#endif
