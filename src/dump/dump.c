/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dump.c - a dump from beginning to end
 *
 * Until the image is complete and synced, everything that is done to the
 * group can be undone: by this code when a step fails, by the undo guard when
 * this process dies.
 */
#include "config.h"
#include "dump/dump.h"

#include "base/lazy.h"
#include "base/vdso.h"
#include "dump/alike.h"
#include "dump/memory.h"
#include "dump/track.h"
#include "dump/twin.h"
#include "dump/view.h"
#include "image/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#define FORMAT_VERSION 1

extern const struct cpt_dump_kind cpt_dump_threads, cpt_dump_mm_kind;

static int refusals(const struct cpt_dump *d, struct cpt_err *err)
{
	if (!d->refused)
		return 0;
	if (!d->opt->refused.line)
		return cpt_fail(err, CPT_UNSUPPORTED, "%s can't be dumped: %s", d->opt->group, d->first_reason);
	return cpt_fail(err, CPT_UNSUPPORTED, "%s can't be dumped, for the %u reason%s above", d->opt->group,
			d->refused, d->refused == 1 ? "" : "s");
}

/* ---- kinds ----------------------------------------------------------- */

const struct cpt_dump_kind *cpt_dump_kind(unsigned k)
{
	static const struct cpt_dump_kind *const own[] = { &cpt_dump_threads, &cpt_dump_mm_kind };

	return k < CPT_COUNT(own) ? own[k] : cpt_dump_kinds[k - CPT_COUNT(own)];
}

/* ---- records --------------------------------------------------------- */

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int put_header(struct cpt_dump *d, struct cpt_err *err)
{
	Cpt__Header h = CPT__HEADER__INIT;
	struct cpt_vdso vdso;
	struct utsname u;

	if (d->checking)
		return 0;
	if (cpt_own_vdso(&vdso, err))
		return -1;
	uname(&u);
	h.has_version = h.has_features = h.has_created_ns = h.has_monotonic_ns = h.has_boottime_ns = true;
	h.has_page_size = h.has_id = h.has_vdso = h.has_freezer = h.has_was_frozen = true;
	h.version = FORMAT_VERSION;
	h.program = (char *)(uintptr_t)PACKAGE_VERSION;
	h.arch = u.machine;
	h.kernel = u.release;
	h.host = u.nodename;
	h.created_ns = clock_ns(CLOCK_REALTIME);
	h.monotonic_ns = clock_ns(CLOCK_MONOTONIC);
	h.boottime_ns = clock_ns(CLOCK_BOOTTIME);
	h.page_size = CPT_PAGE;
	h.id.len = CPT_IMG_ID;
	h.id.data = (uint8_t *)(uintptr_t)cpt_img_writer_id(d->img);
	h.vdso.data = (uint8_t *)(uintptr_t)vdso.text;
	h.vdso.len = vdso.text_end - vdso.text;
	h.group = d->group.path + strlen(d->group.mount);
	h.freezer = d->group.freezer;
	h.was_frozen = d->end_frozen;
	cpt_track_header(d, &h);
	return cpt_img_put(d->img, CPT_REC_HEADER, &h.base, err);
}

/* Parents before children: a child's memory is compared with its parent's. */
static int store_family(struct cpt_dump *d, struct cpt_task *t, enum cpt_part part, struct cpt_err *err)
{
	if (t->stored)
		return 0;
	if (t->parent && store_family(d, t->parent, part, err))
		return -1;
	t->stored = true;
	if (!t->zombie && cpt_dump_memory(d, t, part, err))
		return cpt_within(err, "task %d (%s): memory", t->pid, t->comm);
	return 0;
}

static int store_memory(struct cpt_dump *d, enum cpt_part part, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		if (store_family(d, &d->tasks[i], part, err))
			return -1;
	return cpt_frames_check(d, err) || cpt_dump_memory_end(d, err) ? -1 : 0;
}

/* What twins don't have is stored in the pause. */
static int store_not_cloned(struct cpt_dump *d, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		if (!d->tasks[i].zombie && cpt_dump_memory(d, &d->tasks[i], CPT_PART_NOT_CLONED, err))
			return cpt_within(err, "task %d (%s): memory", d->tasks[i].pid, d->tasks[i].comm);
	cpt_dump_memory_forget_frames(d);
	return cpt_queue_drain(d, err);
}

static int store(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns();

	d->stats.state_ns = begin - d->stop_began;
	if (cpt_twin_take(d, err) || (d->twins ? store_not_cloned(d, err) : store_memory(d, CPT_PART_ALL, err)))
		return -1;
	d->stats.memory_ns = cpt_now_ns() - begin;
	return 0;
}

static int put_family(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	if (t->put)
		return 0;
	if (t->parent && put_family(d, t->parent, err))
		return -1;
	t->put = true;
	if (!t->zombie && cpt_img_put(d->img, CPT_REC_MM, &t->mm_img->base, err))
		return -1;
	return cpt_img_put(d->img, CPT_REC_TASK, &t->img->base, err);
}

/* All is known: the messages are written when the group runs again, if it is to. */
static int put_records(struct cpt_dump *d, struct cpt_err *err)
{
	cpt_precopy_join(d);
	for (unsigned i = 0; i < d->ntasks; i++)
		if (put_family(d, &d->tasks[i], err))
			return -1;
	for (unsigned k = 0; cpt_dump_kind(k); k++)
		if (cpt_dump_kind(k)->write && cpt_dump_kind(k)->write(d, err))
			return cpt_within(err, "%s", cpt_dump_kind(k)->name);
	return 0;
}

/* ---- from beginning to end ------------------------------------------- */

static const char *image_name(const struct cpt_dump_options *opt)
{
	return opt->image ? opt->image : "checkpoint.cpt";
}

/* Tell the guard how the freezer is to be left, before it is touched. */
static int guard_freezer(struct cpt_dump *d, struct cpt_err *err)
{
	enum cpt_state state;
	const char *value;
	char file[4200];
	bool self;

	if (cpt_group_state(&d->group, &state, &self, err))
		return -1;
	if (state != CPT_RUNNING && !self)
		return cpt_fail(err, CPT_UNSUPPORTED, "%s is frozen by a group above it; thaw that one first", d->group.path);
	d->was_frozen = self;
	d->end_frozen = self || d->opt->after == CPT_AFTER_FROZEN;
	cpt_group_thaw_undo(&d->group, file, &value);
	if (d->was_frozen)
		value = d->group.freezer == CPT_FREEZER_V2 ? "1" : "FROZEN";
	return cpt_guard_add(&d->guard, CPT_UNDO_WRITE, file, value, err);
}

/* What was asked for and can't be done must not be left out in silence. */
static int refuse_options(const struct cpt_dump_options *opt, struct cpt_err *err)
{
	if (opt->snapshot == CPT_SNAPSHOT_TWIN && (opt->after != CPT_AFTER_RUN || opt->track || opt->base))
		return cpt_fail(err, CPT_USAGE, "--snapshot twin is for a group that goes on (-R), without --track and --base");
	return opt->codec ? cpt_codec_check(opt->codec, opt->codec_level, err) : 0;
}

static int begin(struct cpt_dump *d, struct cpt_err *err)
{
	if (refuse_options(d->opt, err))
		return -1;
	/* what a lazy restore has not brought in yet would look like a hole */
	if (cpt_group_open(d->opt->group, &d->group, err) || cpt_lazy_wait(d->group.path, err))
		return -1;
	if (cpt_track_begin(d, err) ||
	    cpt_guard_start(&d->guard, err))
		return -1;
	/* of an increment nobody knows how much it will be */
	if (!d->checking && cpt_progress_wanted())
		cpt_progress_begin(CPT_WORK_COPY, d->opt->base ? 0 : cpt_dump_amount(&d->group));
	if (!d->checking && cpt_img_create_guarded(image_name(d->opt), &d->guard, &d->img, err))
		return -1;
	return guard_freezer(d, err);
}

static int finish(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns();

	if (cpt_img_commit(d->img, err))
		return -1;
	cpt_guard_no_return(&d->guard);
	d->stats.write_ns = cpt_now_ns() - begin;
	d->stats.image_bytes = cpt_img_bytes(d->img);
	cpt_track_commit(d);
	cpt_huge_mend(d);
	begin = cpt_now_ns();
	if (d->opt->after == CPT_AFTER_KILL) {
		/*
		 * From here on the image is the group: a frozen or half-killed
		 * rest would be a second one, so the guard kills it too.
		 */
		if (cpt_guard_add(&d->guard, CPT_UNDO_KILL_GROUP, d->group.path, NULL, err) ||
		    cpt_dump_kill(d, err))
			return -1;
		d->stats.kill_ns = cpt_now_ns() - begin;
		cpt_guard_success(&d->guard);
	}
	return 0;
}

static void count(struct cpt_dump *d)
{
	if (d->stats.processes)
		return;
	for (unsigned i = 0; i < d->ntasks; i++) {
		d->stats.processes++;
		d->stats.threads += d->tasks[i].img ? d->tasks[i].img->n_threads : 0;
	}
}

/* The group runs again; its memory as it was in the pause is that of the twins. */
static int store_twins(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns();
	int rc;

	cpt_twin_move(d);
	cpt_precopy_settle(d);
	rc = store_memory(d, CPT_PART_CLONED, err);
	if (cpt_twin_check(d, err))	/* the better reason, if there is another one too */
		rc = -1;
	d->stats.memory_ns += cpt_now_ns() - begin;
	if (rc)
		return -1;	/* there may still be threads that read from them */
	cpt_twin_free(d);
	return 0;
}

static bool wants_precopy(const struct cpt_dump *d)
{
	if (d->checking)
		return false;
	return cpt_track_has_base(d) || (!d->was_frozen && (d->opt->after == CPT_AFTER_RUN || d->opt->track));
}

static int dump(struct cpt_dump *d, struct cpt_err *err)
{
	if (begin(d, err) || put_header(d, err) || cpt_dump_rooms(d, err) ||
	    cpt_dump_check_room(d, err))
		return -1;
	if (cpt_dump_self(d, err) ||	/* not in the pause */
	    (wants_precopy(d) && cpt_dump_precopy(d, err)))
		return -1;
	cpt_dump_sleeps(d);
	if (cpt_dump_stop(d, err) || cpt_dump_collect(d, err) || refusals(d, err))
		return -1;
	if (d->checking) {
		cpt_twin_forecast(d, cpt_now_ns() - d->stop_began, &d->stats.calm_ns, &d->stats.busy_ns);
		return 0;
	}
	if (store(d, err) || (d->opt->after != CPT_AFTER_RUN && put_records(d, err)))
		return -1;
	if (d->opt->track)
		cpt_precopy_track(d);
	if (d->opt->after != CPT_AFTER_KILL) {
		/* nothing more is needed of the tasks: the sync need not be part of the pause */
		if (cpt_dump_release(d, err))
			return -1;
		d->stats.pause_ns = cpt_now_ns() - d->stop_began;
		d->again = cpt_precopy_flags_changed(d);
		if (d->again)
			return cpt_fail_errno(err, EAGAIN, "mappings changed around the pause");
		if ((d->twins && store_twins(d, err)) || cpt_queue_late(d, err) ||
		    (d->opt->after == CPT_AFTER_RUN && put_records(d, err)))
			return -1;
		cpt_dump_precopy_free(d);
		count(d);
		cpt_dump_memory_free(d);
		cpt_dump_forget(d);
	}
	return finish(d, err);
}

static rlim_t raise_nofile(void)
{
	struct rlimit r;
	rlim_t was;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return 0;
	was = r.rlim_cur;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	return was;
}

static void lower_nofile(rlim_t was)
{
	struct rlimit r;

	if (was && !getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = was;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

struct attempt {
	bool exact;		/* smaps is read in the pause */
	bool no_twin;
};

/* 1: to be done again, as @how says then */
static int run_once(const struct cpt_dump_options *opt, bool checking, struct attempt *how, struct cpt_stats *ret,
		    struct cpt_err *err)
{
	struct cpt_dump d = { .opt = opt, .checking = checking, .exact_flags = how->exact, .no_twin = how->no_twin,
			      .group = CPT_GROUP_NONE, .guard = CPT_GUARD_NONE };
	uint64_t begin = cpt_now_ns();
	rlim_t nofile = raise_nofile();
	struct cpt_err later;
	int rc = dump(&d, err);

	count(&d);
	cpt_dump_ahead_end(&d);
	cpt_dump_memory_free(&d);
	cpt_twin_free(&d);
	if (cpt_dump_release(&d, &later) && !rc) {
		*err = later;
		rc = -1;
	}
	cpt_dump_precopy_free(&d);
	cpt_huge_free(&d);
	cpt_track_free(&d);
	if (!rc && d.img)
		cpt_guard_success(&d.guard);
	cpt_guard_undo(&d.guard);
	cpt_img_discard(d.img);
	cpt_dump_forget(&d);
	cpt_dump_objects_free(&d);
	cpt_view_free(&d);
	cpt_alike_free(&d);
	cpt_group_close(&d.group);
	cpt_batch_free(&d.batch);
	free(d.buf.data);
	free(d.maps.data);
	free(d.zombies);
	free(d.rooms);
	free(d.sleeps);
	cpt_dump_mapped_free(&d);
	cpt_arena_free(&d.arena);
	lower_nofile(nofile);
	d.stats.total_ns = cpt_now_ns() - begin;
	if (!d.stats.pause_ns)
		d.stats.pause_ns = d.stop_began ? cpt_now_ns() - d.stop_began : 0;
	if (ret)
		*ret = d.stats;
	if (!rc || !d.again)
		return rc;
	how->exact |= !d.no_twin || how->no_twin;
	how->no_twin = d.no_twin;
	return 1;
}

static int run(const struct cpt_dump_options *opt, bool checking, struct cpt_stats *ret, struct cpt_err *err)
{
	struct attempt how = { false, false };
	int rc, tries = 3;		/* more reasons there are not */

	do
		rc = run_once(opt, checking, &how, ret, err);
	while (rc > 0 && --tries);
	return rc ? -1 : 0;
}

int cpt_dump(const struct cpt_dump_options *opt, struct cpt_stats *ret, struct cpt_err *err)
{
	return run(opt, false, ret, err);
}

int cpt_check(const struct cpt_dump_options *opt, struct cpt_forecast *ret, struct cpt_err *err)
{
	struct cpt_stats stats = { 0 };

	if (run(opt, true, &stats, err))
		return -1;
	if (ret)
		*ret = (struct cpt_forecast){ stats.calm_ns, stats.busy_ns };
	return 0;
}
