/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.c - regular files, directories, devices, descriptor tables, cwd, root, umask */
#include "story.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static void create(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	expect(fd >= 0);
	expect_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int linked_to(int fd, const char *want)
{
	char link[64], text[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, text, sizeof(text) - 1);
	expect(n > 0);
	text[n] = 0;
	return strlen(text) >= strlen(want) && !strcmp(text + n - strlen(want), want);
}

CPT_STORY(files_position, "an open file: position, mode, flags, close-on-exec, number")
{
	char b[8] = "";
	int fd, high;

	create("f", "0123456789abcdef");
	fd = open("f", O_RDWR | O_CLOEXEC | O_NOATIME | O_DSYNC);
	high = fcntl(fd, F_DUPFD, 777);
	expect(fd >= 0 && high == 777);
	expect_eq(lseek(fd, 10, SEEK_SET), 10);

	checkpoint_here();
	if (spoiled())
		expect_eq(lseek(fd, 0, SEEK_SET), 0);

	expect_eq(fcntl(fd, F_GETFL) & ~0100000, O_RDWR | O_NOATIME | O_DSYNC);
	expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	expect_eq(fcntl(high, F_GETFD), 0);
	expect_eq(read(high, b, 2), 2);
	expect(!memcmp(b, "ab", 2));
	expect_eq(lseek(fd, 0, SEEK_CUR), 12);
	expect_eq(write(fd, "ZZ", 2), 2);
	expect(!strcmp(slurp("f"), "0123456789abZZef"));
}

CPT_STORY(files_append, "a log open for append goes on at its end, another one at its place")
{
	int log, at;

	create("log", "one\n");
	log = open("log", O_WRONLY | O_APPEND);
	at = open("log", O_WRONLY);
	expect(log >= 0 && at >= 0);
	expect_eq(write(log, "two\n", 4), 4);
	expect_eq(lseek(at, 1, SEEK_SET), 1);

	checkpoint_here();
	if (spoiled())
		fcntl(log, F_SETFL, 0), lseek(log, 0, SEEK_SET);

	expect_eq(fcntl(log, F_GETFL) & O_APPEND, O_APPEND);
	expect_eq(write(log, "three\n", 6), 6);
	expect_eq(write(at, "N", 1), 1);
	expect(!strcmp(slurp("log"), "oNe\ntwo\nthree\n"));
}

static int shared_fd, own_fd;

static void read_two(void *arg)
{
	char b[2];

	after_checkpoint();
	await("turn");
	expect_eq(read(shared_fd, b, 2), 2);
	expect(!memcmp(b, "45", 2));
	expect_eq(read(own_fd, b, 2), 2);
	expect(!memcmp(b, "01", 2));
}

CPT_STORY(files_shared_position, "one position for a description shared over fork and dup, another for a second open")
{
	char b[4];
	int twin;
	pid_t pid;

	create("f", "0123456789");
	shared_fd = open("f", O_RDONLY);
	own_fd = open("f", O_RDONLY);
	twin = dup(shared_fd);
	pid = branch(read_two, NULL);
	expect_eq(read(shared_fd, b, 2), 2);

	checkpoint_here();
	if (spoiled())
		expect_eq(read(shared_fd, b, 1), 1);

	expect_eq(read(twin, b, 2), 2);
	expect(!memcmp(b, "23", 2));
	mark("turn");
	join(pid);
	expect_eq(read(shared_fd, b, 2), 2);
	expect(!memcmp(b, "67", 2));
	expect_eq(lseek(own_fd, 0, SEEK_CUR), 2);
}

CPT_STORY(files_deleted, "a deleted file: content, size, holes, position; still deleted, still writable")
{
	struct stat st;
	char b[8];
	int fd = open("gone", O_RDWR | O_CREAT, 0600);

	expect(fd >= 0);
	expect_eq(pwrite(fd, "head", 4, 0), 4);
	expect_eq(pwrite(fd, "tail", 4, 40 << 20), 4);
	expect_eq(lseek(fd, 2, SEEK_SET), 2);
	expect(unlink("gone") == 0);

	checkpoint_here();
	if (spoiled())
		expect(ftruncate(fd, 3) == 0);

	expect(fstat(fd, &st) == 0);
	expect_eq(st.st_size, (40 << 20) + 4);
	expect_eq(st.st_nlink, 0);
	expect(st.st_blocks < 2000);
	expect_eq(st.st_mode & 07777, 0600);
	expect_eq(read(fd, b, 2), 2);
	expect(!memcmp(b, "ad", 2));
	expect_eq(pread(fd, b, 4, 40 << 20), 4);
	expect(!memcmp(b, "tail", 4));
	expect_eq(pwrite(fd, "HEAD", 4, 0), 4);
	expect(access("gone", F_OK) == -1);
}

CPT_STORY(files_deleted_shared, "a deleted file opened twice, mapped and read-only: still one file")
{
	int a = open("gone", O_RDWR | O_CREAT, 0600), b = open("gone", O_RDONLY);
	char *m, c[4];

	expect(a >= 0 && b >= 0);
	expect_eq(write(a, "0123456789", 10), 10);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	expect(m != MAP_FAILED);
	expect(unlink("gone") == 0);

	checkpoint_here();
	if (spoiled())
		m = mmap(m, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, a, 0);

	expect_eq(fcntl(a, F_GETFL) & O_ACCMODE, O_RDWR);
	expect_eq(fcntl(b, F_GETFL) & O_ACCMODE, O_RDONLY);
	m[3] = 'M';
	expect_eq(pread(b, c, 4, 0), 4);
	expect(!memcmp(c, "012M", 4));
	expect_eq(pwrite(a, "W", 1, 1), 1);
	expect_eq(m[1], 'W');
	expect_eq(lseek(b, 0, SEEK_CUR), 0);
}

CPT_STORY(files_deleted_linked, "a file whose name was deleted but which has another name")
{
	struct stat st, there;
	int fd;

	create("one", "text");
	expect(link("one", "two") == 0);
	fd = open("one", O_RDWR);
	expect(fd >= 0 && unlink("one") == 0);

	checkpoint_here();
	if (spoiled())
		expect(unlink("two") == 0);

	expect(fstat(fd, &st) == 0 && stat("two", &there) == 0);
	expect_eq(st.st_ino, there.st_ino);
	expect_eq(st.st_nlink, 1);
	expect(access("one", F_OK) == -1);
	expect_eq(write(fd, "T", 1), 1);
	expect(!strcmp(slurp("two"), "Text"));
}

CPT_STORY(files_tmpfile, "an O_TMPFILE file that never had a name")
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	char b[8];

	if (fd < 0)
		skip("no O_TMPFILE in this file system");
	expect_eq(write(fd, "nameless", 8), 8);

	checkpoint_here();
	if (spoiled())
		expect_eq(pwrite(fd, "N", 1, 0), 1);

	expect_eq(pread(fd, b, 8, 0), 8);
	expect(!memcmp(b, "nameless", 8));
	expect_eq(lseek(fd, 0, SEEK_CUR), 8);
}

CPT_STORY(files_mapped, "file mappings: private with changed pages, shared, read-only; their names")
{
	char text[8192], *priv, *shared, *ro;
	int fd;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	create("f", text);
	fd = open("f", O_RDWR);
	expect(fd >= 0);
	priv = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
	expect(priv != MAP_FAILED && shared != MAP_FAILED && ro != MAP_FAILED);
	close(fd);
	priv[1] = 'P';
	shared[2] = 'S';

	checkpoint_here();
	if (spoiled())
		priv = mmap(priv, 8192, PROT_READ, MAP_PRIVATE | MAP_FIXED, open("f", O_RDONLY), 0);

	expect_eq(priv[1], 'P');
	expect_eq(priv[5000], 'x');
	expect_eq(shared[1], 'x');
	expect_eq(shared[2], 'S');
	expect_eq(ro[0], 'x');
	shared[5000] = 'T';
	expect_eq(ro[5000 - 4096], 'T');
	expect_eq(priv[5000], 'T');	/* not yet copied: still the file's page */
	expect_eq(slurp("f")[5000], 'T');
	priv[5001] = 'Q';
	expect_eq(shared[5001], 'x');
}

CPT_STORY(files_renamed, "a file that was renamed after it was opened is found under its new name")
{
	int fd;

	create("old", "abc");
	fd = open("old", O_RDWR);
	expect(fd >= 0 && rename("old", "new") == 0);

	checkpoint_here();
	if (spoiled())
		expect(rename("new", "newer") == 0);

	expect(linked_to(fd, "/new"));
	expect_eq(pwrite(fd, "A", 1, 0), 1);
	expect(!strcmp(slurp("new"), "Abc"));
}

CPT_STORY(files_directory, "an open directory, its place in the listing, and openat below it")
{
	char seen[10] = "", name[8];
	struct dirent *e;
	DIR *d;
	int fd, path;

	expect(mkdir("d", 0755) == 0);
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		create(name, "");
	}
	d = opendir("d");
	path = open("d", O_PATH | O_CLOEXEC);
	expect(d && path >= 0);

	checkpoint_here();
	if (spoiled())
		close(path);

	fd = openat(dirfd(d), "3", O_RDONLY);
	expect(fd >= 0);
	expect(fcntl(path, F_GETFL) & O_PATH);
	expect_eq(openat(path, "nothing", O_RDONLY), -1);
	expect_eq(errno, ENOENT);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			seen[e->d_name[0] - '0'] = 1;
	for (int i = 0; i < 9; i++)
		expect_eq(seen[i], 1);
}

CPT_STORY(files_devices, "null, zero, full, random and urandom are open and work")
{
	static const char *const names[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
					     "/dev/urandom" };
	struct stat st;
	int fd[5];
	char b[16] = { 1 };

	for (int i = 0; i < 5; i++)
		expect((fd[i] = open(names[i], O_RDWR)) >= 0);

	checkpoint_here();
	if (spoiled())
		close(fd[2]);

	expect_eq(read(fd[0], b, 1), 0);
	expect_eq(read(fd[1], b, 16), 16);
	expect_eq(b[0], 0);
	expect(write(fd[2], b, 1) == -1 && errno == ENOSPC);
	expect_eq(read(fd[4], b, 16), 16);
	for (int i = 0; i < 5; i++) {
		expect(fstat(fd[i], &st) == 0 && S_ISCHR(st.st_mode));
		expect(linked_to(fd[i], names[i]));
	}
}

CPT_STORY(files_closed_numbers, "numbers that were closed stay closed, the lowest free one comes next")
{
	int fd[20];

	for (int i = 0; i < 20; i++)
		expect((fd[i] = open("/dev/null", O_RDONLY)) >= 0);
	close(0);
	close(fd[3]);
	close(fd[11]);

	checkpoint_here();
	if (spoiled())
		expect_eq(open("/dev/null", O_RDONLY), 0);

	expect_eq(open("/dev/null", O_RDONLY), 0);
	expect_eq(open("/dev/null", O_RDONLY), fd[3]);
	expect_eq(open("/dev/null", O_RDONLY), fd[11]);
	expect_eq(open("/dev/null", O_RDONLY), fd[19] + 1);
}

static void *own_table(void *arg)
{
	expect(unshare(CLONE_FILES) == 0);
	close(*(int *)arg);
	mark("closed");
	after_checkpoint();
	expect(fcntl(*(int *)arg, F_GETFD) == -1 && errno == EBADF);
	return NULL;
}

CPT_REFUSED(files_table_per_thread, "a thread with a descriptor table of its own is refused, and keeps it",
	    "has a table of descriptors of its own")
{
	int fd = open("/dev/null", O_RDONLY);
	pthread_t th;

	expect(pthread_create(&th, NULL, own_table, &fd) == 0);
	await("closed");

	checkpoint_here();
	if (spoiled())
		close(fd);

	pthread_join(th, NULL);
	expect(fcntl(fd, F_GETFD) >= 0);
}

static void cwd_child(void *arg)
{
	struct stat here, there;

	expect(chdir("sub") == 0);
	umask(077);
	mark("moved");
	after_checkpoint();
	expect(stat(".", &here) == 0 && stat("../sub", &there) == 0);
	expect_eq(here.st_ino, there.st_ino);
	create("by-child", "");
	expect(stat("by-child", &here) == 0);
	expect_eq(here.st_mode & 0777, 0600);
}

CPT_STORY(files_cwd_umask, "current folder and umask, each process its own")
{
	struct stat st;
	pid_t pid;

	expect(mkdir("sub", 0777) == 0);
	pid = branch(cwd_child, NULL);
	await("moved");
	umask(027);

	checkpoint_here();
	if (spoiled())
		umask(0);

	expect_eq(umask(027), 027);
	create("by-parent", "");
	expect(stat("by-parent", &st) == 0);
	expect_eq(st.st_mode & 0777, 0640);
	join(pid);
	expect(access("sub/by-child", F_OK) == 0);
}

static void caged(void *arg)
{
	char here[256];

	expect(chroot("cage") == 0 && chdir("/in") == 0);
	create("/ready", "");
	while (access("/go", F_OK))
		nap(1);
	expect(getcwd(here, sizeof(here)) && !strcmp(here, "/in"));
	expect(access("/proc/self", F_OK) == -1);
	create("/after", "");
}

CPT_STORY(files_chroot, "a process in another root folder is in it again")
{
	pid_t pid;

	if (geteuid())
		skip("needs root");
	expect(mkdir("cage", 0755) == 0 && mkdir("cage/in", 0755) == 0);
	pid = branch(caged, NULL);
	while (access("cage/ready", F_OK))
		nap(1);

	checkpoint_here();
	if (spoiled())
		expect(mkdir("cage/proc", 0755) == 0 && mkdir("cage/proc/self", 0755) == 0);

	create("cage/go", "");
	join(pid);
	expect(access("cage/after", F_OK) == 0);
}

CPT_STORY(files_owner, "fcntl F_SETOWN and F_SETSIG")
{
	struct f_owner_ex owner = { F_OWNER_PID, getpid() }, got;
	int p[2];

	expect(pipe(p) == 0);
	expect(fcntl(p[0], F_SETOWN_EX, &owner) == 0);
	expect(fcntl(p[0], F_SETSIG, SIGRTMIN + 4) == 0);

	checkpoint_here();
	if (spoiled())
		fcntl(p[0], F_SETSIG, 0);

	expect(fcntl(p[0], F_GETOWN_EX, &got) == 0);
	expect_eq(got.type, F_OWNER_PID);
	expect_eq(got.pid, getpid());
	expect_eq(fcntl(p[0], F_GETSIG), SIGRTMIN + 4);
}
