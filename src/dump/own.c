/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* own.c - memory of a process that shares none with others: ranges, not single pages */
#include "dump/precopy.h"
#include "dump/scan.h"

#define NEAR (256 * CPT_PAGE)		/* what is no farther apart is looked at by one call */
#define PIECE (64ULL << 20)		/* bytes */

struct own {
	struct cpt_dump *d;
	pid_t pid;			/* whose memory is read: the task, or its twin */
	const struct cpt_precopy *pre;
	int pagemap;
	size_t run;			/* of what was copied before: where to go on */
	cpt_store store;
	void *arg;
};

static int store_run(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct own *o = arg;
	uint64_t count = (end - start) / CPT_PAGE;

	if (o->store)
		return o->store(o->arg, start, end, err);
	cpt_pages_add(&o->d->memory->pages, start / CPT_PAGE, count, o->d->memory->next_slot);
	return cpt_queue_memory(o->d, o->pid, start, count, false, err);
}

/* What was copied while the group ran, or stands in the base, and was not written to since. */
static int keep(struct own *o, uint64_t start, uint64_t end, struct cpt_err *err)
{
	while (start < end) {
		uint64_t slot, n = cpt_precopied_run(o->pre, &o->run, start, end, &slot);

		if (slot != UINT64_MAX) {
			cpt_pages_add(&o->d->memory->pages, start / CPT_PAGE, n, slot);
			o->d->stats.pages_unchanged += n;
		} else if (cpt_scan(o->pagemap, start, start + n * CPT_PAGE, CPT_SCAN_ANON, store_run, o, err)) {
			return -1;
		}
		start += n * CPT_PAGE;
	}
	return 0;
}

/*
 * What was written is found by a scan of all, the cheapest there is; what of
 * that has a content is asked of such places only.
 */
static int store_rest(struct own *o, const struct cpt_runs *rest, const Cpt__Vma *v, struct cpt_err *err)
{
	/* of an image that increments are to build on, this is the instant from which writes are noted */
	enum cpt_scan what = o->d->opt->track ? CPT_SCAN_PROTECT : CPT_SCAN_CHANGED;

	for (size_t i = cpt_runs_find(rest, 0, v->start), next; i < rest->n && rest->v[i].start < v->end; i = next) {
		bool open = rest->v[i].slot >= CPT_OPEN;
		uint64_t start = CPT_MAX(rest->v[i].start, v->start), end = rest->v[i].end;

		for (next = i + 1; !open && next < rest->n && rest->v[next].slot < CPT_OPEN &&
				   rest->v[next].start < v->end && rest->v[next].start - end <= NEAR; next++)
			end = rest->v[next].end;
		if (cpt_scan(o->pagemap, start, CPT_MIN(end, v->end), open ? CPT_SCAN_ANON : what, store_run, o, err))
			return -1;
	}
	return 0;
}

/* Piece by piece, so that the copying begins when the first has been looked at. */
static int scan_all(struct own *o, const Cpt__Vma *v, struct cpt_err *err)
{
	enum cpt_scan what = v->kind == CPT__VMA_KIND__VMA_ANON ? CPT_SCAN_ANON : CPT_SCAN_CONTENT;

	for (uint64_t at = v->start; at < v->end; at += CPT_MIN(v->end - at, PIECE))
		if (cpt_scan(o->pagemap, at, CPT_MIN(at + PIECE, v->end), what, store_run, o, err))
			return -1;
	return 0;
}

int cpt_scan_own(struct cpt_dump *d, struct cpt_task *t, const struct cpt_precopy *pre, int pagemap,
		 const Cpt__Vma *v, cpt_store store, void *arg, struct cpt_err *err)
{
	struct own o = { .d = d, .pid = t->pid, .pre = pre, .pagemap = pagemap, .store = store, .arg = arg };
	const struct cpt_runs *rest;

	if (!pre)
		return scan_all(&o, v, err);
	if (cpt_precopy_rest(d, t, &rest, err) || store_rest(&o, rest, v, err))
		return -1;
	if (d->opt->track)
		cpt_precopy_protected(d, t->pid, v->start, v->end);
	return 0;
}

int cpt_scan_twin(struct cpt_dump *d, pid_t twin, const struct cpt_precopy *pre, int pagemap, const Cpt__Vma *v,
		  cpt_store store, void *arg, struct cpt_err *err)
{
	struct own o = { .d = d, .pid = twin, .pre = pre, .pagemap = pagemap, .store = store, .arg = arg };

	/* of what was copied before, that which was written to since counts no more */
	if (pre && v->kind == CPT__VMA_KIND__VMA_ANON)
		return keep(&o, v->start, v->end, err);
	return scan_all(&o, v, err);
}
