/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* objects.c - one kind an object; files, folders, owners */
#include "image/kinds.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* besides what every object may have, exactly one of these */
static unsigned count_kinds(const Cpt__Object *o)
{
	return !!o->shared_memory + !!o->regular + !!o->pipe + !!o->eventfd + !!o->epoll + !!o->timerfd +
	       !!o->signalfd + !!o->memfd + !!o->pidfd + !!o->socket;
}

static int check_socket_kind(const Cpt__Object *o, struct cpt_err *err)
{
	bool inet = o->socket && (o->socket->family == AF_INET || o->socket->family == AF_INET6);
	bool local = o->socket && o->socket->family == AF_UNIX;

	if (!!o->unix_socket != local || !!o->inet_socket != inet)
		return cpt_fail(err, CPT_BAD_IMAGE, "a socket whose family is not that of what is said of it");
	if (o->inet_socket && o->inet_socket->closed && o->socket->type != SOCK_STREAM)
		return cpt_fail(err, CPT_BAD_IMAGE, "a closed connection that is no TCP socket");
	return 0;
}

/* special files are not opened, only pointed at */
static int check_special(const Cpt__Object *o, struct cpt_err *err)
{
	static const uint64_t harmless[] = { 0x103, 0x105, 0x107, 0x108, 0x109 };
	uint32_t type = o->regular->mode & S_IFMT;

	if (o->flags & O_PATH || type == S_IFREG || type == S_IFDIR)
		return 0;
	for (size_t i = 0; type == S_IFCHR && i < CPT_COUNT(harmless); i++)
		if (o->regular->rdev == harmless[i])
			return 0;
	return cpt_fail(err, CPT_BAD_IMAGE, "%s is of mode 0%o and device 0x%llx", o->regular->path, o->regular->mode,
			(unsigned long long)o->regular->rdev);
}

int cpt_check_object(const Cpt__Object *o, struct cpt_err *err)
{
	if (!o->id || count_kinds(o) != 1)
		return cpt_fail(err, CPT_BAD_IMAGE, "it is of %u kinds", count_kinds(o));
	if (o->has_inode_of && (!o->inode_of || o->inode_of >= o->id))
		return cpt_fail(err, CPT_BAD_IMAGE, "its inode is that of object %u, which comes later", o->inode_of);
	if (o->has_inode_of && !o->regular && !o->pipe && !o->memfd)
		return cpt_fail(err, CPT_BAD_IMAGE, "its inode is that of object %u, but it has none", o->inode_of);
	if (o->position > INT64_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "its position is %llu", (unsigned long long)o->position);
	if (o->n_locks && !o->regular)
		return cpt_fail(err, CPT_BAD_IMAGE, "it has locks, but is no file");
	if (check_socket_kind(o, err))
		return -1;
	return o->regular ? check_special(o, err) : 0;
}

int cpt_check_owner(const Cpt__Owner *m, struct cpt_err *err)
{
	if (m->type > F_OWNER_PGRP || m->signal > 64)
		return cpt_fail(err, CPT_BAD_IMAGE, "owner of type %u, signal %u", m->type, m->signal);
	return 0;
}

int cpt_check_lock(const Cpt__Lock *m, struct cpt_err *err)
{
	if (m->start > INT64_MAX || m->length > INT64_MAX || m->start + m->length > INT64_MAX || m->fd > INT_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "lock of %llu bytes from %llu", (unsigned long long)m->length,
				(unsigned long long)m->start);
	return 0;
}

int cpt_check_path(const char *path, struct cpt_err *err)
{
	if (!path || path[0] != '/' || strlen(path) >= PATH_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "\"%.100s\" is no absolute path", path ? path : "");
	return 0;
}

int cpt_check_content(const Cpt__Pages *p, uint64_t size, struct cpt_err *err)
{
	uint64_t pages = size / CPT_PAGE + !!(size % CPT_PAGE);

	if (size > INT64_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "%llu bytes long", (unsigned long long)size);
	for (size_t i = 0; p && i < p->n_index && i < p->n_count; i++)
		if (p->index[i] >= pages || p->count[i] > pages - p->index[i])
			return cpt_fail(err, CPT_BAD_IMAGE, "content behind its end of %llu bytes", (unsigned long long)size);
	return 0;
}

int cpt_check_regular(const Cpt__Regular *m, struct cpt_err *err)
{
	if (cpt_check_path(m->path, err) || cpt_check_content(m->pages, m->size, err))
		return -1;
	if (m->carried && !S_ISREG(m->mode) && !S_ISDIR(m->mode))
		return cpt_fail(err, CPT_BAD_IMAGE, "%s is carried and of mode 0%o", m->path, m->mode);
	if (m->has_handle && (m->carried || m->handle.len > 128 || !S_ISREG(m->mode)))
		return cpt_fail(err, CPT_BAD_IMAGE, "%s has a handle of %zu bytes", m->path, m->handle.len);
	if (m->mtime_ns >= 1000000000)
		return cpt_fail(err, CPT_BAD_IMAGE, "%s was changed at nanosecond %u", m->path, m->mtime_ns);
	return 0;
}

int cpt_check_memfd(const Cpt__Memfd *m, struct cpt_err *err)
{
	if (!m->name || strlen(m->name) > 249)
		return cpt_fail(err, CPT_BAD_IMAGE, "a memfd without a name, or with too long a one");
	return cpt_check_content(m->pages, m->size, err);
}

int cpt_check_shared_memory(const Cpt__SharedMemory *m, struct cpt_err *err)
{
	return cpt_check_content(m->pages, m->size, err);
}

int cpt_check_files(const Cpt__Files *m, struct cpt_err *err)
{
	for (size_t i = 0; i < m->n_fds; i++)
		if (m->fds[i]->fd > INT_MAX || (i && m->fds[i]->fd <= m->fds[i - 1]->fd) || !m->fds[i]->object)
			return cpt_fail(err, CPT_BAD_IMAGE, "descriptor %zu has the number %u", i, m->fds[i]->fd);
	for (size_t i = 0; i < m->n_locks; i++)
		if (m->locks[i]->kind != CPT__LOCK_KIND__LOCK_POSIX)
			return cpt_fail(err, CPT_BAD_IMAGE, "lock %zu is not one of a process", i);
	return 0;
}

int cpt_check_fs(const Cpt__Fs *m, struct cpt_err *err)
{
	if (m->umask > 0777)
		return cpt_fail(err, CPT_BAD_IMAGE, "umask 0%o", m->umask);
	return 0;
}
