/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unix.c - unix sockets and how they are connected
 *
 * A nameless pair comes from socketpair(2). What accept(2) made bears the name
 * of its listener, so it is made by accept(2) again, when names are given.
 */
#include "restore/files.h"
#include "restore/unix.h"

#include <sys/socket.h>

static bool connection_oriented(const Cpt__Object *o)
{
	return o->socket->type != SOCK_DGRAM;
}

static const Cpt__Object *peer_of(const struct cpt_restore *r, const Cpt__Object *o)
{
	return o->unix_socket->has_peer ? r->objects[o->unix_socket->peer] : NULL;
}

static int finish(int fd, const Cpt__Object *o, struct cpt_err *err)
{
	return cpt_object_set_flags(fd, o, 0, err) || cpt_socket_options(fd, o->socket, err) ? -1 : 0;
}

static bool mutual(const Cpt__Object *o, const Cpt__Object *peer)
{
	return peer && peer != o && peer->unix_socket->has_peer && peer->unix_socket->peer == o->id;
}

/* by accept, when the names come */
static bool waits_for_accept(const Cpt__Object *o, const Cpt__Object *peer)
{
	return connection_oriented(o) && o->unix_socket->connected &&
	       (o->unix_socket->has_name || (peer && peer->unix_socket->has_name));
}

bool cpt_unix_is_pair(const struct cpt_restore *r, const Cpt__Object *o)
{
	const Cpt__Object *peer = o->unix_socket ? peer_of(r, o) : NULL;

	if (!o->unix_socket || (peer && (!peer->unix_socket || peer->socket->type != o->socket->type)))
		return false;
	if (waits_for_accept(o, peer))
		return false;
	return peer ? mutual(o, peer) && o->id < peer->id : o->unix_socket->connected;
}

int cpt_open_unix(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	const Cpt__Object *peer = peer_of(r, o);
	const int *made = r->own->pairs ? &r->own->pairs[2 * o->id] : NULL;

	if (peer && (!peer->unix_socket || peer->socket->type != o->socket->type))
		return cpt_fail(err, CPT_BAD_IMAGE, "its peer, object %u, is no such socket", peer->id);
	if (connection_oriented(o) && peer && !mutual(o, peer))
		return cpt_fail(err, CPT_BAD_IMAGE, "its peer, object %u, is not connected to it", peer->id);
	if (waits_for_accept(o, peer))
		return 0;
	if (!made || !made[0]) {
		*fd = cpt_socket_make(o, err);
		return *fd < 0 ? -1 : 0;
	}
	*fd = made[0];
	if (peer)
		r->object_fds[peer->id] = made[1];
	else
		r->own->others[o->id] = made[1];
	return finish(*fd, o, err) || (peer && finish(made[1], peer, err)) ? -1 : 0;
}

/* ---- connections through a name ------------------------------------------- */

static bool same_name(const Cpt__UnixSocket *a, const Cpt__UnixSocket *b)
{
	const char *fa = a->folder ? a->folder : "", *fb = b->folder ? b->folder : "";

	return a->name.len == b->name.len && a->name.len && memcmp(a->name.data, b->name.data, a->name.len) == 0 &&
	       strcmp(fa, fb) == 0;
}

/* the socket of the group that listens at the name of @o */
static const Cpt__Object *find_listener(const struct cpt_restore *r, const Cpt__Object *o)
{
	for (unsigned id = 1; id < r->nobjects; id++) {
		const Cpt__Object *l = r->objects[id];

		if (l->unix_socket && l->socket->has_backlog && l->socket->type == o->socket->type &&
		    r->object_fds[id] >= 0 && same_name(l->unix_socket, o->unix_socket))
			return l;
	}
	return NULL;
}

struct call {
	int fd, backlog, listener;
	const Cpt__UnixSocket *u;
};

static int call_listen(void *arg, struct cpt_err *err)
{
	const struct call *c = arg;

	return listen(c->fd, c->backlog) ? cpt_fail_sys(err, "listen") : 0;
}

static int call_connect(void *arg, struct cpt_err *err)
{
	const struct call *c = arg;

	return cpt_unix_at_name(c->fd, &c->u->name, c->u->folder, connect, err);
}

/* nobody of the group listens at that name any more: somebody does for a moment, out of sight */
static int connect_alone(void *arg, struct cpt_err *err)
{
	const struct call *c = arg;

	if (cpt_unix_has_path(c->u) && cpt_unix_private_path(c->u, err))
		return -1;
	if (cpt_unix_at_name(c->listener, &c->u->name, NULL, bind, err))
		return -1;
	if (listen(c->listener, 1))
		return cpt_fail_sys(err, "listen");
	return cpt_unix_at_name(c->fd, &c->u->name, NULL, connect, err);
}

/* @client: the descriptor that connects, to what becomes @server's */
static int accept_from(struct cpt_restore *r, const Cpt__Object *server, int client, int *ret, struct cpt_err *err)
{
	const Cpt__UnixSocket *u = server->unix_socket;
	const Cpt__Object *there = find_listener(r, server);
	bool alone = !there || (there->unix_socket->stale && cpt_unix_has_path(u));
	CPT_AUTO(fd) int own = alone ? socket(AF_UNIX, (int)server->socket->type | SOCK_CLOEXEC, 0) : -1;
	struct call c = { client, 0, own, u };

	if (alone && own < 0)
		return cpt_fail_sys(err, "socket");
	if (alone ? cpt_unix_in_private(connect_alone, &c, err) : cpt_unix_as_peer(u, call_connect, &c, err))
		return cpt_within(err, "unix socket %s", cpt_unix_name(r, u));
	*ret = accept4(alone ? own : r->object_fds[there->id], NULL, NULL, SOCK_CLOEXEC);
	if (*ret < 0)
		return cpt_fail_sys(err, "accept at unix socket %s", cpt_unix_name(r, u));
	return finish(*ret, server, err);
}

/* which of the two did accept(2) make? Its name is a listener's, or it is the one that has a name */
static const Cpt__Object *server_of(const struct cpt_restore *r, const Cpt__Object *o, const Cpt__Object *peer)
{
	if (!peer)
		return o->unix_socket->has_name ? o : NULL;
	if (o->unix_socket->has_name && peer->unix_socket->has_name)
		return find_listener(r, peer) ? peer : o;
	return o->unix_socket->has_name ? o : peer;
}

static int connect_named(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	const Cpt__Object *peer = peer_of(r, o), *server = server_of(r, o, peer);
	const Cpt__Object *other = server == o ? peer : o;
	int *client = other ? &r->object_fds[other->id] : &r->own->others[o->id];

	*client = socket(AF_UNIX, (int)o->socket->type | SOCK_CLOEXEC, 0);
	if (*client < 0)
		return cpt_fail_sys(err, "socket");
	if (other && other->unix_socket->has_name &&
	    cpt_unix_bind_name(r, *client, other->unix_socket, err))
		return -1;
	if (accept_from(r, server, *client, &r->object_fds[server->id], err))
		return -1;
	return other ? finish(*client, other, err) : 0;
}

/* ---- all of them, in an order that lets them find each other ---------------- */

static int bind_one(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	const Cpt__UnixSocket *u = o->unix_socket;
	struct call c = { r->object_fds[o->id], o->socket->backlog, -1, NULL };

	if (u->has_name && cpt_unix_bind_name(r, c.fd, u, err))
		return -1;
	if (o->socket->has_backlog && cpt_unix_as_peer(u, call_listen, &c, err))
		return cpt_within(err, "unix socket %s", cpt_unix_name(r, u));
	return 0;
}

/* a datagram socket that sends to another one, which need not send back */
static int connect_datagram(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	const Cpt__UnixSocket *u = o->unix_socket;
	const Cpt__Object *peer = peer_of(r, o);
	int fd = r->object_fds[o->id];

	if (u->has_external && cpt_unix_at_name(fd, &u->external, NULL, connect, err))
		return cpt_within(err, "unix socket: its peer outside the group");
	if (!peer || mutual(o, peer))
		return 0;
	if (!peer->unix_socket->has_name || peer->unix_socket->stale)
		return cpt_fail(err, CPT_UNSUPPORTED, "unix socket: its peer has no name by which to connect to it");
	return cpt_unix_at_name(fd, &peer->unix_socket->name, peer->unix_socket->folder, connect, err);
}

static bool waits_for_name(const struct cpt_restore *r, const Cpt__Object *o)
{
	return r->object_fds[o->id] < 0;
}

/* each step for every socket before the next */
static int step_made(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	return waits_for_name(r, o) ? 0 : bind_one(r, o, err);
}

static int step_accepted(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	return waits_for_name(r, o) ? connect_named(r, o, err) : 0;
}

static int step_datagrams(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	return o->socket->type == SOCK_DGRAM ? connect_datagram(r, o, err) : 0;
}

int cpt_unix_connect_all(struct cpt_restore *r, struct cpt_err *err)
{
	static int (*const steps[])(struct cpt_restore *, const Cpt__Object *, struct cpt_err *) = {
		step_made, step_accepted, step_datagrams,
	};

	for (size_t i = 0; i < CPT_COUNT(steps); i++)
		for (unsigned id = 1; id < r->nobjects; id++)
			if (r->objects[id]->unix_socket && steps[i](r, r->objects[id], err))
				return cpt_within(err, "object %u", id);
	return 0;
}
