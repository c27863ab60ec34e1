/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * changes.c - memory that changes in every way between two images
 *
 * changes FOLDER
 * changes FOLDER exec SEED		(as it starts itself)
 *
 * For each N from 1 on for which FOLDER/go.N appears it changes its memory and
 * answers with FOLDER/done.N. When FOLDER/verify appears, it and its children
 * compare all pages with what they must hold, and FOLDER/verdict says "ok N" or
 * "bad …". What must be held stands in a table in shared memory, of which a dump
 * carries all.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 512UL
#define REGIONS 10
#define SHARED 9		/* the region that children share */
#define CHILDREN 4
#define MEMORY ((char *)0x300000000000)

struct region {
	char *at;
	uint64_t pages;
	uint64_t value[PAGES];		/* 0: never touched */
};

struct child {
	pid_t pid;
	volatile int ask, answer;	/* 1: good, 2: bad */
	struct region region[REGIONS];	/* as they were at the fork, and written since */
};

static struct shared {
	struct region region[REGIONS];
	struct child child[CHILDREN];
	uint64_t serial;
	char moved;
} *s;
static const char *folder, *self;
static int to_heir, from_heir;		/* pipes to the child that executes itself anew */

static void nap(void)
{
	struct timespec t = { 0, 1000000 };

	nanosleep(&t, NULL);
}

static char *home(int i)
{
	return MEMORY + (uint64_t)i * 4 * PAGES * PAGE;
}

static void map(int i, char *at)
{
	struct region *r = &s->region[i];

	r->at = mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE,
		     (i == SHARED ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (r->at != at)
		exit(1);
	r->pages = PAGES;
	madvise(at, PAGES * PAGE, i == 7 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(r->value, 0, sizeof(r->value));
}

static void put(struct region *r, uint64_t page)
{
	uint64_t *p = (uint64_t *)(r->at + page * PAGE);

	r->value[page] = ++s->serial;
	p[0] = p[511] = r->value[page];
}

static void some(struct region *r, uint64_t from, uint64_t step)
{
	for (uint64_t p = from; p < r->pages; p += step)
		put(r, p);
}

/* all of it given back, page tables and all; then some of it touched */
static void drop(struct region *r, uint64_t from, uint64_t step)
{
	if (madvise(r->at, PAGES * PAGE, MADV_DONTNEED))
		exit(1);
	memset(r->value, 0, sizeof(r->value));
	some(r, from, step);
}

static void resize(struct region *r, uint64_t pages)
{
	char *at = mremap(r->at, r->pages * PAGE, pages * PAGE, 0);

	if (at == MAP_FAILED)
		exit(1);
	if (pages < r->pages)
		memset(r->value + pages, 0, (r->pages - pages) * sizeof(r->value[0]));
	r->pages = pages;
}

static int good(const struct region *r)
{
	for (uint64_t p = 0; p < r->pages; p++) {
		const uint64_t *at = (const uint64_t *)(r->at + p * PAGE);

		if (at[0] != r->value[p] || at[511] != r->value[p]) {
			fprintf(stderr, "%d: page %p holds %llu and %llu, not %llu\n", getpid(), (const void *)at,
				(unsigned long long)at[0], (unsigned long long)at[511], (unsigned long long)r->value[p]);
			return 0;
		}
	}
	return 1;
}

static void child(struct child *c)
{
	for (;;) {
		int fine = 1;

		while (!c->ask)
			nap();
		for (int i = 0; i < REGIONS; i++)
			fine &= i == SHARED || good(&c->region[i]);
		c->ask = 0;
		c->answer = fine ? 1 : 2;
	}
}

static void give_birth(int n)
{
	struct child *c = &s->child[n % CHILDREN];
	pid_t pid;

	if (c->pid) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
	memcpy(c->region, s->region, sizeof(c->region));
	c->ask = c->answer = 0;
	pid = fork();
	if (pid) {
		c->pid = pid;
		return;
	}
	some(&c->region[1], (uint64_t)n, 37);	/* its own from now on */
	child(c);
}

/* ---- a child that executes itself anew -------------------------------- */

/* with exec nothing is left of the memory but what @seed says; 'w' writes, 'v' looks, 'x' executes */
static void heir(uint64_t seed)
{
	uint64_t *at = mmap(home(REGIONS), PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), writes = 0;
	char word, number[24];

	if (at == MAP_FAILED)
		exit(1);
	for (uint64_t p = 0; p < PAGES; p++)
		at[p * PAGE / 8] = seed * 1000000 + p;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)seed + 1);
	for (;;) {
		word = '1';
		if (write(4, &word, 1) != 1 || read(3, &word, 1) != 1)
			exit(1);
		if (word == 'x')
			execl(self, self, folder, "exec", number, NULL);
		if (word == 'w' && ++writes)
			at[writes % PAGES * PAGE / 8] += seed;
		for (uint64_t p = 0; word == 'v' && p < PAGES; p++)
			if (at[p * PAGE / 8] != seed * 1000000 + p + (p ? (writes + PAGES - p) / PAGES : writes / PAGES) * seed)
				exit(1);
	}
}

static int tell_heir(char word)
{
	return write(to_heir, &word, 1) == 1 && read(from_heir, &word, 1) == 1 && word == '1';
}

static void start_heir(void)
{
	int to[2], from[2];
	char word;

	if (pipe(to) || pipe(from))
		exit(1);
	switch (fork()) {
	case -1:
		exit(1);
	case 0:
		/* 3 and 4 may be in use by the pipes themselves */
		to[0] = fcntl(to[0], F_DUPFD, 10);
		from[1] = fcntl(from[1], F_DUPFD, 10);
		for (int fd = 3; fd < 10; fd++)
			close(fd);
		if (dup2(to[0], 3) < 0 || dup2(from[1], 4) < 0)
			exit(1);
		close(to[0]);
		close(from[1]);
		execl(self, self, folder, "exec", "1", NULL);
		exit(1);
	}
	close(to[0]);
	close(from[1]);
	to_heir = to[1];
	from_heir = from[0];
	if (read(from_heir, &word, 1) != 1)
		exit(1);
}

static void change(int n)
{
	struct region *r = s->region;

	some(&r[0], (uint64_t)n, 64);
	/* unmapped, and mapped again where it was: other content, or none */
	munmap(r[1].at, PAGES * PAGE);
	map(1, home(1));
	some(&r[1], (uint64_t)n, 5);
	/* moved to and fro, untouched */
	s->moved = !s->moved;
	if (mremap(r[2].at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   home(2) + (s->moved ? PAGES * PAGE : 0)) == MAP_FAILED)
		exit(1);
	r[2].at = home(2) + (s->moved ? PAGES * PAGE : 0);
	put(&r[2], (uint64_t)n);
	/* given back in part */
	madvise(r[3].at + 8 * PAGE, 16 * PAGE, MADV_DONTNEED);
	memset(r[3].value + 8, 0, 16 * sizeof(uint64_t));
	put(&r[3], 8 + (uint64_t)n % 16);
	/* content of one place comes to another */
	munmap(r[4].at, PAGES * PAGE);
	if (mremap(r[5].at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, home(4)) == MAP_FAILED)
		exit(1);
	memcpy(r[4].value, r[5].value, sizeof(r[4].value));
	r[4].at = home(4);
	map(5, home(5));
	some(&r[5], 0, 1);
	if (n % 2)
		drop(&r[6], (uint64_t)n, 41);
	else
		some(&r[6], (uint64_t)n, 41);
	if (n % 3 == 0)
		drop(&r[7], 0, 1);
	put(&r[7], (uint64_t)n * 7 % PAGES);
	resize(&r[8], n % 2 ? PAGES / 2 : PAGES);
	some(&r[8], (uint64_t)n, 29);
	some(&r[SHARED], (uint64_t)n, 100);
	if (!tell_heir(n % 2 ? 'w' : 'x'))
		exit(1);
	mprotect(r[0].at + 16 * PAGE, 16 * PAGE, n % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
	give_birth(n);
	mprotect(r[0].at + 16 * PAGE, 16 * PAGE, PROT_READ | PROT_WRITE);
	some(&r[0], (uint64_t)n, 100);
}

static void verdict(int n)
{
	char name[512], temp[512];
	int bad = 0;
	FILE *f;

	for (int i = 0; i < REGIONS; i++)
		if (!good(&s->region[i]))
			bad |= 1 << i;
	for (int i = 0; i < CHILDREN; i++) {
		struct child *c = &s->child[i];

		if (!c->pid)
			continue;
		c->answer = 0;
		c->ask = 1;
		while (!c->answer)
			nap();
		if (c->answer != 1)
			bad |= 0x100 << i;
	}
	if (!tell_heir('v'))
		bad |= 0x10000;
	snprintf(name, sizeof(name), "%s/verdict", folder);
	snprintf(temp, sizeof(temp), "%s/verdict.new", folder);
	f = fopen(temp, "w");
	if (!f)
		exit(1);
	fprintf(f, bad ? "bad %#x after step %d\n" : "ok %d\n", bad ? bad : n, n);
	fclose(f);
	rename(temp, name);
}

static int taken(const char *what, int n)
{
	char name[512];

	snprintf(name, sizeof(name), n ? "%s/%s.%d" : "%s/%s", folder, what, n);
	return unlink(name) == 0;
}

int main(int argc, char **argv)
{
	char name[512];

	if (argc < 2)
		return 2;
	self = argv[0];
	folder = argv[1];
	if (argc > 3)
		heir((uint64_t)atoll(argv[3]));
	start_heir();
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return 1;
	for (int i = 0; i < REGIONS; i++) {
		map(i, home(i));
		some(&s->region[i], 0, i == 3 ? 2 : 1);	/* region 6 to 9: dropped, huge, of changing size, shared */
	}
	for (int n = 0;; n++) {
		snprintf(name, sizeof(name), "%s/done.%d", folder, n);
		close(open(name, O_CREAT | O_WRONLY, 0600));
		while (!taken("go", n + 1)) {
			if (taken("verify", 0))
				verdict(n);
			nap();
		}
		change(n + 1);
	}
}
