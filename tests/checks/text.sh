#!/bin/bash
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# text.sh ROOT WORK: what CONTRIBUTING.md says of the text of the tree and no other tool looks at.
#  - A line has 100 columns at most, but for rows of tables, which cannot be broken.
#  - A source has 500 lines at most, a file of the tests 700.
#  - The name of a static function stands in one file of src/core only.
#  - Threads and processes are no persons: no "who", "whoever", "whose", "whom".
#  - The glossary in docs/design.md has 40 terms at most.
# WORK is a directory of this check's own, for a tree that breaks these rules on purpose.
set -euo pipefail
root=$1 work=$2
folders='src include docs tests tools bench examples cmake'

texts() { # patterns for find
    # shellcheck disable=SC2086  # folders
    find $folders README.md -type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' "$@" \) \
        -not -path 'tests/fuzz/corpus/*' -not -path 'tests/abi/*' | sort
}

columns() {
    texts -o -name '*.h.in' -o -name '*.md' -o -name '*.cmake' -o -name CMakeLists.txt \
        -o -name '*.sh' -o -name '*.py' -o -name '*.awk' -o -name '*.pml' | xargs awk '
        /^( \*)? ?\|/ { next }
        { width = length($0); if (width > 100) { # bytes, of which not each is a column
              rest = $0; width -= gsub(/[\200-\277]/, "", rest) } }
        width > 100 { print FILENAME ":" FNR ": " width " columns" }'
}

lengths() {
    texts | xargs awk '
        function look() { if (lines > most) print name ": " lines " lines, more than " most }
        FNR == 1 {
            look()
            name = FILENAME
            most = name ~ /^src/ ? 500 : name ~ /^tests/ ? 700 : 1e9
        }
        { lines = FNR }
        END { look() }'
}

names() {
    find src/core -name '*.[ch]' | sort | xargs awk '
        /^static [^=(]*[A-Za-z_0-9]\(/ {
            name = $0
            sub(/\(.*/, "", name)
            sub(/.*[^A-Za-z_0-9]/, "", name)
            if (name in file && file[name] != FILENAME)
                print FILENAME ": " name "() is a static function of " file[name], "too"
            file[name] = FILENAME
        }'
}

persons() {
    texts -o -name '*.md' -o -name '*.sh' -o -name '*.cmake' -o -name CMakeLists.txt \
        -o -name '*.py' -o -name '*.pml' | grep -v '^tests/checks/text.sh$' |
        xargs grep -niwE 'who|whoever|whose|whom' | sed 's/$/ -- says who/' || true
}

glossary() {
    awk -F'|' '/^## / { inside = $0 == "## Words" }
        inside && /^\| / && $2 !~ /^ (word|-+) $/ { terms += split($2, parts, ",") }
        END { if (terms < 10 || terms > 40) print "docs/design.md: " terms " terms in a glossary" }
        ' docs/design.md
}

breaches() { # tree
    (cd "$1" && columns && lengths && names && persons && glossary)
}

found=$(breaches "$root")
[ -z "$found" ] || { printf 'The text of the tree:\n%s\n' "$found" >&2; exit 1; }

# The check itself: each of these faults is found, and nothing else.
rm -rf "$work"
mkdir -p "$work"
# shellcheck disable=SC2086  # folders
(cd "$root" && cp -R $folders README.md "$work")
planted=$work/src/core/memory/planted.c
{
    echo "/* The thread who waits. */"
    printf '/* %0100d */\n' 0
    echo "static void guard_begin(void) {}"
    for ((i = 0; i < 500; i++)); do echo; done
} >"$planted"
echo "static int guard_begin(int lock) { return lock; }" >"$work/src/core/memory/planted.h"
sed -i 's/^| cohort |.*/&\n| one, two, three | planted |/' "$work/docs/design.md"
expected="src/core/memory/planted.c:2: 106 columns
src/core/memory/planted.c: 503 lines, more than 500
src/core/memory/planted.h: guard_begin() is a static function of src/core/memory/planted.c too
src/core/memory/planted.c:1:/* The thread who waits. */ -- says who
docs/design.md: 43 terms in a glossary"
found=$(breaches "$work")
[ "$found" = "$expected" ] || { printf 'With faults planted:\n%s\n' "$found" >&2; exit 1; }
rm -rf "$work"
