/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signals.c - are signal actions and pending signals sane? */
#include "image/kinds.h"
#include "image/state.h"

#include <signal.h>

static bool can_be_held(uint32_t sig)
{
	return sig >= 1 && sig <= CPT_NSIG && sig != SIGKILL && sig != SIGSTOP;
}

static int check_pending(const ProtobufCBinaryData *v, size_t n, struct cpt_err *err)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t sig;

		if (v[i].len != CPT_SIGINFO)
			return cpt_fail(err, CPT_BAD_IMAGE, "pending signal %zu has %zu bytes", i, v[i].len);
		memcpy(&sig, v[i].data, sizeof(sig));
		if (!can_be_held(sig))
			return cpt_fail(err, CPT_BAD_IMAGE, "pending signal %zu has the number %u", i, sig);
	}
	return 0;
}

int cpt_check_signals(const Cpt__Signals *m, struct cpt_err *err)
{
	uint32_t last = 0;

	for (size_t i = 0; i < m->n_actions; i++) {
		uint32_t sig = m->actions[i]->signal;

		if (!can_be_held(sig) || sig <= last)
			return cpt_fail(err, CPT_BAD_IMAGE, "action %zu is for signal %u", i, sig);
		last = sig;
	}
	return check_pending(m->pending, m->n_pending, err);
}

int cpt_check_thread_signals(const Cpt__ThreadSignals *m, struct cpt_err *err)
{
	if (m->stack_flags & ~SS_AUTODISARM)
		return cpt_fail(err, CPT_BAD_IMAGE, "alternate stack with flags %#x", m->stack_flags);
	return check_pending(m->pending, m->n_pending, err);
}
