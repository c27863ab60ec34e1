# SPDX-License-Identifier: GPL-2.0-or-later
"""lib.py - what the cases written in Python share: TAP, groups, cptool

A case begins with

    import os, sys
    sys.path.insert(0, os.environ.get("CPT_SRCDIR", ".") + "/test")
    import lib

Beside the environment that README.md names, these are looked at:

    CPT_NO_DUMP=1   the checkpoint is left out: the case must pass without cptool
    CPT_SPOIL=1     in its place, something is lost on purpose: the case must fail
    CPT_ALL=1       the long version
"""
import atexit
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SPOIL = os.environ.get("CPT_SPOIL") == "1"
NO_DUMP = SPOIL or os.environ.get("CPT_NO_DUMP") == "1"
ALL = os.environ.get("CPT_ALL") == "1"
FREEZER = os.environ.get("CPT_FREEZER", "v2")
SRCDIR = os.environ.get("CPT_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))
BUILDDIR = os.environ.get("CPT_BUILDDIR") or SRCDIR


class Failed(Exception):
    """a step without which the case makes no sense went wrong"""


class Ended(Failed):
    """there was nothing left to dump"""


# ---- TAP --------------------------------------------------------------

class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def note(self, text):
        for line in str(text).rstrip("\n").split("\n"):
            print("# " + line, flush=True)

    def ok(self, good, what, why=""):
        self.count += 1
        if not good:
            self.failed += 1
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, what.replace("#", "no.")),
              flush=True)
        if not good and why:
            self.note(why)
        return bool(good)

    def skip(self, what, why):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, what, why), flush=True)

    def same(self, got, wanted, what):
        return self.ok(got == wanted, what, "got    %.900r\nwanted %.900r" % (got, wanted))

    def done(self):
        print("1..%d" % self.count, flush=True)
        sys.exit(1 if self.failed else 0)


tap = Tap()


def skip_all(why):
    print("1..0 # SKIP " + why, flush=True)
    sys.exit(77)


def main(story):
    """run the case; an exception is one more failed line, and the clean-up happens anyhow"""
    try:
        story()
    except Exception as e:      # whatever it is: it is told, and cleaned up after
        import traceback
        tap.ok(False, "the case ran to its end", "%s: %s\n%s" % (
            type(e).__name__, e, "".join(traceback.format_tb(e.__traceback__))))
    tap.done()


# ---- waiting ----------------------------------------------------------

def wait_until(seconds, condition, what="the condition"):
    """call condition() until it returns something true, which is returned"""
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise Failed("after %g s still waiting for %s" % (
                seconds, what() if callable(what) else what))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


# ---- processes --------------------------------------------------------

def _subreaper():
    """orphans of a group come to us, so that nothing stays behind as a zombie"""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


_subreaper()
for _fd in os.listdir("/proc/self/fd"):
    # what we were started with is no business of those we start
    if int(_fd) > 2:
        try:
            os.set_inheritable(int(_fd), False)
        except OSError:
            pass
_own = set()            # children that somebody here waits for by pid


def reap():
    """collect what died among the children that nobody waits for"""
    tid = os.getpid()
    try:
        with open("/proc/%d/task/%d/children" % (tid, tid)) as f:
            pids = [int(p) for p in f.read().split()]
    except OSError:
        return
    for pid in pids:
        if pid in _own:
            continue
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass


def hold(pid):
    """keep the exit status of this child for ended(); it must not be held over a dump"""
    _own.add(pid)


def unhold(pid):
    _own.discard(pid)


def children():
    tid = os.getpid()
    with open("/proc/%d/task/%d/children" % (tid, tid)) as f:
        return [int(p) for p in f.read().split()]


def exists(pid):
    return os.path.exists("/proc/%d" % pid)


def stat(pid, tid=None):
    """the fields of /proc/PID/stat from the third on: [0] state, [1] ppid, [2] pgrp, [3] session"""
    name = "/proc/%d/stat" % pid if tid is None else "/proc/%d/task/%d/stat" % (pid, tid)
    with open(name) as f:
        text = f.read()
    return text[text.rindex(")") + 2:].split()


def status(pid, key):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(key + ":"):
                return line.split(":", 1)[1].strip()
    return None


# ---- groups -----------------------------------------------------------

def mount_of(freezer):
    """where the hierarchy of this freezer is mounted, or None"""
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, right = line.split(" - ")
            kind, _, options = right.split(" ", 2)
            where = left.split()[4]
            if freezer == "v2" and kind == "cgroup2":
                return where
            if freezer == "v1" and kind == "cgroup" and "freezer" in options.strip().split(","):
                return where
    return None


_groups = []
_serial = [0]


class Group:
    """a fresh cgroup, and its end"""

    def __init__(self, name="g"):
        self.freezer = FREEZER
        base = os.environ.get("CPT_CGROUP")
        if not base:
            mount = mount_of(FREEZER)
            if not mount:
                skip_all("no %s freezer here" % FREEZER)
            base = mount
            name = "cptool-test-%d-%s" % (os.getpid(), name)
        _serial[0] += 1
        self.path = "%s/%s%d" % (base, name, _serial[0])
        _groups.append(self)
        try:
            os.mkdir(self.path)
        except PermissionError:
            skip_all("not allowed to make a cgroup")

    def _read(self, path, name):
        try:
            with open(path + "/" + name) as f:
                return f.read()
        except OSError:
            return ""

    def sub(self, name):
        path = self.path + "/" + name
        os.mkdir(path)
        return path

    def walk(self):
        """every folder of the group, the deepest first"""
        return [w[0] for w in os.walk(self.path, topdown=False)]

    def pids(self):
        out = []
        for path in self.walk():
            out += [int(p) for p in self._read(path, "cgroup.procs").split()]
        return sorted(out)

    def tids(self):
        out = []
        name = "tasks" if self.freezer == "v1" else "cgroup.threads"
        for path in self.walk():
            out += [int(p) for p in self._read(path, name).split()]
        return sorted(out)

    def frozen(self):
        if self.freezer == "v1":
            return self._read(self.path, "freezer.state").strip() == "FROZEN"
        return "frozen 1" in self._read(self.path, "cgroup.events")

    def asked_to_freeze(self):
        if self.freezer == "v1":
            return self._read(self.path, "freezer.self_freezing").strip() == "1"
        return self._read(self.path, "cgroup.freeze").strip() == "1"

    def freeze(self):
        self._write(self.path, *(("freezer.state", "FROZEN") if self.freezer == "v1"
                                 else ("cgroup.freeze", "1")))
        wait_until(10, self.frozen, "the group to be frozen")

    def thaw(self):
        self._write(self.path, *(("freezer.state", "THAWED") if self.freezer == "v1"
                                 else ("cgroup.freeze", "0")))

    def _write(self, path, name, value):
        with open(path + "/" + name, "w") as f:
            f.write(value)

    def empty(self):
        reap()
        return not self.pids()

    def rmdir(self):
        for path in self.walk():
            wait_until(10, lambda: self._try_rmdir(path), "rmdir " + path)

    def _try_rmdir(self, path):
        reap()
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    def destroy(self):
        if not os.path.isdir(self.path):
            return
        deadline = time.monotonic() + 20
        killed = set()
        while time.monotonic() < deadline:
            killed.update(self.pids())
            for path in self.walk():
                try:
                    if self.freezer == "v1":
                        self._write(path, "freezer.state", "THAWED")
                    else:
                        self._write(path, "cgroup.freeze", "0")
                        self._write(path, "cgroup.kill", "1")
                except OSError:
                    pass
            for pid in self.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            # a group is empty a moment before its last task is a zombie
            if self.empty() and not killed & set(children()) - _own:
                break
            time.sleep(0.002)
        try:
            self.rmdir()
        except Failed as e:
            tap.note("left behind: %s" % e)

    def start(self, argv, out=None, cwd=None, env=None, sub="", session=True):
        """start a program inside; stdin is /dev/null, output goes to the file out (appended)

        The pid returned is a child of ours, to be waited for with wait() or reap().
        """
        procs = self.path + ("/" + sub if sub else "") + "/cgroup.procs"
        out = out or os.path.join(scratch(), "%s.%d.log" % (os.path.basename(argv[0]), _serial[0]))
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = os.posix_spawn("/bin/sh", [
            "sh", "-c", 'cd "$2" && echo $$ > "$1" && shift 2 && exec "$@"',
            "sh", procs, cwd or scratch()] + list(argv),
            dict(os.environ if env is None else env),
            file_actions=actions, setsid=session, setsigdef=range(1, 32))
        wait_until(10, lambda: pid in self.pids() or not exists(pid) or stat(pid)[0] == "Z",
                   "the start of %s" % argv[0])
        return pid

    def ended(self, pid, seconds=30):
        """wait for a child that was started here (also if it was restored since): its exit status"""
        box = []

        def look():
            got, st = os.waitpid(pid, os.WNOHANG)
            if got:
                box.append(os.waitstatus_to_exitcode(st))
            return got
        _own.add(pid)
        try:
            wait_until(seconds, look, "the end of %d" % pid)
        finally:
            _own.discard(pid)
        return box[0]


_scratch = []


def scratch():
    if not _scratch:
        d = os.environ.get("CPT_TESTDIR")
        if not d:
            d = tempfile.mkdtemp(prefix="cptool-test.")
            atexit.register(shutil.rmtree, d, True)
        _scratch.append(d)
    return _scratch[0]


def _cleanup():
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)      # it is what they ask for, and must not be cut short
    for group in reversed(_groups):
        group.destroy()
    reap()


atexit.register(_cleanup)
for _sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_sig, lambda n, f: sys.exit(128 + n))


# ---- cptool -----------------------------------------------------------

def program():
    p = os.environ.get("CPTOOL") or BUILDDIR + "/cptool"
    if not os.path.exists(p) and not NO_DUMP:
        skip_all("no program to test: set CPTOOL")
    return p


def helper(name, source, flags=()):
    """a program of the build tree, or made on the spot when there is no build tree"""
    built = os.path.join(BUILDDIR, name)
    if os.access(built, os.X_OK):
        return built
    out = os.path.join(scratch(), os.path.basename(name))
    if not os.path.exists(out):
        cc = os.environ.get("CC", "cc")
        subprocess.run([cc, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                        "-Wno-unused-parameter", "-o", out] + [os.path.join(SRCDIR, s) for s in source]
                       + ["-pthread", *flags], check=True)
    return out


class Result:
    def __init__(self, args, status, out, err, seconds):
        self.args, self.status, self.out, self.err, self.seconds = args, status, out, err, seconds

    def __str__(self):
        return "%s: exit %s after %.3f s\n%s%s" % (" ".join(self.args), self.status, self.seconds,
                                                  self.err[-3000:], self.out[-1000:])


def _communicate(p, end):
    """its output; meanwhile collect who dies, for a restore waits for the pids of the dead"""
    late = False
    while True:
        try:
            return (*p.communicate(timeout=None if late else 0.05), late)
        except subprocess.TimeoutExpired:
            reap()
            late = time.monotonic() > end
            if late:
                p.kill()


def cptool(*args, seconds=120, stdin=None, env=None):
    """run cptool, with more in its environment; its Result"""
    argv = [program()] + [str(a) for a in args]
    began = time.monotonic()
    p = subprocess.Popen(argv, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, errors="replace",
                         env=dict(os.environ, **(env or {})))
    _own.add(p.pid)
    try:
        out, err, late = _communicate(p, began + seconds)
        if late:
            err += "\n(killed after %d s)\n" % seconds
        code = None if late else p.returncode
    finally:
        _own.discard(p.pid)
    return Result(["cptool"] + argv[1:], code, out, err, time.monotonic() - began)


def dump(group, image, *options, gone=True):
    """dump; with gone, see that nothing of the group is left"""
    pids = group.pids()
    r = cptool("dump", *options, "-o", image, group.path)
    if r.status != 0:
        raise (Ended if "holds no processes" in r.err else Failed)("dump failed\n%s" % r)
    if gone:
        # a group is empty a moment before its last task is a zombie
        wait_until(5, lambda: group.empty() and not any(exists(p) for p in pids), "the end of %s after the dump" % pids[:50])
    return r


def restore(image, *options):
    r = cptool("restore", *options, image)
    if r.status != 0:
        raise Failed("restore failed\n%s" % r)
    return r


def restore_again(image, *options):
    """restore as often as somebody else has one of the pids for a moment; the last Result"""
    last = []

    def done():
        last[:] = [cptool("restore", *options, image)]
        return not last[0].status or "just been taken" not in last[0].err
    wait_until(60, done, "the pids to be free")
    return last[0]


_cycles = [0]


def cycle(group, *options, times=1, steady=True, spoil=None):
    """dump, see it gone, restore; every second time the cgroup itself is gone as well

    Without steady some of it may end by itself meanwhile.
    spoil() is what a bad restore would have done, for CPT_SPOIL=1.
    """
    if SPOIL and spoil:
        spoil()
    if NO_DUMP:
        return
    for _ in range(times):
        _cycles[0] += 1
        image = os.path.join(scratch(), "cycle.cpt")
        before = group.pids()
        dump(group, image, *options)
        if _cycles[0] % 2 == 0:
            group.rmdir()
        restore(image, *options)
        after = group.pids()
        if before != after if steady else not set(after) <= set(before):
            raise Failed("pids before %s, after %s" % (before[:50], after[:50]))
        os.unlink(image)


def dump_running(group, *options):
    """dump -R: the group goes on; the image is verified and thrown away"""
    if NO_DUMP:
        return
    image = os.path.join(scratch(), "running.cpt")
    before = group.pids()
    dump(group, image, "-R", *options, gone=False)
    r = cptool("verify", image)
    if r.status != 0:
        raise Failed("verify failed\n%s" % r)
    if group.asked_to_freeze():
        raise Failed("the group is still frozen after dump -R")
    os.unlink(image)
    gone = [p for p in before if not exists(p)]
    if gone:
        tap.note("gone during dump -R: %s" % gone)


# ---- this and that ----------------------------------------------------

def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connections(*ports):
    """TCP connections of ours that a server on one of these ports still has open"""
    n = 0
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            w = line.split()
            # ESTABLISHED, FIN_WAIT*, CLOSE_WAIT, LAST_ACK, CLOSING; not TIME_WAIT, not LISTEN
            if int(w[1].split(":")[1], 16) in ports and w[3] in ("01", "04", "05", "08", "09", "0B"):
                n += 1
    return n


def slurp(path):
    with open(path, errors="replace") as f:
        return f.read()


def tail(path, n=20):
    try:
        return "\n".join(re.split("\n", slurp(path))[-n:])
    except OSError:
        return ""
