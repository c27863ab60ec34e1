# SPDX-License-Identifier: GPL-2.0-or-later
"""busy.py - a Python program with a bit of everything; says over files how it is

It works in its current folder. "ready" appears when all is set up. For each
file "ask.N" that appears it looks at everything it has and writes "told.N":
lines "ok WHAT" or "bad WHAT: WHY". "end" makes it end, with 0 if all was well.
"""
import asyncio
import ctypes
import mmap
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


class Itimerspec(ctypes.Structure):
    _fields_ = [("interval", Timespec), ("value", Timespec)]


checks = []


def check(f):
    checks.append(f)
    return f


def slowly(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


# -- signals and timers
seen = {"usr1": 0, "alarm": 0, "timer": 0}
signal.signal(signal.SIGUSR1, lambda n, f: seen.__setitem__("usr1", seen["usr1"] + 1))
signal.signal(signal.SIGALRM, lambda n, f: seen.__setitem__("alarm", seen["alarm"] + 1))
signal.signal(signal.SIGUSR2, lambda n, f: seen.__setitem__("timer", seen["timer"] + 1))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
os.kill(os.getpid(), signal.SIGHUP)             # pending for ever
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
signal.setitimer(signal.ITIMER_VIRTUAL, 9000, 7)


class Sigevent(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int),
                ("pad", ctypes.c_char * 48)]


def make_timer(signo, value, interval):
    ev, t = Sigevent(None, signo, 0 if signo else 1), ctypes.c_void_p()
    spec = Itimerspec(Timespec(*interval), Timespec(*value))
    if libc.timer_create(1, ctypes.byref(ev), ctypes.byref(t)) or \
            libc.timer_settime(t, 0, ctypes.byref(spec), None):
        raise OSError(ctypes.get_errno(), "timer")
    return t


ticking = make_timer(signal.SIGUSR2, (0, 70000000), (0, 70000000))
distant = make_timer(0, (5000, 0), (11, 0))


@check
def signals():
    n = seen["usr1"]
    os.kill(os.getpid(), signal.SIGUSR1)
    if not slowly(5, lambda: seen["usr1"] == n + 1):
        return "no SIGUSR1"
    if signal.sigpending() != {signal.SIGHUP}:
        return "pending: %s" % signal.sigpending()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    if blocked != {signal.SIGTERM, signal.SIGHUP}:
        return "blocked: %s" % blocked


@check
def timers():
    a, t = seen["alarm"], seen["timer"]
    if not slowly(5, lambda: seen["alarm"] >= a + 2 and seen["timer"] >= t + 2):
        return "timers do not tick: %s" % seen
    left, every = signal.getitimer(signal.ITIMER_VIRTUAL)
    if not (8000 < left <= 9001 and every == 7):
        return "virtual timer: %s" % [left, every]
    spec = Itimerspec()
    libc.timer_gettime(distant, ctypes.byref(spec))
    if not (4000 < spec.value.sec <= 5000 and spec.interval.sec == 11):
        return "distant timer: %d, %d" % (spec.value.sec, spec.interval.sec)


# -- a subprocess on pipes with bytes still in them
child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
spare_r, spare_w = os.pipe()
in_pipe = bytes(i * 7 % 251 for i in range(30000))
os.write(spare_w, in_pipe)
os.set_blocking(spare_r, False)
child.stdin.write(b"before\n")
child.stdin.flush()


@check
def pipes():
    got = os.read(spare_r, 100000)
    if got != in_pipe:
        return "%d bytes instead of %d" % (len(got), len(in_pipe))
    os.write(spare_w, in_pipe)
    if child.poll() is not None:
        return "the child is gone: %s" % child.poll()
    line = child.stdout.readline()
    child.stdin.write(b"before\n")              # waits in the pipe for the next time
    child.stdin.flush()
    if line != b"before\n":
        return "the child said %r" % line


# -- a deleted file, open and mapped
gone = open("gone", "w+b")
gone.write(b"deleted " * 20000)
gone.flush()
os.unlink("gone")
mapped = mmap.mmap(gone.fileno(), 160000)
counter = 0


@check
def deleted_file():
    global counter
    if os.path.exists("gone"):
        return "it has a name again"
    if os.fstat(gone.fileno()).st_nlink:
        return "it has links"
    gone.seek(80000)
    if gone.read(16) != b"deleted deleted " or mapped[8:16] != b"deleted ":
        return "content is wrong"
    if int.from_bytes(mapped[0:4], "little") != (counter or int.from_bytes(b"dele", "little")):
        return "the last number written is not there"
    counter += 1
    mapped[0:4] = counter.to_bytes(4, "little")
    if os.pread(gone.fileno(), 4, 0) != counter.to_bytes(4, "little"):
        return "file and mapping are two things"


# -- threads: a long sleep, a queue with a timeout, a blocked read, a worker
never = []
wait_r, wait_w = os.pipe()
work, answers, reads = queue.Queue(), queue.Queue(), queue.Queue()
timeouts = [0]


def sleeper():
    began = time.monotonic()
    time.sleep(3600)
    never.append("sleep ended after %g s" % (time.monotonic() - began))


def getter():
    while True:
        began = time.monotonic()
        try:
            item = work.get(timeout=0.4)
        except queue.Empty:
            if time.monotonic() - began < 0.39:
                never.append("queue.get returned after %g s" % (time.monotonic() - began))
            timeouts[0] += 1
            continue
        answers.put(item * 2)


def reader():
    while True:
        try:
            reads.put(os.read(wait_r, 100))
        except OSError as e:
            never.append("read: %s" % e)
            return


def computer():
    x = 1
    while True:
        for _ in range(1000):
            x = x * 6364136223846793005 % 18446744073709551557
        if x == 0:
            never.append("arithmetic is broken")
        time.sleep(0.005)


threads = [threading.Thread(target=f, daemon=True, name=f.__name__)
           for f in (sleeper, getter, reader, computer)]
for t in threads:
    t.start()


@check
def threads_live():
    if never:
        return "; ".join(never)
    dead = [t.name for t in threads if not t.is_alive()]
    if dead:
        return "dead: %s" % dead
    work.put(21)
    if answers.get(timeout=10) != 42:
        return "wrong answer"
    os.write(wait_w, b"to be read")
    if reads.get(timeout=10) != b"to be read":
        return "wrong bytes"
    n = timeouts[0]
    if not slowly(10, lambda: timeouts[0] > n):
        return "queue.get does not time out"


# -- asyncio on epoll, eventfd and socketpairs, in a thread of its own
loop = asyncio.new_event_loop()
left, right = socket.socketpair()
left.setblocking(False)
right.setblocking(False)
event = os.eventfd(0, os.EFD_NONBLOCK)
events = []
echoed = queue.Queue()


def on_event():
    events.append(os.eventfd_read(event))


async def echo():
    while True:
        data = await loop.sock_recv(right, 1000)
        await asyncio.sleep(0.01)
        await loop.sock_sendall(right, data.upper())


async def listen():
    while True:
        echoed.put(await loop.sock_recv(left, 1000))


def run_loop():
    asyncio.set_event_loop(loop)
    loop.add_reader(event, on_event)
    loop.create_task(echo())
    loop.create_task(listen())
    loop.run_forever()


looper = threading.Thread(target=run_loop, daemon=True, name="looper")
looper.start()


@check
def asyncio_runs():
    n = len(events)
    os.eventfd_write(event, 5)
    if not slowly(10, lambda: len(events) == n + 1) or events[-1] != 5:
        return "the eventfd is not seen: %s" % events[-3:]

    async def say():
        await loop.sock_sendall(left, b"hello")

    asyncio.run_coroutine_threadsafe(say(), loop).result(10)
    if echoed.get(timeout=10) != b"HELLO":
        return "no echo"


# -- an epoll of our own, with data in a socket from before
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
ep = select.epoll()
ep.register(b, select.EPOLLIN | select.EPOLLET)
a.send(b"queued datagram")
b_seen = ep.poll(0)


@check
def epoll_edge():
    if b.recv(100, socket.MSG_DONTWAIT) != b"queued datagram":
        return "the datagram is gone"
    ep.poll(0)
    a.send(b"queued datagram")
    if [fd for fd, _ in ep.poll(5)] != [b.fileno()]:
        return "no event"


@check
def threads_named():
    if len(os.listdir("/proc/self/task")) < 6:
        return "threads: %s" % os.listdir("/proc/self/task")


def settled():
    """bytes are in the child's pipe, and the blocked ones are blocked"""
    r, _, _ = select.select([child.stdout], [], [], 0)
    return bool(r)


slowly(10, settled)
open("ready", "w").close()
if os.path.exists("spoil"):
    print("to be spoiled")
asked = 0
bad = 0
while not os.path.exists("end"):
    if not os.path.exists("ask.%d" % asked):
        time.sleep(0.005)
        continue
    if os.path.exists("spoil"):
        os.read(spare_r, 10)
    with open("told.tmp", "w") as f:
        for c in checks:
            try:
                why = c()
            except Exception as e:              # a broken check is an answer, too
                why = "%s: %s" % (type(e).__name__, e)
            if why:
                bad += 1
            f.write("bad %s: %s\n" % (c.__name__, why) if why else "ok %s\n" % c.__name__)
    slowly(10, settled)
    os.rename("told.tmp", "told.%d" % asked)
    asked += 1
child.stdin.close()
os._exit(1 if bad or child.wait() else 0)
