#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# kills.sh PROGRAM DIRECTORY [EMULATOR]: what becomes of kill_load (tests/kills) when
#  1. it kills its own processes, by Cohort's means;
#  2. the system kills them with SIGKILL, four of the pool, the queue and the barrier each: the
#     others go on, and every check of kill_load holds;
#  3. its root is killed so, too: no process of it is left.
# Under an emulator all processes are children of init; they are found by the path of the program
# then, which is a copy for this run alone. There a victim is one that was let go by its starter,
# and so has a second thread: Wine never completes a call that maps memory into another process
# (NtMapViewOfSection) when the host kills that process meanwhile, where Windows fails it. And what
# is "wine64 Z:..." still has not begun: Wine forgets a process that is ended so early, and leaves
# its empty shell.
set -eu
program=$1 directory=$2 emulator=${3-}
here=$(mktemp -d "$directory/kills.XXXXXX")
mark=$(basename "$here")
root='' least=1

fail() { echo "kills.sh: $*" >&2; exit 1; }
clean() {
    # shellcheck disable=SC2046  # a list of numbers
    [ -z "$(ours)" ] || kill -KILL $(ours) 2> /dev/null || true
    rm -rf "$here"
}
trap clean EXIT

if [ -n "$emulator" ]; then
    cp "$program" "$(dirname "$program")"/*.dll "$here/"
    program=$here/$(basename "$program")
    listed() {
        ps -axo pid=,stat=,nlwp=,args= | awk -v mark="$mark" '
            $2 !~ /Z/ && index($0, mark) && index($0, ".exe") &&
            !/wine64 [A-Z]:/ && !index($0, "kills.sh") { print $1, $NF, $3 }'
    }
    least=2
else
    # The descendants of the root, whether or not it lives: each one's parent is noted when it is
    # first seen.
    listed() {
        [ -n "$root" ] || return 0
        ps -axo pid=,ppid=,stat=,comm= | awk -v root="$root" -v seen="$here/seen" '
            BEGIN { while ((getline line < seen) > 0) known[line] = 1 }
            { parent[$1] = $2; state[$1] = $3; name[$1] = $4 }
            END {
                for (p in parent) {
                    for (q = p; q in parent && q != root && !(q in known); q = parent[q]) { }
                    if ((q == root || q in known) && state[p] !~ /Z/) {
                        print p, name[p], 1
                        if (p != root && !(p in known)) print p >> seen
                    }
                }
            }'
    }
fi
ours() { listed | cut -d' ' -f1; }
named() {
    listed | awk -v name="$1" -v least="$least" \
        'index($2, name "-") == 1 && $3 >= least { print $1 }'
}
runs() { kill -0 "$root" 2> /dev/null; }

begin() { # argument
    : > "$here/seen"
    # shellcheck disable=SC2086  # none or one
    $emulator "$program" "$1" > "$here/said" 2>&1 &
    root=$!
    until grep -q ready "$here/said"; do
        runs || { cat "$here/said" >&2; fail "did not begin"; }
        sleep 0.05
    done
}
done_well() { # what
    wait "$root" || { code=$?; cat "$here/said" >&2; fail "$1: ended with $code"; }
    for group in pool queue barrier; do
        grep -q "^$group [1-9][0-9]* deaths, [1-9]" "$here/said" ||
            { cat "$here/said" >&2; fail "$1: none of the $group was killed"; }
    done
    echo "$1: $(tr -d '\r' < "$here/said" | grep deaths | paste -sd';' - | sed 's/;/; /g')"
}

# Kill one of the group, and wait until the next one can be told from it.
kill_one() { # group number
    before=$(named "$1" | sort)
    victim=$(echo "$before" | sed -n "$2p")
    [ -n "$victim" ] && kill -KILL "$victim" 2> /dev/null || return 1
    while runs; do
        now=$(named "$1" | sort)
        [ "$(echo "$now" | wc -l)" -lt "$(echo "$before" | wc -l)" ] ||
            ! echo "$now" | grep -qx "$victim" && [ -n "$now" ] && return 0
        sleep 0.05
    done
}

begin 6
done_well "killed by itself"

begin "$here/stop"
for round in 1 2 3 4; do
    for group in pool queue barrier; do
        until kill_one $group $((round % 3 + 1)); do
            runs || { cat "$here/said" >&2; fail "ended while its processes were killed"; }
            sleep 0.05
        done
    done
done
: > "$here/stop"
done_well "killed by the system"
rm "$here/stop"

begin "$here/stop"
many=0
# three of the pool, four of the queue, three of the barrier, and the root
while [ "$many" -lt 11 ]; do
    runs || { cat "$here/said" >&2; fail "ended before it could be killed"; }
    many=$(ours | wc -l)
done
kill -KILL "$root"
wait "$root" 2> /dev/null || true
begun=$(date +%s%N)
while [ -n "$(ours)" ]; do sleep 0.02; done
echo "the root killed: $many processes, all gone after $((($(date +%s%N) - begun) / 1000000)) ms"
