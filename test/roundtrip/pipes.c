/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pipes.c - pipes and fifos: content, size, flags, ends that are gone */
#include "story.h"

#include <sys/ioctl.h>
#include <sys/stat.h>

static void fill(int fd, size_t n, unsigned seed)
{
	unsigned char *b = malloc(n);

	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		b[i] = (unsigned char)(seed >> 16);
	}
	expect_eq(write(fd, b, n), n);
	free(b);
}

static void drain(int fd, size_t n, unsigned seed)
{
	unsigned char *b = malloc(n);
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(fd, b + have, n - have);

		expect(got > 0);
		have += (size_t)got;
	}
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		expect_eq(b[i], (unsigned char)(seed >> 16));
	}
	free(b);
}

CPT_STORY(pipes_content, "bytes in a pipe, its size and its flags")
{
	int p[2], n = -1;

	expect(pipe2(p, O_CLOEXEC) == 0);
	expect(fcntl(p[1], F_SETPIPE_SZ, 262144) == 262144);
	expect(fcntl(p[0], F_SETFL, O_NONBLOCK) == 0);
	fill(p[1], 100001, 1);

	checkpoint_here();
	if (spoiled())
		drain(p[0], 1, 1);

	expect_eq(fcntl(p[0], F_GETPIPE_SZ), 262144);
	expect(ioctl(p[0], FIONREAD, &n) == 0);
	expect_eq(n, 100001);
	expect_eq(fcntl(p[0], F_GETFL), O_RDONLY | O_NONBLOCK);
	expect_eq(fcntl(p[1], F_GETFL), O_WRONLY);
	expect_eq(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	drain(p[0], 100001, 1);
	expect(read(p[0], &n, 1) == -1 && errno == EAGAIN);
	fill(p[1], 262144, 2);
	drain(p[0], 262144, 2);
	close(p[1]);
	expect_eq(read(p[0], &n, 1), 0);
}

CPT_STORY(pipes_full, "a pipe that is full to the brim stays so, and its blocked writer goes on")
{
	int p[2], done[2];
	pid_t pid;
	char c;

	expect(pipe(p) == 0 && pipe(done) == 0);
	fill(p[1], 65536, 3);
	pid = fork();
	if (!pid) {
		fill(p[1], 5000, 4);
		expect_eq(write(done[1], "x", 1), 1);
		_exit(0);
	}
	await_blocked(pid, pid, SYS_write);

	checkpoint_here();
	if (spoiled())
		expect_eq(read(p[0], &c, 1), 1);

	drain(p[0], 65536, 3);
	drain(p[0], 5000, 4);
	expect_eq(read(done[0], &c, 1), 1);
	join(pid);
}

static int between[2], back[2];

static void echo(void *arg)
{
	char c;

	close(between[1]);
	while (read(between[0], &c, 1) == 1) {
		c++;
		expect_eq(write(back[1], &c, 1), 1);
	}
}

CPT_STORY(pipes_between_processes, "a child blocked in read gets what is written after the restore, and the end")
{
	pid_t pid;
	char c = 'a';

	expect(pipe(between) == 0 && pipe(back) == 0);
	pid = branch(echo, NULL);
	close(between[0]);
	close(back[1]);
	await_blocked(pid, pid, SYS_read);

	checkpoint_here();
	if (spoiled())
		c = 'b';

	expect_eq(write(between[1], &c, 1), 1);
	expect_eq(read(back[0], &c, 1), 1);
	expect_eq(c, 'b');
	close(between[1]);
	expect_eq(read(back[0], &c, 1), 0);
	join(pid);
}

CPT_STORY(pipes_lost_ends, "a pipe without a writer ends, one without a reader breaks")
{
	int r[2], w[2];
	char b[8];

	signal(SIGPIPE, SIG_IGN);
	expect(pipe(r) == 0 && pipe(w) == 0);
	fill(r[1], 5, 5);
	close(r[1]);
	close(w[0]);

	checkpoint_here();
	if (spoiled())
		close(r[0]);

	drain(r[0], 5, 5);
	expect_eq(read(r[0], b, 1), 0);
	expect(write(w[1], "x", 1) == -1 && errno == EPIPE);
}

CPT_STORY(pipes_packets, "a packet pipe (O_DIRECT) keeps the borders of its packets")
{
	char b[100];
	int p[2];

	expect(pipe2(p, O_DIRECT) == 0);
	expect_eq(write(p[1], "one", 3), 3);
	expect_eq(write(p[1], "seven77", 7), 7);
	expect_eq(write(p[1], "z", 1), 1);

	checkpoint_here();
	if (spoiled())
		expect_eq(read(p[0], b, 1), 1);

	expect_eq(fcntl(p[1], F_GETFL) & O_DIRECT, O_DIRECT);
	expect_eq(read(p[0], b, sizeof(b)), 3);
	expect(!memcmp(b, "one", 3));
	expect_eq(read(p[0], b, sizeof(b)), 7);
	expect_eq(read(p[0], b, sizeof(b)), 1);
}

CPT_STORY(pipes_many_ends, "ends made by dup, by fork and through /proc are told apart")
{
	int p[2], again, reopened;
	char path[64];

	expect(pipe(p) == 0);
	again = dup(p[0]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	reopened = open(path, O_RDONLY | O_NONBLOCK);
	expect(again >= 0 && reopened >= 0);
	fill(p[1], 100, 6);

	checkpoint_here();
	if (spoiled())
		fcntl(p[0], F_SETFL, O_NONBLOCK);

	/* status flags belong to the description: dup shares them, another open does not */
	expect_eq(fcntl(again, F_GETFL) & O_NONBLOCK, 0);
	expect_eq(fcntl(reopened, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	fcntl(again, F_SETFL, O_NONBLOCK);
	expect_eq(fcntl(p[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	drain(reopened, 100, 6);
	close(p[0]);
	close(again);
	fill(p[1], 10, 7);
	drain(reopened, 10, 7);
}

CPT_STORY(fifos_content, "a named fifo with bytes in it, opened at both ends")
{
	struct stat a, b;
	int r, w;

	expect(mkfifo("fifo", 0600) == 0);
	r = open("fifo", O_RDONLY | O_NONBLOCK);
	w = open("fifo", O_WRONLY);
	expect(r >= 0 && w >= 0);
	fill(w, 3000, 8);

	checkpoint_here();
	if (spoiled())
		drain(r, 1, 8);

	expect(fstat(r, &a) == 0 && stat("fifo", &b) == 0);
	expect(a.st_ino == b.st_ino && S_ISFIFO(a.st_mode));
	drain(r, 3000, 8);
	fill(w, 20, 9);
	drain(r, 20, 9);
	close(w);
	expect_eq(read(r, &a, 1), 0);
}

CPT_STORY(fifos_deleted, "a fifo whose name is gone still carries bytes, one opened for both directions too")
{
	int r, w, rw;
	char c;

	expect(mkfifo("fifo", 0600) == 0 && mkfifo("both", 0600) == 0);
	r = open("fifo", O_RDONLY | O_NONBLOCK);
	w = open("fifo", O_WRONLY);
	rw = open("both", O_RDWR | O_NONBLOCK);
	expect(r >= 0 && w >= 0 && rw >= 0);
	fill(w, 30, 10);
	fill(rw, 40, 11);
	expect(unlink("fifo") == 0);

	checkpoint_here();
	if (spoiled())
		expect_eq(read(rw, &c, 1), 1);

	drain(r, 30, 10);
	drain(rw, 40, 11);
	expect(access("fifo", F_OK) == -1);
	fill(w, 5, 12);
	drain(r, 5, 12);
}
