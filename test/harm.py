# SPDX-License-Identifier: GPL-2.0-or-later
"""harm.py - a small group that would notice any harm, and what it should look like

The program is test/helpers/busy.c. Everything here fails with lib.Failed.
"""
import os
import struct
import lib
from lib import Failed

BUSY = lib.helper("test/helpers/busy", ["test/helpers/busy.c"])


def counters(name):
    with open(name, "rb") as f:
        return struct.unpack("8Q", f.read(64))


def joined(lines):
    """range and protection of each mapping; neighbours of one kind as one, as the kernel joins them when it may"""
    maps = []
    for at, prot, offset, device, inode, *_ in lines:
        first, last = at.split("-")
        if maps and inode == "0" and maps[-1][1:] == [prot, inode] and maps[-1][0].split("-")[1] == first:
            maps[-1][0] = maps[-1][0].split("-")[0] + "-" + last
        else:
            maps.append([at, prot, inode])
    return [m[:2] for m in maps]


def tasks(group):
    """what must not change: threads, masks, mappings, descriptors"""
    seen, pipes = {}, {}

    def target(name):
        """what a descriptor is; a pipe has another inode after a restore, but the same ends"""
        to = os.readlink(name)
        return "pipe %d" % pipes.setdefault(to, len(pipes)) if to.startswith("pipe:") else to
    for tid in group.tids():
        here = {}
        with open("/proc/%d/status" % tid) as f:
            for line in f:
                key, _, value = line.partition(":")
                if key in ("Tgid", "PPid", "SigBlk", "SigIgn", "SigCgt", "Seccomp", "NoNewPrivs"):
                    here[key] = value.strip()
        if int(here["Tgid"]) == tid:
            with open("/proc/%d/maps" % tid) as f:
                here["maps"] = joined(line.split() for line in f)
            here["fds"] = sorted((n, target("/proc/%d/fd/%s" % (tid, n)))
                                 for n in sorted(os.listdir("/proc/%d/fd" % tid), key=int))
        seen[tid] = here
    return seen


def traced(group):
    tracers = {}
    for t in group.tids():
        try:
            tracers[t] = lib.status(t, "TracerPid")
        except OSError:
            pass            # it has just gone: a twin that ends with cptool, not one of the group's
    return [t for t in tracers if tracers[t] not in ("0", None)]


def where(group):
    """what each thread is about, for a failure"""
    return ["%d %s %s %s" % (t, lib.stat(t)[0], lib.slurp("/proc/%d/wchan" % t),
                             lib.slurp("/proc/%d/syscall" % t).strip()) for t in group.tids()]


def mappings(a, b):
    return "mappings gone: %s, new: %s" % ([m for m in a if m not in b], [m for m in b if m not in a])


def unharmed(group, name, before):
    """fails unless the group runs as if nothing had happened; waits for the guard's last steps"""
    lib.wait_until(10, lambda: not group.frozen() and not group.asked_to_freeze(), "the thaw")
    lib.wait_until(10, lambda: set(group.tids()) <= set(before), lambda: "the end of %s" % (
        set(group.tids()) - set(before)))
    lib.wait_until(5, lambda: not traced(group), "the tracer's end")
    at = counters(name)
    # by more than one: an answer may have been on its way from somebody who has not run since
    lib.wait_until(30, lambda: all(now > was + 3 for now, was in zip(counters(name)[1:5], at[1:5])),
                   lambda: "progress: %s then, %s now; %s" % (at, counters(name), where(group)))
    if counters(name)[0]:
        raise Failed("the program saw harm: busy.c line %d" % counters(name)[0])
    now = tasks(group)
    if now != before:
        for tid in sorted(set(before) | set(now)):
            a, b = before.get(tid), now.get(tid)
            if a is None or b is None:
                raise Failed("task %d: before %s, now %s" % (tid, a is not None, b is not None))
            for key in a:
                if a[key] != b.get(key) and key == "maps":
                    raise Failed("task %d: %s" % (tid, mappings(a[key], b[key])))
                if a[key] != b.get(key):
                    raise Failed("task %d: %s was %s, is %s" % (tid, key, a[key], b.get(key)))


class Program:
    """busy in a fresh group, with one of its processes in a group below"""

    def __init__(self):
        self.group = lib.Group("busy")
        sub = self.group.sub("below")
        self.counts = lib.scratch() + "/counts"
        if os.path.exists(self.counts):
            os.unlink(self.counts)
        self.group.start([BUSY, self.counts, sub], out="/dev/null", cwd="/")
        lib.wait_until(20, lambda: os.path.exists(self.counts) and os.path.getsize(self.counts) >= 64 and
                       counters(self.counts)[7],
                       "the program's start")
        lib.wait_until(5, lambda: len(self.group.tids()) == 5 and len(lib.slurp(sub + "/cgroup.procs").split()) == 1,
                       "its five threads (%s)" % self.group.tids())
        self.before = tasks(self.group)

    def unharmed(self):
        unharmed(self.group, self.counts, self.before)

    def dump(self, image):
        """dump it; its file is remembered as it is then"""
        lib.dump(self.group, image)
        with open(self.counts, "rb") as f:
            self.content = f.read()
        self.stat = os.stat(self.counts)

    def again(self):
        """the group gone, its file as it was when the image was taken"""
        self.group.destroy()
        with open(self.counts, "r+b") as f:
            f.write(self.content)
        os.utime(self.counts, ns=(self.stat.st_atime_ns, self.stat.st_mtime_ns))


def settle(group):
    """wait until the guard, and whatever else cptool left, has ended; the group's own tasks stay"""
    def alone():
        lib.reap()
        return not set(lib.children()) - set(group.pids()) - lib._own
    lib.wait_until(30, alone, "the guard's end: %s" % [
        (p, lib.slurp("/proc/%d/comm" % p).strip()) for p in lib.children()])
