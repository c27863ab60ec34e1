/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinds.c - the kinds of state in the order in which a restore makes them */
#include "restore/kinds.h"

extern const struct cpt_restore_kind cpt_restore_cgroups, cpt_restore_sched, cpt_restore_signals;
extern const struct cpt_restore_kind cpt_restore_timers, cpt_restore_limits, cpt_restore_creds;
extern const struct cpt_restore_kind cpt_restore_misc;

const struct cpt_restore_kind *const cpt_restore_kinds[] = {
	&cpt_restore_cgroups,
	&cpt_restore_sched,	/* needs CAP_SYS_NICE: before credentials */
	&cpt_restore_signals,
	&cpt_restore_timers,	/* late: started behind the pending signals */
	&cpt_restore_limits,	/* nothing grows after them */
	&cpt_restore_creds,	/* takes rights away */
	&cpt_restore_misc,	/* dumpable and parent-death signal: reset by a change of credentials */
	NULL,
};
