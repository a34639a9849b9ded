#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# hosts.sh: turns one Linux machine into several hosts on a switch, for as long as a command runs.
#
#   hosts.sh with HOSTS RATE -- COMMAND...
#       Makes node1 .. nodeHOSTS and runs COMMAND beside them. RATE is what each host may send and
#       receive, as tc spells it (1gbit, 500mbit), or none. Needs root and iproute2; where hosts
#       cannot be made it says why and exits 77.
#
# COMMAND is a program or one of these, which also work from within it:
#   hosts.sh mpirun [--by-node] RANKS PROGRAM...
#       Open MPI over all hosts. RANKS is per host: 2, or 2,1 for two on node1 and one on each of
#       the others. Ranks are numbered host by host, with --by-node in turn.
#   hosts.sh on HOST COMMAND...     runs a command on a host
#   hosts.sh cut HOST               pulls its network cable
#   hosts.sh counters               bytes that left and reached each host
#
# Nothing is named in the machine's own namespaces, so several of these run beside each other.
# `with` starts a tree of processes: one that is switch and launcher, with namespaces of its own,
# and in it one per host. What they make exists in their namespaces only and ends with them, and
# each ends with its parent, whatever ends that.
set -u -o pipefail

self=$(readlink -f "${BASH_SOURCE[0]}")
lan=10.99.0
ipv6=/proc/sys/net/ipv6/conf/default
namespaces=(--net --uts --ipc --mount --pid --fork --kill-child)

usage() {
    sed -n '/^#   hosts/s/^#  *//p' "$self" >&2
    exit 2
}

skip() {
    echo "hosts.sh: SKIPPED: $*" >&2
    exit 77
}

# need COMMAND...: what a kernel or a container may refuse.
need() {
    local trouble
    trouble=$("$@" 2>&1) || skip "\"$*\" failed: $(head -n 1 <<<"$trouble")"
}

# ---- One host: pid 1 of its pid namespace ---------------------------------------------------

# Shared memory, boot id and process ids of its own: communication libraries would otherwise find
# out that two hosts are one machine, and go round the network.
be_host() {
    local name=node$1 pid
    read -r pid _ </proc/self/stat # /proc is the launcher's still, so this is what it calls us
    need mount -t proc proc /proc
    need mount -t sysfs sysfs /sys # shows the interfaces of whoever mounts it
    need mount -t tmpfs -o size=80% shm /dev/shm
    need mount --bind "$HOSTS_LAB/$name/boot_id" /proc/sys/kernel/random/boot_id
    echo "$name" >/proc/sys/kernel/hostname
    if [ -e $ipv6/disable_ipv6 ]; then # no neighbour discovery among the bytes that tests count
        echo 1 >$ipv6/disable_ipv6
    fi
    mv "$HOSTS_LAB/$name/starting" "$HOSTS_LAB/$name/$pid.pid"
    exec sleep infinity
}

host_pid() {
    local file
    file=$(compgen -G "$HOSTS_LAB/$1/*.pid") || return 1
    basename "$file" .pid
}

# The CPUs that this process may use, one a line.
own_cpus() {
    local ranges range
    IFS=, read -r -a ranges < <(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
    for range in "${ranges[@]}"; do
        seq "${range%-*}" "${range#*-}"
    done
}

# cpus_of HOST: its share of them, as hosts do not share cores. Left to itself the kernel gathers
# processes that wait for each other on one core and leaves the others idle.
cpus_of() {
    local number=$((${1#node} - 1)) hosts cpus i share=()
    hosts=$(cat "$HOSTS_LAB/count")
    mapfile -t cpus < <(own_cpus)
    for ((i = number % ${#cpus[@]}; i < ${#cpus[@]}; i += hosts)); do
        share+=("${cpus[i]}")
    done
    (IFS=, && echo "${share[*]}")
}

# on HOST COMMAND...: in the same folder, with scratch space that no other host sees.
on() {
    local host=$1 pid
    shift
    if ! pid=$(host_pid "$host"); then
        echo "hosts.sh: there is no host \"$host\"" >&2
        return 2
    fi
    # The words in the single quotes are the inner shell's.
    # shellcheck disable=SC2016
    TMPDIR=$HOSTS_LAB/$host taskset -c "$(cpus_of "$host")" \
        nsenter --target "$pid" --net --uts --ipc --mount --pid -- \
        sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
}

# ---- The switch -----------------------------------------------------------------------------

# What fits into one burst passes at full speed. It must hold the largest packet a host hands to
# its interface (64 KiB), and what a fast link moves between two looks of the kernel at the clock.
burst_kib() {
    case $1 in
    1gbit | *[km]bit) echo 128 ;;
    [2-5]gbit) echo 192 ;;
    *) echo 400 ;;
    esac
}

# shape INTERFACE RATE COMMAND-PREFIX...
shape() {
    local interface=$1 rate=$2 burst
    shift 2
    [ "$rate" = none ] && return
    burst=$(burst_kib "$rate")
    need "$@" tc qdisc add dev "$interface" root tbf rate "$rate" burst "${burst}k" latency 20ms
}

# attach NUMBER RATE: a cable from the host's eth0 to a port of the switch, shaped at both ends.
attach() {
    local pid within
    pid=$(host_pid "node$1")
    within=(nsenter --target "$pid" --net --)
    need ip link add "port$1" type veth peer name eth0 netns "$pid"
    need "${within[@]}" ip address add "$lan.$1/24" dev eth0
    need "${within[@]}" ip link set lo up
    need "${within[@]}" ip link set eth0 up
    need ip link set "port$1" master switch up
    shape "port$1" "$2"
    shape eth0 "$2" "${within[@]}"
}

start_host() {
    local home=$HOSTS_LAB/node$1 turn
    mkdir "$home"
    touch "$home/starting"
    cp /proc/sys/kernel/random/uuid "$home/boot_id"
    unshare "${namespaces[@]}" "$self" be_host "$1" </dev/null >"$home/log" 2>&1 &
    for ((turn = 0; turn < 500; turn++)); do
        host_pid "node$1" >/dev/null && return
        kill -0 $! 2>/dev/null || break
        sleep 0.02
    done
    sed 's/^hosts.sh: SKIPPED: //' "$home/log" >&2
    skip "node$1 did not come up"
}

# be_switch HOSTS RATE COMMAND...: pid 1 of everything.
be_switch() {
    local hosts=$1 rate=$2 number
    shift 2
    need mount -t tmpfs lab "$HOSTS_LAB"
    echo launcher >/proc/sys/kernel/hostname
    {
        echo "127.0.0.1 localhost"
        echo "$lan.254 launcher"
        for ((number = 1; number <= hosts; number++)); do
            echo "$lan.$number node$number"
        done
    } >"$HOSTS_LAB/hosts"
    need mount --bind "$HOSTS_LAB/hosts" /etc/hosts
    need ip link add switch type bridge
    need ip link set lo up
    need ip address add "$lan.254/24" dev switch
    need ip link set switch up
    echo "$hosts" >"$HOSTS_LAB/count"
    for ((number = 1; number <= hosts; number++)); do
        start_host "$number"
        attach "$number" "$rate"
    done
    export TMPDIR=$HOSTS_LAB PATH=${self%/*}:$PATH
    case $1 in
    mpirun | on | cut | counters) "$self" "$@" ;;
    *) "$@" ;;
    esac
}

# ---- Outside --------------------------------------------------------------------------------

check_machine() {
    local program
    [ "$(id -u)" -eq 0 ] || skip "hosts are made of namespaces, which needs root"
    for program in ip tc unshare nsenter setpriv taskset; do
        command -v "$program" >/dev/null ||
            skip "there is no \"$program\": apt-get install iproute2 util-linux"
    done
    need unshare "${namespaces[@]}" --mount-proc true
}

# Ends the tree, however far it is.
end_tree() {
    trap - INT TERM HUP
    exec 2>/dev/null # the shell's own words about who was killed
    kill -KILL "$tree"
    wait "$tree"
    exit "$1"
}

with() {
    local hosts=${1:-} rate=${2:-}
    [[ $# -ge 4 && $3 == -- && $hosts =~ ^[0-9]+$ ]] || usage
    if ((hosts < 1 || hosts > 64)); then
        echo "hosts.sh: 1 to 64 hosts can be made, not $hosts" >&2
        exit 2
    fi
    if ! [[ $rate =~ ^(none|[0-9.]+[kmg]bit)$ ]]; then
        echo "hosts.sh: a rate is none, or like 1gbit or 500mbit, not \"$rate\"" >&2
        exit 2
    fi
    shift 3
    check_machine
    HOSTS_LAB=$(mktemp -d "${TMPDIR:-/tmp}/wirewise-hosts.$$.XXXXXX") || exit 1
    export HOSTS_LAB
    trap 'rmdir "$HOSTS_LAB"' EXIT # filled in the tree's namespace only
    trap 'end_tree 129' HUP
    trap 'end_tree 130' INT
    trap 'end_tree 143' TERM
    setpriv --pdeathsig KILL unshare "${namespaces[@]}" --mount-proc "$self" be_switch "$hosts" \
        "$rate" "$@" <&0 &
    tree=$!
    wait "$tree"
}

# ---- Inside ---------------------------------------------------------------------------------

# Words of the agent that mpirun starts its daemons with, like rsh: [-options] HOST words of a
# command line for a shell.
rsh() {
    local host
    while [[ $1 == -* ]]; do
        shift
    done
    host=$1
    shift
    on "$host" sh -c "$*"
}

# One line a host; prints how many ranks there are.
write_hostfile() {
    local hosts number total=0 ranks
    IFS=, read -r -a ranks <<<"$1"
    hosts=$(cat "$HOSTS_LAB/count")
    for ((number = 0; number < hosts; number++)); do
        [ "$number" -lt "${#ranks[@]}" ] || ranks[number]=${ranks[number - 1]}
        echo "node$((number + 1)) slots=${ranks[number]}"
        total=$((total + ranks[number]))
    done >"$HOSTS_LAB/hostfile.$BASHPID.new"
    mv "$HOSTS_LAB/hostfile.$BASHPID.new" "$2"
    echo "$total"
}

# Everything is said that Open MPI would otherwise guess from the machine it finds.
run_mpi() {
    local order=slot launcher=${MPIRUN:-mpirun} hostfile total settings setting options=()
    if [ "${1:-}" = --by-node ]; then
        order=node
        shift
    fi
    [[ $# -ge 2 && $1 =~ ^[1-9][0-9]*(,[1-9][0-9]*)*$ ]] || usage
    [[ $("$launcher" --version 2>&1) =~ Open\ MPI|OpenRTE ]] || skip "$launcher is not Open MPI's"
    hostfile=$(mktemp "$HOSTS_LAB/hostfile.XXXXXX")
    total=$(write_hostfile "$1" "$hostfile")
    shift
    settings=(plm=rsh "plm_rsh_agent=hosts.sh rsh" plm_rsh_no_tree_spawn=1
        "oob_tcp_if_include=$lan.0/24" "btl_tcp_if_include=$lan.0/24" "btl=self,vader,tcp" pml=ob1
        mpi_yield_when_idle=$((total > $(nproc))))
    for setting in "${settings[@]}"; do
        options+=(--mca "${setting%%=*}" "${setting#*=}")
    done
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PMIX_MCA_psec=native
    exec "$launcher" --hostfile "$hostfile" -n "$total" --map-by "$order" \
        --bind-to none "${options[@]}" "$@"
}

counters() {
    local files=/sys/class/net/eth0/statistics number hosts
    hosts=$(cat "$HOSTS_LAB/count")
    for ((number = 1; number <= hosts; number++)); do
        printf 'node%d sent_bytes %d received_bytes %d\n' "$number" \
            "$(on "node$number" cat $files/tx_bytes)" "$(on "node$number" cat $files/rx_bytes)"
    done
}

[ $# -ge 1 ] || usage
command=$1
shift
case $command in
with) with "$@" ;;
be_switch) be_switch "$@" ;;
be_host) be_host "$@" ;;
mpirun | on | cut | counters | rsh)
    if [ ! -f "${HOSTS_LAB:-}/count" ]; then
        echo "hosts.sh: $command works in a command of: hosts.sh with HOSTS RATE -- COMMAND" >&2
        exit 2
    fi
    case $command in
    mpirun) run_mpi "$@" ;;
    on) on "$@" ;;
    rsh) rsh "$@" ;;
    cut) on "${1:?which host}" ip link set eth0 down ;;
    counters) counters ;;
    esac
    ;;
*) usage ;;
esac
