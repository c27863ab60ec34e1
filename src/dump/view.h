/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view.h - what the kernel tells of the whole stopped group at once, by BPF iterators
 *
 * Only where there is much to ask, and where it is allowed; without it the
 * same questions go to kcmp(2) and /proc/PID/smaps one by one, and the image
 * is the same. Addresses in the kernel are compared with each other while the
 * group stands still, and go nowhere else. CPT_BPF=0 in the environment does
 * without, CPT_BPF=1 has it for the smallest group.
 */
#ifndef CPT_DUMP_VIEW_H
#define CPT_DUMP_VIEW_H

#include "dump/engine.h"

/** cpt_view_forced - is it wanted for the smallest group? */
bool cpt_view_forced(void);

/** cpt_view_prepare - before the pause, while the group runs: what takes time */
void cpt_view_prepare(struct cpt_dump *d);
/** cpt_view_begin - all tasks are stopped, nothing is mapped into them yet; never fails, there may be no view */
void cpt_view_begin(struct cpt_dump *d);
void cpt_view_free(struct cpt_dump *d);

/** cpt_view_same - kcmp(2) of two threads for KCMP_VM, _FILES, _FS, _SIGHAND: do they share it? */
bool cpt_view_same(const struct cpt_dump *d, pid_t a, pid_t b, int type);
/** cpt_view_object - the kernel's address of that object of a thread; 0: no view */
uint64_t cpt_view_object(const struct cpt_dump *d, pid_t tid, int type);
/** cpt_view_own - the kernel's address of cptool's address space; 0: no view */
uint64_t cpt_view_own(const struct cpt_dump *d);
/** cpt_view_pgd_offset - where an address space has its page tables' root; bytes; -1: not known */
long cpt_view_pgd_offset(const struct cpt_dump *d);
/** cpt_view_namespaces - that of what holds all its namespaces but the user's; 0: no view */
uint64_t cpt_view_namespaces(const struct cpt_dump *d, pid_t tid);

/* a descriptor, and the open file description behind it */
struct cpt_view_file {
	pid_t pid;
	uint32_t fd;
	uint64_t file;			/* same value: same description; never 0 */
};
/** cpt_view_files - the @n descriptors of a process, ascending; NULL: no view of just as many */
const struct cpt_view_file *cpt_view_files(const struct cpt_dump *d, const struct cpt_task *t, size_t n);

/**
 * cpt_view_flags - complete the flags of a mapping read from /proc/PID/maps; false: smaps must be read
 * Only for a task with .flags_known.
 */
bool cpt_view_flags(const struct cpt_dump *d, const struct cpt_task *t, struct cpt_vma *v);
/** cpt_view_learn - a mapping with flags from smaps: what the kernel's number for them means */
void cpt_view_learn(struct cpt_dump *d, const struct cpt_task *t, const struct cpt_vma *v);

#endif
