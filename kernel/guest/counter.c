// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * counter GROUP FILE: a program to dump and restore. Joins the cgroup, then
 * counts into FILE with one thread while another checks that the memory still
 * holds what was written there; says "bad" in FILE if it does not.
 */
#include "base.h"

#define WORDS (1 << 18)

static unsigned *memory;
static volatile long turns;
static volatile int bad, told;
static int fd;

static void on_usr1(int sig)
{
	(void)sig;
	told++;
}

static void *checker(void *arg)
{
	for (;;) {
		for (unsigned i = 0; i < WORDS; i++)
			if (memory[i] != i * 2654435761u)
				bad = 1;
		nap();
	}
	return arg;
}

int main(int argc, char **argv)
{
	char path[512], text[64];
	pthread_t t;
	int group;

	if (argc != 3)
		return 2;
	setsid();
	snprintf(path, sizeof(path), "%s/cgroup.procs", argv[1]);
	group = open(path, O_WRONLY);
	if (group < 0 || write(group, "0", 1) != 1)
		return 1;
	close(group);
	fd = open(argv[2], O_CREAT | O_TRUNC | O_WRONLY, 0600);
	memory = malloc(WORDS * sizeof(*memory));
	if (fd < 0 || !memory)
		return 1;
	for (unsigned i = 0; i < WORDS; i++)
		memory[i] = i * 2654435761u;
	signal(SIGUSR1, on_usr1);
	if (pthread_create(&t, NULL, checker, NULL))
		return 1;
	for (;;) {
		int n = snprintf(text, sizeof(text), "%ld %d %s \n", ++turns, told,
				 bad ? "bad" : "good");

		if (pwrite(fd, text, n, 0) != n)
			return 1;
		nap();
	}
}
