/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signalfd.c - the mask, as fdinfo tells */
#include "dump/files.h"
#include "dump/fdinfo.h"

int cpt_look_signalfd(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	uint64_t mask;

	o->signalfd = CPT_MESSAGE(d, Cpt__Signalfd, cpt__signalfd__init);
	if (!cpt_fdinfo_hex(f->info, "sigmask:", &mask)) {
		cpt_refuse_fd(d, f, "signalfd: its mask can't be read");
		return 0;
	}
	CPT_SET(o->signalfd, mask, mask);
	return 0;
}
