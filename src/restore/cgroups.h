/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgroups.h - where hierarchies are mounted, for cgroups.c */
#ifndef CPT_RESTORE_CGROUPS_H
#define CPT_RESTORE_CGROUPS_H

#include "restore/kinds.h"

/**
 * cpt_restore_group_path - the folder to restore to, absolute; NULL with @err
 * @mount: set to the length of the mount point in front of it, whose hierarchy
 *         is of the kind the image was taken in, or of the other when that is not here
 */
char *cpt_restore_group_path(struct cpt_restore *r, size_t *mount, struct cpt_err *err);

/** cpt_restore_in_one_memory_group - are all processes in one group of a v1 memory hierarchy, and not in cptool's? */
bool cpt_restore_in_one_memory_group(const struct cpt_restore *r);

/** cpt_restore_other_groups - move a process to where it was in other hierarchies; warns when that can't be */
void cpt_restore_other_groups(struct cpt_restore *r, const struct cpt_rtask *t);

#endif
