/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy.c - the yardstick: the same bytes with one plain call after the other
 *
 *	copy write FILE MIB	random bytes from memory into a new FILE
 *	copy read FILE MIB	FILE into fresh memory
 *
 * Prints the nanoseconds of the copying alone; making the bytes and starting
 * the process are not in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PIECE (1 << 20)

static void die(const char *what)
{
	fprintf(stderr, "copy: %s: %s\n", what, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	uint64_t x = 88172645463325252ULL;
	size_t size;
	char *p;
	int fd, writing;

	if (argc < 4)
		return 2;
	writing = !strcmp(argv[1], "write");
	size = (size_t)atol(argv[3]) << 20;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; writing && i < size; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, 8);
	}
	fd = open(argv[2], writing ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		die(argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (size_t at = 0; at < size;) {
		size_t piece = size - at < PIECE ? size - at : PIECE;
		ssize_t n = writing ? write(fd, p + at, piece) : read(fd, p + at, piece);

		if (n <= 0)
			die(argv[1]);
		at += (size_t)n;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lld\n", (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec);
	return 0;
}
