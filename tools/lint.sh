#!/usr/bin/env bash
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# tools/lint.sh BUILD: what reads the code without running it, each with warnings as errors:
# clang-format, shellcheck, Doxygen, clang-tidy, and the comparison of the binary interface with the
# recorded one. BUILD is a configured build of the release preset (compile_commands.json). Prints
# what failed; exit code 0 only when nothing did.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$1
cd "$root" || exit 1
failed=()

check() { # name command...
    local name=$1 begin=$SECONDS
    shift
    if "$@"; then printf '%-14s ok, %d s\n' "$name" $((SECONDS - begin))
    else failed+=("$name"); fi
}

# Another version of clang-format breaks some lines elsewhere.
formatted() {
    local version
    version=$(clang-format --version | sed 's/.*version \([0-9]*\).*/\1/')
    if [ "$version" != 14 ]; then
        echo "clang-format $version: the tree is formatted by version 14, not checked"
        return 0
    fi
    git ls-files '*.c' '*.h' '*.cpp' | xargs clang-format --dry-run -Werror
}

scripts() { { git ls-files '*.sh'; echo .ci/run; } | xargs shellcheck -x -S warning; }

# A file that the build compiles; the others are another system's, or another variant.
compiled() {
    sed -n "s|^ *\"file\": \"$root/\(src/.*\.c\)\",*$|\1|p" "$build/compile_commands.json" | sort -u
}

tidy() {
    local log=$build/clang-tidy.log
    [ -n "$(compiled)" ] || { echo "$build/compile_commands.json names no source"; return 1; }
    compiled | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet >"$log" 2>/dev/null && return
    grep -E ': (warning|error):' "$log" | sort -u | head -n 40
    return 1
}

# Where it cannot be compared, it has said why.
interface() {
    local result=0
    tools/abi.sh "$build" || result=$?
    [ $result = 0 ] || [ $result = 77 ]
}

check format formatted
check shellcheck scripts
check doxygen doxygen docs/Doxyfile
check clang-tidy tidy
check interface interface
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
