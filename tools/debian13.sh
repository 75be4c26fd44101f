#!/usr/bin/env bash
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# tools/debian13.sh DIRECTORY [CTEST ARGUMENT...]: build, test and install this tree as the README
# says on a bare Debian 13 in DIRECTORY (newer compiler, C library, CMake and APR than here),
# every warning an error. DIRECTORY.junit.xml has the tests. Ends with 77 when that system cannot be
# had.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 DIRECTORY [CTEST ARGUMENT...]" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
chroot=$1
shift

"$root/tools/chroot.sh" make "$chroot" trixie gcc libc6-dev g++ cmake ninja-build pkg-config \
    libapr1-dev libgtest-dev zlib1g-dev procps
mkdir -p "$chroot/cohort"
find "$chroot/cohort" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
builds=$(realpath --relative-to="$root" "$(dirname "$chroot")") # which may be in the tree
tar -C "$root" --exclude=./build "--exclude=./$builds" --exclude=./.git -cf - . |
    tar -C "$chroot/cohort" -xf -

# shellcheck disable=SC2016  # the shell within has these arguments
"$root/tools/chroot.sh" run "$chroot" sh -c '
    cd /cohort
    { cmake --preset release -DCOHORT_WERROR=ON && cmake --build --preset release; } \
        >build.log 2>&1 || { grep -E -A8 "FAILED|rror:" build.log | head -n 60; exit 1; }
    gcc --version | head -n 1
    cmake --install build/release --prefix /usr/local >/dev/null && ldconfig &&
        cc tests/consumer/builds/main.c tests/consumer/builds/pool.c -o /tmp/pool \
            $(pkg-config --cflags --libs cohort) && /tmp/pool || exit 1
    ctest --preset release -j "$(nproc)" --output-junit /cohort/junit.xml "$@"' sh "$@" &&
    result=0 || result=$?
cp "$chroot/cohort/junit.xml" "$chroot.junit.xml" 2>/dev/null || true
exit $result
