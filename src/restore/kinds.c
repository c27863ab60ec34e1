/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinds.c - the kinds of state in the order in which a restore makes them */
#include "restore/kinds.h"

extern const struct cpt_restore_kind cpt_restore_cgroups, cpt_restore_sched, cpt_restore_signals;
extern const struct cpt_restore_kind cpt_restore_timers, cpt_restore_limits, cpt_restore_creds;
extern const struct cpt_restore_kind cpt_restore_misc, cpt_restore_stopped;
extern const struct cpt_restore_kind cpt_restore_objects, cpt_restore_epoll_before, cpt_restore_files;
extern const struct cpt_restore_kind cpt_restore_epoll, cpt_restore_locks, cpt_restore_fs;

const struct cpt_restore_kind *const cpt_restore_kinds[] = {
	&cpt_restore_cgroups,
	&cpt_restore_objects,	/* open before a task exists */
	&cpt_restore_epoll_before, /* while the table of descriptors is empty */
	&cpt_restore_files,
	&cpt_restore_epoll,
	&cpt_restore_locks,	/* closing any descriptor of the file would end them */
	&cpt_restore_fs,
	&cpt_restore_sched,	/* needs CAP_SYS_NICE: before credentials */
	&cpt_restore_stopped,	/* before a pending signal can act */
	&cpt_restore_signals,
	&cpt_restore_timers,	/* late: started behind the pending signals */
	&cpt_restore_limits,	/* nothing grows after them */
	&cpt_restore_creds,	/* takes rights away */
	&cpt_restore_misc,	/* dumpable and parent-death signal: reset by a change of credentials */
	NULL,
};
