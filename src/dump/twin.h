/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * twin.h - copy-on-write twins of address spaces, written out while the group runs
 *
 * Either every process of the group gets a twin or none does: page frames that
 * relatives share are found by comparing twins with twins.
 */
#ifndef CPT_DUMP_TWIN_H
#define CPT_DUMP_TWIN_H

#include "dump/engine.h"

/* huge.c */
/** cpt_huge_note - before the pause: where a process has huge pages */
void cpt_huge_note(struct cpt_dump *d, pid_t pid);
/** cpt_huge_mend - when all is done: those that were split since are joined again, as far as there is memory */
void cpt_huge_mend(struct cpt_dump *d);
void cpt_huge_free(struct cpt_dump *d);

/* spare.c */
/** cpt_spare_pids - how many more processes may be made where @pid is */
uint64_t cpt_spare_pids(struct cpt_dump *d, pid_t pid);
/** cpt_spare_memory - bytes that the host has to give */
uint64_t cpt_spare_memory(struct cpt_dump *d);

/** cpt_twin_allowed - may this dump be made from twins, as far as what was asked for goes? */
bool cpt_twin_allowed(const struct cpt_dump *d);
/** cpt_twin_ns - how long it takes to make a twin of so much anonymous memory; an estimate */
uint64_t cpt_twin_ns(uint64_t anon_kib, uint64_t huge_kib);

/** cpt_twin_room - is there room, as far as limits of memory go, for a group with so much? Before the pause: it takes its time. */
bool cpt_twin_room(struct cpt_dump *d, unsigned processes, uint64_t anon_kib);
/** cpt_twin_pids - the same of the number of processes where @pid is */
bool cpt_twin_pids(struct cpt_dump *d, pid_t pid);

/**
 * cpt_twin_take - in the pause: give every process a twin, if that is the quicker way or asked for
 *
 * Sets d->twins. Fails only when they were asked for, or when memory was not
 * copied because there were to be twins (EAGAIN, d->again).
 */
int cpt_twin_take(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_twin_forecast - of a group that is stopped for a check: the pause of a snapshot, if it writes little and if it writes all the time
 * @so_far: how long it took to look at everything
 */
void cpt_twin_forecast(struct cpt_dump *d, uint64_t so_far, uint64_t *calm, uint64_t *busy);
/** cpt_twin_move - when the group runs: the twins leave it, where nothing speaks against that */
void cpt_twin_move(struct cpt_dump *d);
/** cpt_twin_check - fails if one was killed: then what was read is worth nothing */
int cpt_twin_check(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_twin_free - end them all */
void cpt_twin_free(struct cpt_dump *d);

#endif
