/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* owner.c - who gets SIGIO: fcntl(F_SETOWN), F_SETSIG */
#include "dump/files.h"

#include <fcntl.h>

int cpt_look_owner(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	struct f_owner_ex owner = { 0, 0 };
	int sig = fcntl(f->fd, F_GETSIG);

	/* sockets in flight and O_PATH have none */
	if (sig < 0 || fcntl(f->fd, F_GETOWN_EX, &owner))
		return cpt_fail_sys(err, "fcntl(F_GETOWN_EX)");
	if (!sig && !owner.pid)
		return 0;
	o->owner = CPT_MESSAGE(d, Cpt__Owner, cpt__owner__init);
	CPT_SET(o->owner, type, (uint32_t)owner.type);
	CPT_SET(o->owner, id, owner.pid);
	CPT_SET(o->owner, signal, (uint32_t)sig);
	return 0;
}
