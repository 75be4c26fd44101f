#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Cross-build APR as a DLL for 64-bit Windows, from the distribution's own source package. A DLL,
# since the program and Cohort's own DLL must share one APR: pools go from one to the other.
#   tools/build-apr-mingw.sh WORK PREFIX
#
# WORK: downloads and objects; PREFIX: receives include/, lib/ and bin/
# Does nothing when PREFIX is complete. Needs cc, cmake, ninja, mingw-w64, and what
# tools/fetch-apr.sh needs.
set -eu
[ $# = 2 ] || { echo "usage: $0 WORK PREFIX" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" "$2"
work=$(cd "$1" && pwd)
prefix=$(cd "$2" && pwd)
[ ! -f "$prefix/lib/pkgconfig/apr-1.pc" ] || exit 0

"$here/fetch-apr.sh" "$work"
rm -rf "$work/build"

# APR runs a program of its own while it builds: give it a native one. -DWIN32 selects the table for
# Windows' shell.
cc -DCROSS_COMPILE -DWIN32 -o "$work/gen_test_char" "$work/apr/tools/gen_test_char.c"
sed -i 's|COMMAND \$<TARGET_FILE:gen_test_char> >|COMMAND ${APR_GEN_TEST_CHAR} >|' \
    "$work/apr/CMakeLists.txt"
# It has version numbers in a form that only Microsoft's resource compiler takes.
sed -i 's| libapr\.rc)|)|' "$work/apr/CMakeLists.txt"

# Two libraries are wanted for one rare function each, and one of them draws in the whole desktop:
# load them when they are called. It halves the time that a program takes to begin under Wine.
delay() { # library function...
    library=$1
    shift
    { echo "LIBRARY $library.dll"; echo EXPORTS; printf '%s\n' "$@"; } > "$work/$library.def"
    x86_64-w64-mingw32-dlltool -k -d "$work/$library.def" -y "$work/lib${library}_delay.a"
}
delay shell32 CommandLineToArgvW
delay iphlpapi if_indextoname if_nametoindex
cat >> "$work/apr/CMakeLists.txt" << CMAKE
set_target_properties(libapr-1 PROPERTIES PREFIX "" IMPORT_PREFIX "")
target_link_libraries(libapr-1 "$work/libshell32_delay.a" "$work/libiphlpapi_delay.a" delayimp)
CMAKE
cmake -S "$work/apr" -B "$work/build" -G Ninja -Wno-dev -Wno-deprecated \
    -DCMAKE_TOOLCHAIN_FILE="$here/../cmake/mingw-w64-x86_64.cmake" -DCMAKE_BUILD_TYPE=Release \
    -DMIN_WINDOWS_VER=0x0A00 -DINSTALL_PDB=OFF -DAPR_GEN_TEST_CHAR="$work/gen_test_char" \
    -DCMAKE_C_FLAGS="-D_WIN32_WINNT=0x0A00 -w -include $here/../cmake/apr-mingw-prelude.h" \
    > "$work/configure.log" 2>&1 ||
    { cat "$work/configure.log" >&2; exit 1; }
nice -n 5 cmake --build "$work/build" --target libapr-1 > "$work/build.log" 2>&1 ||
    { tail -n 40 "$work/build.log" >&2; exit 1; }

mkdir -p "$prefix/bin" "$prefix/lib/pkgconfig" "$prefix/include/apr-1"
cp "$work/build/libapr-1.dll" "$prefix/bin/"
cp "$work/build/libapr-1.dll.a" "$prefix/lib/"
cp "$work"/apr/include/apr*.h "$work/build/apr.h" "$prefix/include/apr-1/"
version=$(awk '/define APR_(MAJOR|MINOR|PATCH)_VERSION/ { printf "%s%s", dot, $3; dot = "." }' \
    "$work/apr/include/apr_version.h")
cat > "$prefix/lib/pkgconfig/apr-1.pc.new" << PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include/apr-1

Name: APR
Description: Apache Portable Runtime for Windows
Version: $version
Libs: -L\${libdir} -lapr-1
Cflags: -I\${includedir}
PC
mv "$prefix/lib/pkgconfig/apr-1.pc.new" "$prefix/lib/pkgconfig/apr-1.pc"
