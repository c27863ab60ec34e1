/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* order.c - things told apart by kcmp(2), which gives their order, in log2(n) calls */
#include "dump/files.h"

#include <linux/kcmp.h>

int cpt_order_place(struct cpt_order *o, int kcmp_type, struct cpt_order_entry e,
		    void **ret, struct cpt_err *err)
{
	unsigned from = 0, to = o->n;

	*ret = NULL;
	while (from < to) {
		unsigned mid = from + (to - from) / 2;
		const struct cpt_order_entry *m = &o->v[mid];
		int c = cpt_kcmp(e.pid, m->pid, kcmp_type, (unsigned long)e.fd, (unsigned long)m->fd);

		if (c < 0)
			return cpt_fail_sys(err, "kcmp of processes %d and %d", e.pid, m->pid);
		if (c == 0) {
			*ret = m->what;
			return 0;
		}
		if (c == 1)
			to = mid;
		else
			from = mid + 1;
	}
	CPT_GROW(o->v, o->n, o->cap);
	memmove(&o->v[from + 1], &o->v[from], (o->n - from) * sizeof(*o->v));
	o->v[from] = e;
	o->n++;
	return 0;
}
