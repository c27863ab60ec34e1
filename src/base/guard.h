/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard.h - the undo guard: a child process that puts things back
 *
 * It is the one place where undoing happens: after an error, after Ctrl-C and
 * after kill -9 alike. Whoever changes something outside itself first tells
 * the guard how to undo it; when its maker ends without a word of success,
 * the guard undoes all it was told, last first. It lives in a session of its
 * own, blocks signals, and holds nothing of its maker's but the way they talk,
 * so that it outlives it.
 *
 * What is to be undone stands in memory that both share: adding an entry
 * costs no system call, and the death of the maker can't lose it.
 */
#ifndef CPT_GUARD_H
#define CPT_GUARD_H

#include "base/base.h"

struct cpt_guard_log;			/* private to guard.c */

struct cpt_guard {
	int pipe;			/* -1: none */
	pid_t pid;
	struct cpt_guard_log *log;
};
#define CPT_GUARD_NONE { -1, 0, NULL }

/** enum cpt_undo - what the guard knows to undo; all paths absolute, < 4096 bytes */
enum cpt_undo {
	CPT_UNDO_WRITE,		/* write @b to the existing file @a (thaw a group) */
	CPT_UNDO_KILL_GROUP,	/* kill every task of the cgroup folder @a and below, until it is empty; wait */
	CPT_UNDO_RMDIR,		/* rmdir @a (a cgroup made) */
	CPT_UNDO_UNLINK,	/* unlink @a (a temporary file) */
	CPT_UNDO_RENAME,	/* rename @a back to @b (something put aside; removed when all went well) */
};

/**
 * cpt_guard_start - fork the guard. Costs about a fork of this process, so do
 * it before much memory is in use. One at a time: it is the one that
 * cpt_interrupt() makes undo.
 */
int cpt_guard_start(struct cpt_guard *ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_guard_add - remember how to undo the next step; @b may be NULL. Returns when the guard can't lose it. */
int cpt_guard_add(struct cpt_guard *g, enum cpt_undo what, const char *a,
		  const char *b, struct cpt_err *err) CPT_CHECKED;
/** cpt_guard_success - forget everything; the guard ends, and removes only what was put aside; reaped */
void cpt_guard_success(struct cpt_guard *g);
/**
 * cpt_guard_no_return - from now on Ctrl-C is too late: cpt_interrupt() returns false
 *
 * Called when the result stands and only the rest of the way is left, such as
 * killing a group whose image is complete. The guard stays armed: should the
 * maker be killed, it undoes what it was told.
 */
void cpt_guard_no_return(struct cpt_guard *g);
/**
 * cpt_guard_undo - let it undo everything now; returns when it has; reaped. No-op when none is armed.
 */
void cpt_guard_undo(struct cpt_guard *g);
static inline void cpt_auto_guard(struct cpt_guard *g)
{
	cpt_guard_undo(g);
}

#endif
