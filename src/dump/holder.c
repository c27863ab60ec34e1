/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holder.c - the process that holds descriptors of write protection between two dumps
 *
 * It has a socket below a folder that only root can enter, and answers one
 * word: tell, or give and end. It also ends when the last process has ended
 * whose memory it watches over. When it dies otherwise, the kernel takes the
 * protection away, and the next dump finds nobody to ask.
 */
#include "dump/track.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define FOLDER "/run/cptool"
#define PATIENCE_S 10			/* for the other side to answer */
#define PROCESSES_MAX (1u << 22)
#define MAPPINGS_MAX (1u << 22)		/* of a process */

enum word { WORD_TELL = '?', WORD_GIVE = '!', WORD_READY = '.' };

struct head {
	char magic[8];
	uint8_t id[CPT_IMG_ID];
	uint64_t n;
};

/* with it comes the descriptor, behind it the flags */
struct sent {
	int32_t pid;
	uint32_t nflags;
	uint64_t start_time;
};
#define MAGIC "cpttrk2"

void cpt_held_free(struct cpt_held_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].uffd >= 0)
			close(list->v[i].uffd);
		free(list->v[i].flags);
	}
	free(list->v);
	*list = (struct cpt_held_list){ .v = NULL };
}

/* ---- lists on the way ------------------------------------------------ */

static int send_all(int sock, const void *data, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = send(sock, (const char *)data + at, size - at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += (size_t)n;
	}
	return 0;
}

/* one process; @all: with its descriptor and flags */
static int send_held(int sock, const struct cpt_held *h, bool all)
{
	struct sent s = { h->pid, all ? (uint32_t)h->nflags : 0, h->start_time };
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec io = { &s, sizeof(s) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (all && h->uffd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &h->uffd, sizeof(int));
	}
	do {
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 || send_all(sock, (const char *)&s + n, sizeof(s) - (size_t)n))
		return -1;
	return s.nflags ? send_all(sock, h->flags, s.nflags * sizeof(*h->flags)) : 0;
}

static int send_list(int sock, const struct cpt_held_list *list, bool all)
{
	struct head head = { .magic = MAGIC, .n = list->n };

	memcpy(head.id, list->id, sizeof(head.id));
	if (send_all(sock, &head, sizeof(head)))
		return -1;
	for (size_t i = 0; i < list->n; i++)
		if (send_held(sock, &list->v[i], all))
			return -1;
	return 0;
}

static int receive_held(int sock, struct cpt_held *ret)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct sent s;
	struct iovec io = { &s, sizeof(s) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;
	int fd = -1;

	do {
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	*ret = (struct cpt_held){ .uffd = fd };
	if (n <= 0 || (n < (ssize_t)sizeof(s) && cpt_read_all(sock, (char *)&s + n, sizeof(s) - (size_t)n)) ||
	    s.nflags > MAPPINGS_MAX)
		return -1;
	ret->pid = s.pid;
	ret->start_time = s.start_time;
	ret->nflags = s.nflags;
	ret->flags = cpt_calloc(s.nflags + 1, sizeof(*ret->flags));
	return cpt_read_all(sock, ret->flags, s.nflags * sizeof(*ret->flags));
}

static int receive_list(int sock, struct cpt_held_list *ret)
{
	struct head head;

	if (cpt_read_all(sock, &head, sizeof(head)) || memcmp(head.magic, MAGIC, sizeof(head.magic)) ||
	    head.n > PROCESSES_MAX)
		return -1;
	memcpy(ret->id, head.id, sizeof(ret->id));
	while (ret->n < head.n) {
		CPT_GROW(ret->v, ret->n, ret->cap);
		if (receive_held(sock, &ret->v[ret->n++]))
			return -1;	/* what it has got is the list's, to be freed with it */
	}
	return 0;
}

/* ---- the holder ------------------------------------------------------ */

static void address(struct sockaddr_un *ret, const char *name)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret->sun_path, sizeof(ret->sun_path), FOLDER "/%s", name);
}

static void patience(int sock)
{
	struct timeval t = { PATIENCE_S, 0 };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static bool same_user(int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.uid == geteuid();
}

/* our name, unless another has taken it meanwhile */
static void unlink_own(const struct sockaddr_un *a, ino_t ino)
{
	struct stat st;

	if (!stat(a->sun_path, &st) && st.st_ino == ino)
		unlink(a->sun_path);
}

static int listen_at(const struct sockaddr_un *a, ino_t *ino)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	unlink(a->sun_path);
	if (sock < 0 || bind(sock, (const struct sockaddr *)a, sizeof(*a)) || listen(sock, 8) ||
	    stat(a->sun_path, &st))
		_exit(1);
	*ino = st.st_ino;
	return sock;
}

/* Returns true when everything was given away. */
static bool serve(int client, struct cpt_held_list *list, const struct sockaddr_un *a, ino_t ino)
{
	char word = 0;

	patience(client);
	if (!same_user(client) || cpt_read_all(client, &word, 1))
		return false;
	if (word == WORD_TELL)
		send_list(client, list, false);
	if (word != WORD_GIVE)
		return false;
	unlink_own(a, ino);
	send_list(client, list, true);
	cpt_held_free(list);		/* before the client sees the end of all this */
	return true;
}

/* one that has ended: nothing to hold any more */
static void drop(struct cpt_held_list *list, struct pollfd *p, size_t i)
{
	close(p[i + 1].fd);
	close(list->v[i].uffd);
	free(list->v[i].flags);
	list->n--;
	list->v[i] = list->v[list->n];
	p[i + 1] = p[list->n + 1];
}

static void watch(struct cpt_held_list *list, const struct sockaddr_un *a, int sock, ino_t ino)
{
	struct pollfd *p = cpt_calloc(list->n + 1, sizeof(*p));

	p[0] = (struct pollfd){ sock, POLLIN, 0 };
	for (size_t i = 0; i < list->n; i++)
		p[i + 1] = (struct pollfd){ cpt_pidfd_open(list->v[i].pid, 0), POLLIN, 0 };
	for (size_t i = list->n; i-- > 0;)
		if (p[i + 1].fd < 0)
			drop(list, p, i);
	while (list->n) {
		if (poll(p, list->n + 1, -1) < 0)
			continue;
		for (size_t i = list->n; i-- > 0;)
			if (p[i + 1].revents)
				drop(list, p, i);
		if (p[0].revents) {
			CPT_AUTO(fd) int client = accept4(sock, NULL, NULL, SOCK_CLOEXEC);

			if (client >= 0 && serve(client, list, a, ino))
				return;
		}
	}
	unlink_own(a, ino);
}

static void __attribute__((noreturn)) holder(int pipe, const char *name)
{
	struct cpt_held_list list = { .n = 0 };
	const char ready = WORD_READY;
	struct sockaddr_un a;
	struct rlimit r;
	ino_t ino;
	int sock;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	if (receive_list(pipe, &list))
		_exit(1);
	address(&a, name);
	sock = listen_at(&a, &ino);
	send_all(pipe, &ready, 1);
	close(pipe);
	watch(&list, &a, sock, ino);
	_exit(0);
}

/* no descriptor, no handler, no session of the maker's */
static void __attribute__((noreturn)) become_holder(int pipe, const char *name)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE };
	sigset_t none;

	if (fork())
		_exit(0);
	if (fcntl(pipe, F_DUPFD, 3) < 0 || dup2(pipe, 0) < 0)
		_exit(1);
	syscall(SYS_close_range, 1u, ~0u, 0u);
	setsid();
	prctl(PR_SET_NAME, "cptool-track");
	for (size_t i = 0; i < CPT_COUNT(ends); i++)
		signal(ends[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir("/"))
		_exit(1);
	holder(0, name);
}

/* ---- in the dump ----------------------------------------------------- */

int cpt_holder_start(const char *name, int *ret, struct cpt_err *err)
{
	sigset_t all, old;
	int pipe[2];
	pid_t pid;

	if (mkdir(FOLDER, 0700) && errno != EEXIST)
		return cpt_fail_sys(err, "make " FOLDER);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe))
		return cpt_fail_sys(err, "socketpair");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = fork();
	if (!pid)
		become_holder(pipe[1], name);
	if (pid < 0)
		cpt_fail_sys(err, "fork");
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pipe[1]);
	if (pid < 0) {
		close(pipe[0]);
		return -1;
	}
	*ret = pipe[0];
	return 0;
}

int cpt_holder_give(int sock, const struct cpt_held_list *list, struct cpt_err *err)
{
	char word = 0;

	patience(sock);
	errno = 0;
	if (send_list(sock, list, true) || cpt_read_all(sock, &word, 1) || word != WORD_READY)
		return cpt_fail_errno(err, errno ? errno : EPIPE, "hand %zu descriptors to the tracking process", list->n);
	return 0;
}

int cpt_holder_ask(const char *name, bool take, struct cpt_held_list *ret, struct cpt_err *err)
{
	CPT_AUTO(fd) int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char word = take ? WORD_GIVE : WORD_TELL;
	char end;
	struct sockaddr_un a;

	if (sock < 0)
		return cpt_fail_sys(err, "socket");
	address(&a, name);
	patience(sock);
	if (connect(sock, (const struct sockaddr *)&a, sizeof(a))) {
		if (errno == ECONNREFUSED)
			unlink(a.sun_path);	/* it was killed */
		else if (errno != ENOENT && errno != EACCES)	/* who may not ask may not dump either */
			return cpt_fail_sys(err, "connect to %s", a.sun_path);
		return 0;
	}
	if (!same_user(sock))
		return cpt_fail(err, CPT_SYSTEM, "%s is another user's", a.sun_path);
	if (send_all(sock, &word, 1) || receive_list(sock, ret)) {
		cpt_held_free(ret);
		return cpt_fail(err, CPT_SYSTEM, "the tracking process at %s does not answer", a.sun_path);
	}
	/* until it has let go: the protection ends with the last descriptor */
	if (take && !cpt_read_all(sock, &end, 1))
		cpt_debug("%s goes on talking", a.sun_path);
	return 1;
}
