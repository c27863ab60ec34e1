/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * signals.c - actions, alternate stacks, and signals that were on their way
 *
 * Pending signals are sent by each task to itself, when nothing else is left to
 * do: then any siginfo is allowed, and all signals are held back.
 */
#include "restore/kinds.h"
#include "image/state.h"

#include <signal.h>
#include <sys/syscall.h>

/* ---- actions ---------------------------------------------------------- */

static void set_action(struct cpt_batch *b, uint32_t sig, const struct cpt_ksigaction *k)
{
	CPT_CALL(b, rt_sigaction, CPT_NUM(sig), CPT_DATA(cpt_batch_data(b, k, sizeof(*k))), CPT_NUM(0), CPT_NUM(8));
}

/* A task begins with the default action for every signal but those that cptool itself ignores. */
static int prepare(struct cpt_restore *r, struct cpt_err *err)
{
	struct sigaction now;

	for (int sig = 1; sig <= 64; sig++)
		if (!sigaction(sig, NULL, &now) && now.sa_handler == SIG_IGN)
			r->ignored |= CPT_SIGBIT(sig);
	return 0;
}

static int build(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	static const struct cpt_ksigaction standard = { 0 };
	const Cpt__Signals *s = t->img->signals;

	for (unsigned sig = 1; r->ignored && sig <= 64; sig++)
		if (r->ignored & CPT_SIGBIT(sig))
			set_action(b, sig, &standard);
	for (size_t i = 0; s && i < s->n_actions; i++) {
		const Cpt__SigAction *a = s->actions[i];
		const struct cpt_ksigaction k = { a->handler, a->flags, a->restorer, a->mask };

		set_action(b, a->signal, &k);
	}
	return 0;
}

static int thread(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rthread *th, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__ThreadSignals *s = th->img->signals;
	struct cpt_kstack k;

	if (!s || !s->has_stack)
		return 0;
	k = (struct cpt_kstack){ .sp = s->stack, .flags = s->stack_flags & SS_AUTODISARM, .size = s->stack_size };
	CPT_CALL(b, sigaltstack, CPT_DATA(cpt_batch_data(b, &k, sizeof(k))), CPT_NUM(0));
	return 0;
}

/* ---- signals on their way --------------------------------------------- */

#define AT_ONCE 128		/* signals in a batch: they fit into any scratch mapping */

static uint32_t number(const ProtobufCBinaryData *info)
{
	uint32_t sig;

	memcpy(&sig, info->data, sizeof(sig));
	return sig;
}

static void send_inside(struct cpt_batch *b, const struct cpt_rthread *th, bool shared, const ProtobufCBinaryData *info)
{
	size_t at = cpt_batch_data(b, info->data, CPT_SIGINFO);
	const struct cpt_arg tgid = CPT_NUM(th->remote.ns_tgid), tid = CPT_NUM(th->remote.ns_tid);

	if (shared)
		CPT_CALL(b, rt_sigqueueinfo, tgid, CPT_NUM(number(info)), CPT_DATA(at));
	else
		CPT_CALL(b, rt_tgsigqueueinfo, tgid, tid, CPT_NUM(number(info)), CPT_DATA(at));
}

static int send(struct cpt_restore *r, const struct cpt_rtask *t, struct cpt_rthread *th, bool shared,
		const ProtobufCBinaryData *infos, size_t n, struct cpt_err *err)
{
	struct cpt_batch *b = &r->batch;

	cpt_batch_reset(b);
	for (size_t i = 0; i < n; i++) {
		send_inside(b, th, shared, &infos[i]);
		if (b->ncalls < AT_ONCE && i + 1 < n)
			continue;
		if (cpt_batch_run(&th->remote, b, err))
			return cpt_within(err, "task %d (%s): send pending signals", t->pid, t->comm);
		cpt_batch_reset(b);
	}
	return 0;
}

static int send_all(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	const Cpt__Signals *s = t->img->signals;

	if (s && s->n_pending && send(r, t, &t->threads[0], true, s->pending, s->n_pending, err))
		return -1;
	for (unsigned k = 0; k < t->nthreads; k++) {
		const Cpt__ThreadSignals *ts = t->threads[k].img->signals;

		if (ts && ts->n_pending && send(r, t, &t->threads[k], false, ts->pending, ts->n_pending, err))
			return -1;
	}
	return 0;
}

static int late(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks; i++)
		if (r->tasks[i].img->state != CPT__TASK_STATE__ZOMBIE && send_all(r, &r->tasks[i], err))
			return -1;
	return 0;
}

/* ---- the signal that ends batches ------------------------------------- */

static uint64_t pending_in(const Cpt__Task *img)
{
	uint64_t set = 0;

	for (size_t i = 0; img->signals && i < img->signals->n_pending; i++)
		set |= CPT_SIGBIT(number(&img->signals->pending[i]));
	for (size_t k = 0; k < img->n_threads; k++) {
		const Cpt__ThreadSignals *ts = img->threads[k]->signals;

		for (size_t i = 0; ts && i < ts->n_pending; i++)
			set |= CPT_SIGBIT(number(&ts->pending[i]));
	}
	return set;
}

int cpt_restore_stop_signal(const Cpt__Task *img)
{
	uint64_t pending = pending_in(img);

	if (!(pending & CPT_SIGBIT(SIGURG)))
		return SIGURG;
	for (int sig = SIGRTMAX; sig > SIGCHLD; sig--)	/* not those that the kernel sends by itself */
		if (!(pending & CPT_SIGBIT(sig)) && sig != SIGSTOP && sig != SIGCONT)
			return sig;
	return SIGURG;
}

const struct cpt_restore_kind cpt_restore_signals = {
	.name = "signals",
	.prepare = prepare,
	.build = build,
	.thread = thread,
	.late = late,
};
