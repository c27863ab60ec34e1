/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sockets.c - unix and internet sockets: what is queued, names, options, descriptors in flight */
#include "story.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void pair(int type, int sv[2])
{
	expect(socketpair(AF_UNIX, type, 0, sv) == 0);
}

static socklen_t name_of(struct sockaddr_un *un, const char *name)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (name[0] == '@')
		memcpy(un->sun_path + 1, name + 1, strlen(name) - 1);
	else
		memcpy(un->sun_path, name, strlen(name));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + (name[0] != '@'));
}

static int named(int type, const char *name)
{
	int fd = socket(AF_UNIX, type, 0);
	struct sockaddr_un un;
	socklen_t len = name_of(&un, name);

	expect(fd >= 0);
	expect(bind(fd, (struct sockaddr *)&un, len) == 0);
	return fd;
}

static int dial(int type, const char *name)
{
	int fd = socket(AF_UNIX, type, 0);
	struct sockaddr_un un;
	socklen_t len = name_of(&un, name);

	expect(fd >= 0);
	expect(connect(fd, (struct sockaddr *)&un, len) == 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	expect_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void recv_text(int fd, const char *text)
{
	char b[256] = "";
	ssize_t n = recv(fd, b, sizeof(b) - 1, MSG_DONTWAIT);

	expect_eq(n, strlen(text));
	expect(!strcmp(b, text));
}

static void nothing_left(int fd)
{
	char c;

	expect(recv(fd, &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

CPT_STORY(unix_stream_queued, "a stream pair with bytes on their way in both directions")
{
	static char big[100000], got[100000];
	size_t have = 0;
	int sv[2], n;

	pair(SOCK_STREAM | SOCK_CLOEXEC, sv);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	expect_eq(send(sv[0], big, sizeof(big), MSG_DONTWAIT), sizeof(big));
	send_text(sv[1], "backwards");
	expect(fcntl(sv[1], F_SETFL, O_NONBLOCK) == 0);

	checkpoint_here();
	if (spoiled())
		recv(sv[1], got, 1, 0);

	expect(ioctl(sv[1], FIONREAD, &n) == 0);
	expect_eq(n, sizeof(big));
	while (have < sizeof(big)) {
		ssize_t r = recv(sv[1], got + have, sizeof(big) - have, 0);

		expect(r > 0);
		have += (size_t)r;
	}
	expect(!memcmp(big, got, sizeof(big)));
	nothing_left(sv[1]);
	recv_text(sv[0], "backwards");
	expect_eq(fcntl(sv[1], F_GETFL), O_RDWR | O_NONBLOCK);
	expect_eq(fcntl(sv[0], F_GETFL), O_RDWR);
	expect_eq(fcntl(sv[0], F_GETFD), FD_CLOEXEC);
	send_text(sv[1], "again");
	recv_text(sv[0], "again");
	close(sv[1]);
	expect_eq(recv(sv[0], got, 1, 0), 0);
}

CPT_STORY(unix_dgram_queued, "datagrams keep their borders, an empty one and the sender's name included")
{
	int rx = named(SOCK_DGRAM, "rx"), tx = named(SOCK_DGRAM, "@cptool-story-tx");
	struct sockaddr_un to, from;
	socklen_t len = name_of(&to, "rx"), flen = sizeof(from);
	char b[64];

	expect_eq(sendto(tx, "first", 5, 0, (struct sockaddr *)&to, len), 5);
	expect_eq(sendto(tx, "", 0, 0, (struct sockaddr *)&to, len), 0);
	expect_eq(sendto(tx, "third one", 9, 0, (struct sockaddr *)&to, len), 9);

	checkpoint_here();
	if (spoiled())
		recv(rx, b, sizeof(b), 0);

	memset(&from, 0, sizeof(from));
	expect_eq(recvfrom(rx, b, sizeof(b), MSG_DONTWAIT, (struct sockaddr *)&from, &flen), 5);
	expect_eq(flen, offsetof(struct sockaddr_un, sun_path) + 16);
	expect(!memcmp(from.sun_path, "\0cptool-story-tx", 16));
	expect_eq(recv(rx, b, sizeof(b), MSG_DONTWAIT), 0);
	expect_eq(recv(rx, b, sizeof(b), MSG_DONTWAIT), 9);
	nothing_left(rx);
	expect_eq(sendto(tx, "new", 3, 0, (struct sockaddr *)&to, len), 3);
	recv_text(rx, "new");
}

CPT_STORY(unix_seqpacket_queued, "a seqpacket pair keeps its records, and its end")
{
	int sv[2];
	char b[8];

	pair(SOCK_SEQPACKET, sv);
	send_text(sv[0], "rec1");
	send_text(sv[0], "record2");
	close(sv[0]);

	checkpoint_here();
	if (spoiled())
		recv(sv[1], b, 1, 0);

	recv_text(sv[1], "rec1");
	recv_text(sv[1], "record2");
	expect_eq(recv(sv[1], b, 8, 0), 0);
}

CPT_STORY(unix_listener, "a listening unix socket serves new clients; its file is the same")
{
	int l = named(SOCK_STREAM, "sock"), c, a;
	struct stat before, after;

	expect(fchmod(l, 0600) == 0 && chmod("sock", 0660) == 0);
	expect(listen(l, 5) == 0);
	expect(stat("sock", &before) == 0);

	checkpoint_here();
	if (spoiled())
		close(l);

	expect(stat("sock", &after) == 0);
	expect_eq(after.st_mode, before.st_mode);
	c = dial(SOCK_STREAM, "sock");
	a = accept(l, NULL, NULL);
	expect(a >= 0);
	send_text(c, "hello");
	recv_text(a, "hello");
}

CPT_REFUSED(unix_backlog, "a connection that nobody has accepted yet is refused, and can still be accepted",
	    "connections wait to be accepted")
{
	int l = named(SOCK_STREAM, "@cptool-story-backlog"), c, a;
	struct sockaddr_un un;
	socklen_t len = sizeof(un);

	expect(listen(l, 5) == 0);
	c = dial(SOCK_STREAM, "@cptool-story-backlog");
	send_text(c, "early");

	checkpoint_here();
	if (spoiled())
		close(c);

	a = accept(l, NULL, NULL);
	expect(a >= 0);
	recv_text(a, "early");
	send_text(a, "answer");
	recv_text(c, "answer");
	expect(getpeername(c, (struct sockaddr *)&un, &len) == 0);
	expect(!memcmp(un.sun_path, "\0cptool-story-backlog", 21));
}

CPT_STORY(unix_accepted, "an accepted connection knows the names of both ends and the peer's credentials")
{
	int l = named(SOCK_STREAM, "server"), c = named(SOCK_STREAM, "client"), a;
	struct sockaddr_un un;
	struct ucred cred;
	socklen_t len = name_of(&un, "server");

	expect(listen(l, 5) == 0);
	expect(connect(c, (struct sockaddr *)&un, len) == 0);
	a = accept(l, NULL, NULL);
	expect(a >= 0);

	checkpoint_here();
	if (spoiled())
		shutdown(c, SHUT_WR);

	len = sizeof(un);
	expect(getsockname(a, (struct sockaddr *)&un, &len) == 0);
	expect(!strcmp(un.sun_path, "server"));
	len = sizeof(un);
	expect(getpeername(a, (struct sockaddr *)&un, &len) == 0);
	expect(!strcmp(un.sun_path, "client"));
	len = sizeof(cred);
	expect(getsockopt(a, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0);
	expect_eq(cred.pid, getpid());
	expect_eq(cred.uid, getuid());
	send_text(c, "x");
	recv_text(a, "x");
	send_text(a, "y");
	recv_text(c, "y");
}

CPT_STORY(unix_shutdown, "halves that were shut down stay so")
{
	int a[2], b[2];
	char c;

	signal(SIGPIPE, SIG_IGN);
	pair(SOCK_STREAM, a);
	pair(SOCK_STREAM, b);
	send_text(a[0], "last");
	expect(shutdown(a[0], SHUT_WR) == 0);
	expect(shutdown(b[0], SHUT_RD) == 0);

	checkpoint_here();
	if (spoiled())
		send_text(a[1], "?");

	recv_text(a[1], "last");
	expect_eq(recv(a[1], &c, 1, MSG_DONTWAIT), 0);
	expect(send(a[0], "x", 1, 0) == -1 && errno == EPIPE);
	send_text(a[1], "still");
	recv_text(a[0], spoiled() ? "never" : "still");
	expect(send(b[1], "x", 1, 0) == -1 && errno == EPIPE);
	expect_eq(recv(b[0], &c, 1, MSG_DONTWAIT), 0);
}

CPT_STORY(unix_peer_gone, "a connection whose peer has closed: the rest is read, then the end")
{
	int sv[2];
	char c;

	signal(SIGPIPE, SIG_IGN);
	pair(SOCK_STREAM, sv);
	send_text(sv[1], "rest");
	close(sv[1]);

	checkpoint_here();
	if (spoiled())
		recv(sv[0], &c, 1, 0);

	recv_text(sv[0], "rest");
	expect_eq(recv(sv[0], &c, 1, MSG_DONTWAIT), 0);
	expect(send(sv[0], "x", 1, 0) == -1 && errno == EPIPE);
}

static void send_fd(int sock, const char *text, const int *fds, unsigned n)
{
	char control[CMSG_SPACE(sizeof(int) * 8)] = "";
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	expect_eq(sendmsg(sock, &msg, 0), strlen(text));
}

static unsigned recv_fd(int sock, const char *text, int *fds)
{
	char control[CMSG_SPACE(sizeof(int) * 8)], b[64] = "";
	struct iovec iov = { b, strlen(text) };	/* a stream glues messages */
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	unsigned n;

	expect_eq(recvmsg(sock, &msg, MSG_DONTWAIT), strlen(text));
	expect(!strcmp(b, text));
	c = CMSG_FIRSTHDR(&msg);
	if (!c)
		return 0;
	expect(c->cmsg_type == SCM_RIGHTS);
	n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}

CPT_STORY(unix_rights_in_flight, "descriptors in flight: each with its own message, also when nobody else holds them")
{
	int sv[2], p[2], file, fds[8] = { 0 };
	char b[8];

	pair(SOCK_STREAM, sv);
	expect(pipe(p) == 0);
	file = open("f", O_RDWR | O_CREAT, 0600);
	expect_eq(write(file, "0123456789", 10), 10);
	expect_eq(lseek(file, 4, SEEK_SET), 4);
	expect_eq(write(p[1], "inside", 6), 6);
	send_fd(sv[0], "two", (int[]){ p[0], file }, 2);
	send_text(sv[0], "none");
	send_fd(sv[0], "one", &p[1], 1);
	close(p[0]);
	close(file);

	checkpoint_here();
	if (spoiled())
		recv(sv[1], b, 3, 0);

	expect_eq(recv_fd(sv[1], "two", fds), 2);
	expect_eq(read(fds[0], b, 6), 6);
	expect(!memcmp(b, "inside", 6));
	expect_eq(read(fds[1], b, 2), 2);
	expect(!memcmp(b, "45", 2));
	expect_eq(recv_fd(sv[1], "none", fds + 2), 0);
	expect_eq(recv_fd(sv[1], "one", fds + 2), 1);
	expect_eq(write(fds[2], "new", 3), 3);
	expect_eq(read(fds[0], b, 3), 3);
	expect_eq(write(p[1], "old", 3), 3);
	expect_eq(read(fds[0], b, 3), 3);
}

CPT_STORY(unix_rights_nested, "a socket in flight that carries a descriptor in flight itself")
{
	int outer[2], inner[2], p[2], got = -1, deep = -1;
	char b[8];

	pair(SOCK_DGRAM, outer);
	pair(SOCK_STREAM, inner);
	expect(pipe(p) == 0);
	send_fd(inner[0], "deep", &p[0], 1);
	send_fd(outer[0], "outer", &inner[1], 1);
	close(inner[1]);
	close(p[0]);

	checkpoint_here();
	if (spoiled())
		close(p[1]);

	expect_eq(recv_fd(outer[1], "outer", &got), 1);
	expect_eq(recv_fd(got, "deep", &deep), 1);
	expect_eq(write(p[1], "ok", 2), 2);
	expect_eq(read(deep, b, 2), 2);
	send_text(inner[0], "on");
	recv_text(got, "on");
}

CPT_STORY(unix_dgram_connected, "datagram sockets: one connected to a named one, many to one")
{
	int rx = named(SOCK_DGRAM, "server"), a = dial(SOCK_DGRAM, "server"), b = dial(SOCK_DGRAM, "server");
	int sv[2];

	pair(SOCK_DGRAM, sv);
	send_text(a, "from a");
	send_text(sv[0], "pair");

	checkpoint_here();
	if (spoiled())
		close(b);

	recv_text(rx, "from a");
	recv_text(sv[1], "pair");
	send_text(b, "from b");
	recv_text(rx, "from b");
	send_text(a, "more");
	recv_text(rx, "more");
	send_text(sv[1], "other");
	recv_text(sv[0], "other");
}

CPT_STORY(unix_options, "options of unix sockets: passcred, buffers, timeouts, peek offset")
{
	struct timeval tv = { 12, 340000 };
	socklen_t len = sizeof(int);
	int sv[2], v = 1, snd, rcv, got;
	char b[8];

	pair(SOCK_STREAM, sv);
	expect(setsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &v, sizeof(v)) == 0);
	v = 40000;
	expect(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)) == 0);
	expect(setsockopt(sv[0], SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)) == 0);
	expect(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	expect(getsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &snd, &len) == 0);
	expect(getsockopt(sv[0], SOL_SOCKET, SO_RCVBUF, &rcv, &len) == 0);
	send_text(sv[0], "abcdef");
	v = 0;
	expect(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof(v)) == 0);
	expect_eq(recv(sv[1], b, 2, MSG_PEEK), 2);

	checkpoint_here();
	if (spoiled())
		setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0, 0 }, sizeof(tv));

	expect(getsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &got, &len) == 0 && got == 1);
	expect(getsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &got, &len) == 0 && got == 0);
	expect(getsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &got, &len) == 0);
	expect_eq(got, snd);
	expect(getsockopt(sv[0], SOL_SOCKET, SO_RCVBUF, &got, &len) == 0);
	expect_eq(got, rcv);
	expect_eq(recv(sv[1], b, 2, MSG_PEEK), 2);
	expect(!memcmp(b, "cd", 2));
	len = sizeof(tv);
	expect(getsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0);
	expect(tv.tv_sec == 12 && tv.tv_usec >= 330000 && tv.tv_usec <= 350000);
}

static struct sockaddr_in loopback(int fd, int type)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	expect(bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	expect(getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
	return sin;
}

static int opt(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	expect(getsockopt(fd, level, name, &v, &len) == 0);
	return v;
}

static void set(int fd, int level, int name, int v)
{
	expect(setsockopt(fd, level, name, &v, sizeof(v)) == 0);
}

CPT_STORY(tcp_listener, "a listening TCP socket: port, options, and clients after the restore")
{
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), c, a;
	struct sockaddr_in sin, now;
	socklen_t len = sizeof(now);

	set(l, SOL_SOCKET, SO_REUSEADDR, 1);
	set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(l, SOL_SOCKET, SO_RCVBUF, 30000);
	set(l, IPPROTO_TCP, TCP_NODELAY, 1);
	set(l, IPPROTO_TCP, TCP_KEEPIDLE, 111);
	set(l, IPPROTO_TCP, TCP_KEEPINTVL, 22);
	set(l, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	set(l, IPPROTO_IP, IP_TOS, 0x10);
	set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
	sin = loopback(l, SOCK_STREAM);
	expect(listen(l, 17) == 0);

	checkpoint_here();
	if (spoiled())
		set(l, IPPROTO_TCP, TCP_KEEPIDLE, 7200);

	expect(getsockname(l, (struct sockaddr *)&now, &len) == 0);
	expect_eq(now.sin_port, sin.sin_port);
	expect_eq(now.sin_addr.s_addr, sin.sin_addr.s_addr);
	expect_eq(fcntl(l, F_GETFL), O_RDWR | O_NONBLOCK);
	expect_eq(opt(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	expect_eq(opt(l, SOL_SOCKET, SO_REUSEADDR), 1);
	expect_eq(opt(l, SOL_SOCKET, SO_KEEPALIVE), 1);
	expect_eq(opt(l, SOL_SOCKET, SO_RCVBUF), 60000);
	expect_eq(opt(l, IPPROTO_TCP, TCP_NODELAY), 1);
	expect_eq(opt(l, IPPROTO_TCP, TCP_KEEPIDLE), 111);
	expect_eq(opt(l, IPPROTO_TCP, TCP_KEEPINTVL), 22);
	expect_eq(opt(l, IPPROTO_TCP, TCP_KEEPCNT), 3);
	expect_eq(opt(l, IPPROTO_IP, IP_TOS), 0x10);
	c = socket(AF_INET, SOCK_STREAM, 0);
	expect(connect(c, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	a = accept(l, NULL, NULL);
	expect(a >= 0);
	send_text(c, "hi");
	expect_eq(recv(a, &now, 2, MSG_WAITALL), 2);
}

CPT_STORY(tcp_listener_six, "an IPv6 listener with V6ONLY, and one with REUSEPORT twice on one port")
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT }, now;
	int l = socket(AF_INET6, SOCK_STREAM, 0), a, b;
	socklen_t len = sizeof(now);
	struct sockaddr_in sin;

	if (l < 0)
		skip("no IPv6");
	set(l, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(l, (struct sockaddr *)&six, sizeof(six)))
		skip("no IPv6 loopback");
	expect(listen(l, 5) == 0);
	expect(getsockname(l, (struct sockaddr *)&six, &len) == 0);
	a = socket(AF_INET, SOCK_STREAM, 0);
	b = socket(AF_INET, SOCK_STREAM, 0);
	set(a, SOL_SOCKET, SO_REUSEPORT, 1);
	set(b, SOL_SOCKET, SO_REUSEPORT, 1);
	sin = loopback(a, SOCK_STREAM);
	expect(bind(b, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	expect(listen(a, 5) == 0 && listen(b, 5) == 0);

	checkpoint_here();
	if (spoiled())
		close(b);

	len = sizeof(now);
	expect(getsockname(l, (struct sockaddr *)&now, &len) == 0);
	expect_eq(now.sin6_port, six.sin6_port);
	expect_eq(opt(l, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	expect_eq(opt(a, SOL_SOCKET, SO_REUSEPORT), 1);
	expect_eq(opt(b, SOL_SOCKET, SO_REUSEPORT), 1);
	expect_eq(opt(b, SOL_SOCKET, SO_ACCEPTCONN), 1);
}

CPT_STORY(tcp_bound, "TCP sockets that are only bound, or not even that")
{
	int bound = socket(AF_INET, SOCK_STREAM, 0), fresh = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sin, now;
	socklen_t len = sizeof(now);

	set(bound, SOL_SOCKET, SO_REUSEADDR, 1);
	sin = loopback(bound, SOCK_STREAM);
	set(fresh, IPPROTO_TCP, TCP_NODELAY, 1);

	checkpoint_here();
	if (spoiled())
		set(fresh, IPPROTO_TCP, TCP_NODELAY, 0);

	expect(getsockname(bound, (struct sockaddr *)&now, &len) == 0);
	expect_eq(now.sin_port, sin.sin_port);
	expect_eq(opt(bound, SOL_SOCKET, SO_ACCEPTCONN), 0);
	expect_eq(opt(fresh, IPPROTO_TCP, TCP_NODELAY), 1);
	expect(listen(bound, 5) == 0);
	expect(connect(fresh, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	expect(accept(bound, NULL, NULL) >= 0);
}

CPT_STORY(udp_sockets, "UDP sockets: bound, connected, with options")
{
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in sin = loopback(rx, SOCK_DGRAM), now;
	socklen_t len = sizeof(now);

	set(rx, SOL_SOCKET, SO_BROADCAST, 1);
	set(tx, IPPROTO_IP, IP_TTL, 5);
	expect(connect(tx, (struct sockaddr *)&sin, sizeof(sin)) == 0);

	checkpoint_here();
	if (spoiled())
		set(tx, IPPROTO_IP, IP_TTL, 64);

	expect(getsockname(rx, (struct sockaddr *)&now, &len) == 0);
	expect_eq(now.sin_port, sin.sin_port);
	len = sizeof(now);
	expect(getpeername(tx, (struct sockaddr *)&now, &len) == 0);
	expect_eq(now.sin_port, sin.sin_port);
	expect_eq(opt(rx, SOL_SOCKET, SO_BROADCAST), 1);
	expect_eq(opt(tx, IPPROTO_IP, IP_TTL), 5);
	send_text(tx, "datagram");
	expect_eq(poll(&(struct pollfd){ rx, POLLIN, 0 }, 1, 2000), 1);
	recv_text(rx, "datagram");
}

static int listener_fd;

static void serve_one(void *arg)
{
	int a = accept(listener_fd, NULL, NULL);
	char c;

	expect(a >= 0);
	expect_eq(recv(a, &c, 1, 0), 1);
	expect_eq(c, '1');
	expect_eq(send(a, "2", 1, 0), 1);
}

CPT_STORY(tcp_blocked_accept, "children blocked in accept on one shared TCP listener serve clients")
{
	struct sockaddr_in sin;
	pid_t pid[2];
	char c;

	listener_fd = socket(AF_INET, SOCK_STREAM, 0);
	sin = loopback(listener_fd, SOCK_STREAM);
	expect(listen(listener_fd, 5) == 0);
	for (int i = 0; i < 2; i++) {
		pid[i] = branch(serve_one, NULL);
		await_blocked(pid[i], pid[i], SYS_accept);
	}

	checkpoint_here();

	for (int i = 0; i < 2; i++) {
		int s = socket(AF_INET, SOCK_STREAM, 0);

		expect(connect(s, (struct sockaddr *)&sin, sizeof(sin)) == 0);
		expect_eq(send(s, spoiled() ? "0" : "1", 1, 0), 1);
		expect_eq(recv(s, &c, 1, 0), 1);
	}
	join(pid[0]);
	join(pid[1]);
}
