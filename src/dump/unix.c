/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unix.c - unix sockets: names, peers, what is queued in them
 *
 * Peers and queues are looked at when all descriptors are known; a queue may
 * hold descriptors, which become objects like any other and may be sockets.
 */
#include "dump/sockets.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0)
#endif

enum { STATE_ESTABLISHED = 1, STATE_CLOSE = 7, STATE_LISTEN = 10 };	/* include/net/tcp_states.h */

/* a socket bound to a path: is the file at the path still its own, and in which folder was it bound? */
static int look_path(struct cpt_dump *d, struct cpt_fd *f, Cpt__UnixSocket *u, const char *name, struct cpt_err *err)
{
	char self[40], path[PATH_MAX];
	struct stat own, now;
	size_t len = strlen(name), full;
	ssize_t n;

	CPT_AUTO(fd) int file = ioctl(f->fd, SIOCUNIXFILE);
	if (file < 0 || fstat(file, &own))
		return cpt_fail_sys(err, "find the file of the unix socket %s", name);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", file);
	n = readlink(self, path, sizeof(path) - 1);
	if (n < 0)
		return cpt_fail_sys(err, "readlink %s", self);
	path[n] = 0;
	full = (size_t)n;
	if (lstat(path, &now) || now.st_ino != own.st_ino || now.st_dev != own.st_dev) {
		CPT_SET(u, stale, true);
		return 0;
	}
	CPT_SET(u, mode, own.st_mode);
	CPT_SET(u, uid, own.st_uid);
	CPT_SET(u, gid, own.st_gid);
	if (name[0] == '/')
		return 0;
	if (full <= len + 1 || strcmp(path + full - len, name) != 0 || path[full - len - 1] != '/') {
		cpt_refuse_fd(d, f, "unix socket bound to the relative path %s: its folder can't be told", name);
		return 0;
	}
	path[full - len - 1] = 0;
	u->folder = cpt_arena_strdup(&d->arena, path[0] ? path : "/");
	return 0;
}

static int look_name(struct cpt_dump *d, struct cpt_fd *f, Cpt__UnixSocket *u, struct cpt_err *err)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	size_t size;

	memset(&a, 0, sizeof(a));
	if (getsockname(f->fd, (struct sockaddr *)&a, &len))
		return cpt_fail_sys(err, "getsockname");
	if (len <= offsetof(struct sockaddr_un, sun_path))
		return 0;
	size = len - offsetof(struct sockaddr_un, sun_path);
	if (a.sun_path[0])
		size = strnlen(a.sun_path, CPT_MIN(size, sizeof(a.sun_path)));
	u->has_name = true;
	u->name = (ProtobufCBinaryData){ size, cpt_arena_memdup(&d->arena, a.sun_path, size + 1) };
	if (!a.sun_path[0])
		return 0;
	return look_path(d, f, u, (const char *)u->name.data, err);
}

static void look_peer_cred(struct cpt_fd *f, Cpt__UnixSocket *u)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(f->fd, SOL_SOCKET, SO_PEERCRED, &c, &len) || c.pid <= 0)
		return;
	CPT_SET(u, peer_pid, (uint32_t)c.pid);
	CPT_SET(u, peer_uid, c.uid);
	CPT_SET(u, peer_gid, c.gid);
}

int cpt_look_unix(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	const struct cpt_unix_diag *diag;
	Cpt__UnixSocket *u = CPT_MESSAGE(d, Cpt__UnixSocket, cpt__unix_socket__init);
	unsigned outside = CPT_PERMIT_TCP_CLOSE | CPT_PERMIT_EXT_UNIX_SK;

	o->unix_socket = u;
	if (cpt_unix_diag(d, f->st.st_ino, &diag, err) || look_name(d, f, u, err))
		return -1;
	if (!diag) {
		cpt_refuse_fd(d, f, "unix socket: sock_diag does not list it");
		return 0;
	}
	look_peer_cred(f, u);
	if (diag->shutdown)
		CPT_SET(o->socket, shutdown, diag->shutdown);
	if (diag->state == STATE_LISTEN) {
		CPT_SET(o->socket, backlog, (int)diag->wqueue);
		if (diag->rqueue && !(d->opt->permit & outside))
			cpt_refuse_fd(d, f, "unix socket %s: %u connections wait to be accepted; try again, or drop them "
				      "by --ext-unix-sk", cpt_socket_name(d, u->name.data, u->name.len), diag->rqueue);
	}
	return 0;
}

/* ---- queues ---------------------------------------------------------- */

struct peeked {
	ssize_t len;		/* -1: nothing more */
	unsigned nfds;
	int fds[253];		/* SCM_MAX_FD */
	bool has_creds;
	struct ucred creds;
	struct sockaddr_un from;
	socklen_t fromlen;
};

static void drop_fds(struct peeked *p)
{
	for (unsigned i = 0; i < p->nfds; i++)
		close(p->fds[i]);
	p->nfds = 0;
}

static void take_control(struct msghdr *m, struct peeked *p)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS && p->nfds + len / sizeof(int) <= CPT_COUNT(p->fds)) {
			memcpy(p->fds + p->nfds, CMSG_DATA(c), len);
			p->nfds += (unsigned)(len / sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS && len >= sizeof(p->creds)) {
			memcpy(&p->creds, CMSG_DATA(c), sizeof(p->creds));
			p->has_creds = true;
		}
	}
}

/*
 * Look at what lies @offset bytes into the queue. In a stream that is all up to
 * the end of the first write that came with descriptors.
 */
static int peek(int fd, int offset, void *data, size_t size, struct peeked *p, struct cpt_err *err)
{
	char control[CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) + 256];
	struct iovec iov = { data, size };
	struct msghdr m = {
		.msg_name = &p->from, .msg_namelen = sizeof(p->from), .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	memset(p, 0, offsetof(struct peeked, fds));
	p->has_creds = false;
	/* the beginning can be seen without, where the program has set none itself */
	if (offset >= 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)))
		return cpt_fail_sys(err, "setsockopt(SO_PEEK_OFF)");
	p->len = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (p->len < 0 && errno != EAGAIN)
		return cpt_fail_sys(err, "look into a unix socket's queue");
	if (p->len < 0)
		return 0;
	p->fromlen = m.msg_namelen;
	take_control(&m, p);
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		drop_fds(p);
		return cpt_fail(err, CPT_UNSUPPORTED, "a message in a unix socket's queue is too large to look at");
	}
	return 0;
}

/*
 * In a stream, bytes without descriptors run on into the first write that came
 * with some, whose descriptors must not be seen too early. A write that does
 * not fit into memory is not copied, nor are its descriptors: with one byte
 * too little, what comes back is what stands before it.
 */
static int find_split(int fd, int offset, void *data, struct peeked *p, struct cpt_err *err)
{
	struct iovec iov[2] = { { data, (size_t)p->len - 1 }, { (void *)1, 1 << 20 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t plain;

	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)))
		return cpt_fail_sys(err, "setsockopt(SO_PEEK_OFF)");
	plain = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT);
	if (plain < 0 && errno != EFAULT)
		return cpt_fail_sys(err, "look into a unix socket's queue");
	if (plain > 0) {
		drop_fds(p);
		p->len = plain;
	}
	return 0;
}

static int add_objects(struct cpt_dump *d, struct peeked *p, Cpt__UnixMessage *m, struct cpt_err *err)
{
	int e = 0;

	m->objects = cpt_arena_array(&d->arena, uint32_t, p->nfds + 1);
	for (unsigned i = 0; i < p->nfds && !e; i++) {
		struct cpt_fd f = { .number = -1, .fd = p->fds[i] };

		e = cpt_dump_examine(d, &f, err) || cpt_dump_descriptor(d, &f, &m->objects[m->n_objects++], err);
	}
	drop_fds(p);
	return e ? cpt_within(err, "a descriptor queued in a unix socket") : 0;
}

static uint32_t find_name(struct cpt_dump *d, const struct peeked *p, size_t len)
{
	for (uint32_t id = 1; id < cpt_dump_nobjects(d); id++) {
		const Cpt__UnixSocket *u = cpt_dump_described(d, id)->img->unix_socket;

		if (u && u->name.len && u->name.len <= len && memcmp(u->name.data, p->from.sun_path, u->name.len) == 0 &&
		    (u->name.len == len || !p->from.sun_path[u->name.len]))
			return id;
	}
	return 0;
}

static int add_message(struct cpt_dump *d, struct cpt_fd *f, const Cpt__Object *o, const void *data,
		       struct peeked *p, struct cpt_err *err)
{
	Cpt__UnixMessage *m = CPT_MESSAGE(d, Cpt__UnixMessage, cpt__unix_message__init);
	Cpt__UnixSocket *u = o->unix_socket;
	bool from = o->socket->type == SOCK_DGRAM && p->fromlen > offsetof(struct sockaddr_un, sun_path);
	size_t n = u->n_queue, named = from ? p->fromlen - offsetof(struct sockaddr_un, sun_path) : 0;

	m->has_data = true;
	m->data = (ProtobufCBinaryData){ (size_t)p->len, cpt_arena_memdup(&d->arena, data, (size_t)p->len) };
	if (p->has_creds && p->creds.pid > 0) {
		CPT_SET(m, has_creds, true);
		CPT_SET(m, pid, (uint32_t)p->creds.pid);
		CPT_SET(m, uid, p->creds.uid);
		CPT_SET(m, gid, p->creds.gid);
	}
	if (named) {
		CPT_SET(m, sender, find_name(d, p, named));
		if (!m->sender)
			cpt_refuse_fd(d, f, "unix socket: a datagram from %s waits in it, a sender outside the group",
				      cpt_socket_name(d, p->from.sun_path, named));
	}
	if (!(n & (n - 1))) {
		Cpt__UnixMessage **grown = cpt_arena_array(&d->arena, Cpt__UnixMessage *, n ? 2 * n : 1);

		if (n)
			memcpy(grown, u->queue, n * sizeof(*grown));
		u->queue = grown;
	}
	u->queue[u->n_queue++] = m;
	return add_objects(d, p, m, err);
}

/* the largest message that fits into its sender's buffer, and more */
#define PEEK_BYTES (4u << 20)
#define QUEUE_MESSAGES 100000

static int read_queue(struct cpt_dump *d, struct cpt_fd *f, const Cpt__Object *o, size_t total, bool plain,
		      struct cpt_err *err)
{
	bool stream = o->socket->type == SOCK_STREAM;
	CPT_AUTO(mem) char *data = cpt_malloc(PEEK_BYTES);
	struct peeked p;
	int at = 0;

	for (unsigned n = 0; n < QUEUE_MESSAGES; n++) {
		if (stream && (size_t)at >= total)
			return 0;
		if (peek(f->fd, plain && !n ? -1 : at, data, PEEK_BYTES, &p, err))
			return -1;
		/* an empty datagram is seen once, then the one behind it */
		if (p.len < 0 || (p.len == 0 && o->socket->type != SOCK_DGRAM))
			return 0;
		if (stream && p.nfds && p.len > 1 && find_split(f->fd, at, data, &p, err))
			return -1;
		at += (int)p.len;
		if (add_message(d, f, o, data, &p, err))
			return -1;
	}
	cpt_refuse_fd(d, f, "unix socket: too many messages wait in it");
	return 0;
}

static int look_queue(struct cpt_dump *d, uint32_t id, struct cpt_err *err)
{
	struct cpt_description desc = *cpt_dump_described(d, id);	/* the table grows meanwhile */
	const struct cpt_unix_diag *diag;
	CPT_AUTO(fd) int fd = cpt_dump_refetch(d, &desc, err);
	struct cpt_fd f = { .t = desc.t, .number = desc.t ? desc.fd : -1, .fd = fd };
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	int off = -1, e;
	socklen_t len = sizeof(off);

	if (fd < 0)
		return -1;
	if (desc.img->socket->has_backlog || poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLIN))
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, &len))
		return cpt_fail_sys(err, "getsockopt(SO_PEEK_OFF)");
	if (cpt_unix_diag(d, desc.ino, &diag, err))
		return -1;
	e = read_queue(d, &f, desc.img, diag ? diag->rqueue : 0, off < 0, err);
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) && !e)
		return cpt_fail_sys(err, "setsockopt(SO_PEEK_OFF)");
	return e;
}

/* ---- peers ----------------------------------------------------------- */

/* its peer is not in the group */
static void look_outside(struct cpt_dump *d, const struct cpt_description *desc, struct cpt_fd *f)
{
	Cpt__UnixSocket *u = desc->img->unix_socket;
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	size_t size;

	memset(&a, 0, sizeof(a));
	if (getpeername(f->fd, (struct sockaddr *)&a, &len))
		len = 0;
	size = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;
	if (size && a.sun_path[0])
		size = strnlen(a.sun_path, CPT_MIN(size, sizeof(a.sun_path)));
	if (!(d->opt->permit & CPT_PERMIT_EXT_UNIX_SK)) {
		cpt_refuse_fd(d, f, "unix socket connected to %s, outside the group; --ext-unix-sk has a datagram socket "
			      "connected anew, another one restored as closed by the other side",
			      size ? cpt_socket_name(d, a.sun_path, size) : "a nameless one");
		return;
	}
	if (desc->img->socket->type == SOCK_DGRAM && size && a.sun_path[0] && a.sun_path[0] != '/') {
		cpt_refuse_fd(d, f, "unix socket connected to %s outside the group: from a relative path it can't be found "
			      "again", cpt_socket_name(d, a.sun_path, size));
	} else if (desc->img->socket->type == SOCK_DGRAM && size) {
		u->has_external = true;
		u->external = (ProtobufCBinaryData){ size, cpt_arena_memdup(&d->arena, a.sun_path, size) };
	} else {
		CPT_SET(u, connected, true);
	}
}

static int look_peer(struct cpt_dump *d, const struct cpt_description *desc, struct cpt_table *by_ino, struct cpt_err *err)
{
	Cpt__UnixSocket *u = desc->img->unix_socket;
	bool dgram = desc->img->socket->type == SOCK_DGRAM;
	const struct cpt_unix_diag *diag;
	struct cpt_fd f = { .t = desc->t, .number = desc->t ? desc->fd : -1 };
	uintptr_t peer;

	if (cpt_unix_diag(d, desc->ino, &diag, err))
		return -1;
	if (!diag || diag->state == STATE_LISTEN || (!diag->has_peer && (dgram || diag->state != STATE_ESTABLISHED)))
		return 0;
	peer = diag->peer ? (uintptr_t)cpt_table_get(by_ino, diag->peer) : 0;
	if (peer) {
		CPT_SET(u, connected, true);
		CPT_SET(u, peer, (uint32_t)peer);
		return 0;
	}
	if (!diag->peer && (dgram || diag->shutdown == 3)) {
		CPT_SET(u, connected, true);	/* the other side is closed */
		return 0;
	}
	CPT_AUTO(fd) int fd = cpt_dump_refetch(d, desc, err);
	if (fd < 0)
		return -1;
	f.fd = fd;
	look_outside(d, desc, &f);
	return 0;
}

static int look_group(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_table by_ino = { 0 };
	bool any = false;
	int e = 0;

	/* what is found in a queue is put behind, and is looked at in its turn */
	for (uint32_t id = 1; id < cpt_dump_nobjects(d); id++) {
		const struct cpt_description *c = cpt_dump_described(d, id);

		if (!c->img->unix_socket)
			continue;
		any = true;
		cpt_table_put(&by_ino, c->ino, (void *)(uintptr_t)id);
		if (look_queue(d, id, err)) {
			e = cpt_within(err, "unix socket");
			break;
		}
	}
	for (uint32_t id = 1; any && !e && id < cpt_dump_nobjects(d); id++) {
		const struct cpt_description *c = cpt_dump_described(d, id);

		if (c->img->unix_socket)
			e = look_peer(d, c, &by_ino, err);
	}
	free(by_ino.slots);
	return e;
}

const struct cpt_dump_kind cpt_dump_unix = {
	.name = "unix",
	.group = look_group,
};
