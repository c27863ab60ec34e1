/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* owner.c - who gets SIGIO; the processes exist by now */
#include "restore/files.h"

int cpt_owner_late(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	int fd = r->object_fds[o->id];

	if (o->owner) {
		struct f_owner_ex owner = { (int)o->owner->type, o->owner->id };

		if (owner.pid && fcntl(fd, F_SETOWN_EX, &owner))
			return cpt_fail_sys(err, "fcntl(F_SETOWN_EX, %d)", owner.pid);
		if (o->owner->signal && fcntl(fd, F_SETSIG, o->owner->signal))
			return cpt_fail_sys(err, "fcntl(F_SETSIG, %u)", o->owner->signal);
	}
	if (o->flags & O_ASYNC && fcntl(fd, F_SETFL, o->flags & (CPT_SET_FLAGS | O_ASYNC)))
		return cpt_fail_sys(err, "fcntl(O_ASYNC)");
	return 0;
}
