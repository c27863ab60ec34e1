/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pattern.c - memory whose content at any instant is known
 *
 * pattern THREADS MIB FOLDER [hog]
 *
 * Each thread owns MIB MiB and takes steps s = 1, 2, …; step s writes s to page
 * s * PRIME mod pages. So from the last step alone it follows what every page
 * must hold: a page that is a step behind or ahead belongs to another instant.
 * When FOLDER/verify appears, all threads halt between two steps and the
 * program writes "ok STEPS" or "bad …" to FOLDER/verdict. With "hog" the threads
 * write as fast as they can, else some 40,000 pages a second.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PRIME 1000003ULL
#define WORDS 512

struct region {
	uint64_t *mem;
	uint64_t pages;
	_Atomic uint64_t step;
	_Atomic int halted;
};

static _Atomic int halt;
static int hog;

static void nap(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static void *writer(void *arg)
{
	struct region *r = arg;

	for (uint64_t s = 1;; s++) {
		uint64_t *page;

		if (halt) {
			r->halted = 1;
			while (halt)
				nap(1000);
			r->halted = 0;
		}
		page = r->mem + s * PRIME % r->pages * WORDS;
		page[0] = s;
		page[WORDS - 1] = ~s;
		r->step = s;
		if (!hog && s % 40 == 0)
			nap(1000);
	}
	return NULL;
}

/* the last step up to @step that wrote to page @p: PRIME has an inverse, the pages are a power of two */
static uint64_t expected(uint64_t step, uint64_t p, uint64_t pages)
{
	uint64_t inverse = 1, first;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - PRIME * inverse;
	first = p * inverse % pages;
	return step < first ? 0 : step - (step - first) % pages;
}

static uint64_t wrong_pages(const struct region *r, char *example, size_t size)
{
	uint64_t wrong = 0;

	for (uint64_t p = 0; p < r->pages; p++) {
		uint64_t want = expected(r->step, p, r->pages);
		const uint64_t *page = r->mem + p * WORDS;

		if (page[0] == want && page[WORDS - 1] == (want ? ~want : 0))
			continue;
		if (!wrong++)
			snprintf(example, size, "page %llu holds %llu, not %llu", (unsigned long long)p,
				 (unsigned long long)page[0], (unsigned long long)want);
	}
	return wrong;
}

static void verify(struct region *r, int n, const char *folder)
{
	char name[512], temp[512], example[200] = "";
	unsigned long long steps = 0, wrong = 0;
	FILE *f;

	halt = 1;
	for (int i = 0; i < n; i++)
		while (!r[i].halted)
			nap(100);
	for (int i = 0; i < n; i++) {
		wrong += wrong_pages(&r[i], example, sizeof(example));
		steps += r[i].step;
	}
	snprintf(name, sizeof(name), "%s/verdict", folder);
	snprintf(temp, sizeof(temp), "%s/verdict.new", folder);
	f = fopen(temp, "w");
	if (!f)
		exit(1);
	if (wrong)
		fprintf(f, "bad %llu pages: %s\n", wrong, example);
	else
		fprintf(f, "ok %llu\n", steps);
	fclose(f);
	rename(temp, name);
	halt = 0;
}

int main(int argc, char **argv)
{
	int n = argc > 3 ? atoi(argv[1]) : 0;
	struct region *r = calloc(n > 0 ? (size_t)n : 1, sizeof(*r));
	char trigger[512], ready[512];
	FILE *f;

	if (n < 1 || !r)
		return 2;
	hog = argc > 4;
	for (int i = 0; i < n; i++) {
		pthread_t t;

		r[i].pages = (uint64_t)atoi(argv[2]) * 256;
		r[i].mem = mmap(NULL, r[i].pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (r[i].mem == MAP_FAILED || pthread_create(&t, NULL, writer, &r[i]))
			return 1;
	}
	snprintf(trigger, sizeof(trigger), "%s/verify", argv[3]);
	snprintf(ready, sizeof(ready), "%s/ready", argv[3]);
	for (int i = 0; i < n; i++)
		while (r[i].step < r[i].pages)	/* every page was written once */
			nap(1000);
	f = fopen(ready, "w");
	if (!f)
		return 1;
	fclose(f);
	for (;;) {
		if (access(trigger, F_OK) == 0) {
			unlink(trigger);
			verify(r, n, argv[3]);
		}
		nap(1000);
	}
}
