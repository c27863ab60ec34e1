/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* misc.c - single settings of processes and threads; settings that can't be carried; namespaces */
#include "dump/alike.h"
#include "dump/view.h"
#include "image/state.h"

#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#define MEMBARRIER_GET_REGISTRATIONS (1 << 9)	/* Linux 6.3 */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef PR_GET_IO_FLUSHER
#define PR_GET_IO_FLUSHER 58
#endif
#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

/* ---- from outside ----------------------------------------------------- */

static void refuse_namespace(struct cpt_dump *d, struct cpt_task *t, int ns)
{
	static const char *const what[CPT_NS_COUNT] = {
		"user", "mount", "network", "UTS (host name)", "IPC", "cgroup", "pid", "time",
	};

	cpt_refuse(d, t, "lives in another %s namespace than cptool: namespaces can't be carried yet; run cptool inside that namespace (nsenter -t %d …)",
		   what[ns], t->pid);
}

/* All but the user namespace hang on one pointer, which most tasks of a group share. */
static bool in_own_namespaces(const struct cpt_dump *d, pid_t tid)
{
	return d->own_namespaces && cpt_view_namespaces(d, tid) == d->own_namespaces;
}

static int look_namespaces(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	char link[32];

	bool known = in_own_namespaces(d, t->pid);
	unsigned refused = d->refused;

	for (int ns = 0; ns < (known ? CPT_NS_USER + 1 : CPT_NS_COUNT); ns++) {
		ssize_t n = readlinkat(t->proc, cpt_ns_file[ns], link, sizeof(link) - 1);

		if (n < 0 && errno != ENOENT)
			return cpt_fail_sys(err, "read %s", cpt_ns_file[ns]);
		link[n < 0 ? 0 : n] = 0;
		if (strcmp(link, d->self->ns[ns]) != 0)
			refuse_namespace(d, t, ns);
	}
	if (!known && d->refused == refused)
		d->own_namespaces = cpt_view_namespaces(d, t->pid);
	return 0;
}

static int look(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	Cpt__Misc *m = cpt_arena_new(&d->arena, Cpt__Misc);

	cpt__misc__init(m);
	t->img->misc = m;
	if (cpt_dump_self(d, err) || look_namespaces(d, t, err) ||
	    cpt_read_at(t->proc, "oom_score_adj", &d->buf, err))
		return -1;
	CPT_SET(m, oom_score_adj, (int32_t)strtol(d->buf.data, NULL, 10));
	if (cpt_read_at(t->proc, "coredump_filter", &d->buf, err))	/* a kernel without core dumps has none */
		return err->sys == ENOENT ? 0 : -1;
	CPT_SET(m, coredump_filter, (uint32_t)strtoul(d->buf.data, NULL, 16));
	return 0;
}

/* The address of a system call dispatcher that is switched on would be met by every batch. */
static int look_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	uint64_t config[4] = { 0 };	/* mode, selector, offset, len */

	if (th->model)		/* it would be refused for this */
		return 0;
	if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, th->tid, sizeof(config), config) < 0 || !config[0])
		return 0;
	cpt_refuse(d, t, "thread %d: dispatches its own system calls (PR_SET_SYSCALL_USER_DISPATCH), which can't be carried; switch that off", th->tid);
	return 0;
}

/* ---- the process ------------------------------------------------------ */

struct asked {
	size_t subreaper, untag;	/* data */
	size_t personality, dumpable, get_subreaper, thp, mdwe, merge, flusher, membarrier, get_untag;
};

static int ask(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	struct asked *a = cpt_arena_new(&d->arena, struct asked);
	const struct cpt_arg zero = CPT_NUM(0);

	a->subreaper = cpt_batch_data(b, NULL, 4);
	a->personality = CPT_CALL(b, personality, CPT_NUM(UINT32_MAX));
	a->dumpable = CPT_CALL(b, prctl, CPT_NUM(PR_GET_DUMPABLE));
	a->get_subreaper = CPT_CALL(b, prctl, CPT_NUM(PR_GET_CHILD_SUBREAPER), CPT_DATA(a->subreaper));
	a->thp = CPT_TRY(b, prctl, CPT_NUM(PR_GET_THP_DISABLE), zero, zero, zero, zero);
	a->mdwe = CPT_TRY(b, prctl, CPT_NUM(PR_GET_MDWE), zero, zero, zero, zero);
	a->merge = CPT_TRY(b, prctl, CPT_NUM(PR_GET_MEMORY_MERGE), zero, zero, zero, zero);
	a->flusher = CPT_TRY(b, prctl, CPT_NUM(PR_GET_IO_FLUSHER), zero, zero, zero, zero);
	a->membarrier = CPT_TRY(b, membarrier, CPT_NUM(MEMBARRIER_GET_REGISTRATIONS), zero, zero);
#ifdef __x86_64__
	a->untag = cpt_batch_data(b, NULL, 8);
	a->get_untag = CPT_TRY(b, arch_prctl, CPT_NUM(0x4001), CPT_DATA(a->untag));	/* ARCH_GET_UNTAG_MASK */
#endif
	*state = a;
	return 0;
}

static int tell(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct asked *a = state;
	Cpt__Misc *m = t->img->misc;

	CPT_SET(m, personality, (uint32_t)cpt_batch_ret(b, a->personality));
	CPT_SET(m, dumpable, (uint32_t)cpt_batch_ret(b, a->dumpable));
	if (*(const uint32_t *)cpt_batch_out(b, a->subreaper))
		CPT_SET(m, subreaper, true);
	if (cpt_batch_ret(b, a->thp) > 0)
		CPT_SET(m, thp_disable, (uint32_t)cpt_batch_ret(b, a->thp));
	if (cpt_batch_ret(b, a->mdwe) > 0)
		CPT_SET(m, mdwe, (uint32_t)cpt_batch_ret(b, a->mdwe));
	if (cpt_batch_ret(b, a->merge) > 0)
		CPT_SET(m, memory_merge, true);
	if (cpt_batch_ret(b, a->flusher) > 0)
		CPT_SET(m, io_flusher, true);
	if (cpt_batch_ret(b, a->membarrier) > 0)
		CPT_SET(m, membarrier, (uint32_t)cpt_batch_ret(b, a->membarrier));
#ifdef __x86_64__
	if (cpt_batch_ret(b, a->get_untag) == 0 && *(const uint64_t *)cpt_batch_out(b, a->untag) != UINT64_MAX)
		cpt_refuse(d, t, "uses tagged addresses (ARCH_ENABLE_TAGGED_ADDR), which can't be carried");
#endif
	return 0;
}

/* ---- a thread --------------------------------------------------------- */

#define SPECULATIONS 3		/* PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_L1D_FLUSH */

struct asked_thread {
	size_t comm, pdeath, tsc, shadow, cookie, uts;	/* data */
	size_t mce, spec, cpuid, get_shadow, get_cookie;	/* calls */
};

/* A thread may have left its process's namespaces by unshare(2) or setns(2). */
static void ask_namespaces(struct asked_thread *a, struct cpt_batch *b)
{
	size_t len, fd;
	const uint32_t eight = 8;

	a->cookie = cpt_batch_data(b, NULL, 8);
	len = cpt_batch_data(b, &eight, sizeof(eight));
	a->uts = cpt_batch_data(b, NULL, sizeof(struct utsname));
	fd = CPT_TRY(b, socket, CPT_NUM(AF_UNIX), CPT_NUM(SOCK_DGRAM | SOCK_CLOEXEC), CPT_NUM(0));
	a->get_cookie = CPT_TRY(b, getsockopt, CPT_RESULT(fd), CPT_NUM(SOL_SOCKET), CPT_NUM(SO_NETNS_COOKIE),
				CPT_DATA(a->cookie), CPT_DATA(len));
	CPT_TRY(b, close, CPT_RESULT(fd));
	CPT_CALL(b, uname, CPT_DATA(a->uts));
}

static int ask_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	struct asked_thread *a = cpt_arena_new(&d->arena, struct asked_thread);
	const struct cpt_arg zero = CPT_NUM(0);

	a->comm = cpt_batch_data(b, NULL, CPT_COMM);
	a->pdeath = cpt_batch_data(b, NULL, 4);
	a->tsc = cpt_batch_data(b, NULL, 4);
	a->shadow = cpt_batch_data(b, NULL, 8);
	CPT_CALL(b, prctl, CPT_NUM(PR_GET_NAME), CPT_DATA(a->comm));
	CPT_CALL(b, prctl, CPT_NUM(PR_GET_PDEATHSIG), CPT_DATA(a->pdeath));
	CPT_TRY(b, prctl, CPT_NUM(PR_GET_TSC), CPT_DATA(a->tsc));
	a->mce = CPT_TRY(b, prctl, CPT_NUM(PR_MCE_KILL_GET), zero, zero, zero, zero);
	a->spec = b->ncalls;
	for (unsigned f = 0; f < SPECULATIONS; f++)
		CPT_TRY(b, prctl, CPT_NUM(PR_GET_SPECULATION_CTRL), CPT_NUM(f), zero, zero, zero);
#ifdef __x86_64__
	a->cpuid = CPT_TRY(b, arch_prctl, CPT_NUM(0x1011), zero);			/* ARCH_GET_CPUID */
	a->get_shadow = CPT_TRY(b, arch_prctl, CPT_NUM(0x5005), CPT_DATA(a->shadow));	/* ARCH_SHSTK_STATUS */
#endif
	if (th != t->threads && !in_own_namespaces(d, th->tid))
		ask_namespaces(a, b);
	*state = a;
	return 0;
}

static void tell_speculation(struct cpt_dump *d, Cpt__ThreadMisc *m, const struct asked_thread *a, const struct cpt_batch *b)
{
	const int64_t chosen = PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC;

	for (unsigned f = 0; f < SPECULATIONS; f++) {
		int64_t now = cpt_batch_ret(b, a->spec + f);
		Cpt__Speculation *s;

		/* without PR_SPEC_PRCTL it is the machine's; enabled is what a task starts with, but for the L1D flush */
		if (now < 0 || !(now & PR_SPEC_PRCTL) || !(now & (f == 2 ? PR_SPEC_ENABLE : chosen)))
			continue;
		s = cpt_arena_new(&d->arena, Cpt__Speculation);
		cpt__speculation__init(s);
		CPT_SET(s, feature, f);
		CPT_SET(s, control, (uint32_t)(now & ~PR_SPEC_PRCTL));
		if (!m->speculation)
			m->speculation = cpt_arena_array(&d->arena, Cpt__Speculation *, SPECULATIONS);
		m->speculation[m->n_speculation++] = s;
	}
}

static void refuse_modes(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct asked_thread *a, const struct cpt_batch *b)
{
#ifdef __x86_64__
	if (cpt_batch_ret(b, a->cpuid) == 0)
		cpt_refuse(d, t, "thread %d: the cpuid instruction is forbidden (ARCH_SET_CPUID), which can't be carried", th->tid);
	if (cpt_batch_ret(b, a->get_shadow) == 0 && *(const uint64_t *)cpt_batch_out(b, a->shadow))
		cpt_refuse(d, t, "thread %d: has a shadow stack, which can't be carried yet; start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off", th->tid);
#endif
}

static int tell_namespaces(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct asked_thread *a, const struct cpt_batch *b, struct cpt_err *err)
{
	const struct utsname *u = cpt_batch_out(b, a->uts);
	struct utsname own;
	char path[48], link[32];
	ssize_t n;

	uname(&own);
	if (strcmp(u->nodename, own.nodename) != 0 || strcmp(u->domainname, own.domainname) != 0)
		cpt_refuse(d, t, "thread %d: lives in another UTS (host name) namespace than cptool: namespaces can't be carried yet", th->tid);
	if (cpt_batch_ret(b, a->get_cookie) == 0 && *(const uint64_t *)cpt_batch_out(b, a->cookie) == d->self->net_cookie)
		return 0;
	snprintf(path, sizeof(path), "task/%d/ns/net", th->tid);
	n = readlinkat(t->proc, path, link, sizeof(link) - 1);
	if (n < 0)
		return cpt_fail_sys(err, "read %s", path);
	link[n] = 0;
	if (strcmp(link, d->self->ns[CPT_NS_NET]) != 0)
		cpt_refuse(d, t, "thread %d: lives in another network namespace than cptool: namespaces can't be carried yet", th->tid);
	return 0;
}

static int tell_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct asked_thread *a = state;
	Cpt__ThreadMisc *m = cpt_arena_new(&d->arena, Cpt__ThreadMisc);
	uint32_t pdeath = *(const uint32_t *)cpt_batch_out(b, a->pdeath);
	int64_t mce = cpt_batch_ret(b, a->mce);

	cpt__thread_misc__init(m);
	th->img->comm = cpt_arena_strdup(&d->arena, cpt_batch_out(b, a->comm));
	if (pdeath)
		CPT_SET(m, pdeath_signal, pdeath);
	if (mce >= 0 && mce != PR_MCE_KILL_DEFAULT)
		CPT_SET(m, mce_kill, (uint32_t)mce);
	if (*(const uint32_t *)cpt_batch_out(b, a->tsc) == PR_TSC_SIGSEGV)
		CPT_SET(m, tsc_forbidden, true);
	tell_speculation(d, m, a, b);
	if (m->has_tsc_forbidden || m->has_pdeath_signal || m->has_mce_kill || m->n_speculation)
		th->img->misc = m;
	refuse_modes(d, t, th, a, b);
	return th == t->threads || in_own_namespaces(d, th->tid) ? 0 : tell_namespaces(d, t, th, a, b, err);
}

static int like_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	char comm[sizeof(th->facts->comm) + 1] = "";

	memcpy(comm, th->facts->comm, sizeof(th->facts->comm));
	th->img->comm = cpt_arena_strdup(&d->arena, comm);
	th->img->misc = th->model->img->misc;
	return 0;
}

const struct cpt_dump_kind cpt_dump_misc = {
	.name = "misc",
	.look = look,
	.look_thread = look_thread,
	.ask = ask,
	.tell = tell,
	.ask_thread = ask_thread,
	.tell_thread = tell_thread,
	.like_thread = like_thread,
};
