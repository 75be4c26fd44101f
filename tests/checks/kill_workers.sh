#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# kill_workers.sh TIMES NAME PROGRAM INPUT [ARGUMENT...]: let PROGRAM compress INPUT and kill one of
# its workers (their names begin with NAME) each time that the output has grown by 2 MB. It reads
# through a named pipe that withholds the last megabyte until all are killed, so it cannot be done
# before. The output is INPUT.gz; ends as the program does.
times=$1 name=$2 program=$3 input=$4
shift 4
pipe=$input.pipe output=$input.pipe.gz.part killed=0

# Those descendants of a process that have a name which begins with $name, the oldest first.
workers() { # pid
    ps -axo pid=,ppid=,comm= | awk -v root="$1" -v name="$name" '
        { parent[$1] = $2; if (index($3, name) == 1) found[++n] = $1 }
        END {
            for (i = 1; i <= n; i++) {
                p = found[i]
                while (p in parent && p != root) p = parent[p]
                if (p == root) print found[i]
            }
        }'
}

feed() {
    head -c $(($(wc -c <"$input") - 1000000)) "$input"
    while [ ! -e "$pipe.go" ]; do sleep 0.01; done
    tail -c 1000000 "$input"
}

rm -f "$pipe" "$pipe.go" "$output"
mkfifo "$pipe" || exit 100
feed >"$pipe" &
feeder=$!
"$program" "$pipe" "$@" &
running=$!
while [ "$killed" -lt "$times" ] && kill -0 $running 2>/dev/null; do
    size=$(wc -c 2>/dev/null <"$output" || echo 0)
    if [ "$size" -gt $((killed * 2000000 + 1000000)) ]; then
        worker=$(workers $running | sed -n "$((killed % 2 + 1))p")
        if [ -n "$worker" ]; then
            kill -KILL "$worker" && echo "killed $worker at $size bytes" && killed=$((killed + 1))
        fi
    fi
    sleep 0.01
done
: >"$pipe.go"
wait $running
result=$?
kill $feeder 2>/dev/null
[ $result != 0 ] || mv "$pipe.gz" "$input.gz"
rm -f "$pipe" "$pipe.go"
exit $result
