#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# silence.sh SILENCE: amid training a rank is stopped, or a host's cable is pulled. Whoever is left
# returns WW_TIMED_OUT within timeout_s and a second, naming the silent rank and its host, and can
# destroy its context.
set -u -o pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
timeout_s=3

complain() {
    echo "WRONG: $*"
    failed=1
}

# await FILE SECONDS
await() {
    local turns=$(($2 * 20))
    while [ ! -e "$1" ] && ((turns-- > 0)); do
        sleep 0.05
    done
    [ -e "$1" ]
}

# expect_time_out RANK PATTERN: what this rank wrote down, and whom it named.
expect_time_out() {
    local status silent_s destroy_s sentence
    if ! await "$folder/$1.failed" $((timeout_s + 5)); then
        complain "rank $1 reported nothing"
        return
    fi
    {
        read -r status
        read -r silent_s
        read -r destroy_s
        read -r sentence
    } <"$folder/$1.failed"
    echo "rank $1: $status after $silent_s s, destroyed in $destroy_s s: $sentence"
    [ "$status" = WW_TIMED_OUT ] || complain "rank $1 returned $status"
    [[ $sentence =~ $2 ]] || complain "rank $1 does not name $2"
    awk -v silent="$silent_s" -v destroy="$destroy_s" -v limit="$timeout_s" \
        'BEGIN { exit !(silent >= limit * 0.9 && silent <= limit + 1 && destroy < 2) }' ||
        complain "rank $1 needed $silent_s and $destroy_s s, with timeout_s $timeout_s"
}

# start SILENCE RANKS LAST: training in the background; returns when ranks 0 .. LAST are at it.
start() {
    local rank
    folder=$HOSTS_LAB/verdicts
    mkdir "$folder"
    WIREWISE_TIMEOUT_S=$timeout_s timeout 40 hosts.sh mpirun "$2" "$1" "$folder" \
        >"$HOSTS_LAB/output" 2>&1 &
    job=$!
    for ((rank = 0; rank <= $3; rank++)); do
        if ! await "$folder/$rank.trains" 20; then
            complain "rank $rank does not train"
            cat "$HOSTS_LAB/output"
            exit 1
        fi
    done
}

# stopped SILENCE RANKS SIZE VICTIM: all others name the victim, and the job ends by itself.
stopped() {
    local pid host rank
    start "$1" "$2" $(($3 - 1))
    read -r pid host <"$folder/$4.trains"
    hosts.sh on "$host" kill -STOP "$pid"
    for ((rank = 0; rank < $3; rank++)); do
        [ "$rank" -eq "$4" ] || expect_time_out "$rank" "rank $4 \\($host\\)"
    done
    [ ! -e "$folder/$4.failed" ] || complain "rank $4 was not stopped at all"
    wait "$job"
    case $? in
    0 | 124 | 137) complain "the job ended with status $?" ;;
    esac
}

# unplugged SILENCE RANKS: the two ranks of node2 and that of node1 name each other's host.
unplugged() {
    start "$1" "$2" 2
    hosts.sh cut node2
    expect_time_out 0 "rank [12] \\(node2\\)"
    expect_time_out 1 "rank 0 \\(node1\\)"
    expect_time_out 2 "rank 0 \\(node1\\)"
}

all_cases() {
    local hosts way more status
    "$here/hosts.sh" with 1 none -- mpirun 1 true </dev/null
    [ $? -eq 77 ] && exit 77
    while read -r hosts way more; do
        echo "$way, $hosts hosts: $more"
        # shellcheck disable=SC2086 # the last column is several words
        timeout 80 "$here/hosts.sh" with "$hosts" none -- "$0" "$way" "$1" $more </dev/null
        status=$?
        [ "$status" -eq 0 ] || complain "status $status"
    done
}

failed=0
case $1 in
stopped) stopped "${@:2}" ;;
unplugged) unplugged "${@:2}" ;;
*)
    all_cases "$1" <<'CASES'
3 stopped 1 3 1
2 stopped 2 4 3
2 unplugged 1,2
CASES
    ;;
esac
exit "$failed"
