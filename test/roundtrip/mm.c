/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mm.c - address spaces: content, protection, flags, sharing, heap, stack, vdso */
#include "story.h"

#include <elf.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>

static char *map(size_t size, int prot, int flags)
{
	char *p = mmap(NULL, size, prot, flags | MAP_ANONYMOUS, -1, 0);

	expect(p != MAP_FAILED);
	return p;
}

/* fresh - a private mapping in the place of another: for stories to be spoiled with */
static void fresh(void *at, size_t size)
{
	expect(mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0) == at);
}

/* vma_has - the word stands in the VmFlags line of the mapping that begins at @at */
static bool vma_has(const void *at, const char *word)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[4096], want[16];
	bool here = false, found = false;

	expect(f);
	snprintf(want, sizeof(want), " %s ", word);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (unsigned long)at && (unsigned long)at < to;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, want);
	}
	fclose(f);
	return found;
}

static char perms_of(const void *at, int n)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[4096], perms[8], got = '?';

	expect(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3 &&
		    from <= (unsigned long)at && (unsigned long)at < to)
			got = perms[n];
	}
	fclose(f);
	return got;
}

static unsigned long noise(unsigned long i)
{
	i ^= i >> 31;
	i *= 0x7fb5d329728ea185UL;
	i ^= i >> 27;
	i *= 0x81dadef4bc2dd44dUL;
	return i ^ i >> 33;
}

CPT_STORY(mm_private, "private memory: noise, zero pages, holes, a page written last")
{
	const size_t size = 48 << 20;
	char *p = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	for (size_t at = 0; at < size; at += 4096)
		switch (at / 4096 % 4) {
		case 0:		/* never touched */
			break;
		case 1:		/* touched, all zero */
			p[at] = 1;
			p[at] = 0;
			break;
		default:
			for (size_t i = 0; i < 4096; i += 8)
				*(unsigned long *)(p + at + i) = noise(at + i);
		}

	checkpoint_here();
	if (spoiled())
		p[size / 2 + 2 * 4096]++;

	for (size_t at = 0; at < size; at += 4096)
		for (size_t i = 0; i < 4096; i += 8)
			expect(*(unsigned long *)(p + at + i) == (at / 4096 % 4 < 2 ? 0 : noise(at + i)));
}

CPT_STORY(mm_protection, "mappings of every protection, next to each other")
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				    PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC };
	char *p = map(5 * 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	for (int i = 0; i < 5; i++) {
		memset(p + i * 8192, 'a' + i, 8192);
		expect(mprotect(p + i * 8192, 8192, prot[i]) == 0);
	}

	checkpoint_here();
	if (spoiled())
		expect(mprotect(p, 8192, PROT_READ) == 0);

	for (int i = 0; i < 5; i++) {
		expect_eq(perms_of(p + i * 8192, 0) == 'r', !!(prot[i] & PROT_READ));
		expect_eq(perms_of(p + i * 8192, 1) == 'w', !!(prot[i] & PROT_WRITE));
		expect_eq(perms_of(p + i * 8192, 2) == 'x', !!(prot[i] & PROT_EXEC));
		expect(mprotect(p + i * 8192, 8192, PROT_READ) == 0);
		expect_eq(p[i * 8192 + 8191], 'a' + i);
	}
}

static char *shared_one;

static void add_to_shared(void *arg)
{
	mark("child");
	after_checkpoint();
	await("turn");
	expect_eq(shared_one[100], 'P');
	shared_one[200] = 'C';
}

CPT_STORY(mm_shared_anon, "shared anonymous memory, shared over fork, seen at two places after mremap")
{
	pid_t pid;

	shared_one = map(4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED);
	memset(shared_one + (1 << 20), 'x', 5000);
	pid = branch(add_to_shared, NULL);
	await("child");

	checkpoint_here();
	if (spoiled())
		fresh(shared_one, 4 << 20);

	shared_one[100] = 'P';
	mark("turn");
	join(pid);
	expect_eq(shared_one[200], 'C');
	expect_eq(shared_one[(1 << 20) + 4999], 'x');
	expect_eq(perms_of(shared_one, 3), 's');
}

CPT_STORY(mm_shared_partly, "parts of one shared mapping at different places and offsets are one memory")
{
	char *all = map(1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED), *twin;

	/* old size 0 on a shared mapping makes a second view of it */
	twin = mremap(all + 65536, 0, 131072, MREMAP_MAYMOVE);
	expect(twin != MAP_FAILED);
	strcpy(all + 65536, "from all");

	checkpoint_here();
	if (spoiled())
		fresh(twin, 131072);

	expect(!strcmp(twin, "from all"));
	strcpy(twin + 70000, "from twin");
	expect(!strcmp(all + 65536 + 70000, "from twin"));
}

static char *cow;

static void write_my_own(void *arg)
{
	cow[0] = 'C';
	mark("child");
	after_checkpoint();
	await("turn");
	expect_eq(cow[0], 'C');
	expect_eq(cow[4096], 'o');
	cow[4096] = 'c';
}

CPT_STORY(mm_copy_on_write, "pages shared after fork come back shared, and a write splits them")
{
	const size_t size = 32 << 20;
	char *text, *at;
	pid_t pid;
	long shared = 0;

	cow = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(cow, 'o', size);
	pid = branch(write_my_own, NULL);
	await("child");

	checkpoint_here();
	if (spoiled())
		for (size_t i = 0; i < size; i += 4096)
			cow[i] = 'o';

	text = slurp("/proc/self/smaps_rollup");
	for (const char *key = "Shared_Dirty:";; key = "Shared_Clean:") {
		at = strstr(text, key);
		expect(at);
		shared += strtol(at + 13, NULL, 10);
		if (key[7] == 'C')
			break;
	}
	expect(shared >= 30 * 1024);
	expect_eq(cow[0], 'o');
	cow[8192] = 'p';
	mark("turn");
	join(pid);
	expect_eq(cow[4096], 'o');
}

CPT_STORY(mm_stack_grows, "the stack, and a growing mapping, still grow after the restore")
{
	char *p = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *low;
	volatile char big[256 << 10];

	expect(p != MAP_FAILED);
	low = mmap(p + (1 << 20) - 8192, 8192, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	expect(low != MAP_FAILED);
	expect(munmap(p, (1 << 20) - 8192) == 0);
	low[0] = 'x';
	big[0] = 's';

	checkpoint_here();
	if (spoiled())
		fresh(low, 8192);

	expect(vma_has(low, "gd"));
	expect_eq(low[0], 'x');
	for (int i = 1; i < 10; i++)
		low[-4096 * i] = (char)i;
	expect_eq(big[0], 's');
	{
		volatile char more[4 << 20];

		for (size_t i = sizeof(more); i >= 4096; i -= 4096)
			more[i - 1] = 1;
		expect_eq(more[4095], 1);
	}
}

CPT_STORY(mm_heap, "the heap keeps its end and grows from there")
{
	char *before, *p;

	for (int i = 0; i < 100; i++)
		expect(malloc(1000));
	before = sbrk(8192);
	expect(before != (void *)-1);
	strcpy(before, "on the heap");
	before = sbrk(0);

	checkpoint_here();
	if (spoiled())
		expect(sbrk(4096) == before);

	expect(sbrk(0) == before);
	p = sbrk(1 << 20);
	expect(p == before);
	memset(p, 1, 1 << 20);
	expect(sbrk(0) == before + (1 << 20));
	expect(sbrk(-(1 << 20)) != (void *)-1);
	expect(!strcmp(before - 8192, "on the heap"));
	expect(strstr(slurp("/proc/self/maps"), "[heap]"));
}

CPT_STORY(mm_madvise, "advice: DONTFORK, WIPEONFORK, DONTDUMP, MERGEABLE or not, huge pages or not, access order")
{
	static const struct { int advice; const char *flag; } what[] = {
		{ MADV_DONTFORK, "dc" }, { MADV_WIPEONFORK, "wf" }, { MADV_DONTDUMP, "dd" },
		{ MADV_HUGEPAGE, "hg" }, { MADV_NOHUGEPAGE, "nh" }, { MADV_SEQUENTIAL, "sr" },
		{ MADV_RANDOM, "rr" } };
	enum { N = sizeof(what) / sizeof(*what) };
	bool had[N];
	char *p[N];

	for (int i = 0; i < N; i++) {
		p[i] = map(4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE);
		memset(p[i], 'a' + i, 4096);
		(void)madvise(p[i], 4 << 20, what[i].advice);
		had[i] = vma_has(p[i], what[i].flag);
	}
	expect(had[0] && had[1] && had[2]);

	checkpoint_here();
	if (spoiled())
		expect(madvise(p[1], 4 << 20, MADV_KEEPONFORK) == 0);

	for (int i = 0; i < N; i++) {
		expect_eq(vma_has(p[i], what[i].flag), had[i]);
		expect_eq(p[i][4095], 'a' + i);
	}
}

CPT_STORY(mm_locked, "mlock, mlock2 on fault, and locking of all that comes")
{
	char *a = map(65536, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	char *b = map(65536, PROT_READ | PROT_WRITE, MAP_PRIVATE), *c;

	if (mlock(a, 65536))
		skip("no right to lock memory");
	expect(mlock2(b, 65536, MLOCK_ONFAULT) == 0);
	expect(mlockall(MCL_FUTURE | MCL_ONFAULT) == 0);

	checkpoint_here();
	if (spoiled())
		munlockall();

	expect(vma_has(a, "lo"));
	expect(vma_has(b, "lo"));
	expect(strtol(status_line("self", "VmLck"), NULL, 10) >= 128);
	c = map(65536, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	expect(vma_has(c, "lo"));
	expect(munlock(a, 65536) == 0);
	expect(!vma_has(a, "lo"));
}

CPT_STORY(mm_noreserve, "reserved address space that nothing stands behind costs nothing")
{
	char *p = mmap(NULL, 64UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *q = mmap(NULL, 16UL << 30, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	expect(p != MAP_FAILED && q != MAP_FAILED);
	q[8UL << 30] = 'm';

	checkpoint_here();
	if (spoiled())
		fresh(q, 4096);

	expect(vma_has(q, "nr"));
	expect_eq(q[8UL << 30], 'm');
	expect_eq(q[1UL << 30], 0);
	expect(mprotect(p + (32UL << 30), 4096, PROT_READ | PROT_WRITE) == 0);
	p[32UL << 30] = 1;
	expect(strtol(status_line("self", "VmRSS"), NULL, 10) < 100000);
}

#define RESERVE (16UL << 40)

static void look_into_reserve(void *arg)
{
	char *q = arg;

	q[3UL << 40] = 'c';
	mark("child");
	after_checkpoint();
	await("turn");
	for (size_t i = 0; i < 16; i++)
		expect_eq(q[i << 40], i == 3 ? 'c' : 'a' + (int)i);
	expect_eq(q[RESERVE - 1], 0);
}

CPT_STORY(mm_reserve_shared, "terabytes reserved, as some runtimes do, and shared with a child")
{
	char *q = mmap(NULL, RESERVE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	pid_t pid;

	expect(q != MAP_FAILED);
	for (size_t i = 0; i < 16; i++)
		q[i << 40] = (char)('a' + i);
	pid = branch(look_into_reserve, q);
	await("child");

	checkpoint_here();
	if (spoiled())
		fresh(q + (7UL << 40), 4096);

	for (size_t i = 0; i < 16; i++)
		expect_eq(q[i << 40], 'a' + (int)i);
	expect_eq(q[(1UL << 40) + 4096], 0);
	mark("turn");
	join(pid);
	expect_eq(q[3UL << 40], 'd');
}

CPT_STORY(mm_many, "two thousand mappings of changing protection, sizes and gaps")
{
	enum { N = 2000 };
	char *base = map(N * 16384UL, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);

	for (unsigned i = 0; i < N; i++) {
		char *at = base + i * 16384UL;

		expect(mprotect(at, 4096 * (i % 3 + 1), i % 2 ? PROT_READ | PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
		*(unsigned *)at = i;
		if (i % 7 == 0)
			expect(munmap(at + 12288, 4096) == 0);
	}

	checkpoint_here();
	if (spoiled())
		*(unsigned *)(base + 1999 * 16384UL) = 0;

	for (unsigned i = 0; i < N; i++)
		expect_eq(*(unsigned *)(base + i * 16384UL), i);
	expect_eq(perms_of(base + 2 * 16384UL, 2), 'x');
	expect_eq(perms_of(base + 3 * 16384UL, 2), '-');
	expect_eq(perms_of(base + 7 * 16384UL + 12288, 0), '?');
}

CPT_STORY(mm_vdso, "the vdso works: clocks, and the place of it is the one in the auxiliary vector")
{
	unsigned long at = getauxval(AT_SYSINFO_EHDR);
	struct timespec a, b;
	struct timeval tv;
	unsigned cpu, node;

	clock_gettime(CLOCK_MONOTONIC, &a);

	checkpoint_here();
	if (spoiled())
		at += 4096;

	expect(!memcmp((void *)at, ELFMAG, 4));
	clock_gettime(CLOCK_MONOTONIC, &b);
	expect(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec));
	for (int i = 0; i < 1000; i++) {
		expect(gettimeofday(&tv, NULL) == 0 && tv.tv_sec > 1700000000);
		expect(getcpu(&cpu, &node) == 0);
		expect(time(NULL) > 1700000000);
		/* the vdso and the kernel agree */
		expect(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &a) == 0);
		clock_gettime(CLOCK_MONOTONIC, &b);
		expect((b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec >= 0);
	}
	expect(strstr(slurp("/proc/self/maps"), "[vdso]"));
	expect(strstr(slurp("/proc/self/maps"), "[vvar"));
	expect(strstr(slurp("/proc/self/maps"), "[stack]"));
}

static char *file_bytes(const char *path, size_t *len)
{
	char *b = malloc(65536);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	expect(fd >= 0);
	*len = 0;
	while ((n = read(fd, b + *len, 65536 - *len)) > 0)
		*len += (size_t)n;
	close(fd);
	return b;
}

CPT_STORY(mm_proc_names, "command line, environment, auxiliary vector and exe link are the same")
{
	static const char *const files[] = { "/proc/self/cmdline", "/proc/self/environ",
					     "/proc/self/auxv", "/proc/self/comm" };
	char exe[2][4096] = { "", "" }, *before[4], *after;
	size_t len[4], now;
	char big[64];

	expect(prctl(PR_SET_NAME, "a story (of)") == 0);
	for (int i = 0; i < 4; i++)
		before[i] = file_bytes(files[i], &len[i]);
	expect(readlink("/proc/self/exe", exe[0], 4095) > 0);

	checkpoint_here();
	if (spoiled())
		prctl(PR_SET_NAME, "other");

	snprintf(big, sizeof(big), "%s", "x");
	for (int i = 0; i < 4; i++) {
		after = file_bytes(files[i], &now);
		expect_eq(now, len[i]);
		expect(!memcmp(before[i], after, now));
	}
	expect(readlink("/proc/self/exe", exe[1], 4095) > 0);
	expect(!strcmp(exe[0], exe[1]));
	expect(getenv("PATH"));
}

CPT_STORY(mm_names, "names given to anonymous memory")
{
	char *p = map(65536, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 65536, "a-named-area"))
		skip("this kernel does not name anonymous memory");
	p[0] = 1;

	checkpoint_here();
	if (spoiled())
		prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 65536, NULL);

	expect(strstr(slurp("/proc/self/maps"), "[anon:a-named-area]"));
}

static int computed(int x)
{
	return x * 7 + 3;
}

CPT_STORY(mm_written_code, "code written at run time into anonymous memory runs on")
{
	int (*volatile f)(int);
	unsigned char *p = (unsigned char *)map(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);

#ifdef __x86_64__
	/* lea eax, [rdi*8+3]; sub eax, edi; ret */
	memcpy(p, "\x8d\x04\xfd\x03\x00\x00\x00\x29\xf8\xc3", 10);
#else
	skip("only x86-64 code here");
#endif
	expect(mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0);
	f = (int (*)(int))p;

	checkpoint_here();
	if (spoiled())
		f = (int (*)(int))computed;

	expect_eq(f(5), computed(5) - (spoiled() ? 1 : 0));
}

static atomic_int run_on;
static void *writer(void *arg)
{
	volatile uint64_t *w = arg;

	/* every word of a page holds the round; a torn page shows two rounds more than one apart */
	for (uint64_t round = 1; run_on; round++)
		for (size_t i = 0; i < 512; i++)
			w[i] = round;
	return NULL;
}

CPT_STORY(mm_consistent, "memory that threads are writing is the memory of one instant")
{
	pthread_t th[3];
	char *p = map(3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	run_on = 1;
	for (int i = 0; i < 3; i++)
		expect(pthread_create(&th[i], NULL, writer, p + i * 4096) == 0);

	checkpoint_here();

	run_on = 0;
	for (int i = 0; i < 3; i++)
		pthread_join(th[i], NULL);
	if (spoiled())
		p[8]--;
	for (int i = 0; i < 3; i++)
		for (int j = 1; j < 512; j++)
			expect_eq(((uint64_t *)(void *)(p + i * 4096))[j], ((uint64_t *)(void *)(p + i * 4096))[0]);
}
