/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pipes.c - pipes and fifos: their content is read without taking it out
 *
 * tee(2) copies references to the buffers into a pipe of ours. Whether an end
 * is held outside the group is known at the end, when all descriptors are seen.
 */
#include "dump/files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#ifndef PIPEFS_MAGIC
#define PIPEFS_MAGIC 0x50495045
#endif

struct ends {
	int r, w;
};

static void cpt_auto_ends(const struct ends *e)
{
	if (e->r >= 0)
		close(e->r);
	if (e->w >= 0)
		close(e->w);
}

/* read all of our copy; each read ends where a packet does */
static int read_copy(struct cpt_dump *d, int from, size_t size, Cpt__Pipe *p, struct cpt_err *err)
{
	uint8_t *data = cpt_arena_alloc(&d->arena, size);
	uint32_t *packets = NULL;
	size_t got = 0, cap = 0;

	while (got < size) {
		ssize_t n = read(from, data + got, size - got);

		if (n <= 0) {
			free(packets);
			return n ? cpt_fail_sys(err, "read a pipe's content") :
				   cpt_fail(err, CPT_SYSTEM, "a pipe's content changed while it was read");
		}
		CPT_GROW(packets, p->n_packets, cap);
		packets[p->n_packets++] = (uint32_t)n;
		got += (size_t)n;
	}
	p->packets = cpt_arena_memdup(&d->arena, packets, p->n_packets * sizeof(*packets));
	free(packets);
	p->has_content = true;
	p->content = (ProtobufCBinaryData){ size, data };
	return 0;
}

static int copy_content(struct cpt_dump *d, struct cpt_fd *f, Cpt__Pipe *p, struct cpt_err *err)
{
	CPT_AUTO(ends) struct ends copy = { -1, -1 };
	int queued = 0, fds[2];

	if (ioctl(f->fd, FIONREAD, &queued))
		return cpt_fail_sys(err, "FIONREAD");
	if (queued <= 0)
		return 0;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return cpt_fail_sys(err, "pipe");
	copy = (struct ends){ fds[0], fds[1] };
	if (p->size > 65536 && fcntl(copy.w, F_SETPIPE_SZ, (int)p->size) < 0)
		return cpt_fail_sys(err, "make a pipe of %u bytes to copy one; see /proc/sys/fs/pipe-max-size", p->size);
	/* a reader that opened it for writing too can be teed like any other */
	if (tee(f->fd, copy.w, (size_t)queued, SPLICE_F_NONBLOCK) != queued)
		return cpt_fail_sys(err, "tee %d bytes of a pipe", queued);
	return read_copy(d, copy.r, (size_t)queued, p, err);
}

/* packets only mean something when the pipe has been written in packet mode */
static void note_packet_mode(struct cpt_inode *i, const struct cpt_fd *f)
{
	if (f->flags & O_DIRECT)
		i->packets = true;
}

static int name_fifo(struct cpt_dump *d, struct cpt_fd *f, Cpt__Pipe *p, struct cpt_err *err)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(f->fd, &fs))
		return cpt_fail_sys(err, "fstatfs");
	if (fs.f_type == PIPEFS_MAGIC)
		return 0;
	p->path = (char *)cpt_fd_link(d, f);
	if (f->st.st_nlink == 0) {
		p->path = (char *)cpt_last_name(d, f);
		CPT_SET(p, carried, true);
		CPT_SET(p, mode, f->st.st_mode);
		CPT_SET(p, uid, f->st.st_uid);
		CPT_SET(p, gid, f->st.st_gid);
	} else if (lstat(p->path, &st) || st.st_ino != f->st.st_ino || st.st_dev != f->st.st_dev) {
		cpt_refuse_fd(d, f, "fifo %s: it has another name now; open it by a name that stays", p->path);
	}
	return 0;
}

int cpt_look_pipe(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	struct cpt_inode *i = cpt_dump_inode(d, &f->st);
	unsigned mode = f->flags & O_ACCMODE;
	bool reader = mode != O_WRONLY, content_read = i->reader;

	i->reader |= reader;
	i->writer |= mode != O_RDONLY;
	o->pipe = CPT_MESSAGE(d, Cpt__Pipe, cpt__pipe__init);
	if (i->first) {
		CPT_SET(o, inode_of, i->first->id);
	} else {
		int size = fcntl(f->fd, F_GETPIPE_SZ);

		if (size < 0)
			return cpt_fail_sys(err, "fcntl(F_GETPIPE_SZ)");
		i->first = o;
		CPT_SET(o->pipe, size, (uint32_t)size);
		if (name_fifo(d, f, o->pipe, err))
			return -1;
	}
	note_packet_mode(i, f);
	if (!reader || content_read)
		return 0;
	return copy_content(d, f, i->first->pipe, err);
}

/* an end that nobody in the group has: closed, or held outside? */
static int check_ends(struct cpt_dump *d, const struct cpt_description *desc, struct cpt_err *err)
{
	const struct cpt_inode *i = desc->inode;
	struct cpt_fd as = { .t = desc->t, .number = desc->t ? desc->fd : -1 };
	struct pollfd p = { .events = POLLIN | POLLOUT };

	if (i->reader && i->writer)
		return 0;
	CPT_AUTO(fd) int fd = cpt_dump_refetch(d, desc, err);
	if (fd < 0)
		return -1;
	p.fd = fd;
	if (poll(&p, 1, 0) < 0)
		return cpt_fail_sys(err, "poll a pipe");
	if (p.revents & (i->reader ? POLLHUP : POLLERR))
		return 0;
	if (i->first->pipe->path && i->reader && !(p.revents & POLLHUP))
		return 0;	/* a fifo that nobody has opened for writing yet looks the same */
	as.fd = fd;
	cpt_refuse_fd(d, &as, "%s: its other end is outside the group; move that process into the group too, "
		      "or redirect to a file", cpt_fd_link(d, &as));
	return 0;
}

static int check_all(struct cpt_dump *d, struct cpt_err *err)
{
	for (uint32_t id = 1; id < cpt_dump_nobjects(d); id++) {
		struct cpt_description *desc = cpt_dump_described(d, id);
		Cpt__Pipe *p = desc->img->pipe;

		if (!p || desc->img->has_inode_of || !desc->inode)
			continue;
		if (check_ends(d, desc, err))
			return -1;
		if (p->n_packets == 1 && !desc->inode->packets)
			p->n_packets = 0;
	}
	return 0;
}

const struct cpt_dump_kind cpt_dump_pipes = {
	.name = "pipes",
	.group = check_all,
};
