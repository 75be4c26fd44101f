#!/usr/bin/env bash
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
#
# A small Debian of another release, in which the project is built and its packages are installed:
#   tools/chroot.sh make DIRECTORY SUITE PACKAGE...   unpack it, with these packages, unless it is
#                                                     there; 77 when it cannot be had
#   tools/chroot.sh run DIRECTORY COMMAND...          run a command as root in it
#   tools/chroot.sh remove DIRECTORY                  take it away
# It takes root, debootstrap, and a mirror of Debian: the one of the machine's own package sources,
# or COHORT_DEBIAN_MIRROR. Nothing is mounted but, within the command's own mount namespace, /proc
# and /dev.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '4,10s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2; }
command=$1 directory=$2
shift 2

cannot() { printf 'chroot.sh: %s\n' "$*" >&2; exit 77; }

mirror() {
    [ -z "${COHORT_DEBIAN_MIRROR-}" ] || { echo "$COHORT_DEBIAN_MIRROR"; return; }
    apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        sed -n 's|^\(.*/debian/*\) main$|\1|p' | head -n 1
}

make() { # suite package...
    local suite=$1 packages log=$directory.log from
    shift
    packages=$(IFS=,; echo "$*")
    [ "$(cat "$directory/.made" 2>/dev/null)" != "$suite $packages" ] || return 0
    [ "$(id -u)" = 0 ] || cannot "not root"
    command -v debootstrap >/dev/null || cannot "no debootstrap"
    [ -e "/usr/share/debootstrap/scripts/$suite" ] || cannot "this debootstrap knows no $suite"
    from=$(mirror)
    [ -n "$from" ] || cannot "the machine's package sources name no mirror of Debian"
    remove
    mkdir -p "$directory"
    # nothing of it has to outlive a power cut
    DPKG_FORCE=unsafe-io debootstrap --variant=minbase ${packages:+--include="$packages"} \
        "$suite" "$directory" "$from" >"$log" 2>&1 ||
        { tail -n 5 "$log" >&2; cannot "$suite could not be had"; }
    rm -rf "$directory"/var/cache/apt/archives/*.deb
    echo "$suite $packages" >"$directory/.made"
}

run() { # command...
    # shellcheck disable=SC2016  # the inner shell has these arguments
    unshare --mount --propagation private sh -c '
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" || exit 77
        directory=$1
        shift
        exec env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            chroot "$directory" "$@"' sh "$directory" "$@"
}

remove() { rm -rf --one-file-system "$directory" "$directory.log"; }

case $command in
make | run | remove) "$command" "$@" ;;
*) echo "chroot.sh: no such command: $command" >&2; exit 2 ;;
esac
