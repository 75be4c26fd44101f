#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Put the source of APR, from the distribution's own source package, into WORK/apr, freshly
# unpacked, for the builds for other systems.
#   tools/fetch-apr.sh WORK
# Needs apt-get (no root, no change of the system's package sources: a private list with deb-src
# entries is made in WORK). A tarball apr*.tar.* put into WORK is used as it is.
set -eu
[ $# = 1 ] || { echo "usage: $0 WORK" >&2; exit 2; }
mkdir -p "$1"
work=$(cd "$1" && pwd)

# Download the source package through private package lists, so that the system needs no deb-src
# entry.
fetch_source() {
    mkdir -p "$work/lists/partial" "$work/sources.d"
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' "Created-By: Packages" |
        sort -u |
        while read -r uri release component; do
            key=$(ls /usr/share/keyrings/debian-archive-keyring.gpg \
                /usr/share/keyrings/ubuntu-archive-keyring.gpg 2>/dev/null | head -n 1)
            case "$component" in main | universe) ;; *) continue ;; esac
            case "$uri" in *debian.org* | *ubuntu.com* | *debian* | *ubuntu*) ;; *) continue ;; esac
            printf 'deb-src %s%s %s %s\n' "${key:+[signed-by=$key] }" "$uri" "$release" "$component"
        done > "$work/sources.d/source.list"
    set -- -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources.d" \
        -o Dir::State::lists="$work/lists" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=
    (cd "$work" && apt-get "$@" -qq update && apt-get "$@" -qq source --download-only apr)
}

tarball() { # the upstream's, not the distribution's patches
    for file in "$work"/apr*.tar.gz "$work"/apr*.tar.bz2 "$work"/apr*.tar.xz; do
        case $file in *debian*) continue ;; esac
        if [ -f "$file" ]; then echo "$file"; return; fi
    done
}

[ -n "$(tarball)" ] || fetch_source
[ -n "$(tarball)" ] || {
    echo "The source of APR could not be had from the package sources of this system." >&2
    exit 1
}
rm -rf "$work/apr"
mkdir "$work/apr"
tar xf "$(tarball)" -C "$work/apr" --strip-components=1
