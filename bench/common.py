# SPDX-License-Identifier: GPL-2.0-or-later
"""common.py - what the benches share: where they work, timed commands, tables, goals"""
import argparse
import atexit
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MS = 1e6
missed = []


def options(usage):
    p = argparse.ArgumentParser(usage=usage)
    p.add_argument("--quick", action="store_true", help="one round, smaller sizes")
    p.add_argument("--rounds", type=int, default=0)
    p.add_argument("--freezer", default="v2")
    p.add_argument("--only", action="append", default=[])
    p.add_argument("--builddir", default=os.environ.get("CPT_BUILDDIR") or os.path.dirname(HERE))
    return p


def begin(opt):
    """the folder to work in, which goes at the end; then test/lib.py can be imported"""
    opt.builddir = os.path.abspath(opt.builddir)
    os.environ["CPT_BUILDDIR"] = opt.builddir
    os.environ["CPT_FREEZER"] = opt.freezer
    work = tempfile.mkdtemp(prefix="cptool-bench.", dir="/dev/shm")
    os.environ["CPT_TESTDIR"] = work
    sys.path.insert(0, os.path.dirname(HERE) + "/test")
    atexit.register(shutil.rmtree, work, True)
    return work


def program(name):
    import lib
    return lib.helper("bench/" + name, ["bench/%s.c" % name])


def real_cptool():
    """the program itself: libtool's wrapper script would be timed as well"""
    import lib
    path = lib.program()
    real = os.path.join(os.path.dirname(path), ".libs", os.path.basename(path))
    with open(path, "rb") as f:
        if f.read(2) == b"#!" and os.path.exists(real):
            os.environ["LD_LIBRARY_PATH"] = os.path.dirname(real)
            return real
    return path


def run_timed(*argv):
    """a whole command: nanoseconds that passed, nanoseconds of processor time"""
    import lib
    r = subprocess.run([program("timecmd"), *map(str, argv)], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    if r.returncode:
        raise lib.Failed("%s: exit %d\n%s" % (" ".join(map(str, argv)), r.returncode, r.stderr[-2000:]))
    return [int(x) for x in r.stdout.split()]


def yardstick(what, path, mib):
    """nanoseconds of a plain copy; a file written stays for a read after it"""
    r = subprocess.run([program("copy"), what, path, str(mib)], stdout=subprocess.PIPE, text=True, check=True)
    return int(r.stdout)


def med(values):
    return statistics.median(values)


def spread(values):
    return "%.1f" % (med(values) / MS) if len(values) < 3 else "%.1f (%.1f to %.1f)" % (
        med(values) / MS, min(values) / MS, max(values) / MS)


def goal(name, got, most, form):
    if got <= most:
        return form % most + ", met"
    missed.append(name)
    return form % most + ", **missed**"


def line(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def head(*cells):
    print()
    line(*cells)
    line(*["---"] * len(cells))


def wanted(opt, name):
    return not opt.only or any(w in name for w in opt.only)


def attempt(name, f):
    """one row that can't be measured must not hide the others"""
    import lib
    try:
        f()
    except (lib.Failed, OSError, subprocess.SubprocessError) as e:
        missed.append(name)
        line(name, "failed: " + " ".join(str(e).split())[:300])


def machine(opt, rounds):
    """a line about where and when"""
    with open("/proc/cpuinfo") as f:
        cpu = [x.split(":")[1].strip() for x in f if x.startswith("model name")]
    with open("/proc/meminfo") as f:
        mem = [x for x in f if x.startswith("MemTotal")][0].split()[1]
    print("%s, Linux %s, %d x %s, %d GiB, load %.1f, %s freezer; %d round%s, median (least to most)" % (
        datetime.date.today().isoformat(), platform.release(), len(cpu), cpu[0] if cpu else platform.machine(),
        int(mem) >> 20, os.getloadavg()[0], opt.freezer, rounds, "s" if rounds > 1 else ""), flush=True)


def end():
    print()
    print("all goals met" if not missed else "missed: " + "; ".join(missed))
