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
#include <sys/mount.h>
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

/* a root of its own, empty and gone with it: names can be given there that nobody else sees */
static int enter_private_root(struct cpt_err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("cptool", "/tmp", "tmpfs", 0, NULL) ||
	    chroot("/tmp") || chdir("/"))
		return cpt_fail_sys(err, "make a private root");
	return 0;
}

struct job {
	const Cpt__UnixSocket *as;	/* whose peer to be, or NULL: go to a private root */
	cpt_peer_fn *act;
	void *arg;
};

static int work(const struct job *j, struct cpt_err *err)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!j->as)
		return enter_private_root(err) ? -1 : j->act(j->arg, err);
	/* not by the C library: it would wait here for threads that only our parent has (hashing, checking) */
	if (syscall(SYS_setresgid, j->as->peer_gid, j->as->peer_gid, j->as->peer_gid) ||
	    syscall(SYS_setresuid, j->as->peer_uid, j->as->peer_uid, j->as->peer_uid))
		return cpt_fail_sys(err, "become user %u", j->as->peer_uid);
	return j->act(j->arg, err);
}

/* a child that shares our descriptors; -1 in *@ret when it can't have that pid: somebody else has it */
static int in_child(const struct job *j, pid_t pid, pid_t *ret, struct cpt_err *err)
{
	struct clone_args args = {
		.flags = CLONE_FILES | (j->as ? 0 : CLONE_NEWNS), .exit_signal = SIGCHLD,
		.set_tid = pid ? (uint64_t)(uintptr_t)&pid : 0, .set_tid_size = pid ? 1 : 0,
	};
	struct outcome *out = mmap(NULL, sizeof(*out), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int failed, status;

	if (out == MAP_FAILED)
		return cpt_fail_sys(err, "mmap");
	out->failed = -1;
	*ret = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (*ret == 0) {
		out->failed = work(j, &out->err);
		_exit(0);
	}
	while (*ret > 0 && waitpid(*ret, &status, 0) < 0 && errno == EINTR)
		;
	failed = *ret > 0 && out->failed;
	if (failed && out->err.text[0])
		*err = out->err;
	else if (failed)
		cpt_fail(err, CPT_SYSTEM, "a child that was to make a socket ended early");
	munmap(out, sizeof(*out));
	return failed ? -1 : 0;
}

int cpt_unix_as_peer(const Cpt__UnixSocket *u, cpt_peer_fn *act, void *arg, struct cpt_err *err)
{
	struct job j = { u, act, arg };
	pid_t pid;

	if (!u || !u->has_peer_pid || !u->peer_pid)
		return act(arg, err);
	if (in_child(&j, (pid_t)u->peer_pid, &pid, err))
		return -1;
	return pid < 0 ? act(arg, err) : 0;
}

int cpt_unix_in_private(cpt_peer_fn *act, void *arg, struct cpt_err *err)
{
	struct job j = { NULL, act, arg };
	pid_t pid;

	if (in_child(&j, 0, &pid, err))
		return -1;
	return pid < 0 ? cpt_fail_sys(err, "clone") : 0;
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
