/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* index.c - the last two records: where everything is, and that it is complete */
#include "image/write.h"


static void put_index(struct cpt_img_writer *w)
{
	size_t n = w->nrecords;
	struct cpt_disk_entry *e = cpt_img_add(w, CPT_REC_INDEX, 0, n * sizeof(*e));

	for (size_t i = 0; i < n; i++)
		e[i] = (struct cpt_disk_entry) {
			.offset = w->records[i].offset,
			.type = w->records[i].header.type,
			.flags = w->records[i].header.flags,
			.npages = w->records[i].header.npages,
		};
	cpt_img_added(w);
}

static uint64_t frame_hash(const struct cpt_img_writer *w)
{
	struct cpt_hash state;

	cpt_hash_begin(&state);
	for (size_t i = 0; i < w->nrecords; i++)
		cpt_hash_add(&state, &w->records[i].header, sizeof(w->records[i].header));
	return cpt_hash_end(&state);
}

static void put_commit(struct cpt_img_writer *w)
{
	struct cpt_disk_commit *c = cpt_img_add(w, CPT_REC_COMMIT, 0, sizeof(*c));

	*c = (struct cpt_disk_commit) {
		.records = w->nrecords,
		.slots = w->slots,
		.index_offset = w->records[w->nrecords - 1].offset,
		.bytes = cpt_img_bytes(w),
		.frame_hash = frame_hash(w),
	};
	cpt_img_added(w);
}

int cpt_img_commit(struct cpt_img_writer *w, struct cpt_err *err)
{
	int sys;

	if (cpt_img_broken(w, err))
		return -1;
	if (w->taken)
		return cpt_fail(err, CPT_USAGE, "%s is not complete: %llu pages are on their way", w->out.name,
				(unsigned long long)w->taken);
	if (!w->begun || w->nopen)
		return cpt_fail(err, CPT_USAGE, "%s is not complete: %zu spans are open",
				w->out.name, w->nopen);
	sys = cpt_hasher_finish(w);
	if (sys) {
		w->failed = true;
		return cpt_fail_errno(err, sys, "write pages to %s", w->out.name);
	}
	cpt_img_place(w);
	put_index(w);
	cpt_img_place(w);
	put_commit(w);
	if (cpt_img_flush(w, err))
		return -1;
	if (cpt_out_finish(&w->out, err)) {
		w->failed = true;
		return -1;
	}
	w->committed = true;
	return 0;
}
