/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventfd.c - the counter and whether it is a semaphore, as fdinfo tells */
#include "dump/files.h"
#include "dump/fdinfo.h"

int cpt_look_eventfd(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	uint64_t count, semaphore;

	o->eventfd = CPT_MESSAGE(d, Cpt__Eventfd, cpt__eventfd__init);
	if (!cpt_fdinfo_hex(f->info, "eventfd-count:", &count) || count == UINT64_MAX) {
		cpt_refuse_fd(d, f, "eventfd: its counter can't be read");
		return 0;
	}
	if (!cpt_fdinfo_hex(f->info, "eventfd-semaphore:", &semaphore)) {
		cpt_refuse_fd(d, f, "eventfd: this kernel does not tell whether it is a semaphore (needs Linux 6.5)");
		return 0;
	}
	CPT_SET(o->eventfd, count, count);
	if (semaphore)
		CPT_SET(o->eventfd, semaphore, true);
	return 0;
}
