/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tables.c - page tables of stopped processes: read, kept, compared
 *
 * A stopped process does not change its tables. The kernel may (reclaim,
 * compaction, huge pages): an entry is read in one piece whatever happens, a
 * table that was given up meanwhile shows in the entry that led to it, and
 * pages that move are counted (frames.c).
 */
#include "dump/tables.h"

#include "dump/arch.h"
#include "dump/memory.h"
#include "dump/peek.h"
#include "dump/view.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define ENTRIES 512			/* of a table */
#define MOST_LEVELS 5
#define BATCH (CPT_PEEK_PAGES - 1)	/* tables, and the one that leads to them once more */

struct piece {				/* of memory, behind one entry */
	uint64_t vpn, end, entry, frame;
	unsigned level;
	enum cpt_entry kind;
};

struct cpt_tables {
	struct cpt_dump *d;
	struct cpt_peek *peek;
	uint64_t direct;		/* where the direct map begins */
	unsigned levels;
	uint64_t pages;			/* that were found to be what pagemap says */
	bool wrong;			/* one was not: nothing is relied on any more */
	uint64_t upper[MOST_LEVELS][ENTRIES];	/* tables on the way down */
	struct piece batch[BATCH];
	unsigned n;
};

/* ---- walking --------------------------------------------------------- */

/* @table: of a piece of kind CPT_ENTRY_TABLE, the lowest; NULL if it can't be told */
typedef int (*each_piece)(void *arg, const struct piece *p, const uint64_t *table, struct cpt_err *err);

struct walk {
	struct cpt_tables *k;
	each_piece each;
	void *arg;
	struct cpt_err *err;
};

static bool top_of(struct cpt_tables *k, uint64_t mm, uint64_t *top)
{
	long offset = cpt_view_pgd_offset(k->d);
	uint64_t at = mm + (uint64_t)offset, page = at & ~(uint64_t)(CPT_PAGE - 1);

	if (!mm || offset < 0 || at & 7 || cpt_peek(k->peek, &page, 1, NULL))
		return false;
	*top = cpt_peek_page(k->peek, 0)[(at - page) / 8];
	k->levels = *top & (CPT_PAGE - 1) ? 0 : cpt_arch_levels(*top);
	return k->levels > 1 && k->levels <= MOST_LEVELS;
}

/* What was gathered below a table of level 1, at @address, is read, and then that once more: has any been given up? */
static int settle(struct walk *w, uint64_t address)
{
	struct cpt_tables *k = w->k;
	uint64_t addresses[CPT_PEEK_PAGES];
	const uint64_t *now;
	unsigned tables = 0;
	bool readable;

	for (unsigned i = 0; i < k->n; i++)
		if (k->batch[i].kind == CPT_ENTRY_TABLE)
			addresses[tables++] = k->direct + k->batch[i].frame * CPT_PAGE;
	addresses[tables] = address;
	readable = !cpt_peek(k->peek, addresses, tables + 1, NULL);
	now = cpt_peek_page(k->peek, tables);
	tables = 0;
	for (unsigned i = 0; i < k->n; i++) {
		struct piece *p = &k->batch[i];
		const uint64_t *table = p->kind == CPT_ENTRY_TABLE ? cpt_peek_page(k->peek, tables++) : NULL;
		uint64_t frame = 0;

		if (!readable)
			p->kind = CPT_ENTRY_OTHER;
		else if (table && (cpt_arch_entry(now[p->vpn / ENTRIES % ENTRIES], 1, &frame) != p->kind || frame != p->frame))
			table = NULL;
		if (w->each(w->arg, p, readable ? table : NULL, w->err))
			return -1;
	}
	k->n = 0;
	return 0;
}

static int walk(struct walk *w, unsigned level, uint64_t address, uint64_t vpn, uint64_t end)
{
	uint64_t span = 1ULL << 9 * level, next;
	struct cpt_tables *k = w->k;

	if (cpt_peek(k->peek, &address, 1, NULL)) {
		struct piece p = { .vpn = vpn, .end = end, .level = level, .kind = CPT_ENTRY_OTHER };

		return w->each(w->arg, &p, NULL, w->err);
	}
	memcpy(k->upper[level], cpt_peek_page(k->peek, 0), CPT_PAGE);
	for (; vpn < end; vpn = next) {
		struct piece p = { .vpn = vpn, .entry = k->upper[level][vpn / span % ENTRIES], .level = level };

		next = p.end = CPT_MIN(end, (vpn / span + 1) * span);
		p.kind = cpt_arch_entry(p.entry, level, &p.frame);
		if (level == 1) {
			if (k->n == BATCH && settle(w, address))
				return -1;
			k->batch[k->n++] = p;
		} else if (p.kind == CPT_ENTRY_TABLE) {
			if (walk(w, level - 1, k->direct + p.frame * CPT_PAGE, vpn, next))
				return -1;
		} else if (w->each(w->arg, &p, NULL, w->err)) {
			return -1;
		}
	}
	return level == 1 ? settle(w, address) : 0;
}

/* ---- keeping --------------------------------------------------------- */

void cpt_kept_free(struct cpt_kept *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].entry);
	free(p->v);
	memset(p, 0, sizeof(*p));
}

struct keeping {
	struct cpt_tables *k;
	struct cpt_kept *kept;
	uint64_t vpn;			/* of entry[0] */
	const uint64_t *entry;		/* of the pagemap */
};

static struct cpt_kept_table *table_at(struct cpt_kept *p, uint64_t vpn)
{
	struct cpt_kept_table *last = p->n ? &p->v[p->n - 1] : NULL;

	vpn -= vpn % ENTRIES;
	if (last && last->vpn == vpn)
		return last;
	CPT_GROW(p->v, p->n, p->cap);
	p->v[p->n] = (struct cpt_kept_table){ .vpn = vpn };
	return &p->v[p->n++];
}

static bool in_frame(struct cpt_tables *k, uint64_t entry, uint64_t frame)
{
	if (!(entry & PM_PRESENT) || (entry & PM_PFN) != frame) {
		k->wrong = true;
		return false;
	}
	k->pages++;
	return true;
}

static bool nothing(struct cpt_tables *k, uint64_t entry)
{
	if (entry & PM_PRESENT)
		k->wrong = true;
	return !(entry & (PM_PRESENT | PM_SWAP));
}

static void keep_table(struct keeping *g, const struct piece *p, const uint64_t *table)
{
	struct cpt_kept_table *t = table_at(g->kept, p->vpn);

	if (t->huge)
		return;			/* it was one huge page a moment ago */
	if (!t->entry) {
		t->entry = cpt_malloc(CPT_PAGE);
		for (size_t i = 0; i < ENTRIES; i++)
			t->entry[i] = CPT_ARCH_UNLIKE;
	}
	for (uint64_t vpn = p->vpn; vpn < p->end; vpn++) {
		uint64_t raw = table[vpn % ENTRIES], entry = g->entry[vpn - g->vpn], frame;
		enum cpt_entry kind = cpt_arch_entry(raw, 0, &frame);

		if (kind == CPT_ENTRY_PAGE ? in_frame(g->k, entry, frame) : kind == CPT_ENTRY_NONE && nothing(g->k, entry))
			t->entry[vpn % ENTRIES] = cpt_arch_keep(raw);
	}
}

static void keep_huge(struct keeping *g, const struct piece *p)
{
	struct cpt_kept_table *t = table_at(g->kept, p->vpn);

	for (uint64_t vpn = p->vpn; vpn < p->end; vpn++)
		if (!in_frame(g->k, g->entry[vpn - g->vpn], p->frame + vpn % ENTRIES))
			return;
	if (!t->entry)
		t->huge = p->frame;
}

static int keep_piece(void *arg, const struct piece *p, const uint64_t *table, struct cpt_err *err)
{
	struct keeping *g = arg;

	if (p->level > 1 || g->k->wrong)
		return 0;
	if (table)
		keep_table(g, p, table);
	else if (p->kind == CPT_ENTRY_PAGE)
		keep_huge(g, p);
	return 0;
}

static void keep(struct cpt_tables *k, uint64_t mm, struct cpt_kept *kept, uint64_t vpn, const uint64_t *entry, size_t n)
{
	struct keeping g = { k, kept, vpn, entry };
	struct cpt_err ignored;
	struct walk w = { k, keep_piece, &g, &ignored };
	uint64_t top;

	if (!k->wrong && top_of(k, mm, &top) && !walk(&w, k->levels - 1, top, vpn, vpn + n) && k->wrong)
		cpt_debug("page tables are not what they were taken for");
}

void cpt_tables_keep(struct cpt_tables *k, const struct cpt_task *t, struct cpt_kept *kept, uint64_t vpn,
		     const uint64_t *entry, size_t n)
{
	keep(k, cpt_view_object(k->d, t->pid, KCMP_VM), kept, vpn, entry, n);
}

/* ---- comparing ------------------------------------------------------- */

struct comparing {
	const struct cpt_kept *kept;
	size_t at;			/* in kept->v */
	int (*found)(void *arg, uint64_t vpn, uint64_t end, bool empty, struct cpt_err *err);
	void *arg;
};

static const struct cpt_kept_table *kept_at(struct comparing *c, uint64_t vpn)
{
	vpn -= vpn % ENTRIES;
	while (c->at < c->kept->n && c->kept->v[c->at].vpn < vpn)
		c->at++;
	return c->at < c->kept->n && c->kept->v[c->at].vpn == vpn ? &c->kept->v[c->at] : NULL;
}

static int compare_table(struct comparing *c, const struct piece *p, const uint64_t *table, const uint64_t *kept,
			 struct cpt_err *err)
{
	uint64_t first = p->vpn - p->vpn % ENTRIES;
	size_t i = p->vpn - first, n = p->end - first;

	for (;;) {
		size_t from;

		i += cpt_arch_agree(table + i, kept + i, n - i);
		if (i == n)
			return 0;
		for (from = i++; i < n && !cpt_arch_agree(table + i, kept + i, 1); i++)
			;
		if (c->found(c->arg, first + from, first + i, false, err))
			return -1;
	}
}

static int compare_piece(void *arg, const struct piece *p, const uint64_t *table, struct cpt_err *err)
{
	struct comparing *c = arg;
	const struct cpt_kept_table *kept;

	if (p->kind == CPT_ENTRY_NONE)
		return c->found(c->arg, p->vpn, p->end, true, err);
	kept = p->level == 1 ? kept_at(c, p->vpn) : NULL;
	if (kept && kept->entry && table)
		return compare_table(c, p, table, kept->entry, err);
	if (kept && kept->huge && p->kind == CPT_ENTRY_PAGE && kept->huge == p->frame)
		return 0;
	return c->found(c->arg, p->vpn, p->end, false, err);
}

int cpt_tables_compare(struct cpt_tables *k, const struct cpt_task *t, const struct cpt_kept *kept, uint64_t vpn, uint64_t end,
		       int (*found)(void *arg, uint64_t vpn, uint64_t end, bool empty, struct cpt_err *err),
		       void *arg, struct cpt_err *err)
{
	struct comparing c = { .kept = kept, .found = found, .arg = arg };
	struct walk w = { k, compare_piece, &c, err };
	uint64_t top;

	if (k->wrong || !top_of(k, cpt_view_object(k->d, t->pid, KCMP_VM), &top))
		return found(arg, vpn, end, false, err);
	return walk(&w, k->levels - 1, top, vpn, end);
}

/* ---- beginning ------------------------------------------------------- */

#define MARK 8				/* numbers at the beginning of a page */
#define AREA 8				/* pages */

/* Where is the direct map? There where a page of our own is found in it. */
static bool find_direct(struct cpt_tables *k, uint64_t top, uint64_t frame, const uint64_t *mark)
{
	uint64_t address[CPT_PEEK_PAGES], direct[CPT_PEEK_PAGES];
	bool found[CPT_PEEK_PAGES];

	for (unsigned at = 0;; at += CPT_PEEK_PAGES) {
		unsigned n = 0;

		while (n < CPT_PEEK_PAGES && (direct[n] = cpt_arch_direct(top, at + n))) {
			address[n] = direct[n] + frame * CPT_PAGE;
			n++;
		}
		if (!n || cpt_peek(k->peek, address, n, found))
			return false;
		for (unsigned i = 0; i < n; i++)
			if (found[i] && memcmp(cpt_peek_page(k->peek, i), mark, MARK * 8) == 0) {
				k->direct = direct[i];
				return true;
			}
		if (n < CPT_PEEK_PAGES)
			return false;
	}
}

/* Pages of our own: two written to, one only read, and some not touched. */
static bool try_own(struct cpt_tables *k, uint64_t *area)
{
	CPT_AUTO(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t vpn = (uintptr_t)area / CPT_PAGE, top, mm = cpt_view_own(k->d), *other = area + CPT_PAGE / 8, entry[AREA], address;
	struct cpt_kept kept = { NULL, 0, 0 };
	bool good;

	if (getrandom(area, MARK * 8, 0) != MARK * 8 || getrandom(other, MARK * 8, 0) != MARK * 8 ||
	    *(volatile uint64_t *)(other + CPT_PAGE / 8))
		return false;
	if (fd < 0 || cpt_pread_all(fd, entry, sizeof(entry), (off_t)(vpn * 8)) || !top_of(k, mm, &top) ||
	    !find_direct(k, top, entry[0] & PM_PFN, area))
		return false;
	address = k->direct + (entry[1] & PM_PFN) * CPT_PAGE;
	if (cpt_peek(k->peek, &address, 1, NULL) || memcmp(cpt_peek_page(k->peek, 0), other, MARK * 8) != 0)
		return false;
	keep(k, mm, &kept, vpn, entry, AREA);
	good = !k->wrong && k->pages >= 3 && kept.n && kept.v[0].entry;
	cpt_kept_free(&kept);
	return good;
}

struct cpt_tables *cpt_tables_open(struct cpt_dump *d)
{
	struct cpt_tables *k = cpt_calloc(1, sizeof(*k));
	uint64_t *area = mmap(NULL, AREA * CPT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool good;

	k->d = d;
	k->peek = d->view && area != MAP_FAILED ? cpt_peek_open() : NULL;
	good = k->peek && try_own(k, area);
	if (area != MAP_FAILED)
		munmap(area, AREA * CPT_PAGE);
	cpt_debug("page tables: %s", good ? "read" : "not read");
	if (good)
		return k;
	cpt_tables_free(k);
	return NULL;
}

void cpt_tables_free(struct cpt_tables *k)
{
	if (!k)
		return;
	cpt_peek_free(k->peek);
	free(k);
}
