/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventfd.c - a new one with that counter */
#include "restore/files.h"

#include <sys/eventfd.h>

int cpt_open_eventfd(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	uint64_t count = o->eventfd->count;

	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (o->eventfd->semaphore ? EFD_SEMAPHORE : 0));
	if (*fd < 0)
		return cpt_fail_sys(err, "eventfd");
	if (count && write(*fd, &count, sizeof(count)) != sizeof(count))
		return cpt_fail_sys(err, "set its counter to %llu", (unsigned long long)count);
	return cpt_object_set_flags(*fd, o, O_NONBLOCK, err);
}
