#!/usr/bin/env bash
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# tools/package-debian.sh WORK: Debian's packages of this tree, built by dpkg-buildpackage in two
# directories, which must give the same files; read by lintian, without an error or a warning;
# installed on a bare Debian 12 in WORK/bookworm, where a consumer is built and run. The packages
# are in WORK/one. Ends with 77 when all but the bare system could be had.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 WORK" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
version=$(sed -n 's/^project(Cohort VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")

die() { printf 'package-debian.sh: %s\n' "$*" >&2; exit 1; }
head -n 1 "$root/packaging/debian/changelog" | grep -qF "cohort ($version-" ||
    die "packaging/debian/changelog is not of version $version"

# What the tree has (or git, where it is one), without what was built.
tree() {
    if git -C "$root" rev-parse --git-dir >/dev/null 2>&1; then
        git -C "$root" ls-files -z --cached --others --exclude-standard
    else
        cd "$root" && find . -path ./build -prune -o -type f -print0
    fi | (cd "$root" && LC_ALL=C sort -z | xargs -0 ls -d 2>/dev/null) | grep -v '^packaging/'
}

build() { # directory
    local place=$work/$1 source
    source=$place/cohort-$version
    rm -rf "$place"
    mkdir -p "$source"
    tar -C "$source" -xf "$work/tree.tar"
    tar -C "$place" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - \
        "cohort-$version" | gzip -n9 >"$place/cohort_$version.orig.tar.gz"
    cp -R "$root/packaging/debian" "$source/debian"
    (cd "$source" && env -u CMAKE_C_COMPILER_LAUNCHER -u CMAKE_CXX_COMPILER_LAUNCHER \
        dpkg-buildpackage -us -uc -j"$(nproc)") >"$place/log" 2>&1 ||
        { tail -n 40 "$place/log" >&2; die "dpkg-buildpackage failed"; }
}

tree | tar -C "$root" -cf "$work/tree.tar" -T -
build one
build another/of-another-length
for package in "$work"/one/*.deb; do
    cmp "$package" "$work/another/of-another-length/${package##*/}" ||
        die "${package##*/} depends on where it is built"
done
echo "the same in two directories: $(cd "$work/one" && echo ./*.deb)"

# A package that is not Debian's has no bug to close there; the project has no mail address yet.
ours=initial-upload-closes-no-bugs,bogus-mail-host,bogus-mail-host-in-debian-changelog
lintian --allow-root --fail-on error,warning --suppress-tags "$ours" \
    "$work"/one/*.changes || die "lintian has found something"
echo "lintian: no error, no warning"

chroot=$work/bookworm
"$root/tools/chroot.sh" make "$chroot" bookworm cmake gcc libc6-dev make man-db pkg-config \
    libapr1-dev
mkdir -p "$chroot/packages"
rm -f "$chroot"/packages/*
cp "$work"/one/libcohort0.2_*.deb "$work"/one/libcohort-dev_*.deb "$work"/one/cohort-doc_*.deb \
    "$root"/tests/consumer/builds/*.[ch] "$root/packaging/debian/tests/pool" \
    "$chroot/packages"
"$root/tools/chroot.sh" run "$chroot" sh -c 'dpkg -i /packages/*.deb >/packages/log 2>&1 ||
    { cat /packages/log; exit 1; }
    POOL_SOURCE=/packages /packages/pool' || die "the installed packages do not do"
"$root/tools/chroot.sh" run "$chroot" sh -c \
    'dpkg --purge libcohort-dev libcohort0.2 cohort-doc >/dev/null &&
    ! ls /usr/lib/*/libcohort* /usr/include/cohort 2>/dev/null' ||
    die "something stays after removal"
echo "installed, used and removed on a bare Debian 12"
