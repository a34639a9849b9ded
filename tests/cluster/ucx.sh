#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# ucx.sh WIREWISE: between hosts without MPI, ranks started from the environment all-reduce over
# UCX: no element is wrong, and no host sends more than 2(h-1)/h of the vector for each call, plus
# at most 3 % for headers, acknowledgements and control messages.
set -u -o pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
wirewise=$1
bytes=$((16 << 20))
calls=9 # of each placement: one that warms up, 8 that are timed

# In a set of hosts: ranks_on_hosts RANKS WIREWISE OPTION...: as many on each, host by host. Prints
# what rank 0 prints; fails when any rank does.
if [ "$1" = ranks_on_hosts ]; then
    ranks=$2
    shift 2
    hosts=$(cat "$HOSTS_LAB/count")
    pids=()
    for ((rank = 0; rank < hosts * ranks; rank++)); do
        hosts.sh on "node$((rank / ranks + 1))" env RANK="$rank" WORLD_SIZE=$((hosts * ranks)) \
            MASTER_ADDR=node1 MASTER_PORT=29500 WIREWISE_CALIBRATE=off timeout 60 "$@" &
        pids+=($!)
    done
    status=0
    for pid in "${pids[@]}"; do
        wait "$pid" || status=1
    done
    exit $status
fi

"$here/hosts.sh" with 1 none -- true </dev/null
[ $? -eq 77 ] && exit 77
failed=0
while read -r hosts ranks; do
    lines=$("$here/hosts.sh" with "$hosts" none -- bash -c '
        "$0" ranks_on_hosts "$1" "$2" bench -b 4 -e 3000012 -f 57 -n 2 -w 1 >/dev/null ||
            echo failed
        hosts.sh counters | sed "s/^/before /"
        "$0" ranks_on_hosts "$1" "$2" bench -b "$3" -e "$3" -n 8 -w 1 -c 0 --budget 0 ||
            echo failed
        hosts.sh counters | sed "s/^/after /"' "$0" "$ranks" "$wirewise" "$bytes" </dev/null)
    if ! awk -v bytes="$bytes" -v calls=$((2 * calls)) -v hosts="$hosts" -v ranks="$ranks" '
        $1 == "failed" { bad = 1 }
        $1 == "before" { before[$2] = $4 }
        $1 == "after" {
            share = ($4 - before[$2]) / calls / bytes / (2 * (hosts - 1) / hosts)
            if (share > most) most = share
            if (least == 0 || share < least) least = share
        }
        END {
            printf "%d hosts, %d rank(s) each: %.4f to %.4f of the least by the interfaces\n",
                hosts, ranks, least, most
            exit bad || least < 1 || most > 1.03
        }' <<<"$lines"; then
        echo "FAILED: $lines"
        failed=1
    fi
done <<'LAYOUTS'
2 1
3 1
2 2
LAYOUTS

# Containers have 64 MiB of /dev/shm, or less; what crosses hosts needs none.
if ! said=$("$here/hosts.sh" with 2 none -- bash -c '
    for host in node1 node2; do
        hosts.sh on "$host" mount -t tmpfs -o size=64k small /dev/shm
    done
    "$0" ranks_on_hosts 2 "$1" bench -e 1M -n 2 -w 1 -c 1' "$0" "$wirewise" 2>&1 </dev/null) ||
    grep UCX <<<"$said"; then
    echo "FAILED: with little /dev/shm: $said"
    failed=1
fi

# A network that goes down while a rank waits may come back: nobody is simply gone, and it is told
# what has UCX wait for longer than it does (here 1 s).
said=$("$here/hosts.sh" with 2 none -- bash -c '
    folder=$(mktemp -d)
    export UCX_TCP_KEEPIDLE=1s UCX_TCP_KEEPINTVL=1s UCX_TCP_KEEPCNT=1
    "$0" ranks_on_hosts 1 "$1" bench -b 4K -e 4K -n 1000000 --budget 0 >"$folder/said" 2>&1 &
    for ((turn = 0; turn < 200; turn++)); do
        grep -q "Host node2" "$folder/said" && break
        sleep 0.1
    done
    sleep 1
    hosts.sh on node2 sh -c "kill -STOP \$(pgrep -x wirewise)"
    sleep 0.2
    hosts.sh cut node2
    for ((turn = 0; turn < 200; turn++)); do
        grep "rank 0.* error" "$folder/said" && break
        sleep 0.1
    done' "$0" "$wirewise" </dev/null)
words='rank 1 is gone or cannot be reached: UCX .* on node2: .* UCX_TCP_KEEPIDLE'
if ! grep -q "$words" <<<"$said"; then
    echo "FAILED: a network that is down is told as a rank that is gone: $said"
    failed=1
fi

# asks_for_a_firewall PATIENCE WHAT RULES: where these rules stand between two hosts rank 0 says
# what UCX cannot do, within so many seconds.
asks_for_a_firewall() {
    local said
    said=$("$here/hosts.sh" with 2 none -- bash -c "$3"'
        "$0" ranks_on_hosts 1 timeout "$2" "$1" bench -e 1M' "$0" "$wirewise" "$1" 2>&1 </dev/null)
    if ! grep -q "rank 0.* UCX cannot $2 rank 1 on node2: .*does a firewall stand" <<<"$said"; then
        echo "FAILED: nobody asks for the firewall: $said"
        failed=1
    fi
}

# On the first host: it lets nothing out but what the ranks meet by.
asks_for_a_firewall 5 'connect to' '
    hosts.sh on node1 ip rule add pref 1 ipproto tcp sport 29501 lookup main
    hosts.sh on node1 ip rule add pref 2 to 10.99.0.0/24 ipproto tcp prohibit'

# Before the second host, without a word: nobody is held while it connects.
asks_for_a_firewall 20 reach '
    hosts.sh on node1 sh -c "echo 1 >/proc/sys/net/ipv4/tcp_syn_retries"
    hosts.sh on node2 ip rule add pref 1 ipproto tcp dport 29501 lookup main
    hosts.sh on node2 ip rule add pref 2 to 10.99.0.0/24 ipproto tcp blackhole'

# Where a network was chosen that is not there, the sentence tells which.
said=$(UCX_NET_DEVICES=eth7 "$here/hosts.sh" with 2 none -- "$0" ranks_on_hosts 1 timeout 10 \
    "$wirewise" bench -e 1M 2>&1 </dev/null)
words='rank 0.* UCX cannot connect to rank 1 on node2: .*; set for this rank: UCX_NET_DEVICES=eth7'
if ! grep -q "$words" <<<"$said"; then
    echo "FAILED: nobody tells which network was chosen: $said"
    failed=1
fi
exit "$failed"
