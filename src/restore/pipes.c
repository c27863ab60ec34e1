/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pipes.c - pipes and fifos with their content
 *
 * The first description that reads and the first that writes get the ends that
 * pipe(2) makes; further ones are opened through /proc. Both ends stay here
 * until everything stands, so that nobody sees a hang-up that was not there.
 */
#include "restore/files.h"

#include <sys/stat.h>

static int fill(int fd, const Cpt__Pipe *p, struct cpt_err *err)
{
	const uint8_t *at = p->content.data;

	if (!p->n_packets && cpt_write_all(fd, at, p->content.len))
		return cpt_fail_sys(err, "fill it with %zu bytes", p->content.len);
	if (p->n_packets && fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT))
		return cpt_fail_sys(err, "fcntl(O_DIRECT)");
	for (size_t i = 0; i < p->n_packets; i++, at += p->packets[i - 1])
		if (write(fd, at, p->packets[i]) != (ssize_t)p->packets[i])
			return cpt_fail_sys(err, "fill it with a packet of %u bytes", p->packets[i]);
	if (p->n_packets && fcntl(fd, F_SETFL, O_NONBLOCK))
		return cpt_fail_sys(err, "fcntl(O_NONBLOCK)");
	return 0;
}

/* a fifo whose name is gone: it has one for a moment */
static int make_nameless(struct cpt_restore *r, const Cpt__Pipe *p, int *ret, struct cpt_err *err)
{
	const char *name = cpt_arena_printf(&r->arena, "%s.cptool-%d", p->path, getpid());
	CPT_AUTO(fd) int fd = -1;

	if (cpt_guard_add(&r->guard, CPT_UNDO_UNLINK, name, NULL, err))
		return -1;
	if (mkfifo(name, 0600))
		return cpt_fail_sys(err, "make fifo %s", name);
	fd = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (unlink(name) || fd < 0 || fchown(fd, p->uid, p->gid) || fchmod(fd, p->mode & 07777))
		return cpt_fail_sys(err, "make fifo %s", name);
	*ret = CPT_TAKE(fd, -1);
	return 0;
}

/* a fifo: held open for both, or opening an end would wait for the other */
static int make_fifo(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	int *inode = &r->own->inodes[o->id];
	struct stat st;

	if (o->pipe->carried)
		return make_nameless(r, o->pipe, inode, err);
	*inode = open(o->pipe->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (*inode < 0)
		return cpt_fail_sys(err, "open fifo %s", o->pipe->path);
	if (fstat(*inode, &st) || !S_ISFIFO(st.st_mode))
		return cpt_fail(err, CPT_UNSUPPORTED, "%s is no fifo any more", o->pipe->path);
	return 0;
}

static int make_pipe(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return cpt_fail_sys(err, "pipe");
	r->own->inodes[o->id] = ends[0];
	r->own->others[o->id] = ends[1];
	return 0;
}

static int make(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	const Cpt__Pipe *p = o->pipe;
	int fd;

	if (p->path ? make_fifo(r, o, err) : make_pipe(r, o, err))
		return -1;
	fd = p->path ? r->own->inodes[o->id] : r->own->others[o->id];
	if (p->size && fcntl(fd, F_GETPIPE_SZ) != (int)p->size && fcntl(fd, F_SETPIPE_SZ, (int)p->size) < 0)
		return cpt_fail_sys(err, "make it hold %u bytes; see /proc/sys/fs/pipe-max-size", p->size);
	return fill(fd, p, err);
}

/* an end that pipe(2) made, if no description has it yet */
static int take_end(struct cpt_restore *r, const Cpt__Object *o, uint32_t carrier)
{
	uint32_t mode = o->flags & O_ACCMODE;
	unsigned end = mode == O_RDONLY ? CPT_TAKEN_INODE : CPT_TAKEN_OTHER;

	if (r->objects[carrier]->pipe->path || o->flags & O_LARGEFILE || mode == O_RDWR || r->own->taken[carrier] & end)
		return -1;
	r->own->taken[carrier] |= (uint8_t)end;
	return mode == O_RDONLY ? r->own->inodes[carrier] : r->own->others[carrier];
}

int cpt_open_pipe(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	uint32_t carrier = o->has_inode_of ? o->inode_of : o->id;

	if (o->has_inode_of && (r->own->inodes[carrier] < 0 || !r->objects[carrier]->pipe))
		return cpt_fail(err, CPT_BAD_IMAGE, "object %u carries no pipe", carrier);
	if (!o->has_inode_of && make(r, o, err))
		return -1;
	*fd = take_end(r, o, carrier);
	if (*fd >= 0)
		return cpt_object_set_flags(*fd, o, O_NONBLOCK, err);
	*fd = cpt_object_reopen(r->own->inodes[carrier], o, err);
	return *fd < 0 ? -1 : 0;
}
