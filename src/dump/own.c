/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* own.c - memory of a process that shares none with others: ranges, not single pages */
#include "dump/memory.h"
#include "dump/scan.h"

struct own {
	struct cpt_dump *d;
	struct cpt_task *t;
	const struct cpt_precopy *pre;
	int pagemap;
	uint64_t at;			/* so far */
};

static int store(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct own *o = arg;
	uint64_t count = (end - start) / CPT_PAGE;

	cpt_pages_add(&o->d->memory->pages, start / CPT_PAGE, count, o->d->memory->next_slot);
	return cpt_queue_memory(o->d, o->t->pid, start, count, err);
}

/* What was copied while the group ran, or stands in the base, and was not written to since. */
static int keep(struct own *o, uint64_t start, uint64_t end, struct cpt_err *err)
{
	while (start < end) {
		uint64_t slot, n = cpt_precopied_run(o->pre, start, end, &slot);

		if (slot != UINT64_MAX) {
			cpt_pages_add(&o->d->memory->pages, start / CPT_PAGE, n, slot);
			o->d->stats.pages_unchanged += n;
		} else if (cpt_scan(o->pagemap, start, start + n * CPT_PAGE, CPT_SCAN_CONTENT, store, o, err)) {
			return -1;
		}
		start += n * CPT_PAGE;
	}
	return 0;
}

static int written(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct own *o = arg;

	if (keep(o, o->at, start, err))
		return -1;
	o->at = end;
	return cpt_scan(o->pagemap, start, end, CPT_SCAN_CONTENT, store, o, err);
}

int cpt_scan_own(struct cpt_dump *d, struct cpt_task *t, int pagemap, uint64_t start, uint64_t end,
		 struct cpt_err *err)
{
	struct own o = { .d = d, .t = t, .pre = cpt_precopy_of(d, t->pid), .pagemap = pagemap, .at = start };

	/* what was unmapped, moved or mapped anew since is not watched any more */
	if (!o.pre || !cpt_scan_watched(pagemap, start))
		return cpt_scan(pagemap, start, end, CPT_SCAN_CONTENT, store, &o, err);
	if (cpt_scan(pagemap, start, end, CPT_SCAN_WRITTEN, written, &o, err))
		return -1;
	return keep(&o, o.at, end, err);
}
