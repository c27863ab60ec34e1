/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inet.c - TCP and UDP sockets: listening, bound, connected (UDP), closed by the other side */
#include "restore/files.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int get_address(const ProtobufCBinaryData *b, uint32_t family, union address *a, struct cpt_err *err)
{
	memset(a, 0, sizeof(*a));
	if (b->len > sizeof(*a) || b->len < sizeof(a->v4))
		return cpt_fail(err, CPT_BAD_IMAGE, "an address of %zu bytes", b->len);
	memcpy(a, b->data, b->len);
	if (a->any.sa_family != family)
		return cpt_fail(err, CPT_BAD_IMAGE, "an address of another family");
	return 0;
}

static const char *print(struct cpt_restore *r, const union address *a)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->v4.sin_addr, ip, sizeof(ip));
		return cpt_arena_printf(&r->arena, "%s:%u", ip, ntohs(a->v4.sin_port));
	}
	inet_ntop(AF_INET6, &a->v6.sin6_addr, ip, sizeof(ip));
	return cpt_arena_printf(&r->arena, "[%s]:%u", ip, ntohs(a->v6.sin6_port));
}

static bool wanted_reuse(const Cpt__Socket *s)
{
	for (size_t i = 0; i < s->n_options; i++)
		if (s->options[i]->level == SOL_SOCKET && s->options[i]->name == SO_REUSEADDR)
			return true;
	return false;
}

/* connections of the group as it was may still be closing: they must not be in the way */
static int bind_it(struct cpt_restore *r, int fd, const Cpt__Object *o, struct cpt_err *err)
{
	bool help = o->socket->type == SOCK_STREAM && !wanted_reuse(o->socket);
	const char *what = o->socket->type == SOCK_STREAM ? "TCP" : "UDP";
	union address a;
	int on = 1, off = 0;

	if (get_address(&o->inet_socket->local, o->socket->family, &a, err))
		return -1;
	if (help && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return cpt_fail_sys(err, "setsockopt(SO_REUSEADDR)");
	if (bind(fd, &a.any, (socklen_t)o->inet_socket->local.len)) {
		if (errno == EADDRINUSE)
			return cpt_fail_sys(err, "%s address %s; end the program that uses it (ss -tanup), or wait a minute if connections to it are still closing", what, print(r, &a));
		return cpt_fail_sys(err, "bind %s address %s", what, print(r, &a));
	}
	if (o->socket->has_backlog && listen(fd, o->socket->backlog))
		return cpt_fail_sys(err, "listen at %s address %s", what, print(r, &a));
	if (help && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off)))
		return cpt_fail_sys(err, "setsockopt(SO_REUSEADDR)");
	return 0;
}

/* a listening socket of our own on the loopback device */
static int own_listener(uint32_t family, union address *a, socklen_t *len, struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = socket((int)family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(a, 0, sizeof(*a));
	a->any.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		a->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a->v6.sin6_addr = in6addr_loopback;
	*len = family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
	if (fd < 0 || bind(fd, &a->any, *len) || listen(fd, 1) || getsockname(fd, &a->any, len))
		return cpt_fail_sys(err, "make a connection on the loopback device");
	return CPT_TAKE(fd, -1);
}

/* a connection whose other side has closed: reading gives the end, writing EPIPE */
static int closed_connection(const Cpt__Object *o, int *ret, struct cpt_err *err)
{
	union address a;
	socklen_t len;
	struct cpt_err ignored;
	CPT_AUTO(fd) int listener = own_listener(o->socket->family, &a, &len, err);
	CPT_AUTO(fd) int other = -1;
	CPT_AUTO(fd) int fd = -1;

	if (listener < 0)
		return -1;
	other = socket((int)o->socket->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (other < 0 || connect(other, &a.any, len))
		return cpt_fail_sys(err, "make a connection on the loopback device");
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | (o->flags & O_NONBLOCK ? SOCK_NONBLOCK : 0));
	if (fd < 0)
		return cpt_fail_sys(err, "make a connection on the loopback device");
	/* its end is near: an option that can't be set on it any more is no loss */
	(void)!cpt_socket_options(fd, o->socket, &ignored);
	close(CPT_TAKE(other, -1));
	if (shutdown(fd, SHUT_WR))
		return cpt_fail_sys(err, "shutdown");
	*ret = CPT_TAKE(fd, -1);
	return 0;
}

int cpt_open_inet(struct cpt_restore *r, const Cpt__Object *o, int *ret, struct cpt_err *err)
{
	const Cpt__InetSocket *s = o->inet_socket;
	union address peer;

	if (s->closed)
		return closed_connection(o, ret, err);
	CPT_AUTO(fd) int fd = cpt_socket_make(o, err);
	if (fd < 0)
		return -1;
	if (s->has_local && bind_it(r, fd, o, err))
		return -1;
	if (!s->has_local && o->socket->has_backlog && listen(fd, o->socket->backlog))
		return cpt_fail_sys(err, "listen");
	if (s->has_peer && get_address(&s->peer, o->socket->family, &peer, err))
		return -1;
	if (s->has_peer && connect(fd, &peer.any, (socklen_t)s->peer.len))
		return cpt_fail_sys(err, "connect to %s", print(r, &peer));
	*ret = CPT_TAKE(fd, -1);
	return 0;
}
