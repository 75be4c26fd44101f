#!/bin/sh
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# kill_workers.sh TIMES NAME OUTPUT PROGRAM [ARGUMENT...]: run the program and kill one of its workers, whose names begin with NAME, each
# time that OUTPUT has grown by 2 MB. Ends as the program does. When it was done before all were killed, as may happen on a busy machine, that
# was no test: it is run again, five times at most, and then this ends with 100.
times=$1 name=$2 output=$3
shift 3

# The descendants of a process whose names begin with $name, the oldest first.
workers() { # pid
    ps -axo pid=,ppid=,comm= | awk -v root="$1" -v name="$name" '
        { parent[$1] = $2; if (index($3, name) == 1) found[++n] = $1 }
        END { for (i = 1; i <= n; i++) { p = found[i]; while (p in parent && p != root) p = parent[p]; if (p == root) print found[i] } }'
}

run_and_kill() {
    rm -f "$output"
    "$@" &
    program=$!
    killed=0
    while [ "$killed" -lt "$times" ] && kill -0 $program 2>/dev/null; do
        size=$(wc -c 2>/dev/null <"$output" || echo 0)
        if [ "$size" -gt $((killed * 2000000 + 1000000)) ]; then
            worker=$(workers $program | sed -n "$((killed % 2 + 1))p")
            [ -z "$worker" ] || { kill -KILL "$worker" && echo "killed $worker at $size bytes" && killed=$((killed + 1)); }
        fi
        sleep 0.01
    done
    wait $program
}

for attempt in 1 2 3 4 5; do
    run_and_kill "$@" || exit
    [ "$killed" -lt "$times" ] || exit 0
    echo "attempt $attempt: the program was done when $killed of $times workers had been killed" >&2
done
exit 100
