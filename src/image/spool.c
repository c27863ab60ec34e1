/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spool.c - pages of a compressed image where they can be read in place
 *
 * A restore reads pages by the tasks themselves, straight into place; so they
 * are decompressed before that into a file without a name.
 */
#include "image/read.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/mman.h>

/* what could be used without swapping, bytes; 0 when it can't be told */
static uint64_t available_memory(void)
{
	CPT_AUTO(file) FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			return kib * 1024;
	return 0;
}

/* how many pages are to be decompressed */
static uint64_t packed_slots(const struct cpt_img *img)
{
	const struct cpt_found_list *list = &img->by_type[CPT_REC_PAGES];
	uint64_t slots = 0;

	for (size_t i = 0; img->needed && i < list->n; i++) {
		const struct cpt_disk_record *h = &img->records[list->at[i]].header;

		slots += img->needed[i] && h->flags & CPT_DISK_CODEC ? h->npages : 0;
	}
	return img->needed ? slots : img->packed_slots;
}

/* Memory while there is plenty: the group needs as much again. Else the disk that held the image. */
static int open_spool(const struct cpt_img *img, struct cpt_err *err)
{
	uint64_t need = packed_slots(img) * CPT_PAGE;
	CPT_AUTO(mem) char *path = cpt_strdup(img->name);
	int fd = -1;

	if (need > available_memory() / 3)
		fd = open(dirname(path), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("cptool-pages", MFD_CLOEXEC);
	return fd < 0 ? cpt_fail_sys(err, "make a file for the pages of %s", img->name) : fd;
}

static int unpack(struct cpt_img *img, struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = -1;

	if (!packed_slots(img) || img->spool >= 0)
		return 0;
	fd = open_spool(img, err);
	if (fd < 0 || cpt_pages_spool(img, fd, err))
		return -1;
	img->spool = CPT_TAKE(fd, -1);
	return 0;
}

int cpt_img_unpack(struct cpt_img *img, struct cpt_err *err)
{
	for (; img; img = img->base)
		if (unpack(img, err))
			return -1;
	return 0;
}
