#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Have clang check the library's sources for the MSVC target, as C11 with extensions reported as
# errors, on a machine without Visual Studio.
#   tools/check-msvc.sh PREFIX BUILD    PREFIX: where tools/build-apr-mingw.sh put APR; BUILD: a
#                                       configured build, for its cohort/version.h
# The headers are mingw's, taken as GCC takes them (they do not stand clang's imitation of MSVC), so
# what is checked is the language, the target's types and sizes, and each call of Windows; not the
# headers of the Windows SDK, and not <stdatomic.h> of Visual Studio.
set -eu
[ $# = 2 ] || { echo "usage: $0 PREFIX BUILD" >&2; exit 2; }
cd "$(dirname "$0")/.."
export_dir=$(mktemp -d)
trap 'rm -rf "$export_dir"' EXIT
mkdir "$export_dir/cohort"
echo '#define COHORT_API' > "$export_dir/cohort/export.h"
cp "$2/include/cohort/version.h" "$export_dir/cohort/"
failed=0
for source in src/core/*/*.c src/win32/*.c; do
    clang --target=x86_64-pc-windows-msvc -fsyntax-only -std=c11 -Wall -Wextra -Werror -pedantic \
        -Wno-microsoft -fno-ms-compatibility -fms-compatibility-version=0 -fms-extensions \
        -D_UCRT -D_WIN32_WINNT=0x0A00 \
        -DAPR_DECLARE_STATIC -DCOHORT_STATIC -Iinclude -Isrc -I"$export_dir" \
        -isystem "$1/include/apr-1" \
        -isystem /usr/share/mingw-w64/include "$source" || failed=$((failed + 1))
done
echo "$failed of $(ls src/core/*/*.c src/win32/*.c | wc -l) files failed"
[ $failed = 0 ]
