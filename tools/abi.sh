#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Compare the binary interface of the headers with the one that is recorded.
#   tools/abi.sh BUILD            fails when a program that was built then would not run with what
#                                 is now; reports what is new beside it
#   tools/abi.sh BUILD --record   records what is now
# BUILD is a configured build, for the headers that it makes. What is compared are the types of all
# functions of src/symbols.txt and what these types are made of, as a compiler writes them down for
# debuggers; nothing of the library itself is read, so nothing private is in the record. There is a
# record for each kind of machine, tests/abi/cohort-MACHINE.abi. Ends with 77, and says why, where
# there is none, or no abidiff (Debian: abigail-tools).
set -eu
usage="usage: $0 BUILD [--record]"
[ $# = 1 ] || { [ $# = 2 ] && [ "$2" = --record ]; } || { echo "$usage" >&2; exit 2; }
[ -f "$1/include/cohort/export.h" ] || { echo "$1 is no configured build" >&2; exit 2; }
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
record=$root/tests/abi/cohort-$(uname -m).abi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() { echo "abi: not compared: $*"; exit 77; }
die() { echo "abi: $*" >&2; exit 1; }

# A variable for each function, of its type.
write_source() { # file
    echo '#include <cohort/cohort.h>' >"$1"
    sed -n 's/^cohort_.*/extern __typeof__(\&&) const abi_&;\n__typeof__(\&&) const abi_& = 0;/p' \
        "$root/src/symbols.txt" >>"$1"
}

# In a directory of its own, and by names from there: no path gets into the record.
describe() { # headers record
    (
        cd "$work"
        write_source abi.c
        # shellcheck disable=SC2046  # a list of flags
        ${CC:-cc} -shared -fPIC -g -fdebug-prefix-map="$work=." -I "$1" -I "$build/include" \
            $(pkg-config --cflags apr-1) abi.c -o abi.so
        abidw --headers-dir "$1" --drop-private-types --no-show-locs --no-corpus-path \
            --no-comp-dir-path --no-elf-needed --no-architecture --no-parameter-names \
            --no-write-default-sizes --out-file "$2" abi.so
    )
}

# abidiff's answer is 0 when nothing has changed, has 4 in it for a change, 8 for one that cannot
# be compatible, 1 and 2 when it did not work.
compare() { # before after option...: is `after` still what programs of `before` need?
    before=$1 after=$2
    shift 2
    abidiff "$@" "$before" "$after" >"$work/report" 2>&1
}

# The comparison sees a member that is added, and a function that is missing; one that is new is
# fine.
try_itself() { # record of what is now
    mkdir "$work/planted"
    cp -R "$root/include/cohort" "$work/planted/"
    header=$work/planted/cohort/queue.h
    sed 's/^} cohort_queue_options_t;/    long planted;\n&/' "$header" >"$work/header"
    ! cmp -s "$header" "$work/header" || die "nothing to plant a fault in: cohort/queue.h"
    mv "$work/header" "$header"
    describe "$work/planted" "$work/planted.abi"
    ! compare "$1" "$work/planted.abi" --no-added-syms || die "a planted member is not seen"
    grep -q cohort_queue_options_t "$work/report" || die "a planted member: $(cat "$work/report")"
    grep -v abi_cohort_wait "$1" >"$work/planted.abi"
    ! compare "$1" "$work/planted.abi" --no-added-syms || die "a missing function is not seen"
    compare "$work/planted.abi" "$1" --no-added-syms || die "a new one: $(cat "$work/report")"
}

for tool in abidw abidiff pkg-config; do command -v $tool >/dev/null || skip "no $tool"; done
describe "$root/include" "$work/now.abi"
try_itself "$work/now.abi"
if [ $# = 2 ]; then
    mkdir -p "$(dirname "$record")"
    cp "$work/now.abi" "$record"
    echo "abi: recorded in ${record#"$root"/}"
    exit 0
fi
[ -f "$record" ] || skip "nothing is recorded for this machine: ${record#"$root"/}"
if ! compare "$record" "$work/now.abi" --no-added-syms; then
    cat "$work/report"
    die "not what ${record#"$root"/} says; see CONTRIBUTING.md, \"The binary interface\""
fi
if compare "$record" "$work/now.abi" --harmless; then echo "abi: as recorded"
elif [ $? -ge 4 ]; then # a change; below that abidiff has failed
    cat "$work/report"
    echo "abi: what is new is compatible; record it"
else
    cat "$work/report"
    die "abidiff has failed"
fi
