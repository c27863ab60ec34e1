/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memload.c - programs with memory, for bench/memory
 *
 *	memload BOARD MIB PROCESSES WRITES PAGES CONTENT
 *
 * WRITES: none, fast, or how many thousandths of the memory are written each
 * second. PAGES: small or huge. CONTENT: noise or text.
 *
 * The first process looks at the clock all the time, and leaves the longest
 * time between two looks on the board, a file that all have mapped; whoever
 * measures sets it to 0 before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define TICK 1000000ULL		/* ns between two portions of writes */

struct board {
	_Atomic uint64_t gap_ns, ready, written;
};

static struct board *board;
static char *mem;
static size_t pages;
static uint64_t seed = 88172645463325252ULL;

static void die(const char *what)
{
	fprintf(stderr, "memload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* noise: nothing is zero or twice there, and nothing shrinks; text: rows as a table has */
static void fill(int text)
{
	char row[128];

	for (size_t i = 0; i < pages * PAGE / 8 && !text; i++)
		((uint64_t *)mem)[i] = next();
	for (size_t at = 0; at + 64 <= pages * PAGE && text; at += 64) {
		snprintf(row, sizeof(row), "%012lx name=%06u state=running left=%04x owner=root;......................",
			 (unsigned long)at, (unsigned)(next() % 1000000), (unsigned)(next() & 0xffff));
		memcpy(mem + at, row, 64);
	}
}

static void make(size_t mib, int huge, int text)
{
	size_t size = mib << 20, align = 2UL << 20;
	char *p = mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	mem = (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
	pages = size / PAGE;
	if (madvise(mem, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		die("madvise");
	fill(text);
	board->ready++;
}

static void rest(void)
{
	for (;;)
		pause();
}

/* one page somewhere; its first word changes */
static void touch(size_t page)
{
	(*(volatile uint64_t *)(mem + page % pages * PAGE))++;
}

static void look(uint64_t *before)
{
	uint64_t t = now(), gap = t - *before;

	if (gap > board->gap_ns)
		board->gap_ns = gap;
	*before = t;
}

static void run(const char *writes)
{
	uint64_t before = now(), due = before, done = 0;
	double each_tick = 0;		/* pages */

	if (!strcmp(writes, "fast"))
		for (size_t page = 0;; page++) {
			touch(page);
			look(&before);
			board->written++;
		}
	if (strcmp(writes, "none"))
		each_tick = (double)pages * atof(writes) / 1000 * (TICK / 1e9);
	for (uint64_t tick = 1;; tick++) {
		due += TICK;
		for (; done < (uint64_t)(each_tick * (double)tick); done++) {
			touch(next());
			look(&before);
		}
		while (before < due)
			look(&before);
		if (before > due + 50 * TICK)	/* it stood still: what was not written then is not made up for */
			due = before;
		board->written = done;
	}
}

int main(int argc, char **argv)
{
	long processes, mib;
	int fd;

	if (argc != 7)
		return 2;
	mib = atol(argv[2]);
	processes = atol(argv[3]);
	fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, PAGE))
		die(argv[1]);
	board = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED)
		die("mmap");
	close(fd);
	if (mib < processes)
		return 2;
	for (long i = 1; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		seed += (uint64_t)i << 20;
		if (!pid) {
			make((size_t)(mib / processes), !strcmp(argv[5], "huge"), !strcmp(argv[6], "text"));
			rest();
		}
	}
	make((size_t)(mib / processes), !strcmp(argv[5], "huge"), !strcmp(argv[6], "text"));
	if (!strcmp(argv[4], "none"))
		rest();
	run(argv[4]);
	return 0;
}
