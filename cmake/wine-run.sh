#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Run a Windows program under Wine, as CMAKE_CROSSCOMPILING_EMULATOR.
#
# Wine's server and service processes are started first, by one runner at a time and with none of
# the runner's pipes: a caller that reads our output to its end would otherwise wait until they end.
# Programs run with the layout of the address space fixed, since Wine without a preloader now and
# then finds its fixed pages taken (COHORT_WINE_ASLR=1 leaves the layout random). Output to a pipe
# is passed on only as long as the program itself runs: now and then the console of a program that
# was killed while it began (conhost.exe) stays for ever, and would keep the pipe open. `wine-run.sh
# --stop` ends everything that runs in the prefix and waits until it is gone.
set -eu

find_tool() { # name: on PATH, else in the directory where Debian puts it
    command -v "$1" 2>/dev/null || ls /usr/lib/wine/"$1" /usr/lib/*/wine/"$1" 2>/dev/null |
        head -n 1
}

# Wine's processes in this prefix, by their environment (where there is no /proc, none).
of_this_prefix() {
    grep -lzxF "WINEPREFIX=$WINEPREFIX" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 |
        while read -r process; do
            case $(readlink "/proc/$process/exe") in */wine*) echo "$process" ;; esac
        done
}

wine=${COHORT_WINE:-$(find_tool wine64)}
server=${COHORT_WINESERVER:-$(find_tool wineserver64)}
[ -n "$wine" ] || wine=$(find_tool wine)
[ -n "$server" ] || server=$(find_tool wineserver)
if [ -z "$wine" ] || [ -z "$server" ]; then
    echo "wine-run.sh: Wine (64-bit) is not installed" >&2
    exit 127
fi

: "${WINEPREFIX:=${HOME:-/tmp}/.wine-cohort}"
: "${WINEDEBUG:=fixme-all}"
: "${WINEDLLOVERRIDES:=mscoree=;mshtml=;winemenubuilder.exe=;winedbg.exe=}"
# The server's socket lies below TMPDIR: callers with another one would get a server of their own,
# which --stop does not find.
TMPDIR=$WINEPREFIX
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES TMPDIR
unset DISPLAY WAYLAND_DISPLAY

fixed=
if [ "${COHORT_WINE_ASLR:-0}" != 1 ] && setarch -R true 2>/dev/null; then
    fixed="setarch -R"
fi

if [ "${1-}" = --stop ]; then
    [ -d "$WINEPREFIX" ] || exit 0
    "$server" -k 2>/dev/null || true
    "$server" -w 2>/dev/null || true
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        left=$(of_this_prefix)
        [ -n "$left" ] || exit 0
        sleep 0.5
        # without the server they are shells that are never told to end
        kill -KILL $left 2>/dev/null || true
    done
    echo "wine-run.sh: still running in $WINEPREFIX:" $left >&2
    exit 1
fi

mkdir -p "$WINEPREFIX"
(
    flock 9
    if ! "$server" -k0 2>/dev/null; then
        fresh=1
        [ ! -f "$WINEPREFIX/system.reg" ] || fresh=0
        $fixed "$server" -p"${COHORT_WINE_LINGER:-60}" </dev/null >/dev/null 2>&1 9>&-
        $fixed "$wine" wineboot </dev/null >/dev/null 2>&1 9>&-
        [ $fresh = 0 ] || $fixed "$wine" winecfg -v win10 </dev/null >/dev/null 2>&1 9>&-
    fi
) 9>"$WINEPREFIX.lock"

# follow FILE: what is written there, until the program has ended (which this process becomes). Its
# name goes at once.
follow() {
    exec 5<"$1"
    rm -f "$1"
    tail -c +1 -f -s 0.05 --pid=$$ <&5 2>/dev/null 3>&- 4>&- &
    exec 5<&-
}
if [ -p /dev/fd/1 ] || [ -p /dev/fd/2 ]; then
    exec 3>&1 4>&2
    output=$(mktemp "$WINEPREFIX/output.XXXXXX")
    # shellcheck disable=SC3013  # every sh that is met here knows -ef
    if [ /dev/fd/1 -ef /dev/fd/2 ]; then
        exec 6>>"$output"
        follow "$output"
        exec >&6 2>&6
    else
        errors=$(mktemp "$WINEPREFIX/errors.XXXXXX")
        exec 6>>"$output" 7>>"$errors"
        follow "$output"
        follow "$errors" >&4
        exec >&6 2>&7 7>&-
    fi
    exec 3>&- 4>&- 6>&-
fi
exec $fixed "$wine" "$@"
