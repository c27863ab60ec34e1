/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.c - groups of a known size for the benches
 *
 *	load READY procs N | threads N | maps N | fds N | mem MIB | cow MIB N
 *
 * Makes what is asked for, creates the file READY, and waits to be killed.
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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void rest(void)
{
	for (;;)
		pause();
}

static void *resting(void *arg)
{
	rest();
	return NULL;
}

static void procs(long n)
{
	for (long i = 1; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			rest();
	}
}

static void threads(long n)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 1; i < n; i++) {
		pthread_t th;

		errno = pthread_create(&th, &attr, resting, NULL);
		if (errno)
			die("thread");
	}
}

static void maps(long n)
{
	/* neighbours differ in protection, so that the kernel does not join them */
	char *p = mmap(NULL, (size_t)n * 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	for (long i = 0; i < n; i += 2) {
		p[i * 4096] = 1;
		if (mprotect(p + i * 4096, 4096, PROT_READ))
			die("mprotect");
	}
}

static void fds(long n)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	for (long i = 0; i < n; i++)
		if (open("/dev/null", O_RDONLY) < 0)
			die("open");
}

static void mem(long mib)
{
	size_t size = (size_t)mib << 20;
	uint64_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t x = 88172645463325252ULL;

	if (p == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < size / 8; i++) {	/* random, so that nothing is zero or twice there */
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
}

int main(int argc, char **argv)
{
	long n = argc > 3 ? atol(argv[3]) : 0;
	int fd;

	if (argc < 4)
		return 2;
	if (!strcmp(argv[2], "procs"))
		procs(n);
	else if (!strcmp(argv[2], "threads"))
		threads(n);
	else if (!strcmp(argv[2], "maps"))
		maps(n);
	else if (!strcmp(argv[2], "fds"))
		fds(n);
	else if (!strcmp(argv[2], "mem"))
		mem(n);
	else if (!strcmp(argv[2], "cow") && argc > 4) {
		mem(n);
		procs(atol(argv[4]) + 1);
	} else
		return 2;
	fd = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		die(argv[1]);
	close(fd);
	rest();
	return 0;
}
