/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sched.c - is scheduling sane? */
#include "base/self.h"
#include "image/kinds.h"

#include <sched.h>

static bool policy_is_known(uint32_t policy)
{
	switch (policy) {
	case SCHED_OTHER:
	case SCHED_FIFO:
	case SCHED_RR:
	case SCHED_BATCH:
	case SCHED_IDLE:
	case SCHED_DEADLINE:
	case 7:			/* SCHED_EXT, Linux 6.12 */
		return true;
	default:
		return false;
	}
}

int cpt_check_sched(const Cpt__Sched *m, struct cpt_err *err)
{
	if (!policy_is_known(m->policy) || m->priority > 99)
		return cpt_fail(err, CPT_BAD_IMAGE, "policy %u with priority %u", m->policy, m->priority);
	if (m->nice < -20 || m->nice > 19)
		return cpt_fail(err, CPT_BAD_IMAGE, "nice value %d", m->nice);
	if (m->util_min > 1024 || m->util_max > 1024)
		return cpt_fail(err, CPT_BAD_IMAGE, "utilisation clamps %u and %u", m->util_min, m->util_max);
	if (m->has_affinity && (!m->affinity.len || m->affinity.len > CPT_CPU_BYTES))
		return cpt_fail(err, CPT_BAD_IMAGE, "a set of CPUs of %zu bytes", m->affinity.len);
	return 0;
}
