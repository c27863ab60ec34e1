/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* diag.c - all unix sockets of the network namespace, from sock_diag(7), once a dump */
#include "dump/sockets.h"

#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

struct listing {
	struct cpt_dump *d;
	struct cpt_table *table;
};

static void cpt_auto_nl(struct nl_sock **sk)
{
	nl_socket_free(*sk);
}

static int note(struct nl_msg *msg, void *arg)
{
	const struct listing *l = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct unix_diag_msg *m = nlmsg_data(h);
	struct nlattr *a[UNIX_DIAG_MAX + 1];
	struct cpt_unix_diag *u;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || nlmsg_parse(h, sizeof(*m), a, UNIX_DIAG_MAX, NULL) < 0 || !m->udiag_ino)
		return NL_OK;
	u = cpt_arena_new(&l->d->arena, struct cpt_unix_diag);
	u->ino = m->udiag_ino;
	u->type = m->udiag_type;
	u->state = m->udiag_state;
	if (a[UNIX_DIAG_PEER]) {
		u->has_peer = true;
		u->peer = nla_get_u32(a[UNIX_DIAG_PEER]);
	}
	if (a[UNIX_DIAG_SHUTDOWN])
		u->shutdown = nla_get_u8(a[UNIX_DIAG_SHUTDOWN]);
	if (a[UNIX_DIAG_RQLEN]) {
		const struct unix_diag_rqlen *q = nla_data(a[UNIX_DIAG_RQLEN]);

		u->rqueue = q->udiag_rqueue;
		u->wqueue = q->udiag_wqueue;
	}
	if (a[UNIX_DIAG_VFS]) {
		const struct unix_diag_vfs *v = nla_data(a[UNIX_DIAG_VFS]);

		u->vfs_dev = v->udiag_vfs_dev;
		u->vfs_ino = v->udiag_vfs_ino;
	}
	cpt_table_put(l->table, u->ino, u);
	return NL_OK;
}

static int list(struct cpt_dump *d, struct cpt_table *table, struct cpt_err *err)
{
	struct unix_diag_req req = {
		.sdiag_family = AF_UNIX,
		.udiag_states = UINT32_MAX,
		.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN,
	};
	struct listing l = { d, table };
	CPT_AUTO(nl) struct nl_sock *sk = nl_socket_alloc();
	int e;

	if (!sk)
		return cpt_fail(err, CPT_SYSTEM, "netlink: out of memory");
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, note, &l);
	e = nl_connect(sk, NETLINK_SOCK_DIAG);
	if (e >= 0)
		e = nl_send_simple(sk, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof(req));
	if (e >= 0)
		e = nl_recvmsgs_default(sk);
	if (e < 0)
		return cpt_fail(err, CPT_SYSTEM, "list the unix sockets (does this kernel have unix_diag?): %s",
				nl_geterror(e));
	return 0;
}

int cpt_unix_diag(struct cpt_dump *d, uint64_t ino, const struct cpt_unix_diag **ret, struct cpt_err *err)
{
	struct cpt_table *table = cpt_dump_unix_table(d);

	if (!table->cap) {
		cpt_table_grow(table);
		if (list(d, table, err))
			return -1;
	}
	*ret = cpt_table_get(table, ino);
	return 0;
}
