#!/usr/bin/env bash
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# Everything a newcomer does, in one command each; run from anywhere, as often as you like.
## tools/run.sh demo                        run every example, then compress a real file in parallel
## tools/run.sh test [--preset NAME] [...]  build and run the tests; further arguments go to ctest
##                                          (-L Queue, -R POOL_02)
## tools/run.sh test --windows [...]        the same for Windows: cross-built by mingw-w64, run by
##                                          Wine; --build-only stops before the tests
## tools/run.sh crash [--seconds N]         prove what holds when processes die: at chosen
##                                          instructions, at random for N seconds (60), after 10,000
##                                          deaths; in 15 minutes
## tools/run.sh starts [N]                  start N (10,000) processes of each kind, by each method,
##                                          and see that none leaves a descriptor; in an hour
## tools/run.sh macos                       compile and link all for macOS, both architectures; ends
##                                          with 77 when the compiler cannot be had
## tools/run.sh builds [NAME...]            build it as distributions and other projects do
##                                          (hardened, LTO, static, as a subproject), and run a pool
##                                          in each
## tools/run.sh package debian              Debian's packages: built twice, compared, read by
##                                          lintian, installed on a bare Debian 12 and used there;
##                                          77: as above
## tools/run.sh debian13 [...]              build, test and install it on a bare Debian 13; further
##                                          arguments go to ctest; 77: as above
## tools/run.sh lint                        formatting, scripts, Doxygen, static analysis, the
##                                          binary interface
## tools/run.sh abi [--record]              compare the binary interface with the recorded one, or
##                                          record it; ends with 77 where that cannot be done
## tools/run.sh bench [--best] [--docs] [SECTION...]
##                                          measure Cohort beside its peers and print one table (of
##                                          the best rounds, where the machine is disturbed);
##                                          --docs: and put it into docs/performance.md, where
##                                          lines of some sections alone are marked as later ones
## tools/run.sh help                        this text
##
## --no-install, before or behind a command: install nothing; say what is missing instead.
## COHORT_BUILD=DIR: build there, not in build/ of the tree, which may then be read-only.
#
# What a command needs and does not find is installed through the system's package manager, and
# nothing else is. A subcommand is a function run_NAME below and a line "## ..." above.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
built=${COHORT_BUILD:-$root/build}
case $built in /*) ;; *) built=$PWD/$built ;; esac
installs=1

say() { printf '\n== %s\n' "$*"; }
die() { printf 'tools/run.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
cores() { nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2; }

# ---- packages -----------------------------------------------------------------------------------

# What commands need, by the name of its package for apt-get, dnf, pacman, brew ("-": comes with the
# system), and how to see that it is there.
needs() {
    cat <<'TABLE'
compiler   gcc,libc6-dev  gcc           gcc         -           compiles c
c++        g++            gcc-c++       gcc         -           compiles c++
cmake      cmake          cmake         cmake       cmake       have cmake
builder    ninja-build    ninja-build   ninja       ninja       has_builder
ninja      ninja-build    ninja-build   ninja       ninja       have ninja
pkg-config pkg-config     pkgconf-pkg-config pkgconf pkgconf    have pkg-config
APR        libapr1-dev    apr-devel     apr         apr         pkg-config --exists apr-1
GoogleTest libgtest-dev   gtest-devel   gtest       googletest  pkg-config --exists gtest
zlib       zlib1g-dev     zlib-devel    zlib        zlib        pkg-config --exists zlib
ps         procps         procps-ng     procps-ng   -           have ps
valgrind   valgrind       valgrind      valgrind    -           checks_memory
spin       spin           -             -           spin        checks_models
TABLE
}

needs_of_library=(compiler cmake builder pkg-config APR)
needs_of_tests=("${needs_of_library[@]}" c++ ninja GoogleTest zlib ps)

has_builder() { have ninja || have make; }

# What single examples use: 17_libuv, and parallel_gzip, which is twice as fast by libdeflate as by
# zlib. Each may be missing; what is built says so then.
extras() {
    cat <<'TABLE'
libuv      libuv1-dev     libuv-devel   libuv       libuv       pkg-config --exists libuv
libdeflate libdeflate-dev libdeflate-devel libdeflate libdeflate includes libdeflate.h
TABLE
}

includes() { # a header: does the compiler find it?
    printf '#include <%s>\n' "$1" | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}

# brew has no valgrind (the test that wants it is left out there); only apt-get and brew have Spin
checks_memory() { have valgrind || [ "$(package_manager)" = brew ]; }
checks_models() {
    have spin || { [ "$(package_manager)" != apt-get ] && [ "$(package_manager)" != brew ]; }
}

compiles() { # c or c++: is there a compiler of that language that can build a program?
    local compiler=${CC:-cc} program=${TMPDIR:-/tmp}/cohort-compiles-$$ result=0
    [ "$1" = c ] || compiler=${CXX:-c++}
    printf '#include <stdlib.h>\nint main(void) { return abs(0); }\n' |
        "$compiler" -x "$1" -o "$program" - >/dev/null 2>&1 || result=1
    rm -f "$program"
    return $result
}

package_manager() {
    for manager in apt-get dnf pacman brew; do
        if have $manager; then echo $manager; return; fi
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo; then sudo "$@"
    else return 1
    fi
}

install_packages() { # manager package...
    local manager=$1
    shift
    [ $installs = 1 ] || { echo "--no-install was given; missing: $*" >&2; return 1; }
    case $manager in
    apt-get)
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            "$@" >/dev/null 2>&1 && return
        as_root apt-get update -qq || return
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            "$@" ;;
    dnf) as_root dnf install -y -q "$@" ;;
    pacman) as_root pacman -Sy --noconfirm --needed "$@" ;;
    brew) brew install -q "$@" ;;
    esac
}

# The packages that are missing, one line each: what it is, then its package for this manager.
missing_packages() { # manager what...
    local manager=$1 wanted=" ${*:2} " what apt dnf pacman brew check package
    while read -r what apt dnf pacman brew check; do
        if [[ $wanted = *" $what "* ]] && ! $check >/dev/null 2>&1; then
            case $manager in
                apt-get) package=$apt ;; dnf) package=$dnf ;; pacman) package=$pacman ;;
                brew) package=$brew ;; *) package=- ;;
            esac
            echo "$what ${package//,/ }"
        fi
    done < <(needs)
}

ensure_packages() { # what...
    local manager missing names packages
    manager=$(package_manager)
    missing=$(missing_packages "$manager" "$@")
    if [ -n "$missing" ]; then
        names=$(cut -d' ' -f1 <<<"$missing" | paste -sd' ' -)
        packages=$(cut -d' ' -f2- <<<"$missing" | tr ' ' '\n' | grep -v '^-$' | sort -u |
            paste -sd' ' - || true)
        say "Missing: $names"
        [ $installs = 1 ] ||
            die "--no-install was given: please install ${packages:-$names} and run this again."
        [ -n "$manager" ] ||
            die "no apt-get, dnf, pacman or brew found to install what is missing: $names."
        [ "$manager" = brew ] || [ "$(id -u)" = 0 ] || have sudo ||
            die "not root and no sudo: please install $packages and run this again."
        say "Installing with $manager: $packages"
        # shellcheck disable=SC2086  # a list of words
        [ -z "$packages" ] || install_packages "$manager" $packages ||
            die "$manager could not install: $packages."
        missing=$(missing_packages "$manager" "$@" | cut -d' ' -f1 | paste -sd' ' -)
        [ -z "$missing" ] || die "still missing after the installation: $missing."
    fi
    cmake_is_new_enough ||
        die "CMake 3.21 or newer is needed, this one is" \
            "$(cmake --version | sed -n '1s/[^0-9]*//p')."
}

# What a table names, one after the other: one that cannot be had shall not keep the others away.
ensure_each() { # table
    local manager what apt dnf pacman brew check package
    manager=$(package_manager)
    while read -r what apt dnf pacman brew check; do
        $check >/dev/null 2>&1 && continue
        case $manager in
            apt-get) package=$apt ;; dnf) package=$dnf ;; pacman) package=$pacman ;;
            brew) package=$brew ;; *) package=- ;;
        esac
        [ $installs = 1 ] && [ "$package" != - ] && say "Installing $what" &&
            install_packages "$manager" "$package" </dev/null && continue
        echo "$what is not there and was not installed; its part is left out."
    done < <("$1")
    return 0
}

cmake_is_new_enough() {
    local major minor rest
    IFS=. read -r major minor rest < <(cmake --version | sed -n '1s/[^0-9]*//p')
    [ "$major" -gt 3 ] || { [ "$major" = 3 ] && [ "$minor" -ge 21 ]; }
}

# ---- build --------------------------------------------------------------------------------------

configure() { # preset [directory [argument...]]
    local preset=$1 directory=${2:-$1} log generator
    log=$built/$directory.log
    shift $(($# > 1 ? 2 : 1))
    { mkdir -p "$built" 2>/dev/null && [ -w "$built" ]; } ||
        die "$built cannot be written: set COHORT_BUILD to a directory that can."
    # what is configured already keeps its generator, whatever the preset names
    generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$built/$directory/CMakeCache.txt" \
        2>/dev/null) || true
    [ -n "$generator" ] || have ninja || generator="Unix Makefiles"
    # Users that only want the library should not fail on a warning that a newer compiler has
    # learned; CI sets COHORT_WERROR=ON.
    (cd "$root" && cmake --preset "$preset" -B "$built/$directory" \
        ${generator:+-G "$generator"} -DCOHORT_WERROR="${COHORT_WERROR:-OFF}" "$@") \
        >"$log" 2>&1 ||
        { tail -n 40 "$log" >&2
          die "configuring preset $preset failed; the whole output is in $log."; }
}

build() { # preset [directory [argument...]]
    local directory=${2:-$1} log
    log=$built/$directory.log
    say "Configuring and building preset $1 in $built/$directory"
    configure "$@"
    cmake --build "$built/$directory" -j "$(cores)" >>"$log" 2>&1 ||
        { grep -E -B2 -A12 'FAILED|error' "$log" | head -n 60 >&2
          die "building preset $1 failed; the whole output is in $log."; }
}

# ---- test ---------------------------------------------------------------------------------------

run_test() {
    local preset=release
    case ${1-} in
    --windows)
        shift
        test_windows "$@"
        return ;;
    --preset)
        [ $# -ge 2 ] || die "--preset needs a name."
        preset=$2
        shift 2 ;;
    esac
    ensure_packages "${needs_of_tests[@]}" valgrind spin
    ensure_each extras
    [ "$preset" != clang ] || ensure_debian clang++ clang
    build "$preset"
    ctest_preset "$preset" "$@"
}

# Tests wait for each other's processes and for times more than they compute.
tests_at_once() { echo $((2 * $(cores))); }

# ctest takes a preset's directory as the file says it. Another run may be reading what is there.
presets_to() { # directory
    local file place
    place=$(printf %s "$built" | sed 's/[&|\\]/\\&/g')
    mkdir -p "$1"
    for file in CMakePresets.json CMakeUserPresets.json; do
        [ -f "$root/$file" ] || continue
        sed "s|\${sourceDir}/build|$place|" "$root/$file" >"$1/$file.$$"
        mv "$1/$file.$$" "$1/$file"
    done
}

ctest_preset() { # preset argument...
    local preset=$1
    shift
    say "Testing preset $preset"
    presets_to "$built/presets"
    (cd "$built/presets" && ctest --preset "$preset" -j "$(tests_at_once)" \
        --output-junit "$built/$preset/junit.xml" "$@") ||
        die "tests of preset $preset failed; they are listed above."
}

# Windows on Linux: the compiler, Wine, and APR and GoogleTest built along.
test_windows() {
    local build_only=0
    if [ "${1-}" = --build-only ]; then
        build_only=1
        shift
    fi
    ensure_packages "${needs_of_library[@]}" ninja zlib ps
    ensure_windows_packages
    say "Building APR for Windows, unless it is there"
    "$root/tools/build-apr-mingw.sh" "$built/mingw-apr-work" "$built/mingw-apr" ||
        die "APR could not be built for Windows."
    build mingw mingw -DAPR_PREFIX="$built/mingw-apr"
    [ $build_only = 0 ] || return 0
    export WINEPREFIX=$built/wine
    local result=0
    (ctest_preset mingw "$@") || result=1
    no_program_left || result=1
    "$root/cmake/wine-run.sh" --stop || result=1
    count_tests "$built/mingw/junit.xml"
    return $result
}

# Nothing that the tests started may run when they are done; what is ending gets five seconds. What
# is "wine64 Z:..." still is no program yet, but the empty shell of one that was ended before it
# began, which Wine forgets now and then; it ends with Wine.
no_program_left() {
    local pattern=${built//\//\\}\\mingw\\ left=
    for _ in 1 2 3 4 5; do
        left=$(ps -axo pid=,args= | grep -F "$pattern" | grep -v -e grep -e 'wine64 [A-Z]:' || true)
        [ -n "$left" ] || return 0
        sleep 1
    done
    printf 'Programs of the tests are still running:\n%s\n' "$left" >&2
    return 1
}

# How many were run, and which were skipped and why: GoogleTest writes the reason below "FILE:LINE:
# Skipped".
count_tests() { # junit file
    awk -F'"' '/<testcase / { all++; name = $2; if (/status="notrun"/) skipped++; else name = "" }
        reason && name { list = list "\n  " name ": " $0; name = "" }
        { reason = /: Skipped$/ }
        END { printf "Windows, under Wine: %d run, %d skipped%s\n",
                     all - skipped, skipped, skipped ? ":" list : "" }' "$1"
}

ensure_windows_packages() {
    local packages=()
    have x86_64-w64-mingw32-gcc-posix || have x86_64-w64-mingw32-gcc ||
        packages+=(gcc-mingw-w64-x86-64-posix)
    have x86_64-w64-mingw32-g++-posix || have x86_64-w64-mingw32-g++ ||
        packages+=(g++-mingw-w64-x86-64-posix)
    have wine64 || [ -x /usr/lib/wine/wine64 ] || packages+=(wine64)
    [ -f /usr/x86_64-w64-mingw32/lib/libz.a ] || packages+=(libz-mingw-w64-dev)
    [ -f /usr/src/googletest/CMakeLists.txt ] || packages+=(googletest)
    have bzip2 || packages+=(bzip2) # APR's source is packed with it
    [ ${#packages[@]} -gt 0 ] || return 0
    have apt-get || die "this system has no apt-get; please install ${packages[*]}" \
        "(as they are called on Debian) by hand."
    [ $installs = 0 ] || say "Installing with apt-get: ${packages[*]}"
    install_packages apt-get "${packages[@]}" || die "apt-get could not install: ${packages[*]}."
}

# ---- macOS --------------------------------------------------------------------------------------

run_macos() {
    ensure_packages "${needs_of_library[@]}" ninja
    have make || ! have apt-get || install_packages apt-get make || true # APR is built with it
    [ -f /usr/src/googletest/CMakeLists.txt ] || ! have apt-get ||
        install_packages apt-get googletest || true
    say "Compiling and linking for macOS"
    exec "$root/tools/check-macos.sh" "$built/macos"
}

# ---- builds and packages ------------------------------------------------------------------------

run_builds() {
    ensure_packages "${needs_of_library[@]}" ninja
    [ $# -gt 0 ] || set -- hardened lto static subproject directories m32
    say "Building in other ways: $*"
    exec "$root/tests/consumer/builds/builds.sh" "$root" "$built/builds" "${CC:-cc}" "$@"
}

# What these two need comes from Debian; where it cannot be had they end with 77 and say why.
ensure_debian() { # command package...
    local missing=()
    while [ $# -ge 2 ]; do
        have "$1" || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || { echo "This system has no apt-get."; exit 77; }
    [ $installs = 0 ] || say "Installing with apt-get: ${missing[*]}"
    install_packages apt-get "${missing[@]}" ||
        { echo "Not to be had: ${missing[*]}"; exit 77; }
}

run_package() {
    [ "${1-}" = debian ] || die "which package? There is: debian."
    ensure_packages "${needs_of_library[@]}" ninja
    ensure_debian dpkg-buildpackage dpkg-dev dh debhelper lintian lintian debootstrap debootstrap \
        fakeroot fakeroot
    say "Debian's packages, in $built/debian/one"
    exec "$root/tools/package-debian.sh" "$built/debian"
}

run_debian13() {
    ensure_debian debootstrap debootstrap
    say "Debian 13, in $built/debian13"
    exec "$root/tools/debian13.sh" "$built/debian13" "$@"
}

# ---- lint ---------------------------------------------------------------------------------------

# What reads the code. The columns are those of needs().
readers() {
    cat <<'TABLE'
clang-format clang-format clang-tools-extra clang clang-format  have clang-format
clang-tidy clang-tidy     clang-tools-extra clang llvm          have clang-tidy
shellcheck shellcheck     ShellCheck    shellcheck  shellcheck  have shellcheck
Doxygen    doxygen        doxygen       doxygen     doxygen     have doxygen
TABLE
}

# What compares binary interfaces; it may be missing.
interface_readers() {
    cat <<'TABLE'
abidiff    abigail-tools  libabigail    -           -           have abidiff
TABLE
}

run_lint() {
    local what check
    ensure_packages "${needs_of_tests[@]}"
    ensure_each readers
    while read -r what _ _ _ _ check; do
        $check >/dev/null 2>&1 || die "$what is needed."
    done < <(readers)
    ensure_each interface_readers
    build release
    say "Reading the code"
    "$root/tools/lint.sh" "$built/release" || die "see above; clang-format -i FILE formats."
}

run_abi() {
    ensure_packages "${needs_of_tests[@]}"
    ensure_each interface_readers
    configure release
    exec "$root/tools/abi.sh" "$built/release" "$@"
}

# ---- demo ---------------------------------------------------------------------------------------

# A real file of 48 MB from the machine's own: the same one each time on one machine.
make_input() { # path
    local bytes=48000000
    [ -f "$1" ] && [ "$(wc -c <"$1")" -eq $bytes ] && return
    say "Building the input from this machine's own files: $1"
    find /usr/include /usr/share /usr/lib -type f -size -8192k -print 2>/dev/null | LC_ALL=C sort |
        { tar cf - -T - 2>/dev/null || true; } | head -c $bytes >"$1.part" || true
    [ "$(wc -c <"$1.part")" -ge 30000000 ] ||
        die "/usr/include, /usr/share and /usr/lib hold less than 30 MB to compress."
    mv "$1.part" "$1"
}

run_demo() {
    local work=$built/demo program
    ensure_packages "${needs_of_library[@]}" zlib
    ensure_each extras
    build release demo -DCOHORT_TESTS=OFF -DCOHORT_BENCH=OFF
    for program in "$work"/bin/0[0-9]_* "$work"/bin/11_cpp; do
        [ -x "$program" ] || continue
        say "$(basename "$program")"
        "$program" || die "the example $(basename "$program") failed with $?."
    done
    demo_gzip "$work"
}

# The main job, once undisturbed and once with a worker killed in the middle.
demo_gzip() { # directory
    local input=$1/input.tar program
    program=$1/bin/10_parallel_gzip
    make_input "$input"
    say "10_parallel_gzip: $input"
    "$program" "$input" || die "parallel_gzip failed with $?."
    check_gzip "$input"
    have ps || { say "The demo is done; no worker is killed, since there is no ps."; return; }
    say "10_parallel_gzip again, and one of its workers is killed in the middle"
    "$root/tests/checks/kill_workers.sh" 1 gzip- "$program" "$input" ||
        die "parallel_gzip failed after the death of a worker."
    check_gzip "$input"
    say "The demo is done: both outputs are correct."
}

check_gzip() { # input
    gunzip -t "$1.gz" || die "gunzip does not accept the output."
    gunzip -c "$1.gz" | cmp - "$1" || die "the output does not give back the input."
    awk -v in_size="$(wc -c <"$1")" -v out_size="$(wc -c <"$1.gz")" \
        'BEGIN { printf "checked: gunzip -t and byte comparison; %d -> %d bytes, ratio %.2f\n",
                        in_size, out_size, in_size / out_size }'
}

# ---- bench --------------------------------------------------------------------------------------

# What the peers need; each may be missing, and is left out then. The columns are those of needs().
peers() {
    cat <<'TABLE'
ZeroMQ     libzmq3-dev    zeromq-devel  zeromq      zeromq      pkg-config --exists libzmq
Boost      libboost-dev   boost-devel   boost       boost       has_boost
MPI        libopenmpi-dev openmpi-devel openmpi     open-mpi    checks_mpi
Python     python3        python3       python      python3     have python3
pigz       pigz           pigz          pigz        pigz        have pigz
xargs      findutils      findutils     findutils   -           have xargs
TABLE
}

has_boost() { [ -f /usr/include/boost/interprocess/ipc/message_queue.hpp ]; }

checks_mpi() { have mpicc || [ -x /usr/lib64/openmpi/bin/mpicc ]; } # the latter on Fedora

machine() {
    local model
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
    local kernel load
    kernel="$(uname -s) $(uname -r | sed 's/\(^[0-9]*\.[0-9]*\).*/\1/')"
    load=$(uptime | sed 's/.*load average[s]*: *//')
    echo "# machine: ${model:-$(uname -m)}, $(cores) CPUs, $kernel," \
        "$(cc --version | head -n 1); load before: $load"
}

run_bench() {
    local work=$built/bench document='' how=''
    while :; do
        case ${1-} in
        --docs) document=$root/docs/performance.md ;;
        --best) how=--best ;;
        *) break ;;
        esac
        shift
    done
    [ $# = 0 ] || how="$how --some"
    ensure_packages "${needs_of_library[@]}" zlib
    ensure_each extras
    ensure_each peers
    build release bench -DCOHORT_TESTS=OFF -DCOHORT_EXAMPLES=ON
    make_input "$work/input.tar"
    say "Measuring; all of it takes about a quarter of an hour," \
        "and other work on the machine spoils it"
    { machine && cd "$work" &&
        BENCH_FILE=$work/input.tar "$work/bin/cohort-bench" --rounds "$@"; } |
        tee "$work/results.txt" ||
        die "the benchmark failed; what it printed is in $work/results.txt."
    have python3 || die "the table needs Python 3; the figures are in $work/results.txt."
    say "The table; ratios are Cohort's figure divided by the other's"
    # shellcheck disable=SC2086  # empty words are none
    python3 "$root/tools/bench_report.py" $how "$work/results.txt" \
        "$([ -n "$document" ] && echo "$root/docs" || echo "$work")" $document
    [ $# != 0 ] || say "Also drawn: performance-ratios.svg and performance-scale.svg in" \
        "$([ -n "$document" ] && echo docs || echo "$work")"
}

# ---- crash --------------------------------------------------------------------------------------

crash_left() { # seconds of the 15 minutes that are left, some of them for what comes after
    local left=$((crash_end - SECONDS - ${1:-0}))
    echo $((left > 1 ? left : 1))
}

run_crash() {
    local seconds=60 log=$built/crash.log result=0 method crash_end
    if [ "${1-}" = --seconds ] && [ $# -ge 2 ]; then seconds=$2; fi
    ensure_packages "${needs_of_tests[@]}" spin
    build release
    crash_end=$((SECONDS + 840))
    : >"$log"
    say "Random kills: $seconds seconds, then 10,000 deaths"
    for method in forkserver fork spawn; do
        timeout "$(crash_left)" "$built/release/bin/crash_random" \
            --seconds $((seconds / 3 + 1)) --method $method 2>&1 | tee -a "$log" || result=1
    done
    timeout "$(crash_left 240)" "$built/release/bin/crash_random" --deaths 10000 2>&1 |
        tee -a "$log" || result=1
    say "Kills at chosen instructions, and every test labelled test_crash or proof"
    (cd "$built/release" && timeout "$(crash_left)" ctest -j "$(tests_at_once)" \
        -L '^(test_crash|proof)$' --output-on-failure \
        --output-log "$built/crash-tests.log") ||
        result=1
    cat "$built/release/Testing/Temporary/LastTest.log" >>"$log"
    count_crashes "$log"
    [ $result = 0 ] || die "a proof failed, or there was not time enough; see above," \
        "$log and $built/crash-tests.log."
}

# ---- starts -------------------------------------------------------------------------------------

run_starts() {
    local n=${1:-10000}
    [[ $n =~ ^[0-9]+$ ]] || die "how many starts? $n is no number."
    ensure_packages "${needs_of_tests[@]}"
    build release
    say "$n starts of each kind, by each method"
    (cd "$built/release" && COHORT_TEST_STARTS=$n COHORT_TEST_TIMEOUT=3600 \
        ctest -j "$(cores)" -L '^LeftOpen$' --output-on-failure) ||
        die "descriptors are left, or there was not time enough; see above."
}

# "crash: NAME: killed at N points of ...", "crash: NAME: victim killed in ..., repairer at N points
# of ...", "crash: random: seed S: N killed (...)"
count_crashes() { # log
    say "Killed at so many points, operation by operation"
    sed -n -e 's/^crash: \([a-z_]*\): killed at \([0-9]*\) points of \(.*\)/\1 \2 of \3/p' \
        -e 's/^crash: \([a-z_]*\): victim killed in .*, repairer at \([0-9]*\) points.*/'\
'\1 (and its repairer) \2/p' \
        "$1" |
        sort | column -c 160 2>/dev/null || true
    awk '/^crash: random: .* killed \(/ { kills += $5; runs++ }
        / points of / {
            for (i = 1; i < NF; i++) if ($(i + 1) == "points") { points += $i; operations++ }
        }
        END {
            printf "%d points in %d operations and repairs; ", points, operations
            printf "%d random kills survived in %d runs\n", kills, runs
        }' "$1"
}

run_help() { sed -n 's/^## \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# ---- which one ----------------------------------------------------------------------------------

arguments=()
for argument in "$@"; do
    if [ "$argument" = --no-install ]; then installs=0; else arguments+=("$argument"); fi
done
set -- ${arguments[@]+"${arguments[@]}"}
command=${1:-help}
[ $# = 0 ] || shift
case $command in -h | --help) command=help ;; esac
declare -F "run_$command" >/dev/null || die "no such command: $command; these there are:
$(run_help)"
"run_$command" "$@"
