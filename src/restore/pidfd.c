/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pidfd.c - made when the processes exist, before the first task takes over its descriptors */
#include "restore/files.h"

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif

int cpt_pidfd_open_all(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned id = 1; id < r->nobjects; id++) {
		const Cpt__Object *o = r->objects[id];

		if (!o->pidfd || r->object_fds[id] >= 0)
			continue;
		r->object_fds[id] = cpt_pidfd_open((pid_t)o->pidfd->pid,
						   o->flags & O_NONBLOCK ? PIDFD_NONBLOCK : 0);
		if (r->object_fds[id] < 0)
			return cpt_fail_sys(err, "pidfd of process %u", o->pidfd->pid);
	}
	return 0;
}
