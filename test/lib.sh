# SPDX-License-Identifier: GPL-2.0-or-later
# lib.sh - what the cases written in shell share: TAP, groups, waiting
#
# Sourced by a case, which test/run has given CPTOOL, CPT_TESTDIR, CPT_CGROUP
# and CPT_FREEZER. Works in dash and bash.

set -u
_n=0
_failed=0
_plan=
_groups=0

# plan N - how many lines there will be; without it done_testing says
plan() { _plan=$1; echo "1..$1"; }
note() { printf '# %s\n' "$*"; }
pass() { _n=$((_n + 1)); echo "ok $_n - $*"; }
fail() { _n=$((_n + 1)); _failed=$((_failed + 1)); echo "not ok $_n - $*"; }
# skip N WHY - N lines are left out
skip() {
	_i=0
	while [ "$_i" -lt "$1" ]; do
		_n=$((_n + 1)); _i=$((_i + 1))
		echo "ok $_n - left out # SKIP $2"
	done
}
skip_all() { echo "1..0 # SKIP $*"; exit 77; }

# show_file FILE - as remarks, at most 40 lines
show_file() { [ -s "$1" ] && sed -n '1,40s/^/#   /p' "$1"; return 0; }

# _quietly COMMAND… - its output goes to $CPT_TESTDIR/out when it is cptool, so
# that later lines can look at it, else to log
_quietly() {
	_to=$CPT_TESTDIR/log
	[ "$1" != "$CPTOOL" ] || _to=$CPT_TESTDIR/out
	"$@" >"$_to" 2>&1
}
# check WHAT COMMAND… - a line
check() {
	_what=$1; shift
	if _quietly "$@"; then
		pass "$_what"
	else
		_rc=$?
		fail "$_what"
		note "exit status $_rc of: $*"
		show_file "$_to"
		return 1
	fi
}
# check_not WHAT COMMAND… - it must fail, as programs fail and not by a signal
check_not() {
	_what=$1; shift
	_quietly "$@"
	_rc=$?
	if [ "$_rc" -gt 0 ] && [ "$_rc" -lt 126 ]; then
		pass "$_what"
	else
		fail "$_what"
		note "exit status $_rc of: $*"
		show_file "$_to"
		return 1
	fi
}
# check_fails WHAT STATUS TEXT COMMAND… - it must end with this status, and say one line with TEXT (grep -E) on stderr
check_fails() {
	_what=$1; _want=$2; _text=$3; shift 3
	"$@" >"$CPT_TESTDIR/out" 2>"$CPT_TESTDIR/err"
	_rc=$?
	if [ "$_rc" -eq "$_want" ] && grep -Eq -- "^cptool: .*($_text)" "$CPT_TESTDIR/err"; then
		pass "$_what"
	else
		fail "$_what"
		note "exit status $_rc, wanted $_want with \"$_text\", of: $*"
		show_file "$CPT_TESTDIR/err"
		return 1
	fi
}
# same WHAT GOT WANTED
same() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1"
		note "got $2"
		note "wanted $3"
		return 1
	fi
}
done_testing() {
	[ -n "$_plan" ] || echo "1..$_n"
	[ "$_failed" -eq 0 ]
	exit $?
}

# ---- waiting ------------------------------------------------------------

# wait_until SECONDS COMMAND… - until the command succeeds
wait_until() {
	_end=$(($(date +%s) + $1 + 1)); shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$_end" ] || { note "in vain waited for: $*"; return 1; }
		sleep 0.01
	done
}
cpt_wait_until() { wait_until "$@"; }

# ---- groups -------------------------------------------------------------

# new_group NAME - make a group below $CPT_CGROUP; its folder is in $group
new_group() {
	_groups=$((_groups + 1))
	group=$CPT_CGROUP/$1$_groups
	while [ -d "$group" ]; do _groups=$((_groups + 1)); group=$CPT_CGROUP/$1$_groups; done
	mkdir "$group"
}
# start_in GROUP PROGRAM ARG… - in a session of its own; prints its pid when it is in the group
start_in() {
	_g=$1; shift
	_log=$CPT_TESTDIR/$(basename "$1").out
	# shellcheck disable=SC2016
	setsid sh -c 'echo $$ >"$1/cgroup.procs" || exit; shift; exec "$@"' sh "$_g" "$@" \
		</dev/null >>"$_log" 2>&1 &
	_pid=$!
	wait_until 10 in_group "$_pid" "$_g" || return 1
	echo "$_pid"
}
# in_group PID GROUP
in_group() { grep -qx "$1" "$2/cgroup.procs"; }
# pids_of GROUP - of it and those below
pids_of() { find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -n; }
group_is_empty() { [ -z "$(pids_of "$1")" ]; }
# state_of PID - R, S, D, T …; nothing when it has gone
state_of() { sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null; }
# is_frozen GROUP - by the freezer's own word
is_frozen() {
	if [ "$CPT_FREEZER" = v1 ]; then
		[ "$(cat "$1/freezer.state")" = FROZEN ]
	else
		grep -q '^frozen 1' "$1/cgroup.events"
	fi
}
# is_asked_to_freeze GROUP - did somebody write into this very group
is_asked_to_freeze() {
	if [ "$CPT_FREEZER" = v1 ]; then
		[ "$(cat "$1/freezer.self_freezing")" = 1 ]
	else
		[ "$(cat "$1/cgroup.freeze")" = 1 ]
	fi
}
# is_running GROUP - nobody froze it
is_running() { ! is_frozen "$1" && ! is_asked_to_freeze "$1"; }
# freeze GROUP, thaw GROUP - without cptool
freeze() {
	if [ "$CPT_FREEZER" = v1 ]; then echo FROZEN >"$1/freezer.state"; else echo 1 >"$1/cgroup.freeze"; fi
	wait_until 10 is_frozen "$1"
}
thaw() {
	if [ "$CPT_FREEZER" = v1 ]; then echo THAWED >"$1/freezer.state"; else echo 0 >"$1/cgroup.freeze"; fi
}
