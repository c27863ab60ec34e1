/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* engine.h - how the engine's own files meet (dump.c calls, in this order) */
#ifndef CPT_DUMP_ENGINE_H
#define CPT_DUMP_ENGINE_H

#include "dump/kinds.h"

/* stop.c: bring the whole group to a stop, and let it go again */

/** cpt_dump_stop - freeze, list, seize, thaw: afterwards every thread is ptrace-stopped. Retries around vfork. */
int cpt_dump_stop(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_release - put everything back and let all tasks go; keeps going on errors */
int cpt_dump_release(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_kill - kill the group, reap what we trace, wait until it is empty */
int cpt_dump_kill(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_forget - free the list of tasks */
void cpt_dump_forget(struct cpt_dump *d);

/** cpt_dump_stop_signal - one that the task ignores, to end its batches; cpt_dump_seize_options - PTRACE_O_… */
int cpt_dump_stop_signal(const struct cpt_status *s);
unsigned long cpt_dump_seize_options(const struct cpt_status *s);

/* subgroups.c: groups below that were frozen by themselves */
int cpt_dump_thaw_subgroups(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_refreeze_subgroups - before tasks are let go; fine when there is none */
int cpt_dump_refreeze_subgroups(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;

/* room.c: memory cgroups at their limit */

/** cpt_dump_rooms - note where processes are charged for their memory; while the group runs */
int cpt_dump_rooms(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_check_room - refuses when what a dump maps into the processes could be more than the limit allows; the group stands still */
int cpt_dump_check_room(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_has_room - could so many bytes more be charged to each of the groups that processes are in? Says what is so now, no more. */
bool cpt_dump_has_room(struct cpt_dump *d, uint64_t bytes);

/* tasks.c: who is in the group, and who they are to each other */
int cpt_dump_list(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_relatives - parents, zombies; all are stopped */
int cpt_dump_relatives(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
int cpt_dump_describe(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err) CPT_CHECKED;

/* amount.c: about how many bytes of memory the group has, while it runs */
uint64_t cpt_dump_amount(const struct cpt_group *g);

/* collect.c */
/** cpt_dump_collect - look at every process; what can't be carried is refused */
int cpt_dump_collect(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_kind - the kinds in order, the engine's own first; NULL behind the last (dump.c) */
const struct cpt_dump_kind *cpt_dump_kind(unsigned k);

/* ahead.c: smaps of many processes, read by another thread */
void cpt_dump_ahead(struct cpt_dump *d);
/** cpt_dump_smaps - /proc/PID/smaps of @t (maps, if t->flags_known) in d->maps; once a process, in the order of d->tasks */
int cpt_dump_smaps(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err) CPT_CHECKED;
void cpt_dump_ahead_end(struct cpt_dump *d);

/* mm.c: mappings; called before anything is mapped into the task */
int cpt_dump_mm(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_mapped_free - forget which objects are behind mappings */
void cpt_dump_mapped_free(struct cpt_dump *d);

/* precopy.c: copy while the group runs */
int cpt_dump_precopy(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_precopy_free - take the write protection away; when the group runs again */
void cpt_dump_precopy_free(struct cpt_dump *d);
/** cpt_precopy_of - what was copied of a process while it ran, or NULL */
const struct cpt_precopy *cpt_precopy_of(const struct cpt_dump *d, pid_t pid);
/** cpt_precopy_watches - is this mapping watched by our own userfaultfd? */
bool cpt_precopy_watches(struct cpt_dump *d, pid_t pid, uint64_t start, uint64_t end);
/** cpt_precopy_track - in the pause, when all is read: what is written from now on is noted for an increment */
void cpt_precopy_track(struct cpt_dump *d);

/** cpt_precopy_knows_flags - were flags of its mappings read before the pause? */
bool cpt_precopy_knows_flags(const struct cpt_dump *d, pid_t pid);
/** cpt_precopy_flags - flags of a mapping known from before the pause; false: smaps must be read */
bool cpt_precopy_flags(const struct cpt_dump *d, pid_t pid, struct cpt_vma *v);
/** cpt_precopy_flags_changed - after the pause: those flags may have been others in it */
bool cpt_precopy_flags_changed(struct cpt_dump *d);

/* memory.c: the content of address spaces */
int cpt_dump_memory_begin(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_dump_memory - pages of one process's private memory into t->mm_img->pages
 * @part: all; or in the pause that which a twin does not have, and later the rest from the twin
 */
enum cpt_part { CPT_PART_ALL, CPT_PART_NOT_CLONED, CPT_PART_CLONED };
int cpt_dump_memory(struct cpt_dump *d, struct cpt_task *t, enum cpt_part part, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_memory_forget_frames - when the group runs again, page frames seen in the pause may become others' */
void cpt_dump_memory_forget_frames(struct cpt_dump *d);
/** cpt_dump_memory_end - everything queued stands in the image */
int cpt_dump_memory_end(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
void cpt_dump_memory_free(struct cpt_dump *d);

/* sleeps.c: */
/** cpt_dump_sleeps - note who sleeps in a call with a time limit; before the freeze, best effort */
void cpt_dump_sleeps(struct cpt_dump *d);
/** cpt_dump_time_left - if @s has a time limit, what is left of it: in @s->arg, or in th->img for the restore to place */
void cpt_dump_time_left(struct cpt_dump *d, struct cpt_thread *th, struct cpt_syscall *s);

/* context.c: registers as they must be for another kernel to go on from them */
int cpt_dump_context(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th,
		     struct cpt_regs *ret, struct cpt_err *err) CPT_CHECKED;

/**
 * cpt_dump_hold_context - a stop must not show: a call that gives up at any
 * interruption is made again, a restartable sequence is aborted. Right after
 * the stop, before batches.
 */
void cpt_dump_hold_context(struct cpt_remote *r);

#endif
