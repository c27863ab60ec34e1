/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queues.c - what was queued in unix sockets is sent again, by whom it came from
 *
 * All processes exist by now, so that descriptors, and the credentials of any
 * of them, can go along.
 */
#include "restore/unix.h"

#include <stddef.h>
#include <sys/un.h>

#define SEND_BUFFER (64 << 20)

/* credentials and descriptors of a message */
static int add_control(struct cpt_restore *r, const Cpt__UnixMessage *m, struct msghdr *h, struct cpt_err *err)
{
	size_t fds = m->n_objects * sizeof(int);
	struct cmsghdr *c;

	h->msg_controllen = (m->n_objects ? CMSG_SPACE(fds) : 0) + (m->has_has_creds ? CMSG_SPACE(sizeof(struct ucred)) : 0);
	if (!h->msg_controllen)
		return 0;
	h->msg_control = cpt_arena_alloc(&r->arena, h->msg_controllen);
	c = CMSG_FIRSTHDR(h);
	if (m->has_has_creds) {
		struct ucred who = { (pid_t)m->pid, m->uid, m->gid };

		*c = (struct cmsghdr){ CMSG_LEN(sizeof(who)), SOL_SOCKET, SCM_CREDENTIALS };
		memcpy(CMSG_DATA(c), &who, sizeof(who));
		c = m->n_objects ? CMSG_NXTHDR(h, c) : NULL;
	}
	if (!m->n_objects)
		return 0;
	*c = (struct cmsghdr){ CMSG_LEN(fds), SOL_SOCKET, SCM_RIGHTS };
	for (size_t i = 0; i < m->n_objects; i++) {
		int fd = cpt_restore_object_fd(r, m->objects[i]);

		if (fd < 0)
			return cpt_fail(err, CPT_BAD_IMAGE, "object %u is queued in it, and has no descriptor", m->objects[i]);
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	}
	return 0;
}

static ssize_t send_it(int fd, const struct msghdr *h)
{
	ssize_t n = sendmsg(fd, h, MSG_DONTWAIT | MSG_NOSIGNAL);
	int more = SEND_BUFFER, was = 0;
	socklen_t len = sizeof(was);

	if (n >= 0 || (errno != EAGAIN && errno != EMSGSIZE))
		return n;
	/* the sender's buffer was larger then */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &was, &len) || setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &more, sizeof(more)))
		return -1;
	n = sendmsg(fd, h, MSG_DONTWAIT | MSG_NOSIGNAL);
	was /= 2;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &was, sizeof(was));
	return n;
}

/* @to: NULL where @from is connected to */
static int put_message(struct cpt_restore *r, const Cpt__UnixMessage *m, int from, struct sockaddr_un *to, socklen_t len,
		       struct cpt_err *err)
{
	struct iovec iov = { m->data.data, m->data.len };
	struct msghdr h = { .msg_name = to, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (add_control(r, m, &h, err))
		return -1;
	n = send_it(from, &h);
	if (n < 0 && errno == ESRCH && m->has_has_creds)
		return cpt_fail_sys(err, "a message of process %u waits in it, which is gone", m->pid);
	if (n < 0)
		return cpt_fail_sys(err, "queue %zu bytes", m->data.len);
	if ((size_t)n != m->data.len)
		return cpt_fail(err, CPT_SYSTEM, "only %zd of %zu bytes could be queued", n, m->data.len);
	return 0;
}

/* from a socket that is not connected to @o: its own sender, or a nameless one that is gone */
static int put_datagram(struct cpt_restore *r, const Cpt__Object *o, const Cpt__UnixMessage *m, struct cpt_err *err)
{
	const Cpt__UnixSocket *u = o->unix_socket;
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = cpt_unix_has_path(u) ? cpt_unix_name(r, u) : NULL;
	size_t len = path ? strlen(path) + 1 : u->name.len;
	CPT_AUTO(fd) int nameless = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int from = m->has_sender ? cpt_restore_object_fd(r, m->sender) : nameless;

	if (from < 0)
		return cpt_fail_sys(err, "socket");
	if (!u->has_name || u->stale || len > sizeof(to.sun_path))
		return cpt_fail(err, CPT_UNSUPPORTED, "a datagram waits in it, and it has no name to send it to");
	memcpy(to.sun_path, path ? path : (const char *)u->name.data, len);
	return put_message(r, m, from, &to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len), err);
}

/* whoever is connected to @o and may have sent it, or -1 */
static int sender_of(const struct cpt_restore *r, const Cpt__Object *o, const Cpt__UnixMessage *m)
{
	const Cpt__UnixSocket *u = o->unix_socket;
	uint32_t from = m->has_sender ? m->sender : u->has_peer ? u->peer : 0;
	const Cpt__Object *s = from ? r->objects[from] : NULL;

	if (!from)
		return r->own->others[o->id];
	return s->unix_socket && s->unix_socket->has_peer && s->unix_socket->peer == o->id ? r->object_fds[from] : -1;
}

static int fill(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	for (size_t i = 0; i < o->unix_socket->n_queue; i++) {
		const Cpt__UnixMessage *m = o->unix_socket->queue[i];
		int from = sender_of(r, o, m);

		if (from >= 0 ? put_message(r, m, from, NULL, 0, err) : put_datagram(r, o, m, err))
			return -1;
	}
	return 0;
}

static int shut(const struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	static const int how[] = { 0, SHUT_RD, SHUT_WR, SHUT_RDWR };
	uint32_t s = o->socket->shutdown & 3;

	if (s && shutdown(r->object_fds[o->id], how[s]) && errno != ENOTCONN)
		return cpt_fail_sys(err, "shutdown");
	return 0;
}

int cpt_unix_fill(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned id = 1; id < r->nobjects; id++)
		if (r->objects[id]->unix_socket && fill(r, r->objects[id], err))
			return cpt_within(err, "object %u (unix socket)", id);
	for (unsigned id = 1; id < r->nobjects; id++) {
		const Cpt__Object *o = r->objects[id];

		if (!o->unix_socket)
			continue;
		if (shut(r, o, err))
			return cpt_within(err, "object %u (unix socket)", id);
		if (r->own->others[id] >= 0)
			close(CPT_TAKE(r->own->others[id], -1));
	}
	return 0;
}
