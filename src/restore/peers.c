/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peers.c - the credentials by which the other side of a unix socket is known
 *
 * SO_PEERCRED tells who called socketpair(2), connect(2) or listen(2): pid, uid
 * and gid of that moment. So a child of ours that has them makes the call; it
 * shares our descriptors, and its pid is free again when the tasks are made.
 */
#include "restore/unix.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* what the child leaves behind */
struct outcome {
	int failed;
	struct cpt_err err;
};

static bool same_peer(const Cpt__UnixSocket *a, const Cpt__UnixSocket *b)
{
	return a->peer_pid == b->peer_pid && a->peer_uid == b->peer_uid && a->peer_gid == b->peer_gid;
}

static void child(const Cpt__UnixSocket *u, cpt_peer_fn *act, void *arg, struct outcome *out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setresgid(u->peer_gid, u->peer_gid, u->peer_gid) || setresuid(u->peer_uid, u->peer_uid, u->peer_uid))
		out->failed = cpt_fail_sys(&out->err, "become user %u", u->peer_uid);
	else
		out->failed = act(arg, &out->err);
	_exit(0);
}

/* the pid may be in use by somebody who has nothing to do with the group */
static pid_t clone_as(pid_t pid)
{
	struct clone_args args = {
		.flags = CLONE_FILES, .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int cpt_unix_as_peer(const Cpt__UnixSocket *u, cpt_peer_fn *act, void *arg, struct cpt_err *err)
{
	struct outcome *out;
	int failed, status;
	pid_t pid;

	if (!u || !u->has_peer_pid || !u->peer_pid)
		return act(arg, err);
	out = mmap(NULL, sizeof(*out), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (out == MAP_FAILED)
		return cpt_fail_sys(err, "mmap");
	out->failed = -1;
	pid = clone_as((pid_t)u->peer_pid);
	if (pid == 0)
		child(u, act, arg, out);
	if (pid < 0) {
		munmap(out, sizeof(*out));
		return act(arg, err);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	failed = out->failed;
	if (failed && out->err.text[0])
		*err = out->err;
	else if (failed)
		cpt_fail(err, CPT_SYSTEM, "a child that was to make a socket ended with status 0x%x", status);
	munmap(out, sizeof(*out));
	return failed ? -1 : 0;
}

/* ---- nameless pairs: all that one process made at once -------------------- */

struct pairs {
	struct cpt_restore *r;
	const Cpt__UnixSocket *of;
};

static int make_pairs(void *arg, struct cpt_err *err)
{
	const struct pairs *p = arg;

	for (unsigned id = 1; id < p->r->nobjects; id++) {
		const Cpt__Object *o = p->r->objects[id];
		int fds[2], *at = &p->r->own->pairs[2 * id];

		if (!cpt_unix_is_pair(p->r, o) || at[0] || !same_peer(o->unix_socket, p->of))
			continue;
		if (socketpair(AF_UNIX, (int)o->socket->type | SOCK_CLOEXEC, 0, fds))
			return cpt_fail_sys(err, "socketpair");
		at[0] = fds[0];
		at[1] = fds[1];
	}
	return 0;
}

int cpt_unix_make_pairs(struct cpt_restore *r, struct cpt_err *err)
{
	size_t size = r->nobjects * 2 * sizeof(int);

	for (unsigned id = 1; id < r->nobjects; id++) {
		struct pairs p = { r, r->objects[id]->unix_socket };

		if (!cpt_unix_is_pair(r, r->objects[id]) || (r->own->pairs && r->own->pairs[2 * id]))
			continue;
		if (!r->own->pairs) {
			r->own->pairs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
			if (r->own->pairs == MAP_FAILED) {
				r->own->pairs = NULL;
				return cpt_fail_sys(err, "mmap");
			}
		}
		if (cpt_unix_as_peer(p.of, make_pairs, &p, err))
			return -1;
	}
	return 0;
}

void cpt_unix_free_pairs(struct cpt_restore *r)
{
	if (r->own->pairs)
		munmap(r->own->pairs, r->nobjects * 2 * sizeof(int));
	r->own->pairs = NULL;
}
