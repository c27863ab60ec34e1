/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sys.c - whole-file reads and writes, time, system calls without a glibc wrapper */
#include "base/base.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef SYS_pidfd_open			/* the same on every architecture */
#define SYS_pidfd_open 434
#define SYS_pidfd_send_signal 424
#define SYS_pidfd_getfd 438
#endif

int cpt_read_at(int dirfd, const char *path, struct cpt_buf *buf, struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return cpt_fail_sys(err, "open %s", path);
	buf->len = 0;
	for (;;) {
		ssize_t n;

		if (buf->cap - buf->len < 4096) {
			buf->cap = buf->cap ? 2 * buf->cap : 16384;
			buf->data = cpt_realloc(buf->data, buf->cap, 1);
		}
		n = read(fd, buf->data + buf->len, buf->cap - buf->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cpt_fail_sys(err, "read %s", path);
		buf->len += (size_t)n;
		if (n == 0)
			break;
	}
	buf->data[buf->len] = 0;
	return 0;
}

int cpt_write_at(int dirfd, const char *path, const char *value, struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return cpt_fail_sys(err, "open %s", path);
	if (write(fd, value, strlen(value)) < 0)
		return cpt_fail_sys(err, "write %s to %s", value, path);
	return 0;
}

int cpt_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = write(fd, p, CPT_MIN(size, (size_t)SSIZE_MAX / 2));

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int cpt_pwrite_all(int fd, const void *data, size_t size, off_t at)
{
	const char *p = data;

	while (size) {
		ssize_t n = pwrite(fd, p, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
		p += n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int cpt_read_all(int fd, void *data, size_t size)
{
	char *p = data;

	while (size) {
		ssize_t n = read(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = 0;
		if (n <= 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int cpt_pread_all(int fd, void *data, size_t size, off_t at)
{
	char *p = data;

	while (size) {
		ssize_t n = pread(fd, p, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = 0;
		if (n <= 0)
			return -1;
		p += n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

uint64_t cpt_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void cpt_sleep_us(unsigned us)
{
	struct timespec t = { us / 1000000, (long)(us % 1000000) * 1000 };

	nanosleep(&t, NULL);
}

int cpt_pidfd_open(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

int cpt_pidfd_getfd(int pidfd, int fd)
{
	return (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
}

int cpt_pidfd_send_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int cpt_kcmp(pid_t a, pid_t b, int type, unsigned long ia, unsigned long ib)
{
	return (int)syscall(SYS_kcmp, a, b, type, ia, ib);
}
