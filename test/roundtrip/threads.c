/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads.c - what belongs to one thread: registers, names, scheduling, areas the kernel knows of */
#include "story.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#ifdef __x86_64__
#include <asm/prctl.h>
#include <immintrin.h>
#endif

struct one {
	pthread_t th;
	pid_t tid;
	int n;
	int ok;
	void *aux;
	void (*before)(struct one *), (*after)(struct one *);
};

static void *live(void *arg)
{
	struct one *o = arg;

	if (o->before)
		o->before(o);
	__atomic_store_n(&o->tid, cpt_gettid(), __ATOMIC_RELEASE);
	await("look");
	if (o->after)
		o->after(o);
	o->ok = 1;
	return NULL;
}

static void start(struct one *o)
{
	expect(pthread_create(&o->th, NULL, live, o) == 0);
	while (!__atomic_load_n(&o->tid, __ATOMIC_ACQUIRE))
		nap(1);
}

static void finish(struct one *o)
{
	mark("look");
	pthread_join(o->th, NULL);
	expect_eq(o->ok, 1);
}

static void name_it(struct one *o)
{
	char name[16];

	snprintf(name, sizeof(name), "thread %d)(", o->n);
	prctl(PR_SET_NAME, name);
}

static void look_at_name(struct one *o)
{
	char name[16], want[16];

	snprintf(want, sizeof(want), "thread %d)(", o->n);
	prctl(PR_GET_NAME, name);
	expect(!strcmp(name, want));
	expect_eq(cpt_gettid(), o->tid);
}

CPT_STORY(threads_names_ids, "forty threads keep their ids and odd names")
{
	struct one o[40] = { { 0 } };

	for (int i = 0; i < 40; i++) {
		o[i] = (struct one){ .n = i, .before = name_it, .after = look_at_name };
		start(&o[i]);
	}

	checkpoint_here();
	if (spoiled()) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", o[39].tid);
		fd = open(path, O_WRONLY);
		expect(fd >= 0 && write(fd, "other", 5) == 5);
	}
	for (int i = 0; i < 40; i++)
		finish(&o[i]);
}

static __thread long tls_value;

static void set_tls(struct one *o)
{
	tls_value = 1000 + o->n;
}

static void look_at_tls(struct one *o)
{
	expect_eq(tls_value, 1000 + o->n);
	expect(pthread_equal(pthread_self(), o->th));
	expect_eq(syscall(SYS_set_tid_address, NULL), o->tid);
	/* give the address back, or pthread_join waits for ever */
	expect_eq(syscall(SYS_set_tid_address, (char *)o->th + (size_t)o->aux), o->tid);
}

CPT_STORY(threads_tls, "thread-local storage: every thread has its own")
{
	struct one o[3] = { { 0 } };
	int *word = NULL;

	/* where glibc keeps the tid in its struct pthread: found, not assumed */
	for (int i = 0; i < 3; i++) {
		o[i] = (struct one){ .n = i, .before = set_tls };
		start(&o[i]);
		if (!word)
			for (word = (int *)o[i].th; *word != o[i].tid; word++)
				;
		o[i].aux = (void *)((char *)word - (char *)o[0].th);
		o[i].after = look_at_tls;
	}

	checkpoint_here();
	if (spoiled())
		o[2].n++;

	for (int i = 0; i < 3; i++)
		finish(&o[i]);
}

CPT_STORY(threads_tid_address, "the kernel still clears the tid address when a thread ends: join returns")
{
	struct one o[5] = { { 0 } };
	struct timespec until;

	for (int i = 0; i < 5; i++)
		start(&o[i]);

	checkpoint_here();

	mark("look");
	for (int i = 0; i < 5; i++) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 5;
		expect_eq(pthread_timedjoin_np(spoiled() ? pthread_self() : o[i].th, NULL, &until), 0);
		expect_eq(o[i].ok, 1);
	}
}

static void die_with_mutex(struct one *o)
{
	pthread_mutex_lock(o->aux);
}

CPT_STORY(threads_robust_list, "a robust mutex is handed on when its owner dies after the restore")
{
	struct one o = { .before = die_with_mutex };
	pthread_mutexattr_t attr;
	pthread_mutex_t m;
	void *head = NULL;
	size_t len = 0;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&m, &attr);
	o.aux = &m;
	start(&o);

	checkpoint_here();
	if (spoiled())
		o.aux = NULL;

	expect(syscall(SYS_get_robust_list, o.tid, &head, &len) == 0);
	expect(head && len == 24);
	finish(&o);
	expect_eq(spoiled() ? 0 : pthread_mutex_lock(&m), EOWNERDEAD);
}

CPT_STORY(threads_affinity, "cpu affinity, one thread on one cpu, another on all")
{
	struct one o = { 0 };
	cpu_set_t all, one, got;

	expect(sched_getaffinity(0, sizeof(all), &all) == 0);
	if (CPU_COUNT(&all) < 2)
		skip("one cpu only");
	start(&o);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_ZERO(&one);
			CPU_SET(i, &one);
		}
	expect(sched_setaffinity(o.tid, sizeof(one), &one) == 0);

	checkpoint_here();
	if (spoiled())
		sched_setaffinity(o.tid, sizeof(all), &all);

	expect(sched_getaffinity(o.tid, sizeof(got), &got) == 0);
	expect(CPU_EQUAL(&got, &one));
	expect(sched_getaffinity(0, sizeof(got), &got) == 0);
	expect(CPU_EQUAL(&got, &all));
	finish(&o);
}

CPT_STORY(threads_scheduling, "policy, nice, io priority, timer slack of each thread")
{
	int base = getpriority(PRIO_PROCESS, 0);
	struct one o[3] = { { 0 } };
	struct sched_param zero = { 0 };

	for (int i = 0; i < 3; i++)
		start(&o[i]);
	expect(sched_setscheduler(o[0].tid, SCHED_BATCH, &zero) == 0);
	expect(sched_setscheduler(o[1].tid, SCHED_IDLE, &zero) == 0);
	expect(setpriority(PRIO_PROCESS, (id_t)o[0].tid, 7) == 0);
	expect(setpriority(PRIO_PROCESS, (id_t)o[2].tid, 12) == 0);
	expect(syscall(SYS_ioprio_set, 1, o[2].tid, 2 << 13 | 6) == 0);
	expect(prctl(PR_SET_TIMERSLACK, 123456) == 0);

	checkpoint_here();
	if (spoiled())
		expect(setpriority(PRIO_PROCESS, (id_t)o[2].tid, 13) == 0);

	expect_eq(sched_getscheduler(o[0].tid), SCHED_BATCH);
	expect_eq(sched_getscheduler(o[1].tid), SCHED_IDLE);
	expect_eq(sched_getscheduler(o[2].tid), SCHED_OTHER);
	expect_eq(getpriority(PRIO_PROCESS, (id_t)o[0].tid), 7);
	expect_eq(getpriority(PRIO_PROCESS, (id_t)o[1].tid), base);
	expect_eq(getpriority(PRIO_PROCESS, (id_t)o[2].tid), 12);
	expect_eq(syscall(SYS_ioprio_get, 1, o[2].tid), 2 << 13 | 6);
	expect_eq(prctl(PR_GET_TIMERSLACK), 123456);
	for (int i = 0; i < 3; i++)
		finish(&o[i]);
}

CPT_STORY(threads_realtime, "a real-time policy with its priority")
{
	struct sched_param p = { .sched_priority = 3 }, got;

	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p))
		skip("no right to real-time scheduling");

	checkpoint_here();
	if (spoiled())
		sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 });

	expect_eq(sched_getscheduler(0), SCHED_RR | SCHED_RESET_ON_FORK);
	expect(sched_getparam(0, &got) == 0);
	expect_eq(got.sched_priority, 3);
}

#ifdef __x86_64__
struct fpu {
	atomic_int stop, go;
	int bad;
	int wide;
};

__attribute__((target("avx2"))) static void spin_ymm(struct fpu *f, int seed)
{
	__m256i v = _mm256_set_epi64x(seed, seed * 3, seed * 5, seed * 7), w = v, d;
	unsigned int mxcsr;

	while (!f->stop) {
		__asm__ volatile("vmovdqa %0, %%ymm15\n\tpause\n\tvmovdqa %%ymm15, %1"
				 : "+x"(v), "=x"(w) : : "xmm15");
		d = _mm256_xor_si256(v, w);
		if (!_mm256_testz_si256(d, d))
			f->bad = 1;
		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
		if ((mxcsr & 0x6000) != (unsigned)(seed % 4) << 13)
			f->bad = 2;
		f->go = 1;
	}
}

static struct fpu fpus[4];

static void *spin(void *arg)
{
	int i = (int)((struct fpu *)arg - fpus);
	unsigned int mxcsr = 0x1f80 | (unsigned)(i % 4) << 13;
	unsigned short cw = (unsigned short)(0x37f & ~(i << 8 & 0x300)), got = 0;

	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(cw));
	__asm__ volatile("fldpi" : : : "memory");
	spin_ymm(arg, i);
	__asm__ volatile("fnstcw %0" : "=m"(got));
	if (got != cw)
		fpus[i].bad = 3;
	return NULL;
}

CPT_STORY(threads_fpu, "AVX registers, rounding modes and x87 control of busy threads are not mixed up")
{
	pthread_t th[4];

	if (!__builtin_cpu_supports("avx2"))
		skip("no AVX2");
	for (int i = 0; i < 4; i++) {
		expect(pthread_create(&th[i], NULL, spin, &fpus[i]) == 0);
		while (!fpus[i].go)
			nap(1);
	}

	checkpoint_here();
	if (spoiled())
		fpus[3].bad = 9;

	for (int i = 0; i < 4; i++)
		fpus[i].go = 0;
	for (int i = 0; i < 4; i++)
		while (!fpus[i].go)
			nap(1);
	for (int i = 0; i < 4; i++) {
		fpus[i].stop = 1;
		pthread_join(th[i], NULL);
		expect_eq(fpus[i].bad, 0);
	}
}

static atomic_int regs_stop, regs_rounds;
static int regs_bad;

static void *spin_regs(void *arg)
{
	while (!regs_stop) {
		unsigned long ok;

		__asm__ volatile(
			"mov $0x1111, %%rbx\n\tmov $0x2222, %%r12\n\tmov $0x3333, %%r13\n\t"
			"mov $0x4444, %%r14\n\tmov $0x5555, %%r15\n\tmov $0x6666, %%r8\n\t"
			"mov $0x7777, %%r9\n\tmov $200000, %%rcx\n\tstd\n"
			"1:\n\tdec %%rcx\n\tjnz 1b\n\t"
			"pushf\n\tpop %%rax\n\tcld\n\tshr $10, %%rax\n\tand $1, %%rax\n\t"
			"add %%rbx, %%rax\n\tadd %%r12, %%rax\n\tadd %%r13, %%rax\n\tadd %%r14, %%rax\n\t"
			"add %%r15, %%rax\n\tadd %%r8, %%rax\n\tadd %%r9, %%rax"
			: "=a"(ok) : : "rbx", "rcx", "r8", "r9", "r12", "r13", "r14", "r15", "memory", "cc");
		if (ok != 0x1111UL * (1 + 2 + 3 + 4 + 5 + 6 + 7) + 1)
			regs_bad = 1;
		regs_rounds++;
	}
	return NULL;
}

CPT_STORY(threads_registers, "a thread that computes in its registers, direction flag set, computes on")
{
	pthread_t th;
	int at;

	expect(pthread_create(&th, NULL, spin_regs, NULL) == 0);
	while (regs_rounds < 10)
		nap(1);

	checkpoint_here();
	if (spoiled())
		regs_bad = 1;

	at = regs_rounds;
	while (regs_rounds < at + 10)
		nap(1);
	regs_stop = 1;
	pthread_join(th, NULL);
	expect_eq(regs_bad, 0);
}

CPT_STORY(threads_gs_base, "the gs base, which programs may use for themselves")
{
	static unsigned long area[4] = { 11, 22, 33, 44 };
	unsigned long v = 0, base = 0;

	expect(syscall(SYS_arch_prctl, ARCH_SET_GS, area) == 0);

	checkpoint_here();
	if (spoiled())
		syscall(SYS_arch_prctl, ARCH_SET_GS, area + 1);

	expect(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
	expect(base == (unsigned long)area);
	__asm__ volatile("mov %%gs:16, %0" : "=r"(v));
	expect_eq(v, 33);
}
#endif

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

struct kernel_rseq {
	uint32_t cpu_id_start, cpu_id;
	uint64_t rseq_cs;
	uint32_t flags;
};

static volatile struct kernel_rseq *my_rseq(void)
{
	return (volatile struct kernel_rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

CPT_STORY(threads_rseq, "the rseq area stays registered: the kernel keeps the cpu number in it right")
{
	cpu_set_t all, one;

	if (!&__rseq_size || !__rseq_size)
		skip("glibc has not registered rseq");
	expect(sched_getaffinity(0, sizeof(all), &all) == 0);

	checkpoint_here();
	if (spoiled())
		syscall(SYS_rseq, my_rseq(), 32, 1, 0x53053053);

	for (int round = 0; round < 4; round++)
		for (int i = 0; i < CPU_SETSIZE; i++) {
			if (!CPU_ISSET(i, &all))
				continue;
			CPU_ZERO(&one);
			CPU_SET(i, &one);
			expect(sched_setaffinity(0, sizeof(one), &one) == 0);
			expect_eq(my_rseq()->cpu_id, i);
		}
	/* registered once, so another registration is refused */
	expect(syscall(SYS_rseq, my_rseq(), 32, 0, 0x53053053) == -1 && errno != ENOSYS);
}

CPT_STORY(threads_death_signal, "the parent-death signal of a child is sent when its parent dies after the restore")
{
	int p[2], q[2];
	pid_t mid;
	char c = 0;

	expect(pipe(p) == 0 && pipe(q) == 0);
	mid = fork();
	if (!mid) {
		pid_t low = fork();

		if (!low) {
			sigset_t set;
			int sig = 0;

			sigemptyset(&set);
			sigaddset(&set, SIGUSR2);
			sigprocmask(SIG_BLOCK, &set, NULL);
			expect(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0);
			expect_eq(write(q[1], "r", 1), 1);
			sigwait(&set, &sig);
			c = (char)sig;
			expect_eq(write(p[1], &c, 1), 1);
			_exit(0);
		}
		pause();
		_exit(0);
	}
	expect_eq(read(q[0], &c, 1), 1);

	checkpoint_here();
	if (spoiled())
		expect_eq(write(p[1], "?", 1), 1);

	kill(mid, SIGKILL);
	expect_eq(read(p[0], &c, 1), 1);
	expect_eq(c, SIGUSR2);
}

static int to_headless[2], from_headless[2];

static void *headless(void *arg)
{
	char c;

	while (read(to_headless[0], &c, 1) == 1) {
		c++;
		expect_eq(write(from_headless[1], &c, 1), 1);
	}
	_exit(0);
}

CPT_REFUSED(threads_leader_gone, "a process whose first thread has ended is refused, and lives on",
	    "its main thread has ended while others run")
{
	pid_t pid;
	char c = 'a';

	expect(pipe(to_headless) == 0 && pipe(from_headless) == 0);
	pid = fork();
	if (!pid) {
		pthread_t th;

		close(to_headless[1]);
		expect(pthread_create(&th, NULL, headless, NULL) == 0);
		syscall(SYS_exit, 0);
	}
	close(to_headless[0]);
	close(from_headless[1]);
	await_state(pid, 'Z');

	checkpoint_here();
	if (spoiled())
		kill(pid, SIGKILL);

	await_state(pid, 'Z');
	signal(SIGPIPE, SIG_IGN);
	expect_eq(write(to_headless[1], &c, 1), 1);
	expect_eq(read(from_headless[0], &c, 1), 1);
	expect_eq(c, 'b');
	close(to_headless[1]);
	join(pid);
}
