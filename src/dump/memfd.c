/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memfd.c - memory files: name, seals, content */
#include "dump/files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>

static const char *name_of(struct cpt_dump *d, struct cpt_fd *f)
{
	static const char tail[] = " (deleted)";
	char *name = cpt_arena_strdup(&d->arena, cpt_fd_link(d, f) + strlen("/memfd:"));
	size_t len = strlen(name);

	if (len >= sizeof(tail) - 1 && strcmp(name + len - sizeof(tail) + 1, tail) == 0)
		name[len - sizeof(tail) + 1] = 0;
	return name;
}

int cpt_look_memfd(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	struct cpt_inode *i = cpt_dump_inode(d, &f->st);
	char self[40];
	struct statfs fs;
	int seals;

	o->memfd = CPT_MESSAGE(d, Cpt__Memfd, cpt__memfd__init);
	o->memfd->name = (char *)name_of(d, f);
	if (i->first) {
		CPT_SET(o, inode_of, i->first->id);
		return 0;
	}
	i->first = o;
	if (fstatfs(f->fd, &fs))
		return cpt_fail_sys(err, "fstatfs");
	if (fs.f_type == HUGETLBFS_MAGIC) {
		cpt_refuse_fd(d, f, "memfd %s of huge pages can't be dumped yet", o->memfd->name);
		return 0;
	}
	seals = fcntl(f->fd, F_GET_SEALS);
	if (seals < 0)
		return cpt_fail_sys(err, "fcntl(F_GET_SEALS)");
	CPT_SET(o->memfd, seals, (uint32_t)seals);
	CPT_SET(o->memfd, size, (uint64_t)f->st.st_size);
	CPT_SET(o->memfd, mode, f->st.st_mode);
	CPT_SET(o->memfd, uid, f->st.st_uid);
	CPT_SET(o->memfd, gid, f->st.st_gid);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	CPT_AUTO(fd) int fd = open(self, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cpt_fail_sys(err, "open memfd %s for reading", o->memfd->name);
	return f->st.st_size ? cpt_dump_file_pages(d, fd, (uint64_t)f->st.st_size, &o->memfd->pages, err) : 0;
}
