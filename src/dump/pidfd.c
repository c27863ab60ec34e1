/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pidfd.c - descriptors of processes of the group itself */
#include "dump/files.h"
#include "dump/fdinfo.h"

int cpt_look_pidfd(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	uint64_t pid;

	o->pidfd = CPT_MESSAGE(d, Cpt__Pidfd, cpt__pidfd__init);
	/* "-1" for one that has been reaped reads as a number that no process has */
	if (!cpt_fdinfo_number(f->info, "Pid:", 10, &pid) || pid > INT32_MAX) {
		cpt_refuse_fd(d, f, "pidfd of a process that is gone: it can't be made again");
		return 0;
	}
	if (!cpt_dump_find(d, (pid_t)pid)) {
		cpt_refuse_fd(d, f, "pidfd of process %d, which is not in the group", (int)pid);
		return 0;
	}
	CPT_SET(o->pidfd, pid, (uint32_t)pid);
	return 0;
}
