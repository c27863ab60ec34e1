/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sockets.c - what sockets of every family have: options, filter, shutdown */
#include "dump/sockets.h"
#include "image/sockopts.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define NETNS_COOKIE_BYTES 8

/* the values of one socket's options, in the order of cpt_sockopts[] */
struct values {
	uint32_t family, type, protocol;
	struct values *next;
	struct value {
		socklen_t size;		/* 0: this kernel lacks it */
		uint8_t bytes[CPT_SOCKOPT_MAX_SIZE];
	} v[];
};

static struct cpt_dump_sockets *sockets(struct cpt_dump *d)
{
	struct cpt_dump_sockets **s = cpt_dump_sockets(d);

	if (!*s)
		*s = cpt_arena_new(&d->arena, struct cpt_dump_sockets);
	return *s;
}

static void read_value(int fd, const struct cpt_sockopt *opt, struct value *ret)
{
	ret->size = opt->size;
	if (getsockopt(fd, opt->level, opt->name, ret->bytes, &ret->size))
		ret->size = 0;
}

/* what a new socket of this kind answers */
static struct values *fresh_values(struct cpt_dump *d, const Cpt__Socket *s, unsigned kind, struct cpt_err *err)
{
	struct cpt_dump_sockets *all = sockets(d);
	struct values *v;

	for (v = all->fresh; v; v = v->next)
		if (v->family == s->family && v->type == s->type && v->protocol == s->protocol)
			return v;
	CPT_AUTO(fd) int fd = socket((int)s->family, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);
	if (fd < 0) {
		cpt_fail_sys(err, "socket");
		return NULL;
	}
	v = cpt_arena_alloc(&d->arena, sizeof(*v) + cpt_nsockopts * sizeof(v->v[0]));
	v->family = s->family;
	v->type = s->type;
	v->protocol = s->protocol;
	for (unsigned i = 0; i < cpt_nsockopts; i++)
		if (cpt_sockopts[i].of & kind)
			read_value(fd, &cpt_sockopts[i], &v->v[i]);
	v->next = all->fresh;
	all->fresh = v;
	return v;
}

static void add_option(struct cpt_dump *d, Cpt__Socket *s, int level, int name, const void *value, size_t size)
{
	Cpt__SocketOption *o = CPT_MESSAGE(d, Cpt__SocketOption, cpt__socket_option__init);
	size_t n = s->n_options;

	if (!(n & (n - 1))) {			/* full: 0, 1, 2, 4, … */
		Cpt__SocketOption **grown = cpt_arena_array(&d->arena, Cpt__SocketOption *, n ? 2 * n : 1);

		if (n)
			memcpy(grown, s->options, n * sizeof(*grown));
		s->options = grown;
	}
	CPT_SET(o, level, level);
	CPT_SET(o, name, name);
	o->has_value = true;
	o->value = (ProtobufCBinaryData){ size, cpt_arena_memdup(&d->arena, value, size) };
	s->options[s->n_options++] = o;
}

/* sizes of buffers that somebody set; the kernel doubles what it is told */
static void add_buffer_sizes(struct cpt_dump *d, int fd, Cpt__Socket *s)
{
	static const struct { int bit, name; } sizes[] = { { 1, SO_SNDBUF }, { 2, SO_RCVBUF } };
	int locked = 3;
	socklen_t len = sizeof(locked);

	getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &len);
	for (size_t i = 0; i < CPT_COUNT(sizes); i++) {
		int size = 0;

		len = sizeof(size);
		if (!(locked & sizes[i].bit) || getsockopt(fd, SOL_SOCKET, sizes[i].name, &size, &len))
			continue;
		size /= 2;
		add_option(d, s, SOL_SOCKET, sizes[i].name, &size, sizeof(size));
	}
}

static int add_filter(struct cpt_dump *d, struct cpt_fd *f, Cpt__Socket *s, struct cpt_err *err)
{
	socklen_t n = 0;
	struct sock_filter *code;
	int locked = 0;

	if (getsockopt(f->fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n)) {
		cpt_refuse_fd(d, f, "socket: an eBPF filter is attached, which can't be dumped");
		return 0;
	}
	if (!n)
		return 0;
	code = cpt_arena_array(&d->arena, struct sock_filter, n);
	if (getsockopt(f->fd, SOL_SOCKET, SO_GET_FILTER, code, &n))
		return cpt_fail_sys(err, "getsockopt(SO_GET_FILTER)");
	add_option(d, s, SOL_SOCKET, SO_ATTACH_FILTER, code, n * sizeof(*code));
	n = sizeof(locked);
	if (getsockopt(f->fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, &n) == 0 && locked)
		add_option(d, s, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof(locked));
	return 0;
}

static int add_options(struct cpt_dump *d, struct cpt_fd *f, Cpt__Socket *s, unsigned kind, struct cpt_err *err)
{
	const struct values *fresh = fresh_values(d, s, kind, err);

	if (!fresh)
		return -1;
	for (unsigned i = 0; i < cpt_nsockopts; i++) {
		struct value now;

		if (!(cpt_sockopts[i].of & kind) || !fresh->v[i].size)
			continue;
		read_value(f->fd, &cpt_sockopts[i], &now);
		if (now.size && (now.size != fresh->v[i].size || memcmp(now.bytes, fresh->v[i].bytes, now.size) != 0))
			add_option(d, s, cpt_sockopts[i].level, cpt_sockopts[i].name, now.bytes, now.size);
	}
	add_buffer_sizes(d, f->fd, s);
	return add_filter(d, f, s, err);
}

/* addresses and peers mean something only in the network namespace they are of */
static int check_netns(struct cpt_dump *d, struct cpt_fd *f, struct cpt_err *err)
{
	struct cpt_dump_sockets *all = sockets(d);
	uint64_t cookie = 0;
	socklen_t len = NETNS_COOKIE_BYTES;

	if (!all->netns) {
		CPT_AUTO(fd) int ours = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (ours < 0 || getsockopt(ours, SOL_SOCKET, SO_NETNS_COOKIE, &all->netns, &len))
			return cpt_fail_sys(err, "ask for the network namespace");
	}
	len = NETNS_COOKIE_BYTES;
	if (getsockopt(f->fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		return cpt_fail_sys(err, "ask for a socket's network namespace");
	if (cookie != all->netns)
		cpt_refuse_fd(d, f, "socket of another network namespace than cptool's: not carried yet; "
			      "run cptool inside that namespace (nsenter -n)");
	return 0;
}

static void refuse_family(struct cpt_dump *d, struct cpt_fd *f, const Cpt__Socket *s)
{
	static const struct { unsigned family; const char *name; } known[] = {
		{ AF_NETLINK, "netlink" }, { AF_PACKET, "packet" }, { AF_VSOCK, "vsock" }, { AF_ALG, "crypto" },
		{ AF_INET, "IPv4" }, { AF_INET6, "IPv6" }, { AF_BLUETOOTH, "bluetooth" }, { AF_CAN, "CAN" },
	};

	for (size_t i = 0; i < CPT_COUNT(known); i++)
		if (known[i].family == s->family) {
			cpt_refuse_fd(d, f, "%s socket of type %u, protocol %u can't be dumped yet",
				      known[i].name, s->type, s->protocol);
			return;
		}
	cpt_refuse_fd(d, f, "socket of address family %u can't be dumped yet", s->family);
}

static int get_int(int fd, int name, uint32_t *ret, struct cpt_err *err)
{
	int v = 0;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, SOL_SOCKET, name, &v, &len))
		return cpt_fail_sys(err, "getsockopt %d", name);
	*ret = (uint32_t)v;
	return 0;
}

int cpt_look_socket(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	Cpt__Socket *s = CPT_MESSAGE(d, Cpt__Socket, cpt__socket__init);
	unsigned kind;

	o->socket = s;
	s->has_family = s->has_type = s->has_protocol = true;
	if (get_int(f->fd, SO_DOMAIN, &s->family, err) || get_int(f->fd, SO_TYPE, &s->type, err) ||
	    get_int(f->fd, SO_PROTOCOL, &s->protocol, err))
		return -1;
	kind = cpt_sockopt_kind(s->family, s->type, s->protocol);
	if (!kind) {
		refuse_family(d, f, s);
		return 0;
	}
	if (check_netns(d, f, err) || add_options(d, f, s, kind, err))
		return -1;
	return kind == CPT_OF_UNIX ? cpt_look_unix(d, f, o, err) : cpt_look_inet(d, f, o, err);
}
