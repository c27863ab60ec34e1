/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * timerfd.c - what is left goes on from now; a time of day stays that time
 *
 * Ticks that nobody has read yet come back by an ioctl that kernels with
 * checkpoint support have; else a timer that has ticked already makes one.
 */
#include "restore/files.h"

#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif
#define NS 1000000000u

static struct timespec of_ns(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / NS), (long)(ns % NS) };
}

/* TFD_TIMER_ABSTIME: the same instant of a time of day, else as far ahead as it was */
static int arm(int fd, const Cpt__Timerfd *t, struct cpt_err *err)
{
	struct itimerspec when = { of_ns(t->interval_ns), of_ns(t->left_ns) };
	struct timespec now;

	if (!t->left_ns && !t->interval_ns)
		return 0;
	if (t->has_expires_ns) {
		when.it_value = of_ns(t->expires_ns);
	} else if (t->settime_flags & TFD_TIMER_ABSTIME && t->left_ns) {
		if (clock_gettime((clockid_t)t->clock, &now))
			return cpt_fail_sys(err, "clock_gettime");
		when.it_value = of_ns((uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec + t->left_ns);
	}
	if (timerfd_settime(fd, (int)t->settime_flags, &when, NULL))
		return cpt_fail_sys(err, "timerfd_settime");
	return 0;
}

int cpt_open_timerfd(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	const Cpt__Timerfd *t = o->timerfd;
	uint64_t ticks = t->ticks;

	*fd = timerfd_create((clockid_t)t->clock, TFD_CLOEXEC);
	if (*fd < 0)
		return cpt_fail_sys(err, "timerfd_create(%u)", t->clock);
	if (arm(*fd, t, err))
		return -1;
	if (ticks && ioctl(*fd, TFD_IOC_SET_TICKS, &ticks))
		return cpt_fail_sys(err, "set %llu ticks (needs CONFIG_CHECKPOINT_RESTORE)", (unsigned long long)ticks);
	return cpt_object_set_flags(*fd, o, 0, err);
}
