/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * moves.c - memory whose every word is known, and much done to it when asked
 *
 *	moves FOLDER
 *
 * Makes its regions, then FOLDER/ready. When FOLDER/go appears it forks, moves,
 * gives up and replaces parts of them, hands them to system calls and to
 * threads, looks at every word, and writes "ok" or "bad …" to FOLDER/verdict.
 * Restored in between, with its pages still missing, it must see no difference.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define PAGE 4096UL
#define WORDS 512
#define PAGES 1024UL			/* a region: 4 MiB */
#define REGIONS 14

static uint64_t *region[REGIONS];
static const char *folder;

static uint64_t word(uint64_t r, uint64_t page, uint64_t w)
{
	uint64_t x = (r << 40 | page << 16 | w) + 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

__attribute__((format(printf, 1, 2)))
static void verdict(const char *fmt, ...)
{
	char name[512], temp[512];
	va_list ap;
	FILE *f;

	snprintf(name, sizeof(name), "%s/verdict", folder);
	snprintf(temp, sizeof(temp), "%s/verdict.%d", folder, getpid());
	f = fopen(temp, "w");
	va_start(ap, fmt);
	if (f)
		vfprintf(f, fmt, ap);
	va_end(ap);
	if (f)
		fclose(f);
	rename(temp, name);
}

static void bad(const char *what, uint64_t r, uint64_t page)
{
	verdict("bad: %s: region %llu page %llu, by process %d: %s\n", what, (unsigned long long)r,
		(unsigned long long)page, getpid(), strerror(errno));
	_exit(1);
}

/* pages [from, to) of region @r stand at @at */
static void look(const char *what, const uint64_t *at, uint64_t r, uint64_t from, uint64_t to)
{
	for (uint64_t p = from; p < to; p++)
		for (uint64_t w = 0; w < WORDS; w++)
			if (at[(p - from) * WORDS + w] != word(r, p, w))
				bad(what, r, p);
}

static void empty(const char *what, const uint64_t *at, uint64_t r, uint64_t pages)
{
	for (uint64_t i = 0; i < pages * WORDS; i++)
		if (at[i])
			bad(what, r, i / WORDS);
}

static void fill(uint64_t r)
{
	for (uint64_t p = 0; p < PAGES; p++)
		for (uint64_t w = 0; w < WORDS; w++)
			region[r][p * WORDS + w] = word(r, p, w);
}

static uint64_t *room(uint64_t pages)
{
	/* with a gap on both sides, so that nothing becomes one mapping */
	char *p = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mmap(p + PAGE, pages * PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		bad("mmap", 0, 0);
	return (uint64_t *)(p + PAGE);
}

static uint64_t *move(uint64_t *from, uint64_t pages, uint64_t *to, uint64_t new_pages, int flags)
{
	void *got = mremap(from, pages * PAGE, new_pages * PAGE, MREMAP_MAYMOVE | (to ? MREMAP_FIXED : 0) | flags, to);

	if (got == MAP_FAILED)
		bad("mremap", 0, 0);
	return got;
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid < 0)
		bad("fork", 0, 0);
	return pid;
}

static void await(pid_t pid, const char *what)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		bad(what, 0, (uint64_t)status);
}

/* ---- what is done ----------------------------------------------------- */

static void forks(void)
{
	pid_t child = start();

	if (!child) {
		pid_t grandchild = start();

		look(grandchild ? "child" : "grandchild", region[0], 0, 0, PAGES);
		if (grandchild)
			await(grandchild, "grandchild");
		_exit(0);
	}
	for (uint64_t p = 0; p < PAGES; p += 2)
		region[0][p * WORDS] = ~word(0, p, 0);
	await(child, "child");
	for (uint64_t p = 0; p < PAGES; p += 2) {
		if (region[0][p * WORDS] != ~word(0, p, 0))
			bad("own write after a fork", 0, p);
		region[0][p * WORDS] = word(0, p, 0);
	}
	look("after a fork", region[0], 0, 0, PAGES);
}

static void moves(void)
{
	uint64_t *to = room(PAGES);

	region[1] = move(region[1], PAGES, to, PAGES, 0);
	look("moved", region[1], 1, 0, PAGES / 2);
	region[1] = move(region[1], PAGES, NULL, 2 * PAGES, 0);
	empty("grown", region[1] + PAGES * WORDS, 1, PAGES);
	look("moved twice", region[1], 1, 0, PAGES);

	/* the middle of one, seen by a child as well */
	to = room(PAGES);
	move(region[2] + PAGES / 4 * WORDS, PAGES / 2, to, PAGES / 2, 0);
	pid_t child = start();

	look("moved middle", to, 2, PAGES / 4, PAGES * 3 / 4);
	look("first quarter", region[2], 2, 0, PAGES / 4);
	look("last quarter", region[2] + PAGES * 3 / 4 * WORDS, 2, PAGES * 3 / 4, PAGES);
	if (!child)
		_exit(0);
	await(child, "child after a move");

	to = move(region[3], PAGES, NULL, PAGES, MREMAP_DONTUNMAP);
	empty("left behind", region[3], 3, PAGES);
	look("moved away", to, 3, 0, PAGES);

	/* one over the other */
	move(region[4], PAGES / 2, region[5], PAGES / 2, 0);
	look("moved over another", region[5], 4, 0, PAGES / 2);
	look("what it did not cover", region[5] + PAGES / 2 * WORDS, 5, PAGES / 2, PAGES);
	look("what did not move", region[4] + PAGES / 2 * WORDS, 4, PAGES / 2, PAGES);
}

static void gives_up(void)
{
	char *half = (char *)region[6] + PAGES / 2 * PAGE;

	if (madvise(half, PAGES / 2 * PAGE, MADV_DONTNEED))
		bad("madvise", 6, 0);
	for (uint64_t p = 0; p < PAGES / 2; p += 3)
		half[p * PAGE] = 7;
	for (uint64_t p = 0; p < PAGES / 2; p++)
		for (uint64_t i = 0; i < PAGE; i++)
			if (half[p * PAGE + i] != (p % 3 || i ? 0 : 7))
				bad("given up", 6, PAGES / 2 + p);
	look("kept", region[6], 6, 0, PAGES / 2);

	half = (char *)region[7] + PAGES / 4 * PAGE;
	if (munmap(half, PAGES / 2 * PAGE) ||
	    mmap(half, PAGES / 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != half)
		bad("mapped anew", 7, 0);
	empty("mapped anew", (uint64_t *)half, 7, PAGES / 2);
	look("below it", region[7], 7, 0, PAGES / 4);
	look("above it", region[7] + PAGES * 3 / 4 * WORDS, 7, PAGES * 3 / 4, PAGES);
}

static void splits(void)
{
	for (uint64_t p = 0; p < PAGES; p += 5)
		if (mprotect(region[8] + p * WORDS, PAGE, p % 2 ? PROT_READ : PROT_NONE))
			bad("mprotect", 8, p);
	for (uint64_t p = 0; p < PAGES; p += 5)
		if (p % 2 == 0 && mprotect(region[8] + p * WORDS, PAGE, PROT_READ))
			bad("mprotect", 8, p);
	look("split", region[8], 8, 0, PAGES);
}

/* the kernel is the first to touch it */
static void calls(void)
{
	static char back[PAGES * PAGE];
	char name[512];
	int fd, zero = open("/dev/zero", O_RDONLY);

	snprintf(name, sizeof(name), "%s/file", folder);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, region[9], PAGES * PAGE) != (ssize_t)(PAGES * PAGE) ||
	    pread(fd, back, sizeof(back), 0) != (ssize_t)sizeof(back))
		bad("write", 9, 0);
	close(fd);
	look("written to a file", (uint64_t *)(void *)back, 9, 0, PAGES);
	for (uint64_t p = 0; p < PAGES; p++)
		if (read(zero, region[10] + p * WORDS, 8) != 8)
			bad("read", 10, p);
	close(zero);
	for (uint64_t p = 0; p < PAGES; p++) {
		if (region[10][p * WORDS])
			bad("read into", 10, p);
		region[10][p * WORDS] = word(10, p, 0);
	}
	look("around a read", region[10], 10, 0, PAGES);
}

static void execs(void)
{
	pid_t child = start();

	if (!child) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	await(child, "exec");
	if (madvise(region[11], PAGES * PAGE, MADV_DONTFORK))
		bad("MADV_DONTFORK", 11, 0);
	child = start();
	if (!child) {
		look("child without a region", region[12], 12, 0, PAGES);
		_exit(0);
	}
	await(child, "child without a region");
	look("not for children", region[11], 11, 0, PAGES);
}

static void *at_once(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg;

	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t p = word(99, seed, i) % PAGES;

		look("by several threads", region[13] + p * WORDS, 13, p, p + 1);
		if (i % 8 == seed && madvise(region[6], PAGE, MADV_DONTNEED))
			bad("madvise", 6, 0);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[4];

	for (uintptr_t i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, at_once, (void *)i))
			bad("thread", 0, i);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	empty("given up by threads", region[6], 6, 1);
}

static void nap(void)
{
	struct timespec t = { 0, 1000000 };

	nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
	char name[512];
	int fd;

	if (argc < 2)
		return 2;
	folder = argv[1];
	for (uint64_t r = 0; r < REGIONS; r++) {
		region[r] = room(PAGES);
		fill(r);
	}
	snprintf(name, sizeof(name), "%s/ready", folder);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		return 1;
	close(fd);
	snprintf(name, sizeof(name), "%s/go", folder);
	while (access(name, F_OK))
		nap();
	forks();
	moves();
	gives_up();
	splits();
	calls();
	threads();
	execs();
	verdict("ok\n");
	for (;;)
		pause();
}
