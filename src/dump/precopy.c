/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precopy.c - copy memory while the group runs, so that little is left for the pause
 *
 * Large private memory is write-protected asynchronously (userfaultfd
 * WP_ASYNC, Linux 6.7): the kernel lets every write through and notes it.
 * What was written since it was copied is copied again, until it is little or
 * no longer gets less. In the pause only the rest is left.
 *
 * The userfaultfd is made by the task and fetched from it; the task keeps
 * nothing. When cptool closes it, or dies, the kernel takes the protection
 * away. All of this is best effort: a process for which it does not work is
 * copied in the pause.
 */
#include "dump/precopy.h"
#include "dump/scan.h"
#include "dump/table.h"
#include "dump/twin.h"
#include "dump/view.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define WORTH_KIB (16 * 1024)		/* resident memory below this is copied in the pause … */
#define MANY_KIB (32 * 1024)		/* … unless all processes have as much as this; then that of one counts from … */
#define SMALL_KIB 768			/* … here on, without its files */
#define RANGE_MIN (1UL << 20)		/* bytes of a mapping */
#define SMALL_RANGE_MIN (256UL << 10)	/* in a process below WORTH_KIB */
#define TRACK_WORTH_KIB 1024		/* the same for what an increment is to be made of */
#define TRACK_RANGE_MIN (64UL << 10)
#define ROUNDS 8
#define REST_ROUNDS 3
#define TRACKED_MAX 64			/* processes; the others are copied in the pause */
#define FDS_EACH 2			/* open for a process, beside CPT_FDS_EACH */
#define FDS_BESIDE 128
#define FEW_PAGES 128			/* left over for the pause */
#define MUCH_PAGES 8192			/* copied in a round: another one that is no better is not tried */
#define STOP_MS 200
#define ROOM (1u << 20)			/* bytes that must be left to the memory limit for the little that is mapped while the group runs */
#define PROBE_KIB (128 * 1024)		/* resident memory below this is copied unprobed */
#define PROBE_US 10000			/* twice */
#define CALM_PAGES 1024			/* copied in the last round: no more is left for the pause */
#define UNPROTECT_BYTES (4ULL << 20)	/* at once */
#define COPY_PAGE_NS 2000.0		/* until it is measured */

/* include/uapi/linux/userfaultfd.h */
struct uffdio_api_arg {
	uint64_t api, features, ioctls;
};
struct uffdio_register_arg {
	uint64_t start, len, mode, ioctls;
};
struct uffdio_range_arg {
	uint64_t start, len;
};
#define UFFD_USER_MODE_ONLY 1
#define UFFD_API_MAGIC 0xaa
#define UFFDIO_API_CALL _IOWR(0xaa, 0x3f, struct uffdio_api_arg)
#define UFFDIO_REGISTER_CALL _IOWR(0xaa, 0x00, struct uffdio_register_arg)
#define UFFDIO_UNREGISTER_CALL _IOR(0xaa, 0x01, struct uffdio_range_arg)
#define UFFD_MODE_WP 2
#define UFFD_WP (1 << 0)
#define UFFD_WP_UNPOPULATED (1 << 13)
#define UFFD_WP_ASYNC (1 << 15)

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct cpt_precopy *)a)->pid, y = ((const struct cpt_precopy *)b)->pid;

	return (x > y) - (x < y);
}

/* They are in order once all are armed. */
static struct cpt_precopy *precopy_of(const struct cpt_dump *d, pid_t pid)
{
	struct cpt_precopy key = { .pid = pid };

	return d->nprecopies ? bsearch(&key, d->precopies, d->nprecopies, sizeof(key), by_pid) : NULL;
}

const struct cpt_precopy *cpt_precopy_of(const struct cpt_dump *d, pid_t pid)
{
	return precopy_of(d, pid);
}

/* ---- arming ---------------------------------------------------------- */

/* what was watched stays so, whatever has become of it; else large writable memory */
static bool worth_watching(const struct cpt_dump *d, const struct cpt_precopy *p, const struct cpt_vma *v)
{
	uint64_t least = d->opt->track || p->uffd >= 0 ? TRACK_RANGE_MIN :
			 p->rss_kib < WORTH_KIB ? SMALL_RANGE_MIN : RANGE_MIN;

	if (v->ino || v->flags & CPT_VM_SHARED || strncmp(v->path, "[v", 2) == 0 || strcmp(v->path, "[stack]") == 0)
		return false;
	if (v->prot & PROT_WRITE && v->end - v->start >= least)
		return true;
	return p->uffd >= 0 && cpt_scan_watched(p->pagemap, v->start);
}

static int find_ranges(struct cpt_dump *d, struct cpt_precopy *p, struct cpt_err *err)
{
	struct cpt_vma v;
	char path[32], *text;
	int got;

	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	if (cpt_read_at(AT_FDCWD, path, &d->maps, err))
		return -1;
	text = d->maps.data;
	while ((got = cpt_parse_smaps(&text, &v, err)) > 0) {
		if (strcmp(v.path, "[vdso]") == 0)
			p->vdso_end = v.end;
		if (!worth_watching(d, p, &v))
			continue;
		CPT_GROW(p->ranges, p->n, p->cap);
		p->ranges[p->n++] = (struct cpt_range){ .start = v.start, .end = v.end,
						    .known = p->uffd >= 0 && cpt_scan_watched(p->pagemap, v.start) };
	}
	return got;
}

/* The task makes the descriptor, cptool fetches it, the task closes its own. */
static int fetch_uffd(struct cpt_dump *d, struct cpt_remote *r, struct cpt_precopy *p, struct cpt_err *err)
{
	CPT_AUTO(fd) int pidfd = cpt_pidfd_open(p->pid, 0);
	struct cpt_batch *b = &d->batch;
	size_t made;
	int fd;

	if (pidfd < 0)
		return cpt_fail_sys(err, "pidfd of task %d", p->pid);
	cpt_batch_reset(b);
	made = CPT_CALL(b, userfaultfd, CPT_NUM(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
	if (cpt_batch_run(r, b, err))
		return -1;
	fd = (int)cpt_batch_ret(b, made);
	p->uffd = cpt_pidfd_getfd(pidfd, fd);
	if (p->uffd < 0)
		cpt_fail_sys(err, "fetch a descriptor of task %d", p->pid);
	cpt_batch_reset(b);
	CPT_CALL(b, close, CPT_NUM(fd));
	return cpt_batch_run(r, b, err) || p->uffd < 0 ? -1 : 0;
}

/* One thread stops for some hundred microseconds; the others of the process run on. */
static int make_uffd(struct cpt_dump *d, struct cpt_precopy *p, const struct cpt_status *s, struct cpt_err *err)
{
	struct cpt_remote_mm mm = { .mem = -1 };
	struct cpt_remote r = { .mm = &mm, .ns_tgid = s->ns_tgid, .ns_tid = s->ns_pid,
				.stop_signal = cpt_dump_stop_signal(s) };
	struct cpt_err second = { 0 };
	int rc;

	if (cpt_remote_seize(p->pid, cpt_dump_seize_options(s), err))
		return -1;
	rc = cpt_remote_stopped(p->pid, STOP_MS, &r, err);
	if (rc)
		return rc < 0 ? -1 : cpt_fail_errno(err, ESRCH, "task %d has ended", p->pid);
	cpt_dump_hold_context(&r);
	rc = cpt_remote_open(&r, p->vdso_end, err) || fetch_uffd(d, &r, p, err) ? -1 : 0;
	if (cpt_remote_close(&r, &second) | cpt_remote_detach(&r, &second)) {
		*err = second;
		rc = -1;
	}
	return rc;
}

static int begin_uffd(struct cpt_precopy *p, struct cpt_err *err)
{
	struct uffdio_api_arg api = { UFFD_API_MAGIC, UFFD_WP | UFFD_WP_UNPOPULATED | UFFD_WP_ASYNC, 0 };

	if (ioctl(p->uffd, UFFDIO_API_CALL, &api))
		return cpt_fail_sys(err, "asynchronous write protection (Linux 6.7 or later)");
	return 0;
}

static int register_range(const struct cpt_precopy *p, const struct cpt_range *g)
{
	struct uffdio_register_arg reg = { g->start, g->end - g->start, UFFD_MODE_WP, 0 };

	return ioctl(p->uffd, UFFDIO_REGISTER_CALL, &reg);
}

/* exec has left a held one behind, with the address space that it was for */
static bool outlived(const struct cpt_precopy *p)
{
	return p->uffd >= 0 && p->n && register_range(p, &p->ranges[0]) && errno == ESRCH;
}

static void protect(struct cpt_precopy *p)
{
	size_t k = 0;

	for (size_t i = 0; i < p->n; i++)
		if (!register_range(p, &p->ranges[i]))
			p->ranges[k++] = p->ranges[i];	/* else it is gone meanwhile, or somebody else's */
	p->n = k;
}

/*
 * The protection is taken away piece by piece: the kernel looks at all pages of
 * what it is asked for, and lets no page fault of the program through meanwhile.
 */
static void unprotect(const struct cpt_precopy *p)
{
	for (size_t i = 0; i < p->n; i++)
		for (uint64_t at = p->ranges[i].start; at < p->ranges[i].end; at += UNPROTECT_BYTES) {
			struct uffdio_range_arg piece = { at, CPT_MIN(UNPROTECT_BYTES, p->ranges[i].end - at) };

			/* what stands there may be another mapping by now */
			(void)!ioctl(p->uffd, UFFDIO_UNREGISTER_CALL, &piece);
		}
}

/* No memory is watched any more, nothing was copied. */
static void disarm(struct cpt_precopy *p)
{
	if (p->uffd >= 0) {
		unprotect(p);
		close(CPT_TAKE(p->uffd, -1));
	}
	p->n = p->runs.n = 0;
}

static void forget(struct cpt_precopy *p)
{
	disarm(p);
	free(p->ranges);
	free(p->runs.v);
	free(p->fresh.v);
	free(p->todo.v);
	free(p->open.v);
	free(p->written.v);
	free(p->gone.v);
	free(p->flags);
	if (p->pagemap >= 0)
		close(p->pagemap);
}

/* ---- what stands in the base ------------------------------------------ */

static void refer(struct cpt_precopy *p, const struct cpt_range *g, uint64_t at, uint64_t end, uint64_t slot)
{
	uint64_t from = CPT_MAX(at, g->start), to = CPT_MIN(end, g->end);

	if (g->known)
		cpt_runs_add(&p->runs, from, to, CPT_IMG_BASE_SLOT + slot + (from - at) / CPT_PAGE);
}

/* Until a scan finds them written, pages are those of the base. */
static void refer_to_base(struct cpt_dump *d, struct cpt_precopy *p)
{
	const Cpt__Pages *b = cpt_track_base_pages(d, p->pid);
	size_t k = 0;

	for (size_t i = 0; b && i < b->n_index; i++) {
		uint64_t at = b->index[i] * CPT_PAGE, end = at + b->count[i] * CPT_PAGE;

		while (k < p->n && p->ranges[k].end <= at)
			k++;
		for (size_t j = k; j < p->n && p->ranges[j].start < end; j++)
			refer(p, &p->ranges[j], at, end, b->slot[i]);
	}
}

static int read_status(struct cpt_dump *d, pid_t pid, struct cpt_status *s)
{
	struct cpt_err ignored;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return cpt_read_at(AT_FDCWD, path, &d->buf, &ignored) || cpt_parse_status(d->buf.data, s, &ignored) ? -1 : 0;
}

/* Many small processes pause for as long as a large one. */
static bool much_memory(const struct cpt_dump *d, const struct cpt_status *s)
{
	if (d->opt->track)
		return s->vm_rss_kib >= TRACK_WORTH_KIB;
	return s->vm_rss_kib >= WORTH_KIB || (d->group_kib >= MANY_KIB && s->vm_anon_kib >= SMALL_KIB);
}

static bool worth_it(struct cpt_dump *d, const struct cpt_status *s)
{
	return much_memory(d, s) && (s->state == 'R' || s->state == 'S') && !s->tracer && d->nprecopies < d->most_precopies;
}

static int read_stat(struct cpt_dump *d, pid_t pid, struct cpt_stat *stat)
{
	struct cpt_err ignored;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return cpt_read_at(AT_FDCWD, path, &d->buf, &ignored) || cpt_parse_stat(d->buf.data, stat, &ignored) ? -1 : 0;
}

static uint64_t start_time(struct cpt_dump *d, pid_t pid)
{
	struct cpt_stat stat;

	return read_stat(d, pid, &stat) ? 0 : stat.start_time;
}

/* Asked for in a running task, unless it was held since the base. */
static int get_uffd(struct cpt_dump *d, struct cpt_precopy *p, const struct cpt_status *s, struct cpt_err *err)
{
	if (p->uffd >= 0)
		return 0;
	if (!d->roomy && !cpt_dump_has_room(d, ROOM))
		return cpt_fail(err, CPT_SYSTEM, "close to the memory limit");
	return make_uffd(d, p, s, err) || begin_uffd(p, err) ? -1 : 0;
}

static uint64_t huge_kib(struct cpt_dump *d, pid_t pid)
{
	struct cpt_err ignored;
	const char *at;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	if (cpt_read_at(AT_FDCWD, path, &d->buf, &ignored) || !(at = strstr(d->buf.data, "AnonHugePages:")))
		return 0;
	return strtoull(at + strlen("AnonHugePages:"), NULL, 10);
}

/* A twin of huge pages is made in no time: then nothing is copied beforehand. */
static bool twin_at_once(struct cpt_dump *d, pid_t pid, const struct cpt_status *s)
{
	if (!cpt_twin_allowed(d))
		return false;
	if (d->opt->snapshot == CPT_SNAPSHOT_TWIN)
		return true;
	return !d->twin_short && s->vm_anon_kib >= WORTH_KIB && 2 * huge_kib(d, pid) > s->vm_anon_kib;
}

/* May a userfaultfd be asked for? */
static bool may_arm(struct cpt_dump *d, const struct cpt_status *s)
{
	return worth_it(d, s) && d->opt->after != CPT_AFTER_KILL && !d->was_frozen;
}

static void take_held(struct cpt_precopy *p, struct cpt_held *held)
{
	p->uffd = CPT_TAKE(held->uffd, -1);
	p->nflags = p->cap_flags = CPT_TAKE(held->nflags, 0u);
	p->flags = CPT_TAKE(held->flags, NULL);
	p->flags_held = p->nflags;
}

static bool drop_held(struct cpt_precopy *p)
{
	close(CPT_TAKE(p->uffd, -1));
	p->nflags = 0;
	p->flags_held = false;
	for (size_t i = 0; i < p->n; i++)
		p->ranges[i].known = false;
	return true;
}

static void arm(struct cpt_dump *d, pid_t pid, const struct cpt_status *status)
{
	struct cpt_precopy p = { .pid = pid, .uffd = -1, .pagemap = -1 };
	struct cpt_status s = *status;
	struct cpt_held *held;
	struct cpt_stat stat;
	struct cpt_err err = { 0 };
	char path[32];
	bool may = may_arm(d, &s);

	if (read_stat(d, pid, &stat))
		return;
	p.start_time = stat.start_time;
	p.stack = stat.start_stack;
	held = cpt_track_held(d, pid, p.start_time);
	if (!may && !held)
		return;
	p.rss_kib = s.vm_rss_kib;
	p.anon_kib = s.vm_anon_kib;
	if (cpt_twin_allowed(d) && !d->twin_short && !cpt_twin_pids(d, pid))
		d->twin_short = true;
	if (d->opt->after == CPT_AFTER_RUN && !d->opt->track && s.vm_anon_kib >= WORTH_KIB)
		cpt_huge_note(d, pid);
	if (twin_at_once(d, pid, &s)) {
		d->twin_planned = true;
		CPT_GROW(d->precopies, d->nprecopies, d->cap_precopies);
		d->precopies[d->nprecopies++] = p;
		return;
	}
	if (held)
		take_held(&p, held);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	p.pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (p.pagemap < 0 || find_ranges(d, &p, &err) || !p.n || !p.vdso_end ||
	    (outlived(&p) && drop_held(&p) && !may) || get_uffd(d, &p, &s, &err)) {
		cpt_info("task %d is copied in the pause: %s", pid, p.n ? err.text : "no large memory");
		forget(&p);
		return;
	}
	protect(&p);
	if (held)
		refer_to_base(d, &p);
	CPT_GROW(d->precopies, d->nprecopies, d->cap_precopies);
	d->precopies[d->nprecopies++] = p;
}

/* ---- flags of mappings ----------------------------------------------- */

static uint64_t sum_kib(const char *text, const char *what)
{
	uint64_t sum = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		sum += strtoull(text + strlen(what), NULL, 10);
	return sum;
}

/*
 * /proc/PID/smaps tells the flags of a mapping, but walks all its pages: 15 ms
 * for a GiB. For large processes it is read before the pause and after it;
 * in the pause /proc/PID/maps must do. Flags that differ are told by the second
 * reading, and the dump is made again with smaps read in the pause.
 */
static int read_flags(struct cpt_dump *d, struct cpt_precopy *p, struct cpt_err *err)
{
	struct cpt_vma v;
	char path[32], *text;
	int got;

	snprintf(path, sizeof(path), "/proc/%d/smaps", p->pid);
	if (cpt_read_at(AT_FDCWD, path, &d->maps, err))
		return -1;
	p->nflags = 0;
	p->huge_kib = sum_kib(d->maps.data, "\nAnonHugePages:");
	text = d->maps.data;
	while ((got = cpt_parse_smaps(&text, &v, err)) > 0) {
		CPT_GROW(p->flags, p->nflags, p->cap_flags);
		p->flags[p->nflags++] = (struct cpt_flags){ v.start, v.end, v.flags };
	}
	return got;
}

static const struct cpt_flags *find_flags(const struct cpt_flags *f, size_t n, uint64_t start)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (f[mid].start < start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && f[lo].start == start ? &f[lo] : NULL;
}

bool cpt_precopy_knows_flags(const struct cpt_dump *d, pid_t pid)
{
	const struct cpt_precopy *p = cpt_precopy_of(d, pid);

	return p && p->nflags;
}

bool cpt_precopy_flags(const struct cpt_dump *d, pid_t pid, struct cpt_vma *v)
{
	const struct cpt_precopy *p = cpt_precopy_of(d, pid);
	const struct cpt_flags *f = p && p->nflags ? find_flags(p->flags, p->nflags, v->start) : NULL;

	if (!f || f->end != v->end || (f->flags & CPT_VM_SHARED) != (v->flags & CPT_VM_SHARED))
		return false;
	v->flags = (unsigned)f->flags;
	return true;
}

static bool watched(const struct cpt_precopy *p, uint64_t start, uint64_t end)
{
	for (size_t i = 0; p && i < p->n; i++)
		if (start < p->ranges[i].end && end > p->ranges[i].start)
			return true;
	return false;
}

static bool one_changed(const struct cpt_precopy *p, const struct cpt_flags *was, const struct cpt_precopy *now)
{
	const struct cpt_flags *f = find_flags(now->flags, now->nflags, was->start);

	if (!f || f->end != was->end)
		return p->flags_held;
	/* our own userfaultfd does not count */
	return (f->flags ^ was->flags) & ~(watched(p, f->start, f->end) ? (uint64_t)CPT_VM_UFFD : 0);
}

bool cpt_precopy_flags_changed(struct cpt_dump *d)
{
	for (size_t i = 0; i < d->nprecopies; i++) {
		struct cpt_precopy *p = &d->precopies[i], now = { .pid = p->pid };
		struct cpt_err ignored;
		bool changed = false;

		if (!p->nflags || read_flags(d, &now, &ignored)) {
			free(now.flags);
			continue;
		}
		for (size_t k = 0; k < p->nflags && !changed; k++)
			changed = one_changed(p, &p->flags[k], &now);
		cpt_track_keep_flags(d, p->pid, now.flags, now.nflags);
		if (changed)
			return true;
	}
	return false;
}

/* Every mapping is one of those whose flags are known, and the large ones have not been made anew since. */
static bool as_before(struct cpt_dump *d, const struct cpt_precopy *p)
{
	struct cpt_err ignored;
	struct cpt_vma v;
	char path[32], *text;
	size_t k = 0;
	int got;

	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	if (!p->flags_held || cpt_read_at(AT_FDCWD, path, &d->maps, &ignored))
		return false;
	text = d->maps.data;
	while ((got = cpt_parse_smaps(&text, &v, &ignored)) > 0) {
		const struct cpt_flags *f = find_flags(p->flags, p->nflags, v.start);

		if (strcmp(v.path, "[vsyscall]") == 0)
			continue;
		if (!f || f->end != v.end)
			return false;
		while (k < p->n && p->ranges[k].start < v.start)
			k++;
		if (k < p->n && p->ranges[k].start == v.start && !p->ranges[k].known)
			return false;
	}
	return !got;
}

/* Those of the image before do as well, where mappings are the same: smaps is only read once then. */
static void read_all_flags(struct cpt_dump *d, bool running)
{
	struct cpt_err ignored;

	for (size_t i = 0; i < d->nprecopies; i++) {
		struct cpt_precopy *p = &d->precopies[i];
		bool before = running && !d->exact_flags;

		if (before && as_before(d, p))
			continue;
		p->flags_held = false;
		if (!before || p->rss_kib < WORTH_KIB || read_flags(d, p, &ignored))
			p->nflags = 0;
	}
}

/* ---- rounds ---------------------------------------------------------- */

struct round {
	struct cpt_dump *d;
	struct cpt_precopy *p;
	struct cpt_range *g;
	uint64_t pages;
};

static int copy_region(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct round *r = arg;
	uint64_t count = (end - start) / CPT_PAGE;

	cpt_runs_add(&r->p->fresh, start, end, r->d->memory->next_slot);
	r->pages += count;
	return cpt_queue_running(r->d, r->p->pid, start, count, r->p->related, err);
}

/* Relatives may have it already. */
static int find_region(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct round *r = arg;

	if (!r->p->related)
		return copy_region(arg, start, end, err);
	cpt_runs_add(&r->p->todo, start, end, 0);
	return 0;
}

static int count_region(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	((struct round *)arg)->pages += (end - start) / CPT_PAGE;
	return 0;
}

/* One scan over all that is watched; a range that can't be scanned is lost. */
static int scan_all(struct cpt_dump *d, enum cpt_scan what, cpt_scan_found found, uint64_t *pages, struct cpt_err *err)
{
	struct round r = { .d = d };

	for (size_t i = 0; i < d->nprecopies; i++) {
		r.p = &d->precopies[i];
		for (size_t k = 0; k < r.p->n; k++) {
			r.g = &r.p->ranges[k];
			if (!r.g->lost && cpt_scan(r.p->pagemap, r.g->start, r.g->end, what, found, &r, err)) {
				if (err->sys != ESRCH && err->sys != EPERM && err->sys != EINVAL && err->sys != ENOTTY)
					return -1;
				r.g->lost = true;
			}
		}
	}
	*pages = r.pages;
	return 0;
}

static int copy_round(struct cpt_dump *d, enum cpt_scan what, bool first, uint64_t *pages, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns(), more = 0;

	if (scan_all(d, what, first ? find_region : copy_region, pages, err))
		return -1;
	for (size_t i = 0; i < d->nprecopies; i++)
		cpt_runs_lay_over(&d->precopies[i].runs, &d->precopies[i].fresh);
	if ((first && cpt_relatives_copy(d, &more, err)) || cpt_queue_drain(d, err))
		return -1;
	*pages += more;
	if (*pages >= 1024)
		d->copy_page_ns = (double)(cpt_now_ns() - begin) / (double)*pages;
	return 0;
}

/* ---- is it any good? ------------------------------------------------- */

static bool twins_allowed(const struct cpt_dump *d)
{
	return d->opt->snapshot == CPT_SNAPSHOT_AUTO && cpt_twin_allowed(d) && !d->twin_short;
}

static uint64_t twins_ns(const struct cpt_dump *d)
{
	uint64_t ns = 0;

	for (size_t i = 0; i < d->nprecopies; i++)
		ns += cpt_twin_ns(d->precopies[i].anon_kib, 0);
	return ns;
}

/* Is it not getting less, and will copying what is left take longer than making twins? */
static bool hopeless(struct cpt_dump *d, uint64_t copied)
{
	struct cpt_err ignored;
	uint64_t left;

	if (!twins_allowed(d) || scan_all(d, CPT_SCAN_CHANGED, count_region, &left, &ignored))
		return false;
	return left > copied - copied / 4 && cpt_queue_pause_ns(d, left) > twins_ns(d);
}

/* How many pages are written in the second half of a time that were not in the first: those written over and over don't count. */
static int probe(struct cpt_dump *d, uint64_t *pages, uint64_t *fresh, struct cpt_err *err)
{
	uint64_t half, all;

	if (scan_all(d, CPT_SCAN_PROTECT_ALL, count_region, pages, err) ||
	    scan_all(d, CPT_SCAN_PROTECT, count_region, &half, err))
		return -1;
	cpt_sleep_us(PROBE_US);
	if (scan_all(d, CPT_SCAN_CHANGED, count_region, &half, err))
		return -1;
	cpt_sleep_us(PROBE_US);
	if (scan_all(d, CPT_SCAN_CHANGED, count_region, &all, err))
		return -1;
	*fresh = all - CPT_MIN(half, all);
	return 0;
}

/* Who writes about as fast as can be copied is found out before anything is copied for nothing. */
static bool writes_too_fast(struct cpt_dump *d, bool *probed)
{
	uint64_t kib = 0, pages, fresh;
	struct cpt_err err;

	for (size_t i = 0; i < d->nprecopies; i++)
		kib += d->precopies[i].n ? d->precopies[i].anon_kib : 0;
	*probed = twins_allowed(d) && kib >= PROBE_KIB;
	if (!*probed || probe(d, &pages, &fresh, &err))
		return false;
	cpt_info("%llu pages were written in %d ms", (unsigned long long)fresh, PROBE_US / 1000);
	return (double)fresh * d->copy_page_ns > 0.7 * PROBE_US * 1000.0 &&
	       (double)pages * d->copy_page_ns > (double)twins_ns(d);
}

static int copy_rounds(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t pages = UINT64_MAX, before;
	bool probed, any = false;
	int stalled = 0;

	for (size_t i = 0; i < d->nprecopies; i++)
		any |= d->precopies[i].n > 0;
	if (!any)
		return 0;
	if (writes_too_fast(d, &probed)) {
		for (size_t i = 0; i < d->nprecopies; i++)
			disarm(&d->precopies[i]);
		d->twin_planned = true;
		return 0;
	}
	d->copied_running = true;
	for (int round = 0; round < ROUNDS; round++) {
		before = pages;
		/* what was probed is protected, but not copied yet */
		if (copy_round(d, probed && !round ? CPT_SCAN_PROTECT_ALL : CPT_SCAN_PROTECT, !round, &pages, err))
			return cpt_within(err, "copy running memory");
		d->last_round = pages;
		cpt_info("precopy round %d: %llu pages", round + 1, (unsigned long long)pages);
		stalled += round && pages > before - before / 4;
		/* one slow round of little says nothing yet */
		if (pages <= FEW_PAGES || stalled > (pages < MUCH_PAGES) || hopeless(d, pages))
			break;
	}
	return 0;
}

/* The reading of flags has taken its time, too. */
static int copy_rest(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t pages = UINT64_MAX, before;

	for (int round = 0; round < REST_ROUNDS; round++) {
		before = pages;
		if (copy_round(d, CPT_SCAN_PROTECT, false, &pages, err))
			return cpt_within(err, "copy running memory");
		d->last_round = pages;
		cpt_info("precopy, what was left: %llu pages", (unsigned long long)pages);
		if (pages <= FEW_PAGES || pages > before - before / 4 || hopeless(d, pages))
			break;
	}
	return 0;
}

/* A scan that failed has not told what was written. */
static void drop_lost(struct cpt_precopy *p)
{
	struct cpt_runs lost = { NULL, 0, 0 };

	for (size_t i = 0; i < p->n; i++)
		if (p->ranges[i].lost)
			cpt_runs_add(&lost, p->ranges[i].start, p->ranges[i].end, 0);
	cpt_runs_drop(&p->runs, &lost);
	cpt_runs_lay_over(&p->open, &lost);
	free(lost.v);
}

static int before_the_pause(struct cpt_dump *d, struct cpt_err *err)
{
	bool running = d->opt->after == CPT_AFTER_RUN && !d->was_frozen;

	if (running && copy_rounds(d, err))
		return -1;
	read_all_flags(d, running);
	if (d->copied_running && copy_rest(d, err))
		return -1;
	for (size_t i = 0; i < d->nprecopies; i++) {
		drop_lost(&d->precopies[i]);
		d->stats.copied_first += d->precopies[i].runs.n > 0;
	}
	return 0;
}

/* A process that was forked, and did not exec, has its stack where its parent has. */
static void find_relatives(struct cpt_dump *d)
{
	struct cpt_table stacks = { NULL, 0, 0 };

	for (size_t i = 0; i < d->nprecopies; i++) {
		struct cpt_precopy *p = &d->precopies[i], *other;

		if (!p->stack || !p->n)
			continue;
		other = cpt_table_get(&stacks, cpt_table_address(p->stack));
		if (other)
			other->related = p->related = true;
		else
			cpt_table_put(&stacks, cpt_table_address(p->stack), p);
	}
	free(stacks.slots);
}

static unsigned most_precopies(const struct cpt_dump *d, unsigned processes)
{
	uint64_t used = FDS_BESIDE + (uint64_t)processes * CPT_FDS_EACH;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur <= used)
		return 0;
	used = (limit.rlim_cur - used) / FDS_EACH;
	return (unsigned)CPT_MIN(used, (uint64_t)(d->opt->track ? TRACKED_MAX : UINT32_MAX));
}

/* who is there, in the order of their numbers */
struct member {
	pid_t pid;
	struct cpt_status status;
};

static int members(struct cpt_dump *d, struct member **ret, unsigned *n, struct cpt_err *err)
{
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { NULL, 0 };
	size_t cap = 0, k = 0;

	*ret = NULL;
	*n = 0;
	if (cpt_group_list(&d->group, &tree, err))
		return -1;
	for (unsigned g = 0; g < tree.ngroups; g++)
		for (unsigned i = 0; i < tree.groups[g].nprocs; i++) {
			CPT_GROW(*ret, k, cap);
			(*ret)[k] = (struct member){ .pid = tree.groups[g].procs[i] };
			if (read_status(d, (*ret)[k].pid, &(*ret)[k].status))
				continue;
			d->group_kib += (*ret)[k++].status.vm_anon_kib;
		}
	*n = (unsigned)k;
	return 0;
}

int cpt_dump_precopy(struct cpt_dump *d, struct cpt_err *err)
{
	CPT_AUTO(mem) struct member *all = NULL;
	unsigned n;

	d->copy_page_ns = COPY_PAGE_NS;
	if (members(d, &all, &n, err))
		return -1;
	d->most_precopies = most_precopies(d, n);
	d->group_processes = n;
	cpt_view_prepare(d);
	d->roomy = cpt_dump_has_room(d, (uint64_t)n * ROOM);
	d->twin_short = cpt_twin_allowed(d) && !cpt_twin_room(d, n, d->group_kib);
	for (unsigned i = 0; i < n; i++)
		arm(d, all[i].pid, &all[i].status);
	if (!d->nprecopies)
		return 0;
	qsort(d->precopies, d->nprecopies, sizeof(*d->precopies), by_pid);
	find_relatives(d);
	cpt_dump_memory_of(d)->sharing = n > 1;
	return before_the_pause(d, err);
}

/* ---- in the pause ---------------------------------------------------- */

static int note(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	cpt_runs_add(arg, start, end, 0);
	return 0;
}

/* What was unmapped, moved or mapped anew since is not watched any more. */
static int note_mapping(struct cpt_precopy *p, const Cpt__Vma *v, uint64_t *upto, struct cpt_err *err)
{
	if (v->kind != CPT__VMA_KIND__VMA_ANON || !watched(p, v->start, v->end) || !cpt_scan_watched(p->pagemap, v->start))
		return 0;
	cpt_runs_add(&p->gone, *upto, v->start, 0);
	*upto = v->end;
	return cpt_scan(p->pagemap, v->start, v->end, CPT_SCAN_WRITTEN, note, &p->written, err);
}

int cpt_precopy_note(struct cpt_dump *d, const struct cpt_task *t, struct cpt_err *err)
{
	struct cpt_precopy *p = precopy_of(d, t->pid);
	uint64_t upto = 0;

	if (!p || p->noted)
		return 0;
	for (size_t i = 0; i < t->mm_img->n_vmas; i++)
		if (note_mapping(p, t->mm_img->vmas[i], &upto, err))
			return -1;
	cpt_runs_add(&p->gone, upto, UINT64_MAX - CPT_PAGE + 1, 0);
	cpt_runs_drop(&p->open, &p->written);
	cpt_runs_drop(&p->open, &p->gone);
	for (size_t i = 0; i < p->open.n; i++)
		p->open.v[i].slot = CPT_OPEN;
	cpt_runs_lay_over(&p->written, &p->open);
	p->noted = true;
	return 0;
}

int cpt_precopy_rest(struct cpt_dump *d, const struct cpt_task *t, const struct cpt_runs **ret, struct cpt_err *err)
{
	struct cpt_precopy *p = precopy_of(d, t->pid);

	if (cpt_precopy_note(d, t, err))
		return -1;
	p->halved = true;
	*ret = &p->written;
	return 0;
}

static void settle(struct cpt_precopy *p)
{
	cpt_runs_drop(&p->runs, &p->written);
	cpt_runs_drop(&p->runs, &p->gone);
	p->written.n = p->gone.n = 0;
}

void cpt_precopy_settle(struct cpt_dump *d)
{
	for (size_t i = 0; i < d->nprecopies; i++)
		settle(&d->precopies[i]);
}

/* Of what a twin has, everything is in the list already. */
static void leave_cloned(struct cpt_precopy *p, const struct cpt_task *t)
{
	struct cpt_runs cloned = { NULL, 0, 0 };

	for (size_t i = 0; i < t->mm_img->n_vmas; i++)
		if (cpt_memory_cloned(t->mm_img->vmas[i]))
			cpt_runs_add(&cloned, t->mm_img->vmas[i]->start, t->mm_img->vmas[i]->end, 0);
	cpt_runs_drop(&p->runs, &cloned);
	free(cloned.v);
}

/* Thousands of runs are put together when the group runs again. */
void cpt_precopy_join(struct cpt_dump *d)
{
	struct cpt_pages pages = { 0 };

	for (size_t i = 0; i < d->nprecopies; i++) {
		struct cpt_precopy *p = &d->precopies[i];
		struct cpt_task *t = p->halved ? cpt_dump_find(d, p->pid) : NULL;

		if (!t)
			continue;
		settle(p);
		if (d->stats.twins)
			leave_cloned(p, t);
		for (size_t k = 0; k < p->runs.n; k++) {
			const struct cpt_run_of *r = &p->runs.v[k];

			cpt_pages_add(&pages, r->start / CPT_PAGE, (r->end - r->start) / CPT_PAGE, r->slot);
			d->stats.pages_unchanged += (r->end - r->start) / CPT_PAGE;
		}
		cpt_pages_merge(&pages, t->mm_img->pages);
		t->mm_img->pages = cpt_pages_message(&pages, &d->arena);
		p->halved = false;
	}
	free(pages.index);
	free(pages.count);
	free(pages.slot);
}

void cpt_precopy_sum(const struct cpt_dump *d, pid_t pid, uint64_t anon_kib, struct cpt_precopy_sum *ret)
{
	const struct cpt_precopy *p = cpt_precopy_of(d, pid);
	uint64_t written = 0;

	ret->huge_kib = p ? p->huge_kib : 0;
	ret->left = anon_kib / 4;
	for (size_t i = 0; p && i < p->written.n; i++)
		written += (p->written.v[i].end - p->written.v[i].start) / CPT_PAGE;
	if (p && p->n)			/* holes count as written, but they are not in memory */
		ret->left = CPT_MIN(ret->left, written);
}

bool cpt_precopy_calm(const struct cpt_dump *d)
{
	return !d->twin_planned && d->nprecopies && d->last_round <= CALM_PAGES;
}

bool cpt_precopy_watches(struct cpt_dump *d, pid_t pid, uint64_t start, uint64_t end)
{
	const struct cpt_precopy *p = cpt_precopy_of(d, pid);

	if (d->checking)
		return cpt_track_held(d, pid, start_time(d, pid));
	return watched(p, start, end);
}

void cpt_precopy_written(const struct cpt_precopy *p, struct cpt_runs *ret)
{
	struct cpt_err ignored;

	for (size_t i = 0; i < p->n; i++) {
		const struct cpt_range *g = &p->ranges[i];
		size_t before = ret->n;

		if (g->lost || cpt_scan(p->pagemap, g->start, g->end, CPT_SCAN_WRITTEN, note, ret, &ignored)) {
			ret->n = before;
			cpt_runs_add(ret, g->start, g->end, 0);
		}
	}
}

/*
 * If all who may share pages with it were copied first, what they share was
 * found then; what was written since is compared by frames, and nothing else.
 */
bool cpt_precopy_relatives_watched(struct cpt_dump *d, const struct cpt_task *t)
{
	const struct cpt_precopy *p = precopy_of(d, t->pid);

	if (!d->relatives_counted) {
		struct cpt_table unwatched = { NULL, 0, 0 };

		for (unsigned i = 0; i < d->ntasks; i++) {
			const struct cpt_precopy *q = precopy_of(d, d->tasks[i].pid);

			if (!d->tasks[i].zombie && (!q || !q->n))
				cpt_table_put(&unwatched, cpt_table_address(d->tasks[i].stat.start_stack), d);
		}
		for (size_t i = 0; i < d->nprecopies; i++)
			d->precopies[i].relatives_watched = d->precopies[i].stack &&
				!cpt_table_get(&unwatched, cpt_table_address(d->precopies[i].stack));
		free(unwatched.slots);
		d->relatives_counted = true;
	}
	return p && p->n && p->relatives_watched && p->stack == t->stat.start_stack;
}

static int nothing(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	return 0;
}

/*
 * Where it fails, another mapping stands now: pages that are not protected
 * count as written, and are stored by the next dump.
 */
static int protect_written(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	const struct cpt_precopy *p = arg;

	(void)!cpt_scan(p->pagemap, start, end, CPT_SCAN_PROTECT, nothing, NULL, err);
	return 0;
}

void cpt_precopy_protected(struct cpt_dump *d, pid_t pid, uint64_t start, uint64_t end)
{
	struct cpt_precopy *p = precopy_of(d, pid);

	for (size_t i = 0; p && i < p->n; i++)
		if (p->ranges[i].start >= start && p->ranges[i].end <= end)
			p->ranges[i].protected = true;
}

/* Looking for what was written is quicker by far than looking at what all pages are. */
void cpt_precopy_track(struct cpt_dump *d)
{
	struct cpt_err ignored;

	for (size_t i = 0; i < d->nprecopies; i++) {
		struct cpt_precopy *p = &d->precopies[i];

		for (size_t k = 0; k < p->n; k++)
			if (!p->ranges[k].protected &&
			    cpt_scan(p->pagemap, p->ranges[k].start, p->ranges[k].end, CPT_SCAN_WRITTEN,
				     protect_written, p, &ignored))
				cpt_info("task %d: %llx is not tracked: %s", p->pid,
					 (unsigned long long)p->ranges[k].start, ignored.text);
		cpt_track_keep(d, p->pid, p->start_time, CPT_TAKE(p->uffd, -1));
	}
}

uint64_t cpt_precopied_run(const struct cpt_precopy *p, size_t *from, uint64_t start, uint64_t end, uint64_t *slot)
{
	const struct cpt_run_of *r;

	*from = cpt_runs_find(&p->runs, *from, start);
	r = &p->runs.v[*from];
	*slot = NO_SLOT;
	if (*from == p->runs.n || r->start >= end)
		return (end - start) / CPT_PAGE;
	if (r->start > start)
		return (r->start - start) / CPT_PAGE;
	*slot = r->slot + (start - r->start) / CPT_PAGE;
	return (CPT_MIN(end, r->end) - start) / CPT_PAGE;
}

bool cpt_precopied(const struct cpt_precopy *p, size_t *near, uint64_t address, uint64_t *slot)
{
	const struct cpt_runs *r = &p->runs;
	bool here = *near < r->n && (!*near || r->v[*near - 1].end <= address);

	*near = cpt_runs_find(r, here ? *near : 0, address);
	if (*near == r->n || r->v[*near].start > address)
		return false;
	*slot = r->v[*near].slot + (address - r->v[*near].start) / CPT_PAGE;
	return true;
}

void cpt_dump_precopy_free(struct cpt_dump *d)
{
	for (size_t i = 0; i < d->nprecopies; i++)
		forget(&d->precopies[i]);
	free(d->precopies);
	d->precopies = NULL;
	d->nprecopies = d->cap_precopies = 0;
}
