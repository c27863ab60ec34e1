/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frames.c - page frames seen before, and whether pages have stayed in them
 *
 * That two address spaces show one frame means one page only if no page has
 * moved (compaction, reclaim, huge pages being put together, …) between the
 * reading of the one pagemap and of the other. The kernel counts such moves.
 * If it has counted any, what was trusted is looked at once more; if a page
 * did move, the dump is made again, and reads both sides together.
 */
#include "dump/memory.h"

#include <fcntl.h>
#include <stdlib.h>

#define MOST_BITS 24			/* of a table made for what is expected */

/* ---- the table ------------------------------------------------------- */

static struct cpt_frame *place_of(struct cpt_frames *f, uint64_t pfn)
{
	uint64_t at = pfn * 0x9e3779b97f4a7c15ULL >> f->shift;

	while (f->table[at].pfn && f->table[at].pfn != pfn)
		at = (at + 1) & f->mask;
	return &f->table[at];
}

static void grow(struct cpt_frames *f, unsigned bits)
{
	struct cpt_frames old = *f;

	f->shift = 64 - bits;
	f->mask = (1ULL << bits) - 1;
	f->table = cpt_calloc(f->mask + 1, sizeof(*f->table));
	for (uint64_t i = 0; old.table && i <= old.mask; i++)
		if (old.table[i].pfn)
			*place_of(f, old.table[i].pfn) = old.table[i];
	free(old.table);
}

void cpt_frames_expect(struct cpt_dump *d, uint64_t n)
{
	struct cpt_frames *f = &d->memory->frames;
	unsigned bits = 12;

	while (bits < MOST_BITS && 1ULL << bits < 2 * (f->used + n))
		bits++;
	if (!f->table || bits > 64 - f->shift)
		grow(f, bits);
}

static uint64_t entry_now(const struct cpt_task *t, uint64_t vpn)
{
	CPT_AUTO(fd) int fd = cpt_pagemap_open(t, t->twin);
	uint64_t entry = 0;

	return fd < 0 || cpt_pread_all(fd, &entry, 8, (off_t)(vpn * 8)) ? 0 : entry;
}

static bool still_there(const struct cpt_frame *e)
{
	uint64_t now = entry_now(e->t, e->vpn);

	return (now & PM_PRESENT) && (now & PM_PFN) == e->pfn;
}

uint64_t cpt_frame_find(struct cpt_dump *d, uint64_t pfn)
{
	struct cpt_frames *f = &d->memory->frames;
	const struct cpt_frame *e;

	if (!f->table)
		return NO_SLOT;
	e = place_of(f, pfn);
	if (!e->pfn || (d->memory->careful && !still_there(e)))
		return NO_SLOT;
	if (!f->ntrusted || f->trusted[f->ntrusted - 1].pfn != pfn) {
		CPT_GROW(f->trusted, f->ntrusted, f->cap_trusted);
		f->trusted[f->ntrusted++] = *e;
	}
	return e->slot;
}

void cpt_frame_remember(struct cpt_dump *d, const struct cpt_task *t, uint64_t vpn, uint64_t pfn, uint64_t slot)
{
	struct cpt_frames *f = &d->memory->frames;
	struct cpt_frame *e;

	if (!f->table || 2 * f->used > f->mask)
		grow(f, f->table ? 64 - f->shift + 1 : 12);
	e = place_of(f, pfn);
	if (!e->pfn)
		f->used++;
	*e = (struct cpt_frame){ pfn, slot, vpn, t };
}

void cpt_frames_free(struct cpt_frames *f)
{
	free(f->table);
	free(f->trusted);
}

/* ---- have pages moved? ----------------------------------------------- */

uint64_t cpt_count_moves(void)
{
	static const char *const counters[] = { "\npgmigrate_success ", "\nthp_collapse_alloc ", "\npgsteal_anon " };
	CPT_AUTO(buf) struct cpt_buf buf = { NULL, 0, 0 };
	struct cpt_err ignored;
	uint64_t sum = 0;

	/* pages of equal content are made one: counted nowhere */
	if (!cpt_read_at(AT_FDCWD, "/sys/kernel/mm/ksm/run", &buf, &ignored) && buf.data[0] == '1')
		return UINT64_MAX;
	if (cpt_read_at(AT_FDCWD, "/proc/vmstat", &buf, &ignored))
		return UINT64_MAX;
	for (size_t i = 0; i < CPT_COUNT(counters); i++) {
		const char *at = strstr(buf.data, counters[i]);

		sum += at ? strtoull(at + strlen(counters[i]), NULL, 10) : 0;
	}
	return sum;
}

/* Only pages of which somebody may have been told "the same as the parent's" matter: those with a slot. */
static bool known_still(const struct cpt_task *t)
{
	CPT_AUTO(fd) int fd = cpt_pagemap_open(t, t->twin);
	CPT_AUTO(mem) uint64_t *now = NULL;
	bool same = fd >= 0;

	for (size_t i = 0; same && i < t->known->n; i++) {
		const struct cpt_known_run *k = &t->known->runs[i];

		now = cpt_realloc(now, k->n, 8);
		same = !cpt_pread_all(fd, now, k->n * 8, (off_t)(k->vpn * 8));
		for (size_t j = 0; same && j < k->n; j++)
			same = k->slot[j] == NO_SLOT || !(k->entry[j] & PM_PRESENT) ||
			       !((now[j] ^ k->entry[j]) & (PM_PRESENT | PM_PFN));
	}
	return same;
}

int cpt_frames_check(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_dump_memory *m = d->memory;
	uint64_t moves;
	bool same = true;

	if (!m->sharing || m->careful)
		return 0;
	moves = cpt_count_moves();
	if (moves == m->moves && moves != UINT64_MAX)
		return 0;
	for (unsigned i = 0; same && i < d->ntasks; i++)
		same = !d->tasks[i].known || known_still(&d->tasks[i]);
	for (size_t i = 0; same && i < m->frames.ntrusted; i++)
		same = still_there(&m->frames.trusted[i]);
	if (same)
		return 0;
	d->again = true;
	return cpt_fail_errno(err, EAGAIN, "pages were moved while they were read");
}
