/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memfd.c - anonymous files: content, name, size, seals, holes, mappings */
#include "story.h"

#include <sys/mman.h>
#include <sys/stat.h>

CPT_STORY(memfd_content, "a memfd keeps name, size, holes, content, position and seals")
{
	int fd = memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING), fresh;
	char link[64], text[256], b[16];
	struct stat st;
	ssize_t n;

	expect(fd >= 0);
	expect(ftruncate(fd, 64 << 20) == 0);
	expect_eq(pwrite(fd, "begin", 5, 100), 5);
	expect_eq(pwrite(fd, "end", 3, (64 << 20) - 3), 3);
	expect_eq(lseek(fd, 12345, SEEK_SET), 12345);
	expect(fchmod(fd, 0640) == 0);
	expect(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	fresh = memfd_create("unsealed", 0);
	expect(fresh >= 0);

	checkpoint_here();
	if (spoiled())
		expect_eq(lseek(fd, 0, SEEK_SET), 0);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, text, sizeof(text) - 1);
	expect(n > 0);
	text[n] = 0;
	expect(!strcmp(text, "/memfd:a name (deleted)"));
	expect(fstat(fd, &st) == 0);
	expect_eq(st.st_size, 64 << 20);
	expect(st.st_blocks < 1000);
	expect_eq(st.st_mode & 07777, 0640);
	expect_eq(lseek(fd, 0, SEEK_CUR), 12345);
	expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	expect_eq(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	expect_eq(fcntl(fresh, F_GET_SEALS), F_SEAL_SEAL);
	expect_eq(pread(fd, b, 5, 100), 5);
	expect(!memcmp(b, "begin", 5));
	expect_eq(pread(fd, b, 3, (64 << 20) - 3), 3);
	expect(!memcmp(b, "end", 3));
	expect(ftruncate(fd, 1) == -1 && errno == EPERM);
}

CPT_STORY(memfd_mapped, "a memfd mapped twice and open: one memory, also for a child")
{
	int fd = memfd_create("shared", 0);
	char *a, *b;

	expect(ftruncate(fd, 8 << 20) == 0);
	a = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, 4 << 20, PROT_READ, MAP_SHARED, fd, 4 << 20);
	expect(a != MAP_FAILED && b != MAP_FAILED);
	for (size_t i = 0; i < 8 << 20; i += 4096)
		a[i] = (char)(i >> 12);

	checkpoint_here();
	if (spoiled())
		a[4096 * 1500]++;

	for (size_t i = 0; i < 8 << 20; i += 4096)
		expect_eq(a[i], (char)(i >> 12));
	a[(4 << 20) + 5] = 77;
	expect_eq(b[5], 77);
	expect_eq(pwrite(fd, "Q", 1, 6 << 20), 1);
	expect_eq(a[6 << 20], 'Q');
	expect_eq(b[2 << 20], 'Q');
}

CPT_STORY(memfd_write_sealed, "a memfd sealed against writing, with its read-only mapping")
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	char *m;

	expect_eq(write(fd, "fixed text", 10), 10);
	expect(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	expect(m != MAP_FAILED);

	checkpoint_here();
	if (spoiled())
		m = mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	expect(!memcmp(m, "fixed text", 10));
	expect_eq(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW);
	expect(write(fd, "x", 1) == -1 && errno == EPERM);
}
