/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stuck.c - a task that does not freeze: its read(2) goes into a page that
 * userfaultfd never brings, and only SIGKILL ends that
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC), p[2];
	struct uffdio_api api = { .api = UFFD_API };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register r = { { (unsigned long)page, 4096 }, UFFDIO_REGISTER_MODE_MISSING, 0 };

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &r) || pipe(p) ||
	    write(p[1], "x", 1) != 1)
		return 1;
	return read(p[0], page, 1) != 1;
}
