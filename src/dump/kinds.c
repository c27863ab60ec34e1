/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinds.c - the kinds of state in the order in which a dump looks at them */
#include "dump/kinds.h"

extern const struct cpt_dump_kind cpt_dump_misc, cpt_dump_creds, cpt_dump_cgroups, cpt_dump_sched;
extern const struct cpt_dump_kind cpt_dump_files, cpt_dump_fs, cpt_dump_unix, cpt_dump_pipes;
extern const struct cpt_dump_kind cpt_dump_epoll, cpt_dump_locks, cpt_dump_objects;
extern const struct cpt_dump_kind cpt_dump_limits, cpt_dump_signals, cpt_dump_timers, cpt_dump_stopped;

const struct cpt_dump_kind *const cpt_dump_kinds[] = {
	&cpt_dump_misc,		/* first: makes the Misc message that cgroups adds to */
	&cpt_dump_creds,
	&cpt_dump_cgroups,
	&cpt_dump_sched,
	&cpt_dump_fs,
	&cpt_dump_files,
	&cpt_dump_unix,		/* first of those that look at the whole group: queues hold more objects */
	&cpt_dump_pipes,
	&cpt_dump_epoll,
	&cpt_dump_locks,
	&cpt_dump_limits,
	&cpt_dump_stopped,
	&cpt_dump_signals,
	&cpt_dump_timers,	/* last: time left, closest to the end of the pause */
	&cpt_dump_objects,	/* writes them when nobody finds more */
	NULL,
};
