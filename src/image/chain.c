/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chain.c - the images that an increment builds on
 *
 * Each is known by its id; the name is only where to look first. What an
 * increment says of its base may be forged: the file must be a regular one, an
 * image, and the one that is meant.
 */
#include "image/kinds.h"
#include "image/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* @name in the folder of @img */
static char *beside(const struct cpt_img *img, const char *name)
{
	const char *slash = strrchr(img->name, '/');
	char *path;

	if (asprintf(&path, "%.*s%s", slash ? (int)(slash - img->name + 1) : 0, img->name, name) < 0)
		abort();
	return path;
}

/* 0: this is it, or @err says why not */
static int try_base(struct cpt_img *img, const char *path, const uint8_t *id, struct cpt_err *err)
{
	CPT_AUTO(img) struct cpt_img *base = NULL;
	struct stat st;

	if (stat(path, &st))
		return cpt_fail_sys(err, "%s builds on %s", img->name, path);
	if (!S_ISREG(st.st_mode))
		return cpt_fail(err, CPT_BAD_IMAGE, "%s builds on %s, which is no file", img->name, path);
	if (cpt_img_open(path, &base, err))
		return cpt_within(err, "%s builds on %s", img->name, path);
	if (memcmp(cpt_img_id(base), id, CPT_IMG_ID))
		return cpt_fail(err, CPT_BAD_IMAGE, "%s builds on %s, but another image stands there now (its id is not the one meant)",
				img->name, path);
	img->base = CPT_TAKE(base, NULL);
	return 0;
}

/* Where it was; or, when all were moved to another folder, beside the increment. */
static int open_base(struct cpt_img *img, const Cpt__Header *h, struct cpt_err *err)
{
	const char *name = h->base_name, *last = strrchr(name, '/');
	CPT_AUTO(mem) char *near = beside(img, last ? last + 1 : name);
	CPT_AUTO(mem) char *there = *name == '/' ? cpt_strdup(name) : beside(img, name);
	struct cpt_err other;

	if (!try_base(img, there, h->base_id.data, err))
		return 0;
	return strcmp(near, there) && !try_base(img, near, h->base_id.data, &other) ? 0 : -1;
}

static bool seen(const struct cpt_img *img, const uint8_t *id)
{
	for (; img; img = img->base)
		if (!memcmp(cpt_img_id(img), id, CPT_IMG_ID))
			return true;
	return false;
}

int cpt_chain_open(struct cpt_img *img, struct cpt_err *err)
{
	struct cpt_img *at = img;

	for (unsigned n = 0; !at->base; n++, at = at->base) {
		Cpt__Header *h;

		if (cpt_img_get(at, CPT_REC_HEADER, 0, &cpt__header__descriptor, &at->arena, &h, err))
			return -1;
		if (cpt_check_header(h, err))
			return cpt_within(err, "%s", at->name);
		if (!h->has_base_id)
			return 0;
		if (n == CPT_IMG_CHAIN_MAX || seen(img, h->base_id.data))
			return cpt_fail(err, CPT_BAD_IMAGE, "%s builds on %s images", img->name,
					n == CPT_IMG_CHAIN_MAX ? "too many" : "itself through other");
		if (open_base(at, h, err))
			return -1;
	}
	return 0;
}

const struct cpt_img *cpt_chain_at(const struct cpt_img *img, uint64_t slot)
{
	for (uint64_t n = slot >> CPT_IMG_FILE_SHIFT; n && img; n--)
		img = img->base;
	return img;
}

bool cpt_img_builds_on(const struct cpt_img *img, dev_t dev, ino_t ino)
{
	struct stat st;

	for (; img; img = img->base)
		if (!fstat(img->fd, &st) && st.st_dev == dev && st.st_ino == ino)
			return true;
	return false;
}

unsigned cpt_img_depth(const struct cpt_img *img)
{
	unsigned n = 0;

	while ((img = img->base))
		n++;
	return n;
}
