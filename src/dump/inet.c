/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inet.c - TCP and UDP sockets: listening, bound, connected
 *
 * A TCP connection is refused, or by --tcp-close restored as one that the
 * other side has closed.
 */
#include "dump/sockets.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

/* include/net/tcp_states.h */
#define TCP_CLOSE_STATE 7
#define TCP_LISTEN_STATE 10

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static const char *print(struct cpt_dump *d, const union address *a)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->v4.sin_addr, ip, sizeof(ip));
		return cpt_arena_printf(&d->arena, "%s:%u", ip, ntohs(a->v4.sin_port));
	}
	inet_ntop(AF_INET6, &a->v6.sin6_addr, ip, sizeof(ip));
	return cpt_arena_printf(&d->arena, "[%s]:%u", ip, ntohs(a->v6.sin6_port));
}

static bool is_bound(const union address *a)
{
	static const struct in6_addr any;

	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port || a->v4.sin_addr.s_addr;
	return a->v6.sin6_port || memcmp(&a->v6.sin6_addr, &any, sizeof(any)) != 0;
}

static int get_local(struct cpt_dump *d, struct cpt_fd *f, Cpt__InetSocket *s, union address *local, struct cpt_err *err)
{
	socklen_t len = sizeof(*local);

	memset(local, 0, sizeof(*local));
	if (getsockname(f->fd, &local->any, &len))
		return cpt_fail_sys(err, "getsockname");
	if (is_bound(local)) {
		s->has_local = true;
		s->local = (ProtobufCBinaryData){ len, cpt_arena_memdup(&d->arena, local, len) };
	}
	return 0;
}

static int look_connection(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, const union address *local)
{
	union address peer;
	socklen_t len = sizeof(peer);

	if (d->opt->permit & CPT_PERMIT_TCP_CLOSE) {
		CPT_SET(o->inet_socket, closed, true);
		return 0;
	}
	if (getpeername(f->fd, &peer.any, &len))
		cpt_refuse_fd(d, f, "TCP connection of %s, being made or closed: not carried yet; --tcp-close has it "
			      "restored as closed by the other side", print(d, local));
	else
		cpt_refuse_fd(d, f, "TCP connection %s to %s: not carried yet; --tcp-close has it restored as closed "
			      "by the other side", print(d, local), print(d, &peer));
	return 0;
}

static int look_tcp(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, const union address *local, struct cpt_err *err)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(f->fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return cpt_fail_sys(err, "getsockopt(TCP_INFO)");
	if (info.tcpi_state == TCP_CLOSE_STATE)
		return 0;
	if (info.tcpi_state != TCP_LISTEN_STATE)
		return look_connection(d, f, o, local);
	CPT_SET(o->socket, backlog, (int)info.tcpi_sacked);
	if (info.tcpi_unacked && !(d->opt->permit & CPT_PERMIT_TCP_CLOSE))
		cpt_refuse_fd(d, f, "TCP socket listening at %s: %u connections wait to be accepted; try again, or drop them "
			      "by --tcp-close", print(d, local), info.tcpi_unacked);
	return 0;
}

static int look_udp(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, const union address *local, struct cpt_err *err)
{
	union address peer;
	socklen_t len = sizeof(peer);
	int queued = 0;

	if (getpeername(f->fd, &peer.any, &len) == 0) {
		o->inet_socket->has_peer = true;
		o->inet_socket->peer = (ProtobufCBinaryData){ len, cpt_arena_memdup(&d->arena, &peer, len) };
	}
	if (ioctl(f->fd, SIOCINQ, &queued))
		return cpt_fail_sys(err, "SIOCINQ");
	if (queued)
		cpt_warn("process %d: fd %d: datagrams not read yet at UDP %s are lost, as UDP may",
			 f->t ? f->t->pid : 0, f->number, print(d, local));
	return 0;
}

int cpt_look_inet(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	union address local;

	o->inet_socket = CPT_MESSAGE(d, Cpt__InetSocket, cpt__inet_socket__init);
	if (get_local(d, f, o->inet_socket, &local, err))
		return -1;
	if (o->socket->type == SOCK_STREAM)
		return look_tcp(d, f, o, &local, err);
	return look_udp(d, f, o, &local, err);
}
