/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sockets.c - are sockets, their options and queues sane? */
#include "image/kinds.h"
#include "image/sockopts.h"

#include <limits.h>
#include <linux/filter.h>
#include <sys/socket.h>

#define UNIX_NAME 108			/* sun_path */

/* beside the list: these have forms of their own */
static bool special_option(const Cpt__SocketOption *o)
{
	if (o->level != SOL_SOCKET)
		return false;
	if (o->name == SO_ATTACH_FILTER)
		return o->value.len && o->value.len % sizeof(struct sock_filter) == 0 &&
		       o->value.len / sizeof(struct sock_filter) <= BPF_MAXINSNS;
	return (o->name == SO_SNDBUF || o->name == SO_RCVBUF || o->name == SO_LOCK_FILTER) && o->value.len == sizeof(int);
}

static bool known_option(const Cpt__SocketOption *o, unsigned kind)
{
	for (unsigned i = 0; i < cpt_nsockopts; i++) {
		const struct cpt_sockopt *k = &cpt_sockopts[i];

		if (k->level == o->level && k->name == o->name && k->of & kind)
			return o->value.len && o->value.len <= k->size;
	}
	return special_option(o);
}

int cpt_check_socket(const Cpt__Socket *m, struct cpt_err *err)
{
	unsigned kind = cpt_sockopt_kind(m->family, m->type, m->protocol);

	if (!kind || (m->type != SOCK_STREAM && m->type != SOCK_DGRAM && m->type != SOCK_SEQPACKET))
		return cpt_fail(err, CPT_BAD_IMAGE, "of family %u, type %u, protocol %u", m->family, m->type, m->protocol);
	if (m->shutdown > 3 || (m->has_backlog && m->type == SOCK_DGRAM))
		return cpt_fail(err, CPT_BAD_IMAGE, "shut down by %u, with a backlog of %d", m->shutdown, m->backlog);
	for (size_t i = 0; i < m->n_options; i++)
		if (!known_option(m->options[i], kind))
			return cpt_fail(err, CPT_BAD_IMAGE, "option %d of level %d has %zu bytes", m->options[i]->name,
					m->options[i]->level, m->options[i]->value.len);
	return 0;
}

static int check_name(const ProtobufCBinaryData *name, struct cpt_err *err)
{
	if (!name->len || name->len > UNIX_NAME)
		return cpt_fail(err, CPT_BAD_IMAGE, "a name of %zu bytes", name->len);
	if (name->data[0] && memchr(name->data, 0, name->len))
		return cpt_fail(err, CPT_BAD_IMAGE, "a path with a zero byte in it");
	return 0;
}

int cpt_check_unix_socket(const Cpt__UnixSocket *m, struct cpt_err *err)
{
	if ((m->has_name && check_name(&m->name, err)) || (m->has_external && check_name(&m->external, err)))
		return -1;
	if (m->folder && cpt_check_path(m->folder, err))
		return -1;
	if (m->has_peer && (!m->peer || !m->connected))
		return cpt_fail(err, CPT_BAD_IMAGE, "a peer without a connection");
	return 0;
}

int cpt_check_unix_message(const Cpt__UnixMessage *m, struct cpt_err *err)
{
	if (m->n_objects > 253 || m->data.len > INT_MAX || m->pid > INT_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "a message of %zu bytes and %zu descriptors", m->data.len, m->n_objects);
	return 0;
}

int cpt_check_inet_socket(const Cpt__InetSocket *m, struct cpt_err *err)
{
	if ((m->has_local && m->local.len != 16 && m->local.len != 28) ||
	    (m->has_peer && m->peer.len != 16 && m->peer.len != 28))
		return cpt_fail(err, CPT_BAD_IMAGE, "an address of %zu bytes", m->has_peer ? m->peer.len : m->local.len);
	return 0;
}
