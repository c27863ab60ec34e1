# SPDX-License-Identifier: GPL-2.0-or-later
# lib.sh - what the scripts share: packages, building
#
# Sourced; $top is the source tree.

# what it takes to build (Debian 12)
BUILD_PACKAGES="autoconf automake libtool make pkg-config gcc libc6-dev
	protobuf-c-compiler libprotobuf-c-dev libnl-3-dev libnl-genl-3-dev libxxhash-dev
	zlib1g-dev libzstd-dev liblz4-dev libjson-c-dev"
# and to run all tests
TEST_PACKAGES="libcmocka-dev python3 redis-server nginx-light procps"

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# need PACKAGE… - install those that are missing; their services are not started
need() {
	missing=
	for p in "$@"; do
		case $p in
		nginx-light)	# any flavour will do
			command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$missing $p" ;;
		*)
			installed "$p" || missing="$missing $p" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "these packages are missing:$missing"
	[ "$(id -u)" = 0 ] || die "these packages are missing; as root: apt-get install$missing"
	say "installing$missing"
	made=
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		# the tests start servers of their own, in groups of their own
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
		made=1
	fi
	# shellcheck disable=SC2086
	{
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing ||
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; }
	} >"$log" 2>&1
	rc=$?
	[ -z "$made" ] || rm -f /usr/sbin/policy-rc.d
	[ $rc -eq 0 ] || { tail -20 "$log" >&2; die "apt-get could not install$missing"; }
}

# build FOLDER [CONFIGURE-ARGUMENT…] - configure where needed, make; quiet unless it fails
build() {
	dir=$1; shift
	mkdir -p "$dir"
	{
		if [ ! -e "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
			"$top/autogen.sh"
		fi &&
		if [ ! -e "$dir/config.status" ]; then
			(cd "$dir" && "$top/configure" -q "$@")
		fi &&
		make -C "$dir" -j"$(nproc)"
	} >"$log" 2>&1 || { tail -40 "$log" >&2; die "the build failed"; }
}
