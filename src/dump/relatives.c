/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * relatives.c - what running relatives share is copied once
 *
 * All pages concerned are under write protection. A page is copied from one
 * process, its source; another one that shows the same page frame later refers
 * to that copy. Was the source not written to until all of that was done, then
 * the frame held what was copied all the time, and what the other has there
 * is that copy until it is written to. Otherwise, and when the kernel may have
 * moved a page into another frame meanwhile, it is looked for once more. What
 * is still open in the end is left to the pause.
 */
#include "dump/precopy.h"
#include "dump/table.h"

#include <stdlib.h>

#define PASSES 4
#define BATCH 16384			/* entries read at once */

/* a page and where it was copied to */
struct source {
	size_t p;			/* which process */
	uint64_t at, slot;
};

/* pages of process @p that look the same as those of @source */
struct alike {
	size_t p, source;
	uint64_t at, source_at, size, slot;
};

struct alikes {
	struct alike *v;
	size_t n, cap;
};

struct search {
	struct cpt_dump *d;
	struct cpt_table frames;	/* number of its source + 1 */
	struct source *sources;
	size_t nsources, cap_sources;
	struct alikes found;
	struct alikes hints;		/* of the pass before: only the sources count */
	struct cpt_runs left;		/* that could not be looked at */
	uint64_t *entries;
	uint64_t copied;
};

static bool is_shared(uint64_t e)
{
	return (e & PM_PRESENT) && !(e & (PM_EXCLUSIVE | PM_FILE)) && (e & PM_PFN);
}

static bool has_content(uint64_t e)
{
	return (e & PM_SWAP) || ((e & PM_PRESENT) && !(e & PM_FILE));
}

static const struct source *find(const struct search *s, uint64_t e)
{
	uintptr_t at = is_shared(e) ? (uintptr_t)cpt_table_get(&s->frames, e & PM_PFN) : 0;

	return at ? &s->sources[at - 1] : NULL;
}

static void remember(struct search *s, uint64_t e, size_t p, uint64_t at, uint64_t slot)
{
	CPT_GROW(s->sources, s->nsources, s->cap_sources);
	s->sources[s->nsources++] = (struct source){ p, at, slot };
	cpt_table_put(&s->frames, e & PM_PFN, (void *)(uintptr_t)s->nsources);
}

/* ---- looking --------------------------------------------------------- */

/* how many entries from here on are alike those of one source, one page after the other */
static size_t same(struct search *s, size_t p, uint64_t at, const uint64_t *e, size_t n)
{
	const struct source *first = find(s, e[0]), *o;
	size_t i;

	if (!first)
		return 0;
	for (i = 1; i < n && (o = find(s, e[i])) && o->p == first->p && o->at == first->at + i * CPT_PAGE &&
		    o->slot == first->slot + i; i++)
		;
	CPT_GROW(s->found.v, s->found.n, s->found.cap);
	s->found.v[s->found.n++] = (struct alike){ p, first->p, at, first->at, i * CPT_PAGE, first->slot };
	return i;
}

static int copy(struct search *s, size_t p, uint64_t at, const uint64_t *e, size_t n, size_t *count, struct cpt_err *err)
{
	struct cpt_precopy *pre = &s->d->precopies[p];
	uint64_t slot = s->d->memory->next_slot;
	bool shared = is_shared(e[0]);
	size_t i = 1;

	while (i < n && has_content(e[i]) && is_shared(e[i]) == shared && !find(s, e[i]))
		i++;
	for (size_t k = 0; shared && k < i; k++)
		remember(s, e[k], p, at + k * CPT_PAGE, slot + k);
	cpt_runs_add(&pre->fresh, at, at + i * CPT_PAGE, slot);
	s->copied += i;
	*count = i;
	return cpt_queue_running(s->d, pre->pid, at, i, shared, err);
}

static int look_at(struct search *s, size_t p, uint64_t at, const uint64_t *e, size_t n, struct cpt_err *err)
{
	for (size_t i = 0, count; i < n; i += count) {
		count = 1;
		if (!has_content(e[i]))
			continue;	/* given up since */
		count = same(s, p, at + i * CPT_PAGE, e + i, n - i);
		if (!count && copy(s, p, at + i * CPT_PAGE, e + i, n - i, &count, err))
			return -1;
	}
	return 0;
}

/* Who can't be read has ended: then nothing of him is needed. */
static size_t read_entries(struct search *s, size_t p, uint64_t at, uint64_t end)
{
	size_t n = CPT_MIN((end - at) / CPT_PAGE, (uint64_t)BATCH);

	return cpt_pread_all(s->d->precopies[p].pagemap, s->entries, n * 8, (off_t)(at / CPT_PAGE * 8)) ? 0 : n;
}

static int look_at_todo(struct search *s, size_t p, struct cpt_err *err)
{
	struct cpt_runs *todo = &s->d->precopies[p].todo;

	for (size_t i = 0; i < todo->n; i++)
		for (uint64_t n, at = todo->v[i].start; at < todo->v[i].end; at += n * CPT_PAGE) {
			n = read_entries(s, p, at, todo->v[i].end);
			if (!n) {
				cpt_runs_add(&s->left, at, todo->v[i].end, 0);
				break;
			}
			if (look_at(s, p, at, s->entries, n, err))
				return -1;
		}
	todo->n = 0;
	cpt_runs_lay_over(&s->d->precopies[p].open, &s->left);
	return 0;
}

/* Pages that have a slot already may be sources as well. */
static void know(struct search *s, size_t p, uint64_t at, uint64_t end, uint64_t slot)
{
	for (uint64_t n; at < end; at += n * CPT_PAGE, slot += n) {
		n = read_entries(s, p, at, end);
		if (!n)
			return;
		for (uint64_t i = 0; i < n; i++)
			if (is_shared(s->entries[i]) && !find(s, s->entries[i]))
				remember(s, s->entries[i], p, at + i * CPT_PAGE, slot + i);
	}
}

static void know_hints(struct search *s)
{
	for (size_t i = 0; i < s->hints.n; i++) {
		const struct alike *h = &s->hints.v[i];

		know(s, h->source, h->source_at, h->source_at + h->size, h->slot);
	}
	s->hints.n = 0;
}

/* Who was born since the base shares most of what stands there. */
static void know_base(struct search *s)
{
	struct cpt_dump *d = s->d;

	for (size_t i = 0; i < d->nprecopies; i++) {
		struct cpt_precopy *p = &d->precopies[i];
		bool born = false;

		if (!p->related || !p->runs.n)
			continue;
		for (size_t k = 0; k < d->nprecopies && !born; k++)
			born = d->precopies[k].stack == p->stack && !d->precopies[k].runs.n;
		for (size_t k = 0; born && k < p->runs.n; k++)
			know(s, i, p->runs.v[k].start, p->runs.v[k].end, p->runs.v[k].slot);
	}
}

/* ---- was it so? ------------------------------------------------------ */

static void good(struct search *s, const struct alike *a, uint64_t offset, uint64_t size)
{
	cpt_runs_add(&s->d->precopies[a->p].fresh, a->at + offset, a->at + offset + size, a->slot + offset / CPT_PAGE);
	s->d->stats.pages_shared += size / CPT_PAGE;
}

/* One part after the other that was written to in the source, or was not. */
static void judge(struct search *s, const struct alike *a, const struct cpt_runs *written, bool moved)
{
	size_t k = cpt_runs_find(written, 0, a->source_at);

	for (uint64_t at = 0, size; at < a->size; at += size) {
		bool bad = k < written->n && written->v[k].start <= a->source_at + at;
		uint64_t end = k == written->n ? a->size : (bad ? written->v[k].end : written->v[k].start) - a->source_at;

		size = CPT_MIN(end, a->size) - at;
		k += bad;
		if (!bad && !moved) {
			good(s, a, at, size);
			continue;
		}
		cpt_runs_add(&s->d->precopies[a->p].todo, a->at + at, a->at + at + size, 0);
		if (bad)
			continue;
		CPT_GROW(s->hints.v, s->hints.n, s->hints.cap);
		s->hints.v[s->hints.n++] = (struct alike){ a->p, a->source, a->at + at, a->source_at + at, size,
							   a->slot + at / CPT_PAGE };
	}
}

static void check(struct search *s, bool moved)
{
	struct cpt_dump *d = s->d;
	CPT_AUTO(mem) struct cpt_runs *written = cpt_calloc(d->nprecopies, sizeof(*written));
	CPT_AUTO(mem) bool *asked = cpt_calloc(d->nprecopies, sizeof(*asked));

	for (size_t i = 0; i < s->found.n; i++) {
		const struct alike *a = &s->found.v[i];

		if (!asked[a->source])
			cpt_precopy_written(&d->precopies[a->source], &written[a->source]);
		asked[a->source] = true;
		judge(s, a, &written[a->source], moved);
	}
	for (size_t i = 0; i < d->nprecopies; i++) {
		cpt_runs_lay_over(&d->precopies[i].runs, &d->precopies[i].fresh);
		free(written[i].v);
	}
}

static int pass(struct search *s, bool first, struct cpt_err *err)
{
	struct cpt_dump *d = s->d;
	uint64_t moves = cpt_count_moves();

	s->found.n = s->nsources = 0;
	free(s->frames.slots);
	memset(&s->frames, 0, sizeof(s->frames));
	if (first)
		know_base(s);
	know_hints(s);
	for (size_t i = 0; i < d->nprecopies; i++)
		if (look_at_todo(s, i, err))
			return -1;
	if (cpt_queue_drain(d, err))
		return -1;
	for (size_t i = 0; i < d->nprecopies; i++)
		cpt_runs_lay_over(&d->precopies[i].runs, &d->precopies[i].fresh);
	check(s, moves == UINT64_MAX || moves != cpt_count_moves());
	return 0;
}

static bool any_todo(const struct cpt_dump *d)
{
	for (size_t i = 0; i < d->nprecopies; i++)
		if (d->precopies[i].todo.n)
			return true;
	return false;
}

int cpt_relatives_copy(struct cpt_dump *d, uint64_t *pages, struct cpt_err *err)
{
	struct search s = { .d = d };
	int rc = 0;

	/* whatever was copied before is not what stands there now */
	for (size_t i = 0; i < d->nprecopies; i++)
		cpt_runs_drop(&d->precopies[i].runs, &d->precopies[i].todo);
	s.entries = cpt_malloc(BATCH * 8);
	for (int i = 0; i < PASSES && !rc && any_todo(d); i++)
		rc = pass(&s, !i, err);
	for (size_t i = 0; i < d->nprecopies; i++)
		cpt_runs_lay_over(&d->precopies[i].open, &d->precopies[i].todo);
	free(s.left.v);
	*pages = s.copied;
	free(s.entries);
	free(s.sources);
	free(s.frames.slots);
	free(s.found.v);
	free(s.hints.v);
	return rc;
}
