/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stopped.c - has the parent of a stopped process been told by wait(2)? The parent is asked. */
#include "dump/kinds.h"
#include "image/state.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct asked {
	struct cpt_task *child;
	size_t info, call;
	struct asked *next;
};

static bool stopped_child(const struct cpt_task *c, const struct cpt_task *parent)
{
	return c->parent == parent && !c->zombie && c->nthreads && c->threads[0].remote.group_stopped;
}

static int ask(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	struct asked *list = NULL;

	for (unsigned i = 0; t->has_children && i < d->ntasks; i++) {
		struct asked *a;

		if (!stopped_child(&d->tasks[i], t))
			continue;
		a = cpt_arena_new(&d->arena, struct asked);
		a->child = &d->tasks[i];
		a->info = cpt_batch_data(b, NULL, CPT_SIGINFO);
		a->call = CPT_TRY(b, waitid, CPT_NUM(P_PID), CPT_NUM(a->child->status.ns_tgid), CPT_DATA(a->info),
				  CPT_NUM(WSTOPPED | WNOHANG | WNOWAIT), CPT_NUM(0));
		a->next = list;
		list = a;
	}
	*state = list;
	return 0;
}

static int tell(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	for (const struct asked *a = state; a; a = a->next) {
		const siginfo_t *info = cpt_batch_out(b, a->info);

		a->child->stop_told = cpt_batch_ret(b, a->call) == 0 && !info->si_pid;
	}
	return 0;
}

static int group(struct cpt_dump *d, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		if (d->tasks[i].stop_told)
			CPT_SET(d->tasks[i].img, stop_told, true);
	return 0;
}

const struct cpt_dump_kind cpt_dump_stopped = {
	.name = "stopped",
	.ask = ask,
	.tell = tell,
	.group = group,
};
