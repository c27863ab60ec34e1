/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memfd.c - memory files; seals come when all who map them do */
#include "restore/files.h"

#include <sys/mman.h>
#include <sys/stat.h>

static int make(struct cpt_restore *r, const Cpt__Memfd *m, int *ret, struct cpt_err *err)
{
	/* without this flag it would be sealed against further seals from the start */
	CPT_AUTO(fd) int fd = memfd_create(m->name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return cpt_fail_sys(err, "memfd_create");
	if (ftruncate(fd, (off_t)m->size))
		return cpt_fail_sys(err, "make it %llu bytes long", (unsigned long long)m->size);
	if (m->pages && cpt_restore_file_pages(r, fd, m->pages, err))
		return -1;
	if ((m->uid || m->gid) && fchown(fd, m->uid, m->gid))
		return cpt_fail_sys(err, "set its owner");
	if ((m->mode & 07777) != 0777 && fchmod(fd, m->mode & 07777))
		return cpt_fail_sys(err, "set its mode");
	*ret = CPT_TAKE(fd, -1);
	return 0;
}

int cpt_open_memfd(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	uint32_t carrier = o->has_inode_of ? o->inode_of : o->id;
	int *inode = &r->own->inodes[carrier];

	if (*inode < 0 && o->has_inode_of)
		return cpt_fail(err, CPT_BAD_IMAGE, "object %u carries no memory", carrier);
	if (*inode < 0 && make(r, o->memfd, inode, err))
		return -1;
	/* what memfd_create(2) made is the first description that could come from it */
	if ((o->flags & O_ACCMODE) == O_RDWR && !(r->own->taken[carrier] & CPT_TAKEN_INODE)) {
		r->own->taken[carrier] |= CPT_TAKEN_INODE;
		*fd = *inode;
		return cpt_object_set_flags(*fd, o, 0, err);
	}
	*fd = cpt_object_reopen(*inode, o, err);
	return *fd < 0 ? -1 : 0;
}

int cpt_memfd_late(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	if (!o->memfd || o->has_inode_of || !o->memfd->seals)
		return 0;
	if (fcntl(r->own->inodes[o->id], F_ADD_SEALS, o->memfd->seals))
		return cpt_fail_sys(err, "fcntl(F_ADD_SEALS, 0x%x)", o->memfd->seals);
	return 0;
}
