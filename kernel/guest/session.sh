#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The session of the 2008 container freezer, word for word, on a machine where
# nothing is mounted yet. The task that stands for $some_pid freezes only when
# this script lets it, so that FREEZING is seen and not only passed through.
bad=0
check() {
	if [ "$2" = "$3" ]; then
		echo "ok session: $1"
	else
		echo "not ok session: $1: \"$2\" and not \"$3\""
		bad=1
	fi
}

mkfifo /tmp/go
/tests/ktest slow /tmp/go >/tmp/pid &
slow=$!
until [ -s /tmp/pid ]; do :; done
some_pid=$(cat /tmp/pid)

mkdir /containers/freezer
check "mkdir /containers/freezer" $? 0
mount -t cgroup -ofreezer,signal freezer  /containers/freezer
check "mount -t cgroup -ofreezer,signal freezer  /containers/freezer" $? 0
mkdir /containers/freezer/0
check "mkdir /containers/freezer/0" $? 0
echo $some_pid > /containers/freezer/0/tasks
check 'echo $some_pid > /containers/freezer/0/tasks' $? 0
check "cat /containers/freezer/0/freezer.state" "$(cat /containers/freezer/0/freezer.state)" RUNNING
echo FROZEN > /containers/freezer/0/freezer.state
check "echo FROZEN > /containers/freezer/0/freezer.state" $? 0
check "cat /containers/freezer/0/freezer.state" "$(cat /containers/freezer/0/freezer.state)" FREEZING
echo >/tmp/go
tries=0
until [ "$(cat /containers/freezer/0/freezer.state)" = FROZEN ] || [ $tries -ge 100000 ]; do
	tries=$((tries + 1))
done
check "cat /containers/freezer/0/freezer.state" "$(cat /containers/freezer/0/freezer.state)" FROZEN
echo RUNNING > /containers/freezer/0/freezer.state
check "echo RUNNING > /containers/freezer/0/freezer.state" $? 0
check "cat /containers/freezer/0/freezer.state" "$(cat /containers/freezer/0/freezer.state)" RUNNING
check "the task lives until then" "$(kill -0 $some_pid && echo yes)" yes
echo 9 > /containers/freezer/0/signal.kill
check "echo 9 > /containers/freezer/0/signal.kill" $? 0
wait $slow
tries=0
while [ -s /containers/freezer/0/tasks ] && [ $tries -lt 100000 ]; do
	tries=$((tries + 1))
done
check "the group is empty" "$(cat /containers/freezer/0/tasks)" ""
exit $bad
