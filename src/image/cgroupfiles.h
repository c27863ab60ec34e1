/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroupfiles.h - which files of a cgroup hold settings, and how they are written
 *
 * One table for both halves: a dump reads these, a restore writes no others,
 * whatever an image names.
 */
#ifndef CPT_CGROUPFILES_H
#define CPT_CGROUPFILES_H

#include "base/base.h"

enum cpt_cgroup_form {
	CPT_CGROUP_LINE,	/* one value */
	CPT_CGROUP_LINES,	/* a setting a line, each written by itself */
	CPT_CGROUP_WORDS,	/* words, each written by itself with a + before it */
};

struct cpt_cgroup_file {
	const char *name;	/* pattern of fnmatch(3) */
	enum cpt_cgroup_form form;
};

/** cpt_cgroup_file - index in the order in which settings must be written, -1 for a file that is none */
int cpt_cgroup_file(const char *name, enum cpt_cgroup_form *form);
/** cpt_cgroup_state_file - true for a file that can be written but holds no setting (cgroup.procs, …) */
bool cpt_cgroup_state_file(const char *name);

/** cpt_cgroup_path_is_tame - names with single slashes between them, none of them . or ..; "" is one */
bool cpt_cgroup_path_is_tame(const char *path);

#endif
