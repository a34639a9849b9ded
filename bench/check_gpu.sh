#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_gpu.sh WIREWISE RUN RANKS CHECK... -- ARGUMENT...: a bench on this machine's GPUs, by ranks
# that RUN (gpu_ranks.sh) starts; CHECK (check_table.sh 0 0) looks at what they print. Exit 77,
# skipped, where no GPU can be used; also where NCCL is compared with and is not here.
set -u
wirewise=$1
run=$2
ranks=$3
shift 3
check=
while [ "$1" != -- ]; do
    check="$check $1"
    shift
done
shift
said=$("$wirewise" bench --device cuda -b 8 -e 8 -n 1 -w 0 2>&1)
code=$?
if [ "$code" -eq 4 ]; then
    echo "$said"
    exit 77
fi
case " $* " in
*' --versus nccl '*)
    said=$("$wirewise" bench --device cuda -b 8 -e 8 -n 1 -w 0 --versus nccl 2>&1)
    code=$?
    case $code:$said in
    5:*'no NCCL'*)
        echo "$said"
        exit 77
        ;;
    esac
    ;;
esac
# shellcheck disable=SC2086 # words of the check hold no blanks
exec $check sh "$run" "$wirewise" "$ranks" bench --device cuda "$@"
