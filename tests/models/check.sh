#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# check.sh MODEL DIRECTORY MISTAKE...: MODEL.pml has no error in any of its states; and has one with
# each of the mistakes seeded, or the check proves nothing. Exit code 77: Spin is not installed.
set -eu
model=$(cd "$(dirname "$0")" && pwd)/$1.pml
work=$2/model-$1
shift 2
command -v spin >/dev/null 2>&1 || { echo "skipped: Spin is not installed"; exit 77; }
mkdir -p "$work"
cd "$work"

# verify DEFINITION...: prints what the verifier says; its errors are counted in it.
verify() {
    rm -f pan pan.* ./*.trail
    spin -a "$@" "$model" >spin.txt
    ${CC:-cc} -O1 -w -DSAFETY -DVECTORSZ=2048 -o pan pan.c
    ./pan -m1000000 -w24 >pan.txt
    if grep -q 'max search depth too small\|out of memory' pan.txt; then cat pan.txt; exit 1; fi
    sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.txt
}

errors=$(verify)
if [ "$errors" != 0 ]; then
    cat pan.txt
    spin -t -p "$model" | tail -n 60
    exit 1
fi
echo "$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1 states/p' pan.txt), no error"
for mistake in "$@"; do
    errors=$(verify "$mistake")
    [ "$errors" != 0 ] || { echo "$mistake was not found"; exit 1; }
    echo "$mistake: found"
done
rm -rf "$work"
