#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_refusals.sh: what cannot be run is refused with a sentence on stderr, nothing on stdout,
# and exit code 2; what only informs prints on stdout and starts nothing.
#   check_refusals.sh WIREWISE [mpi]
# mpi: this build knows what MPI can do.
set -u
wirewise=$1
bad=0

# refuses WORD ARGUMENT...: the sentence must hold WORD.
refuses()
{
    word=$1
    shift
    said=$("$wirewise" "$@" 2>&1 >/dev/null)
    code=$?
    printed=$("$wirewise" "$@" 2>/dev/null)
    if [ "$code" -ne 2 ] || [ -n "$printed" ]; then
        echo "exit code $code, expected 2 and an empty stdout: wirewise $*"
        bad=1
    fi
    case $said in
    *"$word"*) ;;
    *)
        echo "'$word' is missing in: $said"
        bad=1
        ;;
    esac
}

informs()
{
    word=$1
    shift
    printed=$("$wirewise" "$@" 2>&1)
    code=$?
    case $code:$printed in
    0:*"$word"*) ;;
    *)
        echo "exit code $code, expected 0 and '$word': wirewise $*: $printed"
        bad=1
        ;;
    esac
}

informs 'wirewise COMMAND' --help
informs 'wirewise 0.' --version
informs 'minbytes' bench --help

refuses 'command is missing'
refuses 'wirewise bench' bnech
refuses '1048576 > 1024' bench -b 1M -e 1K
refuses '-b 0: not a size' bench -b 0
refuses 'not a size' bench -b ''
refuses 'not a size' bench -b 12X
refuses 'not a size' bench -b 1KB
refuses 'not a size' bench -e -5
refuses 'not a size' bench -e 99999999999999999999
refuses 'not a size' bench -e 99999999999999G
refuses 'not a size' bench -i 0
refuses '-f 1:' bench -f 1
refuses '-n 0:' bench -n 0
refuses '-n x:' bench -n x
refuses '-w -1:' bench -w -1
refuses '-t 0:' bench -t 0
refuses '-t 2000:' bench -t 2000
refuses '-T -1:' bench -T -1
refuses '-T nan:' bench -T nan
refuses '-T 0.001:' bench -T 0.001
refuses '-T 9s:' bench -T 9s
refuses '--budget -1:' bench --budget -1
refuses '--budget inf:' bench --budget inf
refuses '-z 2:' bench -z 2
refuses '-z yes:' bench -z yes
refuses '-c -1:' bench -c -1
refuses 'mpirun -n 8 wirewise bench' bench -g 8
refuses '-g 0:' bench -g 0
refuses 'known are malloc, huge and shared' bench --memory tiny
refuses 'write SIZE:GBPS' bench --expect-busbw 64M
refuses 'write SIZE:GBPS' bench --expect-busbw 64M:0
refuses 'write SIZE:GBPS' bench --expect-busbw 64M:nan
refuses 'write SIZE:GBPS' bench --expect-busbw 64Q:1
refuses 'write SIZE:GBPS' bench --expect-busbw :1
refuses 'write SIZE:GBPS' bench --expect-busbw 64M:1GB
refuses 'does not measure 48 bytes' bench -b 8 -e 64 -f 2 --expect-busbw 48:1
refuses 'does not measure 128 bytes' bench -b 8 -e 64 -f 2 --expect-busbw 128:1
refuses 'does not measure 13 bytes' bench -b 8 -e 64 -i 8 --expect-busbw 16:1 --expect-busbw 13:1
refuses 'name of the file is empty' bench -J ''
refuses 'name the same file' bench -J a --csv a
refuses 'name the same file' bench --cluster-file a --plot a
refuses 'goes together with -n only' bench --overhead -J a.json
refuses 'goes together with -n only' bench -b 64 --overhead
refuses 'goes together with -n only' bench --overhead broadcast
refuses '-a 4:' bench -a 4
refuses 'int64' bench -d floot
refuses 'avg' bench -o prod
refuses 'integers have no average' bench -o avg -d int32
refuses 'none, fp16' bench --codec fp32
refuses 'density' bench --codec topk
refuses 'only all_reduce of float' bench --codec fp16 -d double
refuses 'only all_reduce of float' bench broadcast --codec fp16
refuses 'only all_reduce of float' bench --codec fp16 -o max
refuses 'neither --versus' bench --codec fp16 --predict
refuses 'reduce_scatter' bench bcast
refuses 'one collective' bench broadcast all_gather
refuses 'known are mpi and nccl' bench --versus gloo
refuses 'say --device cuda' bench --versus nccl
refuses 'known are host and cuda' bench --device tpu
refuses 'NCCL wants a process for each rank' bench --device cuda -t 2
refuses 'say --versus nccl' bench --device cuda --versus mpi
refuses 'all_reduce only' bench broadcast --device cuda --versus nccl
refuses 'neither --versus' bench --device cuda --versus nccl --codec int8
refuses 'knows the ways in the host' bench --device cuda --predict
refuses 'between the memory of hosts' bench --device cuda --cluster-file a
refuses 'goes together with -n only' bench --device cuda --overhead
refuses 'drop --memory malloc' bench --device cuda --memory malloc
refuses 'no codec auto' bench --device cuda --codec auto
refuses 'threads' bench --versus mpi -t 2
if [ "${2:-}" = mpi ]; then
    refuses '16-bit' bench --versus mpi -d half
    refuses 'no average' bench --versus mpi -o avg
    refuses 'MPI_Reduce_scatter_block has no 16-bit' bench reduce_scatter --versus mpi -d bfloat16
    refuses 'MPI_Bcast counts to' bench broadcast --versus mpi -d half -e 4G
fi
refuses 'drop --memory huge' bench --versus mpi --memory huge
refuses 'unrecognized' bench --nonsense
refuses 'ranks are 0 to 1' bench broadcast -t 2 -r 2 -e 8
refuses 'lower -e' bench -b 8 -e 900000G -f 2

# What launchers leave behind: tasks of srun without a way to MPI; only their first one speaks.
export SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0
refuses 'srun --mpi=pmix' bench -b 8 -e 8
SLURM_PROCID=1
said=$("$wirewise" bench -b 8 -e 8 2>&1) || bad=1
[ -z "$said" ] || { echo "task 1 speaks: $said"; bad=1; }
unset SLURM_STEP_NUM_TASKS SLURM_PROCID

# Help starts nothing, whatever a launcher says.
OMPI_COMM_WORLD_RANK=0
OMPI_COMM_WORLD_SIZE=2
export OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE
informs 'expect-busbw' bench --help

exit $bad
