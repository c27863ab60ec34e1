/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corrupt_image.c - cut and flip a real image in thousands of places; each must be refused
 *
 *	corrupt_image [-n CASES] [-s SEED] IMAGE
 *	corrupt_image -w FOLDER [-n CASES] [-s SEED] IMAGE
 *
 * CASES cuts and as many flipped bits, half of them evenly spread, half at
 * random; SEED (printed) makes the same ones again. With -w the damaged images
 * are written into FOLDER instead, for programs to be tried on.
 */
#include "base/base.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static struct {
	unsigned char *bytes;
	uint64_t size;
	uint64_t random;
	const char *folder;
	unsigned cases, bad;
	int fd;
	char name[32];
} self = { .cases = 10000, .fd = -1 };

static void die(const char *what)
{
	fprintf(stderr, "corrupt_image: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t next_random(void)
{
	self.random ^= self.random << 13;
	self.random ^= self.random >> 7;
	self.random ^= self.random << 17;
	return self.random;
}

static void load(const char *image)
{
	CPT_AUTO(fd) int fd = open(image, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die(image);
	self.size = (uint64_t)st.st_size;
	self.bytes = cpt_malloc(self.size);
	if (!self.size || cpt_pread_all(fd, self.bytes, self.size, 0))
		die(image);
	self.fd = memfd_create("corrupt", MFD_CLOEXEC);
	if (self.fd < 0 || cpt_pwrite_all(self.fd, self.bytes, self.size, 0))
		die("memfd");
	snprintf(self.name, sizeof(self.name), "/proc/self/fd/%d", self.fd);
}

/* place @i of the even half, or a random one, below @end */
static uint64_t place(unsigned i, uint64_t end)
{
	unsigned even = self.cases / 2;

	return i < even ? (uint64_t)((__extension__ (unsigned __int128)end) * i / even) :
			  next_random() % end;
}

static void must_refuse(const char *what, uint64_t where)
{
	struct cpt_err err = { 0 };

	if (cpt_image_verify(self.name, &err) && err.fault == CPT_BAD_IMAGE && *err.text)
		return;
	self.bad++;
	printf("# NOT refused as a bad image: %s %llu (%s)\n", what, (unsigned long long)where,
	       err.text);
}

static void keep(const char *what, unsigned i, uint64_t size)
{
	CPT_AUTO(fd) int fd = -1;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s-%u.cpt", self.folder, what, i);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || cpt_pwrite_all(fd, self.bytes, size, 0))
		die(path);
}

static void cuts(void)
{
	for (unsigned i = 0; i < self.cases; i++) {
		uint64_t size = place(i, self.size);

		if (self.folder) {
			keep("cut", i, size);
			continue;
		}
		/* what was behind the last cut comes back */
		if (ftruncate(self.fd, (off_t)size))
			die("cut");
		must_refuse("cut at byte", size);
		if (cpt_pwrite_all(self.fd, self.bytes + size, self.size - size, (off_t)size))
			die("memfd");
	}
}

static void flips(void)
{
	for (unsigned i = 0; i < self.cases; i++) {
		uint64_t bit = place(i, 8 * self.size);
		unsigned char *byte = &self.bytes[bit / 8];

		*byte ^= (unsigned char)(1 << bit % 8);
		if (self.folder)
			keep("flip", i, self.size);
		else if (pwrite(self.fd, byte, 1, (off_t)(bit / 8)) != 1)
			die("memfd");
		else
			must_refuse("flipped bit", bit);
		*byte ^= (unsigned char)(1 << bit % 8);
		if (!self.folder && pwrite(self.fd, byte, 1, (off_t)(bit / 8)) != 1)
			die("memfd");
	}
}

static void options(int argc, char **argv)
{
	int c;

	self.random = (uint64_t)time(NULL);
	while ((c = getopt(argc, argv, "n:s:w:")) != -1)
		switch (c) {
		case 'n':
			self.cases = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 's':
			self.random = strtoull(optarg, NULL, 0);
			break;
		case 'w':
			self.folder = optarg;
			break;
		default:
			exit(2);
		}
	if (optind != argc - 1 || self.cases < 2 || !self.random) {
		fprintf(stderr, "usage: corrupt_image [-n CASES] [-s SEED] [-w FOLDER] IMAGE\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct cpt_err err = { 0 };

	options(argc, argv);
	load(argv[optind]);
	printf("# %llu bytes, seed %llu\n", (unsigned long long)self.size,
	       (unsigned long long)self.random);
	if (cpt_image_verify(self.name, &err)) {
		printf("# the undamaged image is refused: %s\n", err.text);
		return 1;
	}
	cuts();
	flips();
	if (!self.folder)
		printf("# %u cuts and %u flipped bits, %u of them not refused\n", self.cases,
		       self.cases, self.bad);
	free(self.bytes);
	return self.bad ? 1 : 0;
}
