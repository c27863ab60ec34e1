/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * busy.c - a small group that would notice any harm
 *
 *   busy FILE SUBGROUP
 *
 * Three processes, one in SUBGROUP (a folder with cgroup.procs, or "-"), with
 * five threads together that compute, sleep, talk over pipes and take timer
 * signals all the time. Each counts in a shared mapping of FILE, and whoever
 * sees something that an undisturbed run would not see (an interrupted call,
 * memory or a byte that is not what it was) puts the line into FILE's error
 * word. FILE: 8 counters of 64 bits, 0 is the error word, 7 says ready.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t *count;

static void expect_at(int line, int good)
{
	if (!good && !count[0])
		count[0] = (uint64_t)line;
}
#define expect(good) expect_at(__LINE__, (good))

static int down[2], up[2];
static uint32_t pattern[64 * 1024];

static void *sleeper(void *arg)
{
	struct timespec ms = { 0, 1000000 };

	for (;;) {
		expect(nanosleep(&ms, NULL) == 0);
		count[1]++;
	}
	return NULL;
}

static void *computer(void *arg)
{
	double f = 1;
	uint32_t x = 1;

	for (unsigned i = 0; i < 64 * 1024; i++)
		pattern[i] = i * 2654435761u;
	for (unsigned i = 0;; i = (i + 1) % (64 * 1024)) {
		/* both register files hold something that must stay */
		x = x * 1664525 + 1013904223;
		f = f * 0.5 + 1;
		expect(pattern[i] == i * 2654435761u);
		expect(f >= 1 && f <= 2);
		if (i == 0) {
			count[2]++;
			count[2] += x == 0 && f < 0;
		}
	}
	return NULL;
}

static void ticks(int sig)
{
	count[4]++;
}

static void echo(void)
{
	char buf[512];
	ssize_t n;

	for (;;) {
		n = read(down[0], buf, sizeof(buf));
		expect(n > 0);
		if (n <= 0)
			_exit(1);
		expect(write(up[1], buf, (size_t)n) == n);
	}
}

/* takes timer signals while it sleeps in a restarted read */
static void ticker(void)
{
	struct sigaction act = { .sa_handler = ticks, .sa_flags = SA_RESTART | SA_NODEFER };
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } };
	int p[2];
	char c;

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	expect(pipe(p) == 0);
	expect(read(p[0], &c, 1) == 1);		/* for ever */
	_exit(1);
}

static void move_to(const char *group)
{
	char path[4200];
	int fd;

	if (!strcmp(group, "-"))
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY);
	expect(fd >= 0 && write(fd, "0", 1) == 1);
	close(fd);
}

int main(int argc, char **argv)
{
	pthread_t t;
	int fd;

	if (argc != 3 || (fd = open(argv[1], O_RDWR | O_CREAT, 0600)) < 0 || ftruncate(fd, 4096))
		return 2;
	count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (count == MAP_FAILED || pipe(down) || pipe(up))
		return 2;
	close(fd);
	if (fork() == 0) {
		move_to(argv[2]);
		count[5] = 1;
		echo();
	}
	if (fork() == 0)
		ticker();
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&t, NULL, computer, NULL);
	for (uint32_t n = 1;; n++) {
		uint32_t back = 0;

		expect(write(down[1], &n, sizeof(n)) == sizeof(n));
		expect(read(up[0], &back, sizeof(back)) == sizeof(back));
		expect(back == n);
		count[3]++;
		if (count[1] && count[2] && count[4] && count[5])
			count[7] = 1;
		if (n % 64 == 0)
			usleep(100);
	}
}
