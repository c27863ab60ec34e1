/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timers.c - are timers sane? */
#include "image/kinds.h"
#include "image/state.h"

#include <signal.h>
#include <sys/time.h>

static int check_itimers(const Cpt__Timers *m, struct cpt_err *err)
{
	for (size_t i = 0; i < m->n_itimers; i++) {
		const Cpt__Itimer *it = m->itimers[i];

		if (it->which > ITIMER_PROF || (i && it->which <= m->itimers[i - 1]->which))
			return cpt_fail(err, CPT_BAD_IMAGE, "interval timer %zu is of kind %u", i, it->which);
	}
	return 0;
}

static bool notify_is_sane(const Cpt__PosixTimer *p)
{
	switch (p->notify) {
	case SIGEV_NONE:
		return p->signal <= CPT_NSIG;
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
		return p->signal >= 1 && p->signal <= CPT_NSIG;
	case SIGEV_THREAD_ID:
		return p->signal >= 1 && p->signal <= CPT_NSIG && p->tid >= 1 && p->tid <= INT32_MAX;
	default:
		return false;
	}
}

int cpt_check_timers(const Cpt__Timers *m, struct cpt_err *err)
{
	for (size_t i = 0; i < m->n_timers; i++) {
		const Cpt__PosixTimer *p = m->timers[i];

		if (p->id > INT32_MAX || (i && p->id <= m->timers[i - 1]->id))
			return cpt_fail(err, CPT_BAD_IMAGE, "timer %u is out of order or out of range", p->id);
		if (!notify_is_sane(p))
			return cpt_fail(err, CPT_BAD_IMAGE, "timer %u notifies in way %u with signal %u", p->id, p->notify, p->signal);
		if (p->left_ns > INT64_MAX || p->interval_ns > INT64_MAX)
			return cpt_fail(err, CPT_BAD_IMAGE, "timer %u has a time out of range", p->id);
	}
	return check_itimers(m, err);
}
