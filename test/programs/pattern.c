/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pattern.c - memory whose content at any instant is known
 *
 * pattern THREADS MIB FOLDER [hog] [kinds] [waits] [family] [forks]
 *
 * Each thread owns MIB MiB and takes steps s = 1, 2, …; step s writes s to page
 * s * PRIME mod pages. So from the last step alone it follows what every page
 * must hold: a page that is a step behind or ahead belongs to another instant.
 * When FOLDER/verify appears, all threads halt between two steps and the
 * program writes "ok STEPS" or "bad …" to FOLDER/verdict. With "hog" the threads
 * write as fast as they can, else some 40,000 pages a second. With "waits" there
 * is a child that sleeps, and threads that wait for it: a word of any child is bad.
 *
 * With "family" the process has children and grandchildren, which are forked when
 * each page was written once, and go on from the step of their parent in memory that
 * is theirs from then on: a little, so that most stays shared. They are asked, too.
 * With "forks" children come and go all the time.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
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
static int hog, kinds, waits, family, forks;
static _Atomic int waited, signals;	/* for and by children, of which there is nothing to be told */

#define CHILDREN 3			/* each with as many */
#define FAMILY (1 + CHILDREN + CHILDREN * CHILDREN)

/* shared by the family */
static struct board {
	_Atomic int ask, again;		/* how often everybody was to halt, and to go on */
	_Atomic int answered, went_on;
	_Atomic int born;
	_Atomic unsigned long long wrong;
} *board;

static void nap(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* With "kinds" the threads' memory is of all the kinds that a fork treats in its own way. */
static uint64_t *region(int n, size_t size)
{
	int kind = kinds ? n % 5 : 0;
	size_t align = 2UL << 20;
	char *mem = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
			 (kind == 4 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	mem += -(uintptr_t)mem % align;
	if ((kind == 1 && madvise(mem, size, MADV_HUGEPAGE)) || (kind == 2 && madvise(mem, size, MADV_DONTFORK)) ||
	    (kind == 3 && madvise(mem, size, MADV_WIPEONFORK)))
		return NULL;
	return (uint64_t *)(void *)mem;
}

/* There is one child, which sleeps: nobody may ever hear of another. */
static void *waiter(void *arg)
{
	int status;

	if (arg) {
		if (waitpid(-1, &status, __WALL | WUNTRACED | WCONTINUED) > 0)
			waited++;
		return NULL;
	}
	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | __WALL) || info.si_pid)
			waited++;
		nap(50);
	}
}

static void on_child(int sig)
{
	(void)sig;
	signals++;
}

static int begin_waits(void)
{
	struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_RESTART };
	pthread_t t;
	pid_t child;

	sigaction(SIGCHLD, &action, NULL);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return child < 0 || pthread_create(&t, NULL, waiter, NULL) || pthread_create(&t, NULL, waiter, &waited);
}

static void *writer(void *arg)
{
	struct region *r = arg;

	for (uint64_t s = r->step + 1;; s++) {
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
		if (!hog && s > r->pages && family ? s % 2 == 0 : !hog && s % 40 == 0)
			nap(family ? 20000 : 1000);
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

static void stand_still(struct region *r, int n)
{
	halt = 1;
	for (int i = 0; i < n; i++)
		while (!r[i].halted)
			nap(100);
}

static int start(struct region *r, int n)
{
	halt = 0;
	for (int i = 0; i < n; i++) {
		pthread_t t;

		r[i].halted = 0;
		if (pthread_create(&t, NULL, writer, &r[i]))
			return 1;
	}
	return 0;
}

/* a child: whenever it is asked, it halts and looks */
static void serve(struct region *r, int n)
{
	char example[200];

	for (int asked = board->ask;; asked++) {
		unsigned long long wrong = 0;

		while (board->ask == asked)
			nap(1000);
		stand_still(r, n);
		for (int i = 0; i < n; i++)
			wrong += wrong_pages(&r[i], example, sizeof(example));
		board->wrong += wrong;
		board->answered++;
		while (board->again == asked)
			nap(1000);
		halt = 0;
		board->went_on++;
	}
}

/* The writers stand still; in a child there are none, until they are started anew. */
static int begin_family(struct region *r, int n, int generation)
{
	stand_still(r, n);
	for (int i = 0; i < CHILDREN && generation < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (start(r, n) || begin_family(r, n, generation + 1))
				_exit(1);
			board->born++;
			serve(r, n);
		}
	}
	halt = 0;
	return 0;
}

static unsigned long long ask_family(void)
{
	board->wrong = 0;
	board->answered = board->went_on = 0;
	board->ask++;
	while (board->answered < FAMILY - 1)
		nap(1000);
	return board->wrong;
}

static void let_family_go_on(void)
{
	board->again++;
	while (board->went_on < FAMILY - 1)
		nap(1000);
}

/* Who is born between a scan and the pause was never looked at. */
static void fork_on(void)
{
	pid_t pid = fork();

	if (!pid) {
		nap(3000);
		_exit(0);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void verify(struct region *r, int n, const char *folder)
{
	char name[512], temp[512], example[200] = "in a relative";
	unsigned long long steps = 0, wrong = 0;
	FILE *f;

	stand_still(r, n);
	if (family)
		wrong += ask_family();
	for (int i = 0; i < n; i++) {
		wrong += wrong_pages(&r[i], example, sizeof(example));
		steps += r[i].step;
	}
	snprintf(name, sizeof(name), "%s/verdict", folder);
	snprintf(temp, sizeof(temp), "%s/verdict.new", folder);
	f = fopen(temp, "w");
	if (!f)
		exit(1);
	if (waited || signals)
		fprintf(f, "bad: %d times a child was told of, %d signals\n", waited, signals);
	else if (wrong)
		fprintf(f, "bad %llu pages: %s\n", wrong, example);
	else
		fprintf(f, "ok %llu\n", steps);
	fclose(f);
	rename(temp, name);
	halt = 0;
	if (family)
		let_family_go_on();
}

int main(int argc, char **argv)
{
	int n = argc > 3 ? atoi(argv[1]) : 0;
	struct region *r = calloc(n > 0 ? (size_t)n : 1, sizeof(*r));
	char trigger[512], ready[512];
	FILE *f;

	if (n < 1 || !r)
		return 2;
	for (int i = 4; i < argc; i++) {
		hog |= !strcmp(argv[i], "hog");
		kinds |= !strcmp(argv[i], "kinds");
		waits |= !strcmp(argv[i], "waits");
		family |= !strcmp(argv[i], "family");
		forks |= !strcmp(argv[i], "forks");
	}
	if (waits && begin_waits())
		return 1;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		return 1;
	for (int i = 0; i < n; i++) {
		r[i].pages = (uint64_t)atoi(argv[2]) * 256;
		r[i].mem = region(i, r[i].pages * 4096);
		if (!r[i].mem)
			return 1;
	}
	if (start(r, n))
		return 1;
	snprintf(trigger, sizeof(trigger), "%s/verify", argv[3]);
	snprintf(ready, sizeof(ready), "%s/ready", argv[3]);
	for (int i = 0; i < n; i++)
		while (r[i].step < r[i].pages)	/* every page was written once */
			nap(1000);
	if (family && begin_family(r, n, 0))
		return 1;
	while (family && board->born < FAMILY - 1)
		nap(1000);
	f = fopen(ready, "w");
	if (!f)
		return 1;
	fclose(f);
	for (;;) {
		if (forks)
			fork_on();
		if (access(trigger, F_OK) == 0) {
			unlink(trigger);
			verify(r, n, argv[3]);
		}
		nap(1000);
	}
}
