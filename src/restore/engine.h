/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* engine.h - how the engine's own files meet (restore.c calls, in this order) */
#ifndef CPT_RESTORE_ENGINE_H
#define CPT_RESTORE_ENGINE_H

#include "restore/kinds.h"

/* load.c: the image's messages become tasks, all references checked */
int cpt_restore_load(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_find - the process with this pid in the image, or NULL */
struct cpt_rtask *cpt_restore_find(const struct cpt_restore *r, pid_t pid);

/* scratch.c: an address range that is free everywhere, for code, batches and the vdso on its way */
int cpt_restore_scratch(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
void cpt_restore_scratch_free(struct cpt_restore *r);

/* sessions.c: in which session a task must be born */
int cpt_restore_sessions(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_pgids - process groups whose leader is gone are led by a helper for a moment */
int cpt_restore_pgids(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;

/* tree.c: processes, each made by its own parent, memory in place */
int cpt_restore_tree(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_child - one more child of @t, no signal to it at the end; stopped, memory as @t has it */
int cpt_restore_child(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rtask *child, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_threads - the other threads of a process */
int cpt_restore_threads(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_zombies - those that are to have ended, end */
int cpt_restore_zombies(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;

/* mm.c: calls that turn the address space a task was born with into its own */
int cpt_restore_mm_fresh(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err) CPT_CHECKED;
int cpt_restore_mm(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_restore_birth_mm - the memory that a task has while it makes its children
 *
 * Where several children share a page that is not the parent's any more (it
 * wrote to it after the fork), the parent holds theirs while they are born.
 * t->mm_img itself if there is no such page; NULL for a zombie.
 */
const Cpt__Mm *cpt_restore_birth_mm(struct cpt_restore *r, struct cpt_rtask *t);
/** cpt_restore_mm_grown - the children are born: from birth_mm to its own pages */
void cpt_restore_mm_grown(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b);
/** cpt_restore_mm_after - what would disturb making children: locks, MADV_DONTFORK, … */
int cpt_restore_mm_after(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_mm_check - were all pages read? after the batch has run */
int cpt_restore_mm_check(const struct cpt_batch *b, struct cpt_err *err) CPT_CHECKED;

/* memory.c: content of shared memory and files */
int cpt_restore_shared_memory(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;

/* lazy.c: memory that comes later */
/** cpt_restore_lazy_source - can pages be read from this image later? */
int cpt_restore_lazy_source(const char *image, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_lazy_plan - after the load: takes what comes later out of the address spaces */
int cpt_restore_lazy_plan(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_restore_lazy_start - from here on they are brought in
 *
 * When all processes stand, and before the kernel can touch memory on behalf
 * of one: a page that it made there would never be asked for.
 */
int cpt_restore_lazy_start(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
void cpt_restore_lazy_free(struct cpt_restore *r);

/* registers.c: own registers, addresses the kernel keeps for a thread; release */
int cpt_restore_thread_addresses(struct cpt_restore *r, struct cpt_rthread *th, struct cpt_batch *b);
int cpt_restore_registers(struct cpt_restore *r, struct cpt_rthread *th, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_leave - scratch away, own context in place; still stopped and traced */
int cpt_restore_leave(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err) CPT_CHECKED;
int cpt_restore_detach(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err) CPT_CHECKED;

#endif
