/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lazy.c - asking how far a lazy restore is */
#include "base/lazy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define PATIENCE_S 10
#define LAST_WORD_S (24 * 3600)		/* so long it can be asked why a group ended */
#define SETTLED_S 60			/* a socket that is younger may be listened at soon */

int cpt_lazy_name(const char *group, const char *what, char ret[CPT_LAZY_NAME], struct cpt_err *err)
{
	struct stat st;

	if (stat(group, &st))
		return cpt_fail_sys(err, "look at %s", group);
	snprintf(ret, CPT_LAZY_NAME, CPT_RUN_FOLDER "/lazy-%llx-%llx.%s", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino, what);
	return 0;
}

static bool nobody_listens(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CPT_AUTO(fd) int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), CPT_RUN_FOLDER "/%.80s", name);
	return sock >= 0 && connect(sock, (const struct sockaddr *)&a, sizeof(a)) && errno == ECONNREFUSED;
}

void cpt_lazy_sweep(void)
{
	DIR *dir = opendir(CPT_RUN_FOLDER);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		const char *dot = strrchr(e->d_name, '.');
		struct stat st;
		time_t age;

		if (strncmp(e->d_name, "lazy-", 5) || !dot || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		age = time(NULL) - st.st_mtime;
		if ((!strcmp(dot, ".end") && age > LAST_WORD_S) ||
		    (!strcmp(dot, ".sock") && age > SETTLED_S && nobody_listens(e->d_name)))
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* the socket, the first word read; -1 with errno 0: there is nobody */
static int reach(const char *group, struct cpt_lazy_news *news, struct cpt_err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { PATIENCE_S, 0 };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	CPT_AUTO(fd) int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return cpt_fail_sys(err, "socket");
	if (cpt_lazy_name(group, "sock", a.sun_path, err))
		return -1;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(sock, (const struct sockaddr *)&a, sizeof(a))) {
		if (errno != ENOENT && errno != ECONNREFUSED && errno != EACCES)
			return cpt_fail_sys(err, "connect to %s", a.sun_path);
		err->fault = CPT_OK;
		return -1;
	}
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.uid != geteuid())
		return cpt_fail(err, CPT_SYSTEM, "%s is another user's", a.sun_path);
	if (cpt_read_all(sock, news, sizeof(*news)) || memcmp(news->magic, CPT_LAZY_MAGIC, sizeof(news->magic))) {
		if (errno)
			return cpt_fail(err, CPT_SYSTEM, "the process that brings in the pages of %s does not answer", group);
		err->fault = CPT_OK;	/* it was just about to end */
		return -1;
	}
	return CPT_TAKE(sock, -1);
}

int cpt_lazy_ask(const char *group, struct cpt_lazy_news *ret, struct cpt_err *err)
{
	CPT_AUTO(fd) int sock = reach(group, ret, err);

	return sock >= 0 ? 1 : err->fault == CPT_OK ? 0 : -1;
}

int cpt_lazy_wait(const char *group, struct cpt_err *err)
{
	struct timeval for_ever = { 0, 0 };
	struct cpt_lazy_news news;
	CPT_AUTO(fd) int sock = reach(group, &news, err);
	char word;

	if (sock < 0)
		return err->fault == CPT_OK ? 0 : -1;
	cpt_info("%s: waiting for %llu pages that are still in the image", group, (unsigned long long)news.left);
	send(sock, "!", 1, MSG_NOSIGNAL);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
	while (!cpt_read_all(sock, &word, 1))
		;
	return 0;
}

void cpt_lazy_end(const char *group, char *ret, size_t size)
{
	char name[CPT_LAZY_NAME];
	struct cpt_err ignored;
	ssize_t n = 0;

	if (!cpt_lazy_name(group, "end", name, &ignored)) {
		CPT_AUTO(fd) int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		n = fd >= 0 ? read(fd, ret, size - 1) : 0;
	}
	ret[n > 0 ? n : 0] = 0;
	for (char *p = ret; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = p[1] ? '?' : 0;
}
