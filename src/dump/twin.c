/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * twin.c - copy-on-write twins of address spaces, written out while the group runs
 *
 * For what is written faster than it can be copied. In the pause each process
 * gets a twin (src/remote/twin.c); then the group goes on, and what it writes
 * to is copied for it by the kernel. The image's memory is read from the twins.
 */
#include "dump/twin.h"

#include "dump/memory.h"
#include "dump/track.h"

#include "misc.pb-c.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>

#define TWINS_MAX 64			/* processes */
#define EACH_NS 300000			/* of pause for any twin … */
#define PAGE_NS 80			/* … each page of 4 KiB … */
#define HUGE_NS 2000			/* … and each of 2 MiB */
#define WORTH_NS 2000000		/* a pause for copying below this is no reason for twins */
#define SMALL_KIB (16 * 1024)		/* for the forecast: processes that are copied in the pause, … */
#define MANY_KIB (32 * 1024)		/* … or if all have more than this, those below … */
#define TINY_KIB 768			/* … this (as in precopy.c), … */
#define COPY_NS 2000			/* … a page of them, … */
#define REST_SMALL_NS 100000
#define REST_NS 500000			/* … what is left of another, … */
#define SCAN_NS 600000			/* … and for looking for it, a GiB */
#define SPARE_PIDS 16			/* processes the group must still be able to make */
#define SPARE_BYTES (64ULL << 20)
#define ANY_LIMIT (1ULL << 56)		/* bytes; there is no room for so many if there is a limit at all */

uint64_t cpt_twin_ns(uint64_t anon_kib, uint64_t huge_kib)
{
	uint64_t small_kib = anon_kib - CPT_MIN(anon_kib, huge_kib);

	return EACH_NS + small_kib / 4 * PAGE_NS + huge_kib / 2048 * HUGE_NS;
}

/* Does the image take memory, too, while it is written? */
static bool image_in_memory(const struct cpt_dump *d)
{
	const char *name = cpt_img_temp(d->img);
	struct statfs fs;

	return name && !statfs(name, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/*
 * All that twins share may be written to, and so be there twice, while they
 * live. Who is near a limit is not brought nearer.
 */
bool cpt_twin_room(struct cpt_dump *d, unsigned processes, uint64_t anon_kib)
{
	uint64_t need = anon_kib * 1024 + SPARE_BYTES, host = need + (image_in_memory(d) ? anon_kib * 1024 : 0);

	if (processes > TWINS_MAX)
		return false;
	d->twin_limited = !cpt_dump_has_room(d, ANY_LIMIT);
	return cpt_spare_memory(d) > host && cpt_dump_has_room(d, need);
}

bool cpt_twin_pids(struct cpt_dump *d, pid_t pid)
{
	return cpt_spare_pids(d, pid) >= SPARE_PIDS;
}

/* An increment, or what one is to build on, lives by what was noted of the program's own pages. */
bool cpt_twin_allowed(const struct cpt_dump *d)
{
	return d->opt->after == CPT_AFTER_RUN && d->opt->snapshot != CPT_SNAPSHOT_COPY && !d->was_frozen &&
	       !d->checking && !d->no_twin && !d->opt->track && !cpt_track_has_base(d);
}

/* ---- whether ---------------------------------------------------------- */

/* The twin becomes a child of the next subreaper, who would see it: that must be nobody in the group. */
static const struct cpt_task *reaper_inside(const struct cpt_task *t)
{
	for (; t; t = t->parent)
		if (t->status.ns_pid == 1 || (t->img->misc && t->img->misc->subreaper))
			return t;
	return NULL;
}

static int possible(struct cpt_dump *d, struct cpt_err *err)
{
	unsigned spaces = 0;

	for (unsigned i = 0; i < d->ntasks; i++) {
		const struct cpt_task *t = &d->tasks[i], *r;

		spaces += !t->zombie;
		r = t->zombie ? NULL : reaper_inside(t);
		if (r)
			return cpt_fail(err, CPT_UNSUPPORTED, "a twin of task %d (%s) would come to task %d (%s), which collects orphans",
					t->pid, t->comm, r->pid, r->comm);
	}
	if (spaces > TWINS_MAX)
		return cpt_fail(err, CPT_UNSUPPORTED, "there are more than %d processes", TWINS_MAX);
	if (d->twin_short)
		return cpt_fail(err, CPT_UNSUPPORTED, "what the group writes to while the image is written might exceed a limit of memory or of processes");
	return 0;
}

/* @copy: of what has to be copied now; @twin: of making twins. Both in ns, estimated. */
static void estimate(struct cpt_dump *d, uint64_t *copy, uint64_t *twin)
{
	uint64_t pages = 0;

	*twin = 0;
	for (unsigned i = 0; i < d->ntasks; i++) {
		const struct cpt_task *t = &d->tasks[i];
		struct cpt_precopy_sum sum;

		if (t->zombie)
			continue;
		cpt_precopy_sum(d, t->pid, t->status.vm_anon_kib, &sum);
		pages += sum.left;
		*twin += cpt_twin_ns(t->status.vm_anon_kib, sum.huge_kib);
	}
	*copy = cpt_queue_pause_ns(d, pages);
}

static bool wanted(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t copy, twin;

	if (!cpt_twin_allowed(d) || (d->opt->snapshot == CPT_SNAPSHOT_AUTO && cpt_precopy_calm(d)))
		return false;
	for (unsigned i = 0; i < d->ntasks; i++)
		if (!d->tasks[i].zombie && cpt_precopy_note(d, &d->tasks[i], err))
			return false;
	if (d->opt->snapshot == CPT_SNAPSHOT_TWIN || d->twin_planned)
		return true;
	estimate(d, &copy, &twin);
	cpt_info("left to be copied: %.1f ms; twins: %.1f ms (estimated)", (double)copy / 1e6, (double)twin / 1e6);
	return copy > WORTH_NS && twin < copy;
}

/* ---- making ----------------------------------------------------------- */

/* Who is to die when memory is short is the twin; its address space is its own, so this touches nobody else. */
static void first_to_die(pid_t twin)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", twin);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "1000", 4);
	close(fd);
}

static int make_all(struct cpt_dump *d, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++) {
		struct cpt_task *t = &d->tasks[i];

		if (t->zombie)
			continue;
		if (cpt_remote_twin(&t->threads[0].remote, cpt_dump_seize_options(&t->status), &t->twin, err))
			return cpt_within(err, "task %d (%s)", t->pid, t->comm);
		d->stats.twins++;
		first_to_die(t->twin);
	}
	return 0;
}

int cpt_twin_take(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns();
	struct cpt_err why = { 0 };

	if (!wanted(d, &why)) {
		if (why.fault)
			*err = why;
		return why.fault ? -1 : 0;
	}
	if (!possible(d, &why) && !make_all(d, &why)) {
		d->twins = true;
		d->stats.twin_ns = cpt_now_ns() - begin;
		return 0;
	}
	cpt_twin_free(d);
	d->stats.twins = 0;
	if (d->opt->snapshot == CPT_SNAPSHOT_TWIN) {
		*err = why;
		return cpt_within(err, "no twins");
	}
	if (d->twin_planned) {
		d->again = d->no_twin = true;
		*err = why;
		return cpt_within(err, "no twins");
	}
	cpt_info("no twins: %s; what is left is copied in the pause", why.text);
	return 0;
}

/* ---- before ----------------------------------------------------------- */

/* Small processes are copied in the pause, unless they are many; of large ones smaps is not read in it. */
void cpt_twin_forecast(struct cpt_dump *d, uint64_t so_far, uint64_t *calm, uint64_t *busy)
{
	uint64_t copy = 0, twin = 0, large = 0, spaces = 0, all = 0;

	*calm = so_far;
	for (unsigned i = 0; i < d->ntasks; i++)
		all += d->tasks[i].zombie ? 0 : d->tasks[i].status.vm_anon_kib;
	for (unsigned i = 0; i < d->ntasks; i++) {
		const struct cpt_task *t = &d->tasks[i];
		uint64_t kib = t->zombie ? 0 : t->status.vm_anon_kib, ns = kib / 4 * COPY_NS;

		spaces += !t->zombie;
		twin += t->zombie ? 0 : cpt_twin_ns(kib, 0);
		if (kib < (all < MANY_KIB ? SMALL_KIB : TINY_KIB)) {
			*calm += ns;
			continue;
		}
		large += kib >= SMALL_KIB;
		copy += ns;
		*calm += (kib < SMALL_KIB ? REST_SMALL_NS : REST_NS) + kib * SCAN_NS / (1024 * 1024);
	}
	if (large)
		*calm -= CPT_MIN(so_far, d->smaps_ns);
	*busy = *calm + (spaces > TWINS_MAX ? copy : CPT_MIN(copy, twin));
}

/* ---- meanwhile -------------------------------------------------------- */

/* cptool's own folder in the hierarchy of the group's freezer */
static bool own_folder(struct cpt_dump *d, char *ret, size_t size)
{
	const char *line = d->self ? d->self->cgroups : NULL;

	for (; line && *line; line += line[strcspn(line, "\n")] == '\n' ? strcspn(line, "\n") + 1 : strlen(line)) {
		const char *c = strchr(line, ':'), *path = c ? strchr(c + 1, ':') : NULL;

		if (!path)
			return false;
		c++;
		path++;
		if (d->group.freezer == CPT_FREEZER_V2 ? path - c == 1 : memmem(c, (size_t)(path - c), "freezer", 7) != NULL)
			return snprintf(ret, size, "%s%.*s/cgroup.procs", d->group.mount, (int)strcspn(path, "\n"), path) < (int)size;
	}
	return false;
}

/*
 * The group is empty when its last program has ended, whoever is still writing
 * its image. Where memory is limited, twins stay: there they are the first to
 * die when it is short.
 */
void cpt_twin_move(struct cpt_dump *d)
{
	char path[4200], pid[16];
	int fd;

	if (!d->twins || (d->group.freezer == CPT_FREEZER_V2 && d->twin_limited) || !own_folder(d, path, sizeof(path)))
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (unsigned i = 0; fd >= 0 && i < d->ntasks; i++)
		if (d->tasks[i].twin && write(fd, pid, (size_t)snprintf(pid, sizeof(pid), "%d", d->tasks[i].twin)) < 0)
			cpt_info("the twin of task %d stays in the group", d->tasks[i].pid);
	if (fd >= 0)
		close(fd);
}

/* One that is dying has lost its memory before it can be waited for. */
static bool lives(struct cpt_dump *d, pid_t twin)
{
	struct cpt_status s = { 0 };
	struct cpt_err none;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", twin);
	return cpt_remote_twin_lives(twin) && !cpt_read_at(AT_FDCWD, path, &d->buf, &none) &&
	       !cpt_parse_status(d->buf.data, &s, &none) && s.vm_rss_kib;
}

int cpt_twin_check(struct cpt_dump *d, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		if (d->tasks[i].twin && !lives(d, d->tasks[i].twin))
			return cpt_fail(err, CPT_SYSTEM,
					"the twin of task %d (%s) was killed, most likely for want of memory; the group is unharmed",
					d->tasks[i].pid, d->tasks[i].comm);
	return 0;
}

void cpt_twin_free(struct cpt_dump *d)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		if (d->tasks[i].twin)
			cpt_remote_twin_end(CPT_TAKE(d->tasks[i].twin, 0));
	d->twins = false;
}
