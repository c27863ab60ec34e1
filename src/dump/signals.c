/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signals.c - actions, alternate stacks, signals that are on their way */
#include "dump/alike.h"
#include "image/state.h"

#include <signal.h>
#include <sys/syscall.h>

/* ---- signals on their way -------------------------------------------- */

#define PEEK 32		/* signals at a time */

struct siginfos {
	ProtobufCBinaryData *v;
	size_t n, cap;
};

static void keep(struct cpt_dump *d, struct siginfos *to, const siginfo_t *from)
{
	unsigned char *info = cpt_arena_memdup(&d->arena, from, CPT_SIGINFO);

	/* A timer's signal ties itself to the timer by a number of the kernel's own. */
	if (from->si_code == SI_TIMER)
		memset(info + 32, 0, 4);
	if (to->n == to->cap) {
		ProtobufCBinaryData *old = to->v;

		to->cap = to->cap ? 2 * to->cap : 4;
		to->v = cpt_arena_array(&d->arena, ProtobufCBinaryData, to->cap);
		if (to->n)
			memcpy(to->v, old, to->n * sizeof(*old));
	}
	to->v[to->n++] = (ProtobufCBinaryData){ CPT_SIGINFO, info };
}

static int peek(struct cpt_dump *d, pid_t tid, unsigned flags, struct siginfos *ret, struct cpt_err *err)
{
	struct __ptrace_peeksiginfo_args args = { 0, flags, PEEK };
	siginfo_t info[PEEK];
	long n;

	_Static_assert(sizeof(siginfo_t) == CPT_SIGINFO, "siginfo_t of another size");
	do {
		n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, info);
		if (n < 0)
			return cpt_fail_sys(err, "task %d: read pending signals", tid);
		for (long i = 0; i < n; i++)
			keep(d, ret, &info[i]);
		args.off += (uint64_t)n;
	} while (n == PEEK);
	return 0;
}

static void stopped(struct cpt_task *t)
{
	t->img->state = CPT__TASK_STATE__STOPPED;
	CPT_SET(t->img, stop_signal, SIGSTOP);
}

/* What can't be held back is not sent again: one that was about to stop has stopped. */
static void take_out(struct cpt_dump *d, struct cpt_task *t, struct siginfos *s)
{
	size_t left = 0;

	for (size_t i = 0; i < s->n; i++) {
		int sig = ((const siginfo_t *)(const void *)s->v[i].data)->si_signo;

		if (sig == SIGKILL)
			cpt_refuse(d, t, "it has been sent SIGKILL and is about to end; dump the group without it");
		else if (sig == SIGSTOP)
			stopped(t);
		else
			s->v[left++] = s->v[i];
	}
	s->n = left;
}

/* ---- the process ----------------------------------------------------- */

struct asked {
	uint64_t which;		/* signals asked for */
	size_t data;		/* a struct cpt_ksigaction for each */
};

static int ask(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	struct asked *a = cpt_arena_new(&d->arena, struct asked);
	size_t at;

	/* SIGCHLD's flags mean something even with the default action */
	a->which = t->status.sig_ignored | t->status.sig_caught | CPT_SIGBIT(SIGCHLD);
	a->which &= ~(CPT_SIGBIT(SIGKILL) | CPT_SIGBIT(SIGSTOP));
	at = a->data = cpt_batch_data(b, NULL, (size_t)__builtin_popcountll(a->which) * sizeof(struct cpt_ksigaction));
	for (int sig = 1; sig <= CPT_NSIG; sig++)
		if (a->which & CPT_SIGBIT(sig)) {
			CPT_CALL(b, rt_sigaction, CPT_NUM(sig), CPT_NUM(0), CPT_DATA(at), CPT_NUM(8));
			at += sizeof(struct cpt_ksigaction);
		}
	*state = a;
	return 0;
}

static Cpt__SigAction *action(struct cpt_dump *d, int sig, const struct cpt_ksigaction *k)
{
	Cpt__SigAction *a = cpt_arena_new(&d->arena, Cpt__SigAction);

	cpt__sig_action__init(a);
	CPT_SET(a, signal, (uint32_t)sig);
	CPT_SET(a, handler, k->handler);
	if (k->flags)
		CPT_SET(a, flags, k->flags);
	if (k->restorer)
		CPT_SET(a, restorer, k->restorer);
	if (k->mask)
		CPT_SET(a, mask, k->mask);
	return a;
}

static void tell_actions(struct cpt_dump *d, Cpt__Signals *s, const struct asked *a, const struct cpt_ksigaction *k)
{
	s->actions = cpt_arena_array(&d->arena, Cpt__SigAction *, __builtin_popcountll(a->which));
	for (int sig = 1; sig <= CPT_NSIG; sig++) {
		if (!(a->which & CPT_SIGBIT(sig)))
			continue;
		if (k->handler || k->flags)
			s->actions[s->n_actions++] = action(d, sig, k);
		k++;
	}
}

static int tell(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct asked *a = state;
	Cpt__Signals *s = cpt_arena_new(&d->arena, Cpt__Signals);
	struct siginfos pending = { 0 };

	cpt__signals__init(s);
	tell_actions(d, s, a, cpt_batch_out(b, a->data));
	if (peek(d, t->pid, PTRACE_PEEKSIGINFO_SHARED, &pending, err))
		return -1;
	take_out(d, t, &pending);
	s->pending = pending.v;
	s->n_pending = pending.n;
	t->img->signals = s;
	return 0;
}

/* ---- a thread -------------------------------------------------------- */

static int ask_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	size_t at = cpt_batch_data(b, NULL, sizeof(struct cpt_kstack));

	CPT_CALL(b, sigaltstack, CPT_NUM(0), CPT_DATA(at));
	*state = (void *)at;
	return 0;
}

/* Peeked at last: what a timer has sent since it was asked for its time must not be lost. */
static int keep_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th,
		       uint64_t stack, uint64_t size, unsigned flags, struct cpt_err *err)
{
	struct siginfos pending = { 0 };
	Cpt__ThreadSignals *s;

	if (peek(d, th->tid, 0, &pending, err))
		return -1;
	take_out(d, t, &pending);
	if (th->remote.owes_stop)
		stopped(t);
	if ((flags & SS_DISABLE || !size) && !pending.n)
		return 0;
	s = cpt_arena_new(&d->arena, Cpt__ThreadSignals);
	cpt__thread_signals__init(s);
	if (!(flags & SS_DISABLE) && size) {
		CPT_SET(s, stack, stack);
		CPT_SET(s, stack_size, size);
		CPT_SET(s, stack_flags, flags & SS_AUTODISARM);
	}
	s->pending = pending.v;
	s->n_pending = pending.n;
	th->img->signals = s;
	return 0;
}

static int tell_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct cpt_kstack *k = cpt_batch_out(b, (size_t)state);

	return keep_thread(d, t, th, k->sp, k->size, (unsigned)k->flags, err);
}

static int like_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	const struct cpt_facts *f = th->facts;

	return keep_thread(d, t, th, f->stack, f->stack_size, (unsigned)f->stack_flags, err);
}

const struct cpt_dump_kind cpt_dump_signals = {
	.name = "signals",
	.ask = ask,
	.tell = tell,
	.ask_thread = ask_thread,
	.tell_thread = tell_thread,
	.like_thread = like_thread,
};
