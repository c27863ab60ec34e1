/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timers.c - POSIX timers and interval timers */
#include "story.h"

#include <sys/time.h>

CPT_STORY(timers_keep_phase, "an armed POSIX timer keeps its interval and what was left of it")
{
	struct itimerspec armed = { .it_interval.tv_sec = 7, .it_value.tv_sec = 600 };
	struct itimerspec left;
	timer_t t;

	expect(timer_create(CLOCK_MONOTONIC, NULL, &t) == 0);
	expect(timer_settime(t, 0, &armed, NULL) == 0);

	checkpoint_here();
	if (spoiled())
		timer_settime(t, 0, &(struct itimerspec){ 0 }, NULL);

	expect(timer_gettime(t, &left) == 0);
	expect_eq(left.it_interval.tv_sec, 7);
	expect(left.it_value.tv_sec <= 600);
	expect(left.it_value.tv_sec > 500);
}

CPT_STORY(timers_keep_ids, "timers keep their ids, with gaps, and a new one gets a new id")
{
	/* the kernel's own ids: timer_t of glibc wraps them for SIGEV_THREAD only */
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	struct itimerspec armed = { .it_value.tv_sec = 600 }, left;
	int ids[5], fresh = -1;

	for (int i = 0; i < 5; i++) {
		expect(syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &ids[i]) == 0);
		armed.it_value.tv_sec = 600 + i * 100;
		expect(syscall(SYS_timer_settime, ids[i], 0, &armed, NULL) == 0);
	}
	expect(syscall(SYS_timer_delete, ids[1]) == 0);
	expect(syscall(SYS_timer_delete, ids[3]) == 0);

	checkpoint_here();
	if (spoiled())
		syscall(SYS_timer_delete, ids[4]);

	for (int i = 0; i < 5; i += 2) {
		expect(syscall(SYS_timer_gettime, ids[i], &left) == 0);
		expect(left.it_value.tv_sec > 500 + i * 100);
		expect(left.it_value.tv_sec <= 600 + i * 100);
	}
	expect(syscall(SYS_timer_gettime, ids[1], &left) == -1 && errno == EINVAL);
	expect(syscall(SYS_timer_gettime, ids[3], &left) == -1 && errno == EINVAL);
	expect(syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &fresh) == 0);
	expect(fresh != ids[0] && fresh != ids[2] && fresh != ids[4]);
}

CPT_STORY(timers_signal_value, "a timer fires after the restore with its own signal and value")
{
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3 };
	struct itimerspec armed = { .it_value.tv_nsec = 300000000 };
	siginfo_t info;
	sigset_t set;
	timer_t t;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	how.sigev_value.sival_ptr = (void *)0x123456789abcUL;
	expect(timer_create(CLOCK_MONOTONIC, &how, &t) == 0);
	expect(timer_settime(t, 0, &armed, NULL) == 0);

	checkpoint_here();
	if (spoiled())
		timer_delete(t);

	expect_eq(sigtimedwait(&set, &info, &(struct timespec){ 5, 0 }), SIGRTMIN + 3);
	expect_eq(info.si_code, SI_TIMER);
	expect(info.si_value.sival_ptr == (void *)0x123456789abcUL);
}

CPT_STORY(timers_clocks, "timers on the realtime, boottime, process and thread clocks stay on them")
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_BOOTTIME,
					    CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID };
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec armed = { .it_interval.tv_sec = 3, .it_value.tv_sec = 600 }, left;
	timer_t t[4];

	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < 4; i++) {
		expect(timer_create(clocks[i], &how, &t[i]) == 0);
		expect(timer_settime(t[i], 0, &armed, NULL) == 0);
	}

	checkpoint_here();
	if (spoiled())
		timer_delete(t[2]);

	for (int i = 0; i < 4; i++) {
		expect(timer_gettime(t[i], &left) == 0);
		expect(left.it_value.tv_sec > 500 && left.it_value.tv_sec <= 600);
		expect_eq(left.it_interval.tv_sec, 3);
	}
	/* -6 is the process clock of the caller itself */
	expect(strstr(slurp("/proc/self/timers"), "ClockID: -6"));
}

CPT_STORY(timers_overrun, "a pending overrun count is not lost")
{
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec armed = { .it_interval.tv_nsec = 2000000, .it_value.tv_nsec = 2000000 };
	siginfo_t info;
	sigset_t set;
	timer_t t;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	expect(timer_create(CLOCK_MONOTONIC, &how, &t) == 0);
	expect(timer_settime(t, 0, &armed, NULL) == 0);
	nap(60);

	checkpoint_here();
	if (spoiled())
		timer_settime(t, 0, &(struct itimerspec){ 0 }, NULL);

	/* once pending it is delivered once, later it goes on every 2 ms */
	expect_eq(sigtimedwait(&set, &info, &(struct timespec){ 5, 0 }), SIGRTMIN);
	expect_eq(sigtimedwait(&set, &info, &(struct timespec){ 5, 0 }), SIGRTMIN);
	expect_eq(info.si_code, SI_TIMER);
}

CPT_STORY(itimers_keep_phase, "setitimer: real, virtual and profiling timers go on")
{
	struct itimerval armed = { { 9, 0 }, { 500, 0 } }, left;

	signal(SIGALRM, SIG_IGN);
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		expect(setitimer(which, &armed, NULL) == 0);

	checkpoint_here();
	if (spoiled())
		setitimer(ITIMER_PROF, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL);

	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		expect(getitimer(which, &left) == 0);
		expect_eq(left.it_interval.tv_sec, 9);
		expect(left.it_value.tv_sec > 400);
		expect(left.it_value.tv_sec <= 500);
	}
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

CPT_STORY(itimer_fires, "SIGALRM comes after the restore, again and again")
{
	struct itimerval armed = { { 0, 20000 }, { 0, 20000 } };
	int before;

	signal(SIGALRM, on_alarm);
	expect(setitimer(ITIMER_REAL, &armed, NULL) == 0);
	while (!alarms)
		nap(1);

	checkpoint_here();
	if (spoiled())
		setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL);

	before = alarms;
	for (int i = 0; i < 3000 && alarms < before + 3; i++)
		nap(1);
	expect(alarms >= before + 3);
}

struct aimed {
	pid_t tid;
	atomic_int hit;
};
static struct aimed aim;

static void on_aimed(int sig)
{
	if (cpt_gettid() == aim.tid)
		aim.hit++;
	else
		aim.hit = -1000;
}

static void *aimed_thread(void *arg)
{
	aim.tid = cpt_gettid();
	for (;;)
		pause();
	return NULL;
}

CPT_STORY(timers_aim_at_thread, "a SIGEV_THREAD_ID timer still signals its thread and no other")
{
	struct sigevent how = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	struct itimerspec armed = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 20000000 };
	pthread_t th;
	timer_t t;
	int seen;

	expect(pthread_create(&th, NULL, aimed_thread, NULL) == 0);
	while (!aim.tid)
		nap(1);
	signal(SIGUSR2, on_aimed);
	how._sigev_un._tid = aim.tid;
	expect(timer_create(CLOCK_MONOTONIC, &how, &t) == 0);
	expect(timer_settime(t, 0, &armed, NULL) == 0);

	checkpoint_here();
	if (spoiled())
		timer_delete(t);

	seen = aim.hit;
	expect(seen >= 0);
	for (int i = 0; i < 3000 && aim.hit < seen + 3; i++)
		nap(1);
	expect(aim.hit >= seen + 3);
}
