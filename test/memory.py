# SPDX-License-Identifier: GPL-2.0-or-later
"""memory - the memory controller of a group, whichever there is; needs lib"""
import atexit
import os
import lib
from lib import wait_until

PAGE = 4096


def memory_mount():
    """where the v1 memory controller is, or None"""
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, right = line.split(" - ")
            kind, _, options = right.split(" ", 2)
            if kind == "cgroup" and "memory" in options.strip().split(","):
                return left.split()[4]
    return None


def inside(memory, argv):
    """the command, moved there before it runs"""
    return ["/bin/sh", "-c", 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"', "sh", memory.inner, *argv]


class V1:
    """a memory cgroup of the v1 controller, beside the group"""
    LIMIT, USAGE, PEAK = "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes"
    NONE = "-1"

    def __init__(self, group, swap):
        self.path = "%s/cptool-test-%d-%s" % (memory_mount(), os.getpid(), os.path.basename(group.path))
        os.mkdir(self.path)
        self.inner = self.path
        atexit.register(lambda: os.path.exists(self.path) and (group.destroy(), self.remove()))
        if not swap:
            self.write("memory.swappiness", 0)

    def kills(self):
        for line in self.read("memory.oom_control").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def read(self, name):
        return lib.slurp(self.path + "/" + name).strip()

    def write(self, name, value):
        with open(self.path + "/" + name, "w") as f:
            f.write(str(value))

    def usage(self):
        return int(self.read(self.USAGE))

    def limit(self):
        return self.read(self.LIMIT)

    def squeeze(self, size):
        """limit it to so much, which may be less than it uses: the rest has to be swapped out"""
        def done():
            try:
                self.write(self.LIMIT, size)
            except OSError:
                return False
            return True
        wait_until(60, done, "%d bytes to be enough" % size)

    def free(self):
        self.write(self.LIMIT, self.NONE)

    def tight(self, extra):
        """limit it to what it uses now and so many bytes more"""
        self.free()
        self.drop()
        wanted = self.usage() // PAGE * PAGE
        for _ in range(1000):
            try:
                self.write(self.LIMIT, wanted)
                break
            except OSError:     # it does not fit in
                wanted += PAGE
        self.write(self.LIMIT, wanted + extra)

    def drop(self):
        try:
            self.write("memory.force_empty", "0")
        except OSError:
            pass

    def remove(self):
        wait_until(10, self._rmdir, "rmdir " + self.path)

    def _rmdir(self):
        try:
            os.rmdir(self.path)
        except OSError:
            return not os.path.exists(self.path)
        return True


class V2(V1):
    """the v2 group itself"""
    LIMIT, USAGE = "memory.max", "memory.current"
    NONE = "max"

    def __init__(self, group, swap):
        self.path = self.inner = group.path
        if not swap and os.path.exists(self.path + "/memory.swap.max"):
            self.write("memory.swap.max", 0)

    def kills(self):
        for line in self.read("memory.events").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def tight(self, extra):
        self.free()
        self.write(self.LIMIT, self.usage() + PAGE * 16 + extra)    # less, and the kernel would kill

    def drop(self):
        try:
            self.write("memory.reclaim", "1G")
        except OSError:
            pass

    def remove(self):
        pass


def memory_of(group, swap=False):
    """None when there is none; without swap nothing is swapped out because of its limit"""
    if os.path.exists(group.path + "/memory.max"):
        return V2(group, swap)
    return V1(group, swap) if memory_mount() else None
