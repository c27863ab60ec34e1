/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_fuzz.c - any bytes at all are read as an image: no crash, no hang, no lie
 *
 * Each input is tried twice: as it is, and with its hashes made right, for
 * nearly every change of a byte ends at a hash otherwise.
 */
#include "reseal.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* what is shown never holds a control character */
static void look(void *arg, const char *line)
{
	for (const char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			abort();
}

/* a failure says so, as a bad image, a system call that failed, or a codec that was not built in */
static void must_be_told(const struct cpt_err *err)
{
	if ((err->fault != CPT_BAD_IMAGE && err->fault != CPT_SYSTEM && err->fault != CPT_UNSUPPORTED) || !*err->text)
		abort();
}

static void read_blobs(struct cpt_img *img)
{
	struct cpt_err err = { 0 };
	const void *data;
	size_t size;

	for (uint64_t id = 0; id < 4; id++)
		if (cpt_img_blob(img, id, &data, &size, &err))
			must_be_told(&err);
}

static void locate_all(const struct cpt_img *img)
{
	uint64_t slots = cpt_img_slots(img), n;
	struct stat st;


	for (uint64_t slot = 0; slot < slots; slot++) {
		uint64_t at = cpt_img_locate(img, slot, &n);

		if (fstat(cpt_img_slot_fd(img, slot), &st))
			abort();
		if (at % CPT_PAGE || !n || n > slots - slot || at + n * CPT_PAGE > (uint64_t)st.st_size)
			abort();
	}
}

/* an image says how many pages it holds; a few bytes can hold 4 MiB of them */
#define UNPACK_MAX (16 << 20)

static void unpack(struct cpt_img *img)
{
	struct cpt_err err = { 0 };

	if (cpt_img_slots(img) * CPT_PAGE > UNPACK_MAX)
		return;
	if (cpt_img_unpack(img, &err))
		must_be_told(&err);
	else
		locate_all(img);
}

static void read_image(const char *name)
{
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_sink sink = { look, NULL };
	struct cpt_err err = { 0 };

	if (cpt_img_open(name, &img, &err)) {
		must_be_told(&err);
		return;
	}
	read_blobs(img);
	if (cpt_image_show(name, false, sink, &err))
		must_be_told(&err);
	if (cpt_image_show(name, true, sink, &err))
		must_be_told(&err);
	if (cpt_img_check_pages(img, &err))
		must_be_told(&err);
	if (cpt_img_check_messages(img, &err))
		must_be_told(&err);
	unpack(img);
}

static void try_bytes(const void *bytes, size_t size)
{
	static int fd = -1;
	char name[32];

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || cpt_pwrite_all(fd, bytes, size, 0))
		abort();
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	read_image(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *copy;

	if (size > INPUT_MAX)
		return 0;
	copy = cpt_malloc(size);
	if (size)
		memcpy(copy, data, size);
	try_bytes(copy, size);
	reseal(copy, size);
	try_bytes(copy, size);
	free(copy);
	return 0;
}
