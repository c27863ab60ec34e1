/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timerfd.c - clock, ticks and time left */
#include "dump/files.h"
#include "dump/fdinfo.h"

#include <sys/timerfd.h>
#include <time.h>

#define NS 1000000000u

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS + (uint64_t)t->tv_nsec;
}

int cpt_look_timerfd(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	uint64_t clock, ticks, flags;
	struct itimerspec now;
	struct timespec wall;

	o->timerfd = CPT_MESSAGE(d, Cpt__Timerfd, cpt__timerfd__init);
	if (!cpt_fdinfo_number(f->info, "clockid:", 10, &clock) ||
	    !cpt_fdinfo_number(f->info, "ticks:", 10, &ticks) ||
	    !cpt_fdinfo_number(f->info, "settime flags:", 8, &flags)) {
		cpt_refuse_fd(d, f, "timerfd: its state can't be read");
		return 0;
	}
	if (timerfd_gettime(f->fd, &now))
		return cpt_fail_sys(err, "timerfd_gettime");
	CPT_SET(o->timerfd, clock, (uint32_t)clock);
	if (ticks)
		CPT_SET(o->timerfd, ticks, ticks);
	CPT_SET(o->timerfd, settime_flags, (uint32_t)flags);
	CPT_SET(o->timerfd, left_ns, ns_of(&now.it_value));
	CPT_SET(o->timerfd, interval_ns, ns_of(&now.it_interval));
	if (flags & TFD_TIMER_ABSTIME && ns_of(&now.it_value) &&
	    (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM)) {
		clock_gettime(CLOCK_REALTIME, &wall);
		CPT_SET(o->timerfd, expires_ns, ns_of(&wall) + ns_of(&now.it_value));
	}
	return 0;
}
