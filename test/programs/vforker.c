/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vforker.c - vforker SECONDS: a parent that waits in vfork(2) for a child that takes its time, again and again */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct timespec t = { argc > 1 ? atoi(argv[1]) : 1, 0 }, between = { 0, 200000000 };

	for (;;) {
		pid_t pid = vfork();

		if (!pid) {
			nanosleep(&t, NULL);
			_exit(7);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 1;
		puts("again");
		fflush(stdout);
		nanosleep(&between, NULL);
	}
}
