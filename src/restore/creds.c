/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * creds.c - ids, capabilities, securebits, seccomp of each thread
 *
 * A new thread has cptool's own. The way down is taken so that each step still
 * has the right it needs: ids without losing capabilities
 * (SECBIT_NO_SETUID_FIXUP), sets that only shrink, the effective ones last.
 */
#include "restore/kinds.h"
#include "image/state.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

/* ---- can it be done here? --------------------------------------------- */

static void name_caps(char *to, size_t size, uint64_t caps)
{
	size_t len = 0;

	*to = 0;
	for (unsigned cap = 0; cap < 64 && len + 32 < size; cap++) {
		const char *name = cpt_cap_name(cap);

		if (!(caps >> cap & 1))
			continue;
		len += (size_t)snprintf(to + len, size - len, len ? " " : "");
		if (name)
			len += (size_t)snprintf(to + len, size - len, "%s", name);
		else
			len += (size_t)snprintf(to + len, size - len, "%u", cap);
	}
}

static bool changes_ids(const struct cpt_self *self, const Cpt__Creds *c, bool *uids)
{
	*uids = memcmp(c->uids, self->uid, sizeof(self->uid)) != 0;
	return *uids || memcmp(c->gids, self->gid, sizeof(self->gid)) ||
	       c->n_groups != (size_t)self->ngroups ||
	       (c->n_groups && memcmp(c->groups, self->groups, c->n_groups * sizeof(uint32_t)));
}

/* All that is lacking for a thread, in capabilities. */
static uint64_t lacking(const struct cpt_self *self, const Cpt__Creds *c)
{
	uint64_t need = 0, sets = c->permitted | c->bounding;
	bool uids, ids = changes_ids(self, c, &uids);

	if (ids)
		need |= 1ULL << CAP_SETGID | (uids ? 1ULL << CAP_SETUID : 0);
	if (c->bounding != self->cap_bnd || c->securebits != self->securebits || uids)
		need |= 1ULL << CAP_SETPCAP;
	if (c->n_filters)
		need |= 1ULL << CAP_SYS_ADMIN;
	return (need & ~self->cap_eff) | (sets & ~self->cap_bnd) | (c->permitted & ~self->cap_prm);
}

/* Is there one that has not given up new privileges? */
static bool one_may_gain(const struct cpt_restore *r)
{
	for (unsigned i = 0; i < r->ntasks; i++)
		for (size_t k = 0; k < r->tasks[i].img->n_threads; k++) {
			const Cpt__Creds *c = r->tasks[i].img->threads[k]->creds;

			if (c && !c->no_new_privs)
				return true;
		}
	return false;
}

static int look(struct cpt_restore *r, struct cpt_err *err)
{
	uint64_t lacks = 0;
	char names[300];

	if (cpt_restore_self(r, err))
		return -1;
	for (unsigned i = 0; i < r->ntasks; i++)
		for (size_t k = 0; k < r->tasks[i].img->n_threads; k++) {
			const Cpt__Creds *c = r->tasks[i].img->threads[k]->creds;

			if (c)
				lacks |= lacking(r->self, c);
		}
	if (r->self->no_new_privs && one_may_gain(r))
		cpt_missing(r, "cptool has given up new privileges (PR_SET_NO_NEW_PRIVS), and so would all tasks of the image; run it without");
	if (!lacks)
		return 0;
	name_caps(names, sizeof(names), lacks);
	cpt_missing(r, "tasks of the image have or need capabilities that cptool lacks here: %s; run it with them (as root, outside a container)", names);
	return 0;
}

/* ---- steps ------------------------------------------------------------ */

static void set_ids(const Cpt__Creds *c, struct cpt_batch *b)
{
	CPT_CALL(b, setgroups, CPT_NUM(c->n_groups),
		 CPT_DATA(cpt_batch_data(b, c->groups, c->n_groups * sizeof(uint32_t))));
	CPT_CALL(b, setresgid, CPT_NUM(c->gids[0]), CPT_NUM(c->gids[1]), CPT_NUM(c->gids[2]));
	CPT_CALL(b, setfsgid, CPT_NUM(c->gids[3]));
	CPT_CALL(b, setresuid, CPT_NUM(c->uids[0]), CPT_NUM(c->uids[1]), CPT_NUM(c->uids[2]));
	CPT_CALL(b, setfsuid, CPT_NUM(c->uids[3]));
}

static void set_caps(struct cpt_batch *b, uint64_t inheritable, uint64_t permitted, uint64_t effective)
{
	const struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const struct __user_cap_data_struct c[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
	};
	size_t at = cpt_batch_data(b, &head, sizeof(head));

	CPT_CALL(b, capset, CPT_DATA(at), CPT_DATA(cpt_batch_data(b, c, sizeof(c))));
}

static void set_ambient(const struct cpt_self *self, const Cpt__Creds *c, struct cpt_batch *b)
{
	const struct cpt_arg zero = CPT_NUM(0), what = CPT_NUM(PR_CAP_AMBIENT);

	if (self->cap_amb & ~c->ambient)
		CPT_CALL(b, prctl, what, CPT_NUM(PR_CAP_AMBIENT_CLEAR_ALL), zero, zero, zero);
	for (unsigned cap = 0; cap <= self->cap_last; cap++)
		if (c->ambient >> cap & 1)
			CPT_CALL(b, prctl, what, CPT_NUM(PR_CAP_AMBIENT_RAISE), CPT_NUM(cap), zero, zero);
}

static void drop_bounding(const struct cpt_self *self, const Cpt__Creds *c, struct cpt_batch *b)
{
	for (unsigned cap = 0; cap <= self->cap_last; cap++)
		if ((self->cap_bnd & ~c->bounding) >> cap & 1)
			CPT_CALL(b, prctl, CPT_NUM(PR_CAPBSET_DROP), CPT_NUM(cap));
}

/* Without the tracer's leave (PTRACE_O_SUSPEND_SECCOMP) the calls behind it would go through it already. */
static void set_filter(struct cpt_batch *b, const Cpt__SeccompFilter *f, bool all_threads)
{
	struct {
		uint64_t len;		/* unsigned short, padded */
		uint64_t filter;
	} prog = { f->program.len / sizeof(struct sock_filter), 0 };
	uint32_t flags = f->flags | (all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0);
	size_t code = cpt_batch_data(b, f->program.data, f->program.len);
	size_t at = cpt_batch_data(b, &prog, sizeof(prog));

	cpt_batch_pointer(b, at + offsetof(__typeof__(prog), filter), code);
	CPT_CALL(b, seccomp, CPT_NUM(SECCOMP_SET_MODE_FILTER), CPT_NUM(flags), CPT_DATA(at));
}

static void set_seccomp(const Cpt__Creds *c, struct cpt_batch *b, bool all_threads)
{
	for (size_t i = 0; i < c->n_filters; i++)
		set_filter(b, c->filters[i], all_threads);
	if (c->seccomp == SECCOMP_MODE_STRICT)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_SECCOMP), CPT_NUM(SECCOMP_MODE_STRICT), CPT_NUM(0), CPT_NUM(0), CPT_NUM(0));
}

/* ---- all of it -------------------------------------------------------- */

static bool is_own(const struct cpt_self *self, const Cpt__Creds *c)
{
	bool uids;

	return !changes_ids(self, c, &uids) && c->securebits == self->securebits &&
	       c->inheritable == self->cap_inh && c->permitted == self->cap_prm && c->effective == self->cap_eff &&
	       c->bounding == self->cap_bnd && c->ambient == self->cap_amb;
}

static void change(const struct cpt_self *self, const Cpt__Creds *c, struct cpt_batch *b)
{
	const struct cpt_arg zero = CPT_NUM(0);
	bool uids, ids = changes_ids(self, c, &uids);

	if (uids)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_SECUREBITS), CPT_NUM(self->securebits | SECBIT_NO_SETUID_FIXUP), zero, zero, zero);
	if (ids)
		set_ids(c, b);
	set_caps(b, c->inheritable, self->cap_prm, self->cap_eff);
	set_ambient(self, c, b);
	drop_bounding(self, c, b);
	if (uids || c->securebits != self->securebits)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_SECUREBITS), CPT_NUM(c->securebits), zero, zero, zero);
}

static int suspend_seccomp(const struct cpt_rthread *th, struct cpt_err *err)
{
	const unsigned long options = PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP;

	if (ptrace(PTRACE_SETOPTIONS, th->tid, 0, options))
		return cpt_fail_sys(err, "thread %d: suspend seccomp", th->tid);
	return 0;
}

/* One filter for all threads stays one: the kernel then knows that they are equal. */
static bool filters_shared(const struct cpt_rtask *t)
{
	for (unsigned i = 1; i < t->nthreads; i++)
		if (t->threads[i].img->creds)
			return false;
	return t->nthreads > 1;
}

static int thread(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rthread *th, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Creds *leaders = t->img->threads[0]->creds, *c = th->img->creds ? th->img->creds : leaders;
	const struct cpt_arg zero = CPT_NUM(0);
	bool shared = filters_shared(t), own;

	if (!c)
		return 0;
	own = is_own(r->self, c);
	if (!own)
		change(r->self, c, b);
	if (c->seccomp && suspend_seccomp(th, err))
		return -1;
	if (c->seccomp && (!shared || th == t->threads || c->seccomp == SECCOMP_MODE_STRICT))
		set_seccomp(c, b, shared && c->n_filters);
	if (!own)
		set_caps(b, c->inheritable, c->permitted, c->effective);
	if (c->no_new_privs)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_NO_NEW_PRIVS), CPT_NUM(1), zero, zero, zero);
	return 0;
}

const struct cpt_restore_kind cpt_restore_creds = {
	.name = "creds",
	.look = look,
	.thread = thread,
};
