#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# cptool.sh HIERARCHY LABEL: dump and restore a program in a group below
# HIERARCHY, and see in cptool's log by which means it froze and killed.
root=$1
label=$2
group=$root/app
count=/tmp/count
bad=0

if [ -e "$root/freezer.state" ] || grep -q " $root cgroup .*freezer" /proc/mounts; then
	how="v1 freezer.state"
else
	how="v2 cgroup.freeze"
fi

check() {
	what=$1
	shift
	if "$@"; then
		echo "ok cptool $label: $what"
	else
		echo "not ok cptool $label: $what"
		sed 's/^/# /' /tmp/log
		bad=1
		# what builds on it would only wait in vain
		case $what in
		dump\ [123]|restore\ [123]) exit 1 ;;
		esac
	fi
}
within() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 20000 ] || return 1
		usleep 5000
	done
}
turns() { cut -d ' ' -f 1 $count; }
told() { cut -d ' ' -f 2 $count; }
more_than() { [ "$(turns)" -gt "$1" ]; }
empty() { [ -z "$(cat $group/cgroup.procs 2>/dev/null)" ]; }
not_empty() { ! empty; }
good() { grep -q good $count; }
tool() { cptool -v "$@" >/tmp/log 2>&1; }
said() { grep -q "$1" /tmp/log; }
same() { [ "$(turns)" = "$1" ]; }

rm -f $count
mkdir $group
/tests/counter $group $count </dev/null >/dev/null 2>&1 &
first=$!
within test -s $count
within more_than 10

check "freeze" tool freeze $group
check "freeze goes through $how" said "$how"
now=$(turns)
usleep 100000
check "nothing runs while frozen" same "$now"
check "status knows" tool status $group
check "status says frozen" said FROZEN
check "thaw" tool thaw $group
check "the program goes on" within more_than "$now"

check "kill -s USR1" tool kill -s USR1 $group
check "it goes through signal.kill" said "kill: signal.kill"
one_told() { [ "$(told)" = 1 ]; }
check "the program was told once" within one_told

for round in 1 2 3; do
	before=$(turns)
	check "dump $round" tool dump -o /tmp/$round.cpt $group
	check "dump $round freezes through $how" said "$how"
	check "dump $round kills through signal.kill" said "kill: signal.kill"
	[ $round -gt 1 ] || wait $first 2>/dev/null
	check "the group is gone" within empty
	saved=$(turns)
	check "it had counted on until then" test "$saved" -ge "$before"
	check "verify $round" tool verify /tmp/$round.cpt
	check "restore $round" tool restore /tmp/$round.cpt
	check "restored $round: it counts on" within more_than "$saved"
	check "restored $round: its memory is good" good
	check "restored $round: what it was told" one_told
done
before=$(turns)
check "dump -R" tool dump -R -o /tmp/r.cpt $group
check "dump -R lets it run on" within more_than $((before + 5))
check "a frozen group stays frozen over dump -R" tool freeze $group
check "dump -R of the frozen group" tool dump -R -o /tmp/f.cpt $group
now=$(turns)
usleep 100000
check "it stands still after that" same "$now"
check "kill of the frozen group" tool kill $group
check "kill goes through signal.kill" said "kill: signal.kill"
tool thaw $group
check "all are gone" within empty
check "the group can be removed" within rmdir $group
exit $bad
