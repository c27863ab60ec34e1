/* SPDX-License-Identifier: GPL-2.0-or-later */
/* refused.c - what is not carried (yet): said before anything has changed */
#include "story.h"

#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>

CPT_REFUSED(refused_inotify, "an inotify descriptor is refused, and still reports", "inotify")
{
	char b[4096];
	int fd = inotify_init1(IN_NONBLOCK);

	expect(fd >= 0 && inotify_add_watch(fd, ".", IN_CREATE) >= 0);
	checkpoint_here();
	if (!spoiled())
		close(open("new", O_CREAT | O_WRONLY, 0600));
	expect(read(fd, b, sizeof(b)) > 0);
}

CPT_REFUSED(refused_sysv_shm, "System V shared memory is refused, and stays attached", "SYSV")
{
	int id = shmget(IPC_PRIVATE, 65536, IPC_CREAT | 0600);
	char *p = id < 0 ? NULL : shmat(id, NULL, 0);

	if (!p || p == (void *)-1)
		skip("no System V shared memory");
	shmctl(id, IPC_RMID, NULL);
	strcpy(p, "shared");
	checkpoint_here();
	if (spoiled())
		p[0] = 'S';
	expect(!strcmp(p, "shared"));
}

CPT_REFUSED(refused_netlink, "a netlink socket is refused, and stays open", "netlink")
{
	int fd = socket(AF_NETLINK, SOCK_RAW, 0);

	expect(fd >= 0);
	checkpoint_here();
	if (spoiled())
		close(fd);
	expect(fcntl(fd, F_GETFD) >= 0);
}

CPT_REFUSED(refused_terminal, "a pseudo terminal is refused, and still carries bytes", "/dev/pt")
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), slave;
	char b[8] = "";

	if (master < 0)
		skip("no pseudo terminals");
	expect(grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	expect(slave >= 0);
	checkpoint_here();
	if (!spoiled())
		expect_eq(write(slave, "x", 1), 1);
	for (int i = 0; i < 3000 && b[0] != 'x' && !spoiled(); i++)
		if (read(master, b, 1) < 1)
			nap(1);
	expect_eq(b[0], 'x');
}

CPT_REFUSED(refused_traced, "a task that another one traces is refused, and stays traced", "trace")
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		for (;;)
			pause();
	}
	if (syscall(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, pid, 0, 0))
		skip("no right to trace");
	checkpoint_here();
	if (spoiled()) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	expect_eq(strtol(status_line("self", "TracerPid"), NULL, 10), 0);
	{
		char of[16];

		snprintf(of, sizeof(of), "%d", pid);
		expect_eq(strtol(status_line(of, "TracerPid"), NULL, 10), getpid());
	}
	kill(pid, SIGKILL);
	expect_eq(waitpid(pid, &status, 0), pid);
}
