/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.c - how far long work has come, for whoever wants to know */
#include "base/base.h"

#include <stdatomic.h>

static struct cpt_progress to;

static struct {
	_Atomic enum cpt_work work;
	_Atomic uint64_t done, total;
} now;

void cpt_set_progress(struct cpt_progress progress)
{
	to = progress;
}

bool cpt_progress_wanted(void)
{
	return to.at;
}

void cpt_progress_begin(enum cpt_work work, uint64_t total)
{
	if (!to.at)
		return;
	now.work = work;
	now.total = total;
	now.done = 0;
	to.at(to.arg, work, 0, total);
}

void cpt_progress_add(uint64_t bytes)
{
	if (to.at)
		to.at(to.arg, now.work, atomic_fetch_add(&now.done, bytes) + bytes, now.total);
}
