#!/usr/bin/env bash
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# Cohort built in ways that distributions and other projects build, and a pool run in each:
#   builds.sh SOURCE WORK CC NAME...
# NAME is one of the functions build_NAME below. Exit code 77 when what the only NAME needs is not
# there.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: $0 SOURCE WORK CC NAME..." >&2; exit 2; }
source=$(cd "$1" && pwd) work=$2 cc=$3
shift 3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$work"
work=$(cd "$work" && pwd)

die() { printf 'builds.sh: %s: %s\n' "$name" "$*" >&2; exit 1; }
skip() { printf 'builds.sh: %s: not tried: %s\n' "$name" "$*"; exit 77; }

quietly() { # command...
    "$@" >"$place/log" 2>&1 || { tail -n 40 "$place/log" >&2; die "failed: $*"; }
}

# Build and install into $place/prefix, warnings as errors; further arguments go to CMake.
install_cohort() { # arguments...
    quietly cmake -S "$source" -B "$place/build" -G Ninja -DCMAKE_C_COMPILER="$cc" \
        -DCMAKE_BUILD_TYPE=None -DBUILD_TESTING=OFF -DCOHORT_EXAMPLES=OFF -DCOHORT_BENCH=OFF \
        -DCOHORT_WERROR=ON -DCMAKE_INSTALL_LIBDIR=lib "$@"
    quietly cmake --build "$place/build"
    quietly cmake --install "$place/build" --prefix "$place/prefix"
}

package() { # pkg-config's arguments
    PKG_CONFIG_PATH=$place/prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} \
        pkg-config "$@" cohort
}

# A program that is linked with libcohort.a by the flags that pkg-config has.
static_program() { # flags...
    # shellcheck disable=SC2046  # lists of words
    quietly "$cc" "$@" -I"$here" $(package --static --cflags) "$here/main.c" "$here/pool.c" \
        -o "$place/program" "$place/prefix/lib/libcohort.a" $(pkg-config --libs --static apr-1) \
        -lpthread -ldl
}

shared_program() { # flags...
    # shellcheck disable=SC2046
    quietly "$cc" "$@" -I"$here" $(package --cflags) "$here/main.c" "$here/pool.c" \
        -o "$place/program" $(package --libs) -Wl,-rpath,"$place/prefix/lib"
}

run() { timeout 60 "$@" || die "$* ended with $?"; }

# ---- the builds ---------------------------------------------------------------------------------

# The flags of Debian's and Ubuntu's packages, and more: level 3 checks what is known at run time.
build_hardened() {
    local flags="-O2 -g -fstack-protector-strong -Wformat -Werror=format-security" link=
    if command -v dpkg-buildflags >/dev/null; then
        export DEB_BUILD_MAINT_OPTIONS=hardening=+all
        flags="$(dpkg-buildflags --get CFLAGS) $(dpkg-buildflags --get CPPFLAGS)"
        link=$(dpkg-buildflags --get LDFLAGS)
    fi
    flags+=" -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"
    install_cohort -DCMAKE_C_FLAGS="$flags" -DCMAKE_SHARED_LINKER_FLAGS="$link" \
        -DBUILD_SHARED_LIBS=ON
    # shellcheck disable=SC2086
    shared_program $flags $link
    run "$place/program"
}

build_lto() {
    install_cohort -DCMAKE_C_FLAGS="-O2 -flto" -DBUILD_SHARED_LIBS=ON
    shared_program -O2 -flto
    run "$place/program"
}

# libcohort.a in a program; in one without any library at run time, which its own part of the loader
# moves; in a library of the consumer's own, which a program opens while it runs; and with little
# stack in each thread, also in those that the library starts.
build_static() {
    install_cohort -DCMAKE_C_FLAGS=-O2 -DBUILD_SHARED_LIBS=OFF
    static_program -O2
    run "$place/program"
    (ulimit -s 128 && run "$place/program")

    echo 'int main(void) { return 0; }' >"$place/empty.c"
    if "$cc" -static-pie -fPIE "$place/empty.c" -o "$place/empty" 2>/dev/null; then
        static_program -O2 -fPIE -static-pie
        run "$place/program"
    else
        echo "builds.sh: -static-pie is not tried: the compiler cannot link it"
    fi

    # shellcheck disable=SC2046
    quietly "$cc" -O2 -fPIC -shared -I"$here" $(package --cflags) "$here/pool.c" \
        -o "$place/libpool.so" "$place/prefix/lib/libcohort.a" $(pkg-config --libs apr-1) \
        -lpthread -ldl -Wl,--exclude-libs,ALL
    quietly "$cc" -O2 -DOPENS_LIBRARY -I"$here" "$here/main.c" -o "$place/program" -ldl
    POOL_LIBRARY=$place/libpool.so run "$place/program"
}

# A 32-bit build is refused in a sentence.
build_m32() {
    mkdir -p "$place"
    ! cmake -S "$source" -B "$place/build" -G Ninja -DCMAKE_C_COMPILER="$cc" \
        -DCMAKE_C_FLAGS=-m32 -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY \
        >"$place/log" 2>&1 || die "CMake took -m32"
    grep -q "needs a 64-bit address space" "$place/log" ||
        { tail -n 20 "$place/log" >&2; die "refused for another reason"; }
}

# Below another project nothing of that one's is changed, and one form is enough.
build_subproject() {
    local form
    for form in cohort cohort_static; do
        mkdir -p "$place/$form"
        cat >"$place/$form/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.21)
project(Outer LANGUAGES C)
set(before here)
add_subdirectory("$source" cohort EXCLUDE_FROM_ALL)
if(CMAKE_BUILD_TYPE OR DEFINED BUILD_TESTING OR DEFINED BUILD_SHARED_LIBS OR CMAKE_C_STANDARD
   OR CMAKE_RUNTIME_OUTPUT_DIRECTORY OR CMAKE_MODULE_PATH)
  message(FATAL_ERROR "the subproject has changed its consumer")
endif()
add_executable(program "$here/main.c" "$here/pool.c")
target_link_libraries(program PRIVATE Cohort::$form)
install(TARGETS program)
CMAKE
        quietly cmake -S "$place/$form" -B "$place/$form/build" -G Ninja -DCMAKE_C_COMPILER="$cc"
        quietly cmake --build "$place/$form/build"
        run "$place/$form/build/program"
        quietly cmake --install "$place/$form/build" --prefix "$place/$form/prefix"
        [ "$(find "$place/$form/prefix" -type f | wc -l)" = 1 ] ||
            die "the subproject installs into its consumer's prefix"
    done
}

# Directories that are given absolutely, as some distributions do, are written as they are; all else
# can be moved. Calls by way of the table alone (-fno-plt).
build_directories() {
    install_cohort -DCMAKE_C_FLAGS="-O2 -fno-plt" -DBUILD_SHARED_LIBS=ON
    [ ! -e "$place/prefix/lib/libcohort.a" ] || die "BUILD_SHARED_LIBS=ON installs libcohort.a"
    quietly ctest --test-dir "$place/build" # it has nothing to run, and says so
    mv "$place/prefix" "$place/moved"
    mkdir "$place/prefix"
    mv "$place/moved/lib" "$place/moved/include" "$place/prefix"
    shared_program -O2 -fno-plt
    run "$place/program"

    quietly cmake "$place/build" -DCMAKE_INSTALL_PREFIX="$place/none" \
        -DCMAKE_INSTALL_LIBDIR="$place/elsewhere/lib" \
        -DCMAKE_INSTALL_INCLUDEDIR="$place/elsewhere/headers"
    quietly cmake --build "$place/build"
    quietly cmake --install "$place/build"
    rm -rf "$place/prefix"
    mkdir "$place/prefix"
    ln -s ../elsewhere/lib "$place/prefix/lib"
    shared_program -O2 -fno-plt
    run "$place/program"
}

for name in "$@"; do
    declare -F "build_$name" >/dev/null || { echo "builds.sh: no such build: $name" >&2; exit 2; }
    place=$work/$name
    rm -rf "$place"
    mkdir -p "$place"
    "build_$name"
    printf '%s: ok\n' "$name"
done
