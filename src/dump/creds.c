/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * creds.c - what each thread may do: ids, capabilities, securebits, seccomp
 *
 * All of it is asked in the thread's batch. A thread whose answers are the
 * leader's, as nearly all are, stores nothing.
 */
#include "dump/seccomp.h"
#include "image/state.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

#define FEW_GROUPS 32
#define KEYCTL_GET_KEYRING_ID 0
#define KEY_SPEC_THREAD_KEYRING (-1)
#define KEY_SPEC_PROCESS_KEYRING (-2)

/* ---- from outside ----------------------------------------------------- */

static int look(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	if (cpt_dump_self(d, err))
		return -1;
	if (!d->self->label[0])
		return 0;
	if (cpt_read_at(t->proc, "attr/current", &d->buf, err))
		return -1;
	if (strncmp(d->buf.data, d->self->label, sizeof(d->self->label) - 1))
		cpt_refuse(d, t, "runs under the security label '%.80s', cptool under '%.80s'; labels can't be carried yet, run cptool under the same one",
			   d->buf.data, d->self->label);
	return 0;
}

static int read_thread_status(struct cpt_dump *d, struct cpt_task *t, pid_t tid, struct cpt_err *err)
{
	char path[48];

	snprintf(path, sizeof(path), "task/%d/status", tid);
	return cpt_read_at(t->proc, path, &d->buf, err);
}

/* A thread may be under seccomp when its leader is not; its batch must not be what trips it. */
static int look_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	struct cpt_status status;

	if (t->nthreads == 1 || th->model || ptrace(PTRACE_SETOPTIONS, th->tid, 0, PTRACE_O_SUSPEND_SECCOMP) == 0)
		return 0;
	if (read_thread_status(d, t, th->tid, err) || cpt_parse_status(d->buf.data, &status, err))
		return -1;
	return status.seccomp ? cpt_fail_errno(err, EPERM, "thread %d is under seccomp, which can't be suspended from here", th->tid) : 0;
}

/* ---- in the thread ---------------------------------------------------- */

struct asked {
	size_t ids;		/* data: six uint32_t */
	size_t groups;		/* data: uint32_t[FEW_GROUPS] */
	size_t caps;		/* data: struct __user_cap_data_struct[2] */
	size_t fsuid, fsgid, ngroups, securebits, nnp, seccomp, bounding, keys;	/* calls */
};

static void ask_ids(struct asked *a, struct cpt_batch *b)
{
	size_t at = a->ids = cpt_batch_data(b, NULL, 6 * sizeof(uint32_t));

	a->groups = cpt_batch_data(b, NULL, FEW_GROUPS * sizeof(uint32_t));
	CPT_CALL(b, getresuid, CPT_DATA(at), CPT_DATA(at + 4), CPT_DATA(at + 8));
	CPT_CALL(b, getresgid, CPT_DATA(at + 12), CPT_DATA(at + 16), CPT_DATA(at + 20));
	/* an id that can't be set is a question */
	a->fsuid = CPT_CALL(b, setfsuid, CPT_NUM(UINT32_MAX));
	a->fsgid = CPT_CALL(b, setfsgid, CPT_NUM(UINT32_MAX));
	a->ngroups = CPT_TRY(b, getgroups, CPT_NUM(FEW_GROUPS), CPT_DATA(a->groups));
}

static int ask_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	const struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct asked *a = cpt_arena_new(&d->arena, struct asked);
	size_t at = cpt_batch_data(b, &head, sizeof(head));

	ask_ids(a, b);
	a->caps = cpt_batch_data(b, NULL, 2 * sizeof(struct __user_cap_data_struct));
	CPT_CALL(b, capget, CPT_DATA(at), CPT_DATA(a->caps));
	a->securebits = CPT_CALL(b, prctl, CPT_NUM(PR_GET_SECUREBITS));
	a->nnp = CPT_CALL(b, prctl, CPT_NUM(PR_GET_NO_NEW_PRIVS), CPT_NUM(0), CPT_NUM(0), CPT_NUM(0), CPT_NUM(0));
	a->seccomp = CPT_TRY(b, prctl, CPT_NUM(PR_GET_SECCOMP));
	a->keys = CPT_TRY(b, keyctl, CPT_NUM(KEYCTL_GET_KEYRING_ID), CPT_NUM(KEY_SPEC_THREAD_KEYRING), CPT_NUM(0));
	CPT_TRY(b, keyctl, CPT_NUM(KEYCTL_GET_KEYRING_ID), CPT_NUM(KEY_SPEC_PROCESS_KEYRING), CPT_NUM(0));
	a->bounding = b->ncalls;
	if (th != t->threads)		/* of the leader, status tells */
		for (unsigned cap = 0; cap <= d->self->cap_last; cap++)
			CPT_CALL(b, prctl, CPT_NUM(PR_CAPBSET_READ), CPT_NUM(cap));
	*state = a;
	return 0;
}

/* ---- answers ---------------------------------------------------------- */

static void tell_ids(struct cpt_dump *d, Cpt__Creds *c, const struct asked *a, const struct cpt_batch *b)
{
	const uint32_t *ids = cpt_batch_out(b, a->ids);

	c->n_uids = c->n_gids = 4;
	c->uids = cpt_arena_array(&d->arena, uint32_t, 8);
	c->gids = c->uids + 4;
	memcpy(c->uids, ids, 3 * sizeof(*ids));
	memcpy(c->gids, ids + 3, 3 * sizeof(*ids));
	c->uids[3] = (uint32_t)cpt_batch_ret(b, a->fsuid);
	c->gids[3] = (uint32_t)cpt_batch_ret(b, a->fsgid);
}

static void parse_groups(struct cpt_dump *d, Cpt__Creds *c, const char *p)
{
	size_t room = strlen(p) / 2 + 1;

	c->groups = cpt_arena_array(&d->arena, uint32_t, room);
	for (char *end; *p && *p != '\n' && c->n_groups < room; p = end) {
		unsigned long g = strtoul(p, &end, 10);

		if (end == p)
			break;
		c->groups[c->n_groups++] = (uint32_t)g;
		while (*end == ' ')
			end++;
	}
}

static int tell_groups(struct cpt_dump *d, struct cpt_task *t, pid_t tid, Cpt__Creds *c, const struct asked *a, const struct cpt_batch *b, struct cpt_err *err)
{
	int64_t n = cpt_batch_ret(b, a->ngroups);
	const char *line;

	if (n >= 0) {
		c->n_groups = (size_t)n;
		c->groups = cpt_arena_memdup(&d->arena, cpt_batch_out(b, a->groups), (size_t)n * sizeof(uint32_t));
		return 0;
	}
	if (read_thread_status(d, t, tid, err))		/* more than there was room for */
		return -1;
	line = strstr(d->buf.data, "\nGroups:\t");
	if (!line)
		return cpt_fail(err, CPT_SYSTEM, "status of thread %d has no Groups", tid);
	parse_groups(d, c, line + 9);
	return 0;
}

static int tell_caps(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, Cpt__Creds *c, const struct asked *a, const struct cpt_batch *b, struct cpt_err *err)
{
	const struct __user_cap_data_struct *caps = cpt_batch_out(b, a->caps);
	struct cpt_status status = t->status;
	uint64_t bounding = status.cap_bnd;

	CPT_SET(c, effective, caps[0].effective | (uint64_t)caps[1].effective << 32);
	CPT_SET(c, permitted, caps[0].permitted | (uint64_t)caps[1].permitted << 32);
	CPT_SET(c, inheritable, caps[0].inheritable | (uint64_t)caps[1].inheritable << 32);
	if (th != t->threads) {
		bounding = 0;
		for (unsigned cap = 0; cap <= d->self->cap_last; cap++)
			bounding |= (uint64_t)(cpt_batch_ret(b, a->bounding + cap) == 1) << cap;
		status.cap_amb = 0;
		/* ambient ones are inheritable too: without those there are none */
		if (c->inheritable && (read_thread_status(d, t, th->tid, err) || cpt_parse_status(d->buf.data, &status, err)))
			return -1;
	}
	CPT_SET(c, bounding, bounding);
	CPT_SET(c, ambient, status.cap_amb);
	return 0;
}

static bool same(const Cpt__Creds *a, const Cpt__Creds *b)
{
	if (a->n_groups != b->n_groups || a->n_filters != b->n_filters ||
	    memcmp(a->uids, b->uids, 4 * sizeof(uint32_t)) || memcmp(a->gids, b->gids, 4 * sizeof(uint32_t)) ||
	    (a->n_groups && memcmp(a->groups, b->groups, a->n_groups * sizeof(uint32_t))))
		return false;
	if (a->inheritable != b->inheritable || a->permitted != b->permitted || a->effective != b->effective ||
	    a->bounding != b->bounding || a->ambient != b->ambient)
		return false;
	if (a->securebits != b->securebits || a->no_new_privs != b->no_new_privs || a->seccomp != b->seccomp)
		return false;
	for (size_t i = 0; i < a->n_filters; i++)
		if (!cpt_same_filter(a->filters[i], b->filters[i]))
			return false;
	return true;
}

static void refuse_keys(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct asked *a, const struct cpt_batch *b)
{
	if (cpt_batch_ret(b, a->keys) > 0)
		cpt_refuse(d, t, "thread %d: has a keyring of its own, which can't be carried; revoke it (keyctl revoke @t)", th->tid);
	if (th == t->threads && cpt_batch_ret(b, a->keys + 1) > 0)
		cpt_refuse(d, t, "has a process keyring, which can't be carried; revoke it (keyctl revoke @p)");
}

static int tell_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct asked *a = state;
	Cpt__Creds *c = cpt_arena_new(&d->arena, Cpt__Creds);
	int64_t mode = cpt_batch_ret(b, a->seccomp);

	cpt__creds__init(c);
	tell_ids(d, c, a, b);
	if (tell_groups(d, t, th->tid, c, a, b, err) || tell_caps(d, t, th, c, a, b, err))
		return -1;
	if (cpt_batch_ret(b, a->securebits))
		CPT_SET(c, securebits, (uint32_t)cpt_batch_ret(b, a->securebits));
	if (cpt_batch_ret(b, a->nnp))
		CPT_SET(c, no_new_privs, true);
	if (mode > 0)
		CPT_SET(c, seccomp, (uint32_t)mode);
	if (mode == 2 && cpt_dump_filters(d, t, th->tid, c, err))
		return -1;
	refuse_keys(d, t, th, a, b);
	if (th == t->threads || !same(c, t->threads[0].img->creds))
		th->img->creds = c;
	return 0;
}

static int like_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	if (th->model != t->threads)
		th->img->creds = th->model->img->creds;
	return 0;
}

const struct cpt_dump_kind cpt_dump_creds = {
	.name = "creds",
	.look = look,
	.look_thread = look_thread,
	.ask_thread = ask_thread,
	.tell_thread = tell_thread,
	.like_thread = like_thread,
};
