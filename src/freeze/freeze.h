/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freeze.h - a cgroup as one unit: find it, freeze, wait, thaw, list, signal
 *
 * One face for the v1 freezer, the v2 freezer and the signal controller.
 */
#ifndef CPT_FREEZE_H
#define CPT_FREEZE_H

#include "base/base.h"

struct cpt_group {
	int fd;			/* O_DIRECTORY | O_CLOEXEC of the group's folder */
	enum cpt_freezer freezer;
	bool holds_caller;	/* we are in it or below: it is never frozen or killed */
	char path[4096];	/* absolute folder, e.g. /sys/fs/cgroup/system.slice/x */
	char mount[4096];	/* mount point of its hierarchy */
	/* path relative to the root of the hierarchy, "/system.slice/x", is path + strlen(mount) */
};
#define CPT_GROUP_NONE { -1, 0, false, "", "" }

/**
 * cpt_group_open - find a group by folder or by name
 * @name: absolute or relative folder below a cgroup mount with a freezer (v2,
 *        or v1 with the freezer controller), or a name below such a mount
 *        (v2 is looked at first). Refuses the root group, and folders that are
 *        no cgroups, with a hint.
 */
int cpt_group_open(const char *name, struct cpt_group *ret, struct cpt_err *err) CPT_CHECKED;
void cpt_group_close(struct cpt_group *g);
static inline void cpt_auto_group(struct cpt_group *g)
{
	cpt_group_close(g);
}

/** cpt_freezer_mounted - is a hierarchy with this freezer mounted here? */
bool cpt_freezer_mounted(enum cpt_freezer which);

/** cpt_group_state - what the freezer says now; @self_frozen: somebody froze this very group (not an ancestor) */
int cpt_group_state(const struct cpt_group *g, enum cpt_state *ret,
		    bool *self_frozen, struct cpt_err *err) CPT_CHECKED;
/** cpt_group_freeze_start - ask for freezing, do not wait; refuses a group that holds the caller */
int cpt_group_freeze_start(const struct cpt_group *g, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_group_freeze_wait - wait until FROZEN
 * @deadline_ms: > 0. On ETIMEDOUT the error names a task that does not freeze,
 *               its state and where in the kernel it sits; the group is left as it is.
 */
int cpt_group_freeze_wait(const struct cpt_group *g, int deadline_ms, struct cpt_err *err) CPT_CHECKED;
/** cpt_group_let_run - thaw; does not wait */
int cpt_group_let_run(const struct cpt_group *g, struct cpt_err *err) CPT_CHECKED;
/** cpt_group_thaw_undo - file (absolute) and value which, written, thaw the group: for the undo guard */
void cpt_group_thaw_undo(const struct cpt_group *g, char file[4200], const char **value);

/**
 * struct cpt_group_member - one group of the tree: the group itself first, parents before children
 */
struct cpt_subgroup {
	char *path;		/* relative to the group: "" for itself, "a/b" */
	pid_t *procs;		/* thread-group ids, ascending */
	unsigned nprocs;
};
struct cpt_grouptree {
	struct cpt_subgroup *groups;
	unsigned ngroups;
};
/** cpt_group_list - every group and its processes; on v2 threaded groups too */
int cpt_group_list(const struct cpt_group *g, struct cpt_grouptree *ret, struct cpt_err *err) CPT_CHECKED;
void cpt_grouptree_free(struct cpt_grouptree *t);
static inline void cpt_auto_grouptree(struct cpt_grouptree *t)
{
	cpt_grouptree_free(t);
}

/**
 * cpt_group_signal - send @sig to every process of the tree
 *
 * By signal.kill where the kernel has it, by cgroup.kill (SIGKILL), else by
 * pidfds while the group can't fork (it is frozen for that if it runs).
 * With SIGKILL a v1 group is thawed so that the signal acts, and the call
 * returns when the group is empty or after @deadline_ms with ETIMEDOUT. The
 * way chosen is logged at info level.
 * @traced: every task of the group is stopped and traced by the caller. Then
 *          pidfds take the place of cgroup.kill, and the end is not awaited:
 *          the caller reaps.
 */
int cpt_group_signal(const struct cpt_group *g, int sig, int deadline_ms, bool traced,
		     struct cpt_err *err) CPT_CHECKED;

#endif
