/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* track.c - which image an increment builds on, and what is known of the time since */
#include "dump/track.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct cpt_track {
	struct cpt_img *base;		/* NULL: a full image */
	struct cpt_held_list held;	/* taken over */
	struct cpt_held_list kept;	/* for the holder */
	int holder;			/* -1: none */
};

static int holder_name(const struct cpt_dump *d, char name[64], struct cpt_err *err)
{
	struct stat st;

	if (stat(d->group.path, &st))
		return cpt_fail_sys(err, "look at %s", d->group.path);
	snprintf(name, 64, "track-%llx-%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 0;
}

static const char *output_name(const struct cpt_dump *d)
{
	return d->opt->image ? d->opt->image : "checkpoint.cpt";
}

static int open_base(struct cpt_dump *d, struct cpt_track *k, struct cpt_err *err)
{
	struct stat st;

	if (stat(d->opt->base, &st))
		return cpt_fail_sys(err, "open the base %s", d->opt->base);
	if (!S_ISREG(st.st_mode))
		return cpt_fail(err, CPT_USAGE, "the base %s is no file", d->opt->base);
	if (cpt_img_open(d->opt->base, &k->base, err) || cpt_img_check_messages(k->base, err))
		return cpt_within(err, "the base");
	/* the file would be replaced, and the new image build on what is gone */
	if (!stat(output_name(d), &st) && cpt_img_builds_on(k->base, st.st_dev, st.st_ino))
		return cpt_fail(err, CPT_USAGE, "%s is needed by the image to be made; write that to another file", output_name(d));
	if (cpt_img_depth(k->base) + 1 >= CPT_IMG_CHAIN_MAX)
		return cpt_fail(err, CPT_UNSUPPORTED, "%s builds on %u images already; fold them into one with cptool merge",
				d->opt->base, cpt_img_depth(k->base));
	return 0;
}

static void give_up_base(struct cpt_dump *d, struct cpt_track *k, const char *why)
{
	cpt_warn("%s: %s since %s; this will be a full image", d->group.path, why, d->opt->base);
	cpt_img_close(k->base);
	k->base = NULL;
}

/* Is what was found of any use? If not, it is let go of: the kernel takes that protection away. */
static void judge(struct cpt_dump *d, struct cpt_track *k)
{
	if (k->base && !k->held.n)
		give_up_base(d, k, "what changed was not noted, or that was lost,");
	else if (k->base && memcmp(k->held.id, cpt_img_id(k->base), CPT_IMG_ID))
		give_up_base(d, k, "changes were noted since another image, not");
	if (!k->base && k->held.n && !d->checking) {
		cpt_info("%s: what changes since an earlier image is no longer noted", d->group.path);
		cpt_held_free(&k->held);
	}
}

int cpt_track_begin(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_track *k = d->track = cpt_calloc(1, sizeof(*k));
	struct cpt_err lost;
	char name[64];

	k->holder = -1;
	if (d->opt->track && d->opt->after == CPT_AFTER_KILL && !d->checking)
		return cpt_fail(err, CPT_USAGE, "--track is for a group that goes on: use it with -R or --leave-frozen");
	if (holder_name(d, name, err) || (d->opt->base && !d->checking && open_base(d, k, err)))
		return -1;
	if (cpt_holder_ask(name, !d->checking, &k->held, &lost) < 0)
		cpt_warn("%s", lost.text);
	judge(d, k);
	if (d->opt->track && !d->checking && cpt_holder_start(name, &k->holder, err))
		return cpt_within(err, "start the tracking process");
	return 0;
}

void cpt_track_header(struct cpt_dump *d, Cpt__Header *h)
{
	const char *output = output_name(d), *slash = strrchr(output, '/');
	char *folder = cpt_arena_printf(&d->arena, "%.*s", slash ? (int)(slash - output + 1) : 2, slash ? output : "./");
	CPT_AUTO(mem) char *base = NULL, *out = NULL;

	if (!d->track->base)
		return;
	h->has_base_id = true;
	h->base_id.len = CPT_IMG_ID;
	h->base_id.data = (uint8_t *)(uintptr_t)cpt_img_id(d->track->base);
	base = realpath(d->opt->base, NULL);
	out = realpath(folder, NULL);
	h->base_name = cpt_arena_strdup(&d->arena, base ? base : d->opt->base);
	slash = strrchr(h->base_name, '/');
	if (strcmp(output, "-") && out && slash && strlen(out) == (size_t)(slash - h->base_name) && !strncmp(out, h->base_name, strlen(out)))
		h->base_name += strlen(out) + 1;
}

bool cpt_track_has_base(const struct cpt_dump *d)
{
	return d->track && d->track->base;
}

struct cpt_held *cpt_track_held(struct cpt_dump *d, pid_t pid, uint64_t start_time)
{
	struct cpt_track *k = d->track;

	for (size_t i = 0; k && i < k->held.n; i++)
		if (k->held.v[i].pid == pid && k->held.v[i].start_time == start_time)
			return &k->held.v[i];
	return NULL;
}

const Cpt__Pages *cpt_track_base_pages(const struct cpt_dump *d, pid_t pid)
{
	struct cpt_img *base = d->track ? d->track->base : NULL;
	struct cpt_err ignored;

	for (size_t i = 0; base && i < cpt_img_count(base, CPT_REC_MM); i++) {
		Cpt__Mm *mm;

		if (!cpt_img_get(base, CPT_REC_MM, i, &cpt__mm__descriptor, NULL, &mm, &ignored) && mm->id == (uint32_t)pid)
			return mm->pages;
	}
	return NULL;
}

void cpt_track_keep(struct cpt_dump *d, pid_t pid, uint64_t start_time, int uffd)
{
	struct cpt_held_list *kept = &d->track->kept;

	CPT_GROW(kept->v, kept->n, kept->cap);
	kept->v[kept->n++] = (struct cpt_held){ .pid = pid, .uffd = uffd, .start_time = start_time };
}

void cpt_track_keep_flags(struct cpt_dump *d, pid_t pid, struct cpt_flags *flags, size_t n)
{
	struct cpt_held_list *kept = d->track ? &d->track->kept : NULL;

	for (size_t i = 0; kept && i < kept->n; i++)
		if (kept->v[i].pid == pid && !kept->v[i].flags) {
			kept->v[i].flags = flags;
			kept->v[i].nflags = n;
			return;
		}
	free(flags);
}

void cpt_track_commit(struct cpt_dump *d)
{
	struct cpt_track *k = d->track;
	struct cpt_err err;

	if (k->holder < 0)
		return;
	memcpy(k->kept.id, cpt_img_writer_id(d->img), CPT_IMG_ID);
	if (!k->kept.n)
		cpt_warn("%s: nothing can be tracked there; a later image will be a full one", d->group.path);
	else if (cpt_holder_give(k->holder, &k->kept, &err))
		cpt_warn("%s: what changes from now on is not noted: %s", d->group.path, err.text);
}

void cpt_track_free(struct cpt_dump *d)
{
	struct cpt_track *k = d->track;

	if (!k)
		return;
	if (k->holder >= 0)
		close(k->holder);
	cpt_held_free(&k->held);
	cpt_held_free(&k->kept);
	cpt_img_close(k->base);
	free(k);
	d->track = NULL;
}
