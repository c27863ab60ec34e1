/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* precopy.h - what is known of memory that is copied while the group runs; for precopy.c, runs.c and relatives.c */
#ifndef CPT_DUMP_PRECOPY_H
#define CPT_DUMP_PRECOPY_H

#include "dump/memory.h"
#include "dump/track.h"

/* addresses, ascending, none twice; the page at @start has @slot, the next one the next */
struct cpt_runs {
	struct cpt_run_of {
		uint64_t start, end, slot;
	} *v;
	size_t n, cap;
};
/** cpt_runs_add - behind the last; joined to it where it continues it */
void cpt_runs_add(struct cpt_runs *r, uint64_t start, uint64_t end, uint64_t slot);
/** cpt_runs_drop - what lies in @holes, whose slots do not matter, is in @r no more */
void cpt_runs_drop(struct cpt_runs *r, const struct cpt_runs *holes);
/** cpt_runs_lay_over - @over takes the place of what was there; it is empty afterwards */
void cpt_runs_lay_over(struct cpt_runs *r, struct cpt_runs *over);
/** cpt_runs_find - the first that ends behind @at, or @r->n */
size_t cpt_runs_find(const struct cpt_runs *r, size_t from, uint64_t at);

/* a mapping that is watched */
struct cpt_range {
	uint64_t start, end;
	bool lost;			/* ended, or something else stands there now */
	bool known;			/* it was watched since the base */
	bool protected;			/* in the pause: what was written shows as such from now on */
};

struct cpt_precopy {
	pid_t pid;
	uint64_t start_time;
	uint64_t stack;			/* where it begins; relatives have the same */
	bool related;			/* somebody else who is copied has */
	bool relatives_watched;		/* everybody in the group who has is copied, too; in the pause */
	struct cpt_flags *flags;	/* of mappings, as they were shortly before the pause */
	size_t nflags, cap_flags;
	bool flags_held;		/* … or at the image before; then each must still be the same after the pause */
	int uffd, pagemap;
	struct cpt_range *ranges;
	size_t n, cap;
	struct cpt_runs runs;		/* what was copied, and not copied again since */
	struct cpt_runs fresh;		/* copied in this round */
	struct cpt_runs todo;		/* to be copied, if no relative has it; without slots */
	struct cpt_runs open;		/* protected, but not copied; without slots */
	struct cpt_runs written;	/* noted in the pause; without slots, but those of open ones are CPT_OPEN */
	struct cpt_runs gone;		/* where nothing is watched any more */
	bool noted;
	bool halved;			/* only what was written was stored in the pause, the rest is to be added */
	uint64_t vdso_end;
	uint64_t rss_kib, anon_kib;	/* when it was armed */
	uint64_t huge_kib;		/* in huge pages, shortly before the pause */
};

#define CPT_OPEN (1ULL << 62)

/** cpt_precopy_rest - in the pause: what must be looked at still; what was copied before is added when the group runs again */
int cpt_precopy_rest(struct cpt_dump *d, const struct cpt_task *t, const struct cpt_runs **ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_precopy_written - what was written since it was protected, holes as well, into @ret; what can't be told was */
void cpt_precopy_written(const struct cpt_precopy *p, struct cpt_runs *ret);

/* relatives.c */
/** cpt_relatives_copy - copy p->todo of all; of what relatives share one copy is made. @pages: how many were copied */
int cpt_relatives_copy(struct cpt_dump *d, uint64_t *pages, struct cpt_err *err) CPT_CHECKED;

#endif
