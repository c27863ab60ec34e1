# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the scripts beside it: where things are kept, and what a kernel is
# made from.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
package=linux-source-6.12
cache=${CPTOOL_KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cptool-kernel}

# The flavours: which patches and which fragments each is made from.
#   series  the series, small configuration
#   debug   the same, with lock and RCU debugging
#   kasan   the same, with memory debugging
#   stock   without the series, to show what it repairs
#   resume  stock with the first patch, which is a fix that stands alone
#   no-handing, no-process
#           the series without something that signal.kill does; see without/
flavours="series debug kasan stock resume no-handing no-process"

say() {
	echo "kernel: $*" >&2
}

die() {
	say "$*"
	exit 1
}

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing; kernel/ci installs what is needed, or see kernel/README.md"
	done
}

check_flavour() {
	case " $flavours " in
	*" $1 "*) ;;
	*) die "no flavour $1; there are: $flavours" ;;
	esac
}

# The source package as apt offers it: installed, or fetched into the cache.
tarball() {
	if [ -r "/usr/src/$package.tar.xz" ]; then
		echo "/usr/src/$package.tar.xz"
		return
	fi
	if [ ! -r "$cache/$package.tar.xz" ]; then
		need apt-get dpkg-deb
		say "fetching $package"
		mkdir -p "$cache/fetch"
		(cd "$cache/fetch" && apt-get download -qq "$package" >&2 &&
			dpkg-deb -x "$package"_*.deb . &&
			mv "usr/src/$package.tar.xz" "$cache/") || die "cannot fetch $package"
		rm -rf "$cache/fetch"
	fi
	echo "$cache/$package.tar.xz"
}

# The folders in which a flavour is built, src-TREE and obj-TREE: shared by those
# that differ in little, so that little is built for each.
tree_of() {
	case $1 in
	resume) echo stock ;;
	no-*) echo series ;;
	*) echo "$1" ;;
	esac
}

fragments() {
	case $1 in
	debug|kasan) echo "$here/config $here/config.$1" ;;
	*) echo "$here/config" ;;
	esac
}

patches() {
	case $1 in
	stock) ;;
	resume) ls "$here"/patches/0001-*.patch ;;
	no-*) patches series; echo "$here/without/${1#no-}.patch" ;;
	*) ls "$here"/patches/[0-9]*.patch | grep -v /0000- ;;
	esac
}

# What a kernel depends on, as one word. The tarball is known by its checksum,
# which is remembered because it takes a while.
inputs() {
	tar=$(tarball)
	stamp=$(stat -c '%n %s %Y' "$tar")
	mkdir -p "$cache"
	if [ "$(sed -n 1p "$cache/tarball.sum" 2>/dev/null)" != "$stamp" ]; then
		sum=$(sha256sum <"$tar")
		printf '%s\n%s\n' "$stamp" "$sum" >"$cache/tarball.sum.$$"
		mv "$cache/tarball.sum.$$" "$cache/tarball.sum"
	fi
	{
		sed -n 2p "$cache/tarball.sum"
		echo "$1"
		cat $(fragments "$1") $(patches "$1") "$here/build"
		gcc --version | head -n 1
	} | sha256sum | cut -c 1-16
}

# The kernel that belongs to the inputs as they are now.
kernel_of() {
	echo "$cache/$1-$(inputs "$1")"
}
