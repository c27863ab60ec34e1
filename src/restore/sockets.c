/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sockets.c - what sockets of every family have */
#include "restore/files.h"

#include <linux/filter.h>
#include <sys/socket.h>

static int set_filter(int fd, const Cpt__SocketOption *o, struct cpt_err *err)
{
	struct sock_fprog f = {
		.len = (unsigned short)(o->value.len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(void *)o->value.data,
	};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof(f)))
		return cpt_fail_sys(err, "attach its filter");
	return 0;
}

/* beyond the limits of this machine where we may */
static int force_name(int level, int name)
{
	if (level != SOL_SOCKET)
		return 0;
	return name == SO_SNDBUF ? SO_SNDBUFFORCE : name == SO_RCVBUF ? SO_RCVBUFFORCE : 0;
}

int cpt_socket_options(int fd, const Cpt__Socket *s, struct cpt_err *err)
{
	for (size_t i = 0; i < s->n_options; i++) {
		const Cpt__SocketOption *o = s->options[i];
		int force = force_name(o->level, o->name);

		if (o->level == SOL_SOCKET && o->name == SO_ATTACH_FILTER) {
			if (set_filter(fd, o, err))
				return -1;
			continue;
		}
		if (force && !setsockopt(fd, o->level, force, o->value.data, (socklen_t)o->value.len))
			continue;
		if (setsockopt(fd, o->level, o->name, o->value.data, (socklen_t)o->value.len))
			return cpt_fail_sys(err, "set its option %d of level %d", o->name, o->level);
	}
	return 0;
}

int cpt_socket_make(const Cpt__Object *o, struct cpt_err *err)
{
	const Cpt__Socket *s = o->socket;
	int type = (int)s->type | SOCK_CLOEXEC | (o->flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);
	CPT_AUTO(fd) int fd = socket((int)s->family, type, (int)s->protocol);

	if (fd < 0)
		return cpt_fail_sys(err, "socket");
	if (cpt_socket_options(fd, s, err))
		return -1;
	return CPT_TAKE(fd, -1);
}
