#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# wine_kills.sh EMULATOR PROGRAM DIRECTORY GUNZIP: what becomes of the compression of a file when
# the host, not Windows, kills with SIGKILL:
#  1. a worker, three times in one run: the output is right all the same;
#  2. the root: no process of its is left.
# Wine's processes are all children of init, so they are found by the path of the program, which is
# a copy for this run alone; victims have a second thread (kills.sh says why).
set -eu
emulator=$1 program=$2 directory=$3 gunzip=$4
here=$(mktemp -d "$directory/wine_kills.XXXXXX")
trap 'rm -rf "$here"' EXIT
mark=$(basename "$here")
cp "$program" "$(dirname "$program")"/*.dll "$here/"
copy=$here/$(basename "$program")
awk 'BEGIN { srand(1); for (i = 0; i < 4000000; i++) printf "%d ", rand() * 100000 }' \
    > "$here/input"

fail() { echo "wine_kills.sh: $*" >&2; exit 1; }
ours() {
    ps -axo pid=,stat=,nlwp=,args= | awk -v mark="$mark" '
        $2 !~ /Z/ && index($0, mark) && index($0, ".exe") &&
        !/wine64 [A-Z]:/ && !index($0, "wine_kills.sh")'
}
workers() { ours | awk '/ gzip-[0-9]/ && $3 >= 2 { print $1 }'; }
output() { wc -c 2> /dev/null < "$here/input.gz.part" || echo 0; }

"$emulator" "$copy" "$here/input" > "$here/said" 2>&1 &
first=$!
killed=0
while [ $killed -lt 3 ] && kill -0 $first 2> /dev/null; do
    victim=
    [ "$(output)" -le $((killed * 1500000)) ] || victim=$(workers | sed -n "$((killed % 2 + 1))p")
    if [ -n "$victim" ] && kill -KILL "$victim" 2> /dev/null; then killed=$((killed + 1)); fi
    sleep 0.02
done
wait $first || { cat "$here/said"; fail "ended with $? after $killed kills"; }
[ $killed -gt 0 ] || fail "no worker was found"
"$gunzip" -c "$here/input.gz" | cmp - "$here/input" || fail "the output is wrong"
echo "$killed workers killed, the output is right"

rm "$here/input.gz"
"$emulator" "$copy" "$here/input" > "$here/said" 2>&1 &
second=$!
while [ "$(output)" -lt 500000 ] || [ -z "$(workers)" ]; do
    kill -0 $second 2> /dev/null || fail "was done before it could be killed"
    sleep 0.02
done
kill -KILL $second # the emulator has become the program
wait $second 2> /dev/null || true
while [ -n "$(ours)" ]; do sleep 0.02; done
echo "the root killed, nothing left"
