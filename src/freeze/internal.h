/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* internal.h - what the files of this folder share */
#ifndef CPT_FREEZE_INTERNAL_H
#define CPT_FREEZE_INTERNAL_H

#include "freeze/freeze.h"

/**
 * struct cpt_pause - sleeps that begin short and grow
 *
 * A freeze is over in some tens of µs or takes long: begin with giving up the
 * processor, then sleep, twice as long each time, up to a limit.
 */
struct cpt_pause {
	unsigned us;		/* the next sleep; 0 at first */
	unsigned spins;
};
#define CPT_PAUSE_MAX_US 2000
/* cpt_pause_next - how long to sleep now, 0: yield only */
unsigned cpt_pause_next(struct cpt_pause *p);

/**
 * struct cpt_mount - one cgroup mount with a freezer, out of mountinfo
 * @root: what of the hierarchy is mounted there
 */
struct cpt_cgmount {
	unsigned long long id;
	enum cpt_freezer freezer;
	char root[4096];
	char point[4096];
};

/**
 * cpt_mountinfo_line - parse one line of /proc/PID/mountinfo
 * @line: without the newline, NUL-terminated; not trusted
 * Returns true when it is a cgroup mount with a freezer and fits.
 */
bool cpt_mountinfo_line(const char *line, struct cpt_cgmount *ret);

/** cpt_pids_parse - numbers, one a line; sorted, each once; @ret malloc'd */
int cpt_pids_parse(const char *text, pid_t **ret, unsigned *n, struct cpt_err *err) CPT_CHECKED;

/** cpt_group_populated - does anybody live in it or below */
int cpt_group_populated(const struct cpt_group *g, bool *ret, struct cpt_err *err) CPT_CHECKED;

/** cpt_group_unfrozen - name a task that does not freeze, for an error: "task 12 (dd) is in state D at …" */
void cpt_group_unfrozen(const struct cpt_group *g, char *text, size_t size);

/**
 * cpt_group_all_frozen - are it and all groups below frozen, on v2
 *
 * The kernel's word for a group that has both tasks and groups below is true as soon as either are frozen
 * (cgroup_update_frozen() looks at its tasks only, cgroup_propagate_frozen() at the groups below only;
 * kernel/cgroup/freezer.c, Linux 5.2 to 6.18).
 */
int cpt_group_all_frozen(const struct cpt_group *g, bool *ret, struct cpt_err *err) CPT_CHECKED;

/** cpt_group_walk - call @visit with each group's folder, parents first; stops at the first that fails */
int cpt_group_walk(const struct cpt_group *g,
		   int (*visit)(int fd, const char *path, void *arg, struct cpt_err *err),
		   void *arg, struct cpt_err *err) CPT_CHECKED;

#endif
