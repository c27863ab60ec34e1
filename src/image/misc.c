/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* misc.c - are the single settings sane? */
#include "image/kinds.h"
#include "image/state.h"

int cpt_check_misc(const Cpt__Misc *m, struct cpt_err *err)
{
	if (m->dumpable > 2)
		return cpt_fail(err, CPT_BAD_IMAGE, "dumpable is %u", m->dumpable);
	if (m->oom_score_adj < -1000 || m->oom_score_adj > 1000)
		return cpt_fail(err, CPT_BAD_IMAGE, "oom_score_adj is %d", m->oom_score_adj);
	if (m->membarrier & ~CPT_MEMBARRIER_REGISTRATIONS)
		return cpt_fail(err, CPT_BAD_IMAGE, "membarrier registrations are %#x", m->membarrier);
	return 0;
}

int cpt_check_thread_misc(const Cpt__ThreadMisc *m, struct cpt_err *err)
{
	if (m->pdeath_signal > CPT_NSIG)
		return cpt_fail(err, CPT_BAD_IMAGE, "parent-death signal %u", m->pdeath_signal);
	return 0;
}
