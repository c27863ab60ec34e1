/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signalfd.c */
#include "restore/files.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

int cpt_open_signalfd(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	uint64_t mask = o->signalfd->mask;

	/* not the library's: it would not take the signals that it uses itself */
	*fd = (int)syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC);
	if (*fd < 0)
		return cpt_fail_sys(err, "signalfd");
	return cpt_object_set_flags(*fd, o, 0, err);
}
