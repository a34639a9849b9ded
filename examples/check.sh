#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check.sh: the trainer's tests. check.sh TRAIN MPIRUN CHECK, one of
#     falls ranks_agree repeats resumes resumes_late refuses_checkpoints goes stale stale_quality
#     local_steps schedules refuses help without_mpi
# Exit: 0 passed, 1 failed, 2 wrong use.
set -uo pipefail

if [ $# -ne 3 ]; then
    echo "check.sh: usage: check.sh TRAIN MPIRUN CHECK" >&2
    exit 2
fi
train=$1
mpirun=$2
check=$3

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OPENBLAS_NUM_THREADS=1 OMPI_MCA_btl_base_warn_component_unused=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "FAILED: $*"
    exit 1
}

limit_s=60 # of one training

# ranks N, then the trainer's arguments; output in $folder/out and $folder/err
ranks() {
    local count=$1
    local launcher=("$mpirun" --oversubscribe -n "$count")
    shift
    [ "$count" -gt 1 ] || launcher=() # MPI does without, and begins in a fifth of the time
    timeout -k 5 "$limit_s" "${launcher[@]}" "$train" "$@" >"$folder/out" 2>"$folder/err"
}

must_train() {
    ranks "$@" || fail "exit $? of: $*
$(tail -n 5 "$folder/out" "$folder/err")"
}

# The held-out loss must end below 0.6 of where it began (about 5.6 -> 2.8 in 80 steps): guessing
# bytes by how frequent they are does not get there (0.61).
falls() {
    must_train 4 --size small --steps 80 --lr 0.003
    awk '/^held-out loss .* -> / { first = $3; last = $5 }
         END { print "held-out loss", first, "->", last
               exit !(first > 5 && last > 0 && last < 0.6 * first) }' "$folder/out" ||
        fail "the held-out loss did not fall to 0.6 of its first value"
    [ "$(grep -c '| step [0-9]*: sent ' "$folder/out")" -eq 80 ] ||
        fail "not one report line per step:
$(head -5 "$folder/out")"
}

# p ranks with a p-th of the batch each follow one rank with the whole batch.
ranks_agree() {
    local count
    for count in 1 2 3 4; do
        must_train "$count" --size small --steps 100 --batch 24 --optimizer sgd --quiet \
            --log-losses "$folder/losses$count"
        [ "$(wc -l <"$folder/losses$count")" -eq 100 ] || fail "not 100 losses with $count ranks"
    done
    for count in 2 3 4; do
        paste -d ' ' "$folder/losses1" "$folder/losses$count" |
            awk -v count="$count" '{ off = ($4 - $2) / $2; off = off < 0 ? -off : off
                                     most = off > most ? off : most; first = first ? first : $2 }
                 END { printf "%d ranks: losses differ by at most %.2g; %.4f -> %.4f\n",
                              count, most, first, $2
                       exit !(most <= 1e-5 && NR == 100 && $2 < 0.8 * first) }' ||
            fail "$count ranks do not follow one rank to 1e-5, or nothing was learned"
    done
}

# The same command gives the same losses, digit for digit; another seed does not.
repeats() {
    local seed
    for seed in 5 5 6; do
        WIREWISE_DETERMINISTIC=plan must_train 3 --size small --steps 20 --seed "$seed" --quiet \
            --log-losses "$folder/losses"
        mv "$folder/losses" "$folder/losses.$((++run))"
    done
    cmp "$folder/losses.1" "$folder/losses.2" || fail "two equal runs differ"
    ! cmp -s "$folder/losses.1" "$folder/losses.3" || fail "another seed changed nothing"
}

# last_loss: of the last run
last_loss() {
    awk '/^held-out loss .* -> / { print $5 }' "$folder/out"
}

# Half a cosine begins at the peak, where a constant rate is: the losses part behind the first step
# that it moves less. A warm-up comes from 0: it has hardly moved where the others have learned.
schedules() {
    local name
    local common=(--size small --steps 40 --lr 0.003 --quiet --eval-every 40)
    for name in constant cosine; do
        WIREWISE_DETERMINISTIC=plan must_train 2 "${common[@]}" --lr-schedule $name \
            --log-losses "$folder/losses.$name"
        echo "$name: held-out loss $(last_loss)"
    done
    paste -d ' ' "$folder/losses.constant" "$folder/losses.cosine" |
        awk 'NR <= 2 && $2 != $4 || NR == 40 && $2 == $4 { exit 1 }' ||
        fail "the first two losses differ, or the last ones do not"
    must_train 2 "${common[@]}" --lr-schedule cosine --lr-warmup 4000 --log-losses "$folder/losses"
    awk 'NR == 1 { first = $2 } END { print "warm-up:", first, "->", $2
                                      exit !(NR == 40 && $2 > 0.7 * first) }' "$folder/losses" ||
        fail "a hundredth of the rate has already taught something"
    awk 'NR == 1 { first = $2 } END { exit !(NR == 40 && $2 < 0.7 * first) }' \
        "$folder/losses.cosine" || fail "half a cosine has taught nothing"
}

# Gradients that come a step or two late train as well, apply all steps, and keep ranks together.
stale() {
    local staleness codec
    for staleness in 1 2; do
        for codec in none int8; do
            must_train 3 --size small --steps 80 --lr 0.003 --staleness $staleness --codec $codec \
                --log-losses "$folder/losses"
            awk '$1 != NR { exit 1 } END { exit NR != 80 }' "$folder/losses" ||
                fail "staleness $staleness: not one loss of each step in order"
            awk '/^held-out loss .* -> / { first = $3; last = $5 }
                 END { exit !(first > 5 && last > 0 && last < 0.63 * first) }' "$folder/out" ||
                fail "staleness $staleness, $codec: the loss did not fall to 0.63 of its first value
$(grep '^held-out' "$folder/out")"
            grep -q "; $staleness more gradients applied behind the last step" "$folder/out" ||
                fail "staleness $staleness: not as many gradients were drained"
            grep -q "^staleness    .*$staleness: $((80 - staleness)) results; " "$folder/out" ||
                fail "staleness $staleness: another histogram
$(grep '^staleness' "$folder/out")"
            echo "staleness $staleness, $codec: held-out loss $(last_loss)"
        done
    done
    # One rank, as of several any may be the first to end all others.
    refused 4 "train: rank 0: ww_context_create failed with WW_BAD_CONFIG" 1 --size small \
        --codec topk:0.01 --staleness 2
    refused 2 "--staleness is for gradients" 2 --size small --staleness 1 --local-steps 4
    refused 2 "--staleness=9: give a whole number from 0 to 8" 2 --size small --staleness 9
}

# Takes a minute or two: at a rate that leaves room for delay the small model ends within 0.03
# nats.
stale_quality() {
    local synchronous limit_s=140
    must_train 2 --size small --steps 600 --lr 0.0003 --quiet
    synchronous=$(last_loss)
    must_train 2 --size small --steps 600 --lr 0.0003 --quiet --staleness 1
    awk -v late="$(last_loss)" -v now="$synchronous" 'BEGIN {
        printf "held-out loss %.4f synchronous, %.4f with staleness 1: %+.4f nats\n",
               now, late, late - now
        exit !(late > 0 && now > 0 && late - now <= 0.03) }' || fail "more than 0.03 nats behind"
}

# refused EXIT PATTERN RANKS arguments: ends with EXIT, one sentence that matches PATTERN on
# stderr, and nothing trained.
refused() {
    local want=$1 pattern=$2 got
    shift 2
    ranks "$@"
    got=$?
    [ "$got" -eq "$want" ] || fail "exit $got, not $want, of: $*
$(cat "$folder/err")"
    [ "$(grep -cE -- "$pattern" "$folder/err")" -eq 1 ] || fail "no single '$pattern' of: $*
$(cat "$folder/err")"
    ! grep -q 'loss' "$folder/out" || fail "it trained all the same: $*"
}

refuses() {
    local here=$folder
    : >"$here/empty.txt"
    printf 'A text of a few words.\n' >"$here/short.txt"
    refused 4 "$here/missing.txt cannot be read: No such file" 2 --size small "$here/missing.txt"
    refused 4 "$here is not a regular file" 1 --size small "$here"
    refused 4 "$here/empty.txt is empty \(0 bytes\)" 2 --size small "$here/empty.txt"
    refused 4 "too short: 1 file\(s\) with 23 bytes" 2 --size small "$here/short.txt"
    refused 4 "--log-losses=$here/no/losses cannot be written" 2 --size small \
        --log-losses "$here/no/losses"
    if [ "$(id -u)" -ne 0 ]; then
        chmod 000 "$here/short.txt"
        refused 4 "$here/short.txt cannot be read: Permission" 1 --size small "$here/short.txt"
    fi
    refused 2 "unrecognized option '--bogus'" 2 --bogus
    refused 2 "--steps=many: give a whole number from 1 to" 2 --steps many
    refused 2 "--steps=0: give a whole number from 1 to" 1 --steps 0
    refused 2 "--batch=-4: give a whole number from 1 to" 1 --batch=-4
    refused 2 "--lr=1x: give a number from 0 to" 1 --lr 1x
    refused 2 "--lr-schedule=steps: there are the schedules constant and cosine" 1 \
        --lr-schedule steps
    refused 2 "--lr-warmup=-1: give a whole number from 0 to" 1 --lr-warmup=-1
    refused 2 "--momentum=1: give a number from 0 to less than 1" 1 --momentum 1
    refused 2 "--outer-rate=0: give a number above 0" 2 --local-steps 4 --outer-rate 0
    refused 2 "--size=huge: there are the sizes default and small" 1 --size huge
    refused 2 "--optimizer=lamb: there are the optimizers adam and sgd" 1 --optimizer lamb
    refused 2 "a batch of 10 sequences cannot be shared by 3 ranks; .* for example 12" 3 \
        --size small --batch 10
    refused 2 "the training diverged; lower --lr \(900\)" 2 --size small --lr 900 --quiet
    WIREWISE_BUCKET_BYTES=abc refused 4 \
        "train: rank 0: ww_context_create failed with WW_BAD_CONFIG" 1 --size small
}

# Without gradients on the wire the loss falls as well, with 60 times fewer bytes; and whenever
# parts come back, the losses are the same, digit for digit.
local_steps() {
    must_train 4 --size small --steps 60 --lr 0.003 --local-steps 20 --outer sgd --eval-every 20
    awk '/^held-out loss .* -> / { first = $3; last = $5 }
         /^local steps, rank 0: / { sub(/.*dense \(/, ""); fewer = $1 }
         END { print "held-out loss", first, "->", last, "with", fewer, "times fewer bytes"
               exit !(first > 5 && last > 0 && last < 0.7 * first && fewer >= 60) }' \
        "$folder/out" || fail "the loss did not fall to 0.7, or not 60 times fewer bytes:
$(tail -n 3 "$folder/out")"
    local count
    for count in 1 2; do
        WIREWISE_DETERMINISTIC=plan must_train 3 --size small --steps 30 --local-steps 6 --quiet \
            --fragments 3 --outer-delay 4 --log-losses "$folder/losses.$count"
    done
    cmp "$folder/losses.1" "$folder/losses.2" || fail "two equal runs of local steps differ"
    refused 2 "--outer-rate is for local steps: give --local-steps as well" 1 --outer-rate 1
    refused 2 "--codec is for gradients, and local steps send none" 1 --local-steps 5 --codec int8
    refused 2 "--outer=adam: there are the outer optimizers nesterov and sgd" 1 --outer adam
    refused 2 "--outer-codec=auto: name one" 1 --local-steps 5 --outer-codec auto
    refused 2 "--fragments=1 and --outer-delay=5: with 5 local steps" 1 --local-steps 5 \
        --outer-delay 5
}

# start_in_background N ARGUMENTS...: as ranks, without waiting; its number in $job
start_in_background() {
    local count=$1
    shift
    timeout -k 5 100 "$mpirun" --oversubscribe -n "$count" "$train" "$@" \
        >"$folder/out" 2>"$folder/err" &
    job=$!
}

# wait_for SECONDS COMMAND...: until it is true
wait_for() {
    local tries=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $((tries -= 1)) -eq 0 ] || ! kill -0 "$job" 2>/dev/null; then
            return 1
        fi
        sleep 0.05
    done
}

# The process of one rank: a child of mpirun, which is a child of timeout.
a_rank_of() {
    local launcher
    launcher=$(pgrep -P "$1") && pgrep -P "$launcher" | tail -1
}

manifests() { compgen -G "$1/*.manifest"; }

parameters() { sed -n 's/^parameters //p' "$folder/out"; }

# resumes_with OPTION...: killed amid the training, and resumed: the rest of the losses and the
# parameters are those of a run that was left in peace, digit for digit. Three ranks go on as well.
resumes_with() {
    local whole rest count
    local common=(--size small --steps 120 --quiet --lr-schedule cosine --lr-warmup 20
        --checkpoint-every 10 "$@")
    must_train 2 "${common[@]}" --checkpoint "$folder/whole" --log-losses "$folder/losses.whole"
    whole=$(parameters)
    start_in_background 2 "${common[@]}" --checkpoint "$folder/killed"
    wait_for 60 manifests "$folder/killed" || fail "$*: no checkpoint came"
    kill -KILL "$(a_rank_of "$job")" || fail "$*: there was nobody to kill"
    wait "$job" && fail "$*: it ended well although a rank was killed"
    echo "0 1.5" >"$folder/losses.rest" # as a part that ran before wrote it
    must_train 2 "${common[@]}" --checkpoint "$folder/killed" --resume \
        --log-losses "$folder/losses.rest"
    rest=$(parameters)
    [ "$(head -n 1 "$folder/losses.rest")" = "0 1.5" ] || fail "$*: earlier losses are gone"
    sed -i 1d "$folder/losses.rest"
    if [ -z "$whole" ] || [ "$whole" != "$rest" ]; then
        fail "$*: parameters $rest behind the kill, $whole without it"
    fi
    count=$(wc -l <"$folder/losses.rest")
    if [ "$count" -eq 0 ] || [ "$count" -ge 120 ]; then
        fail "$*: $count losses behind the kill"
    fi
    tail -n "$count" "$folder/losses.whole" | cmp - "$folder/losses.rest" ||
        fail "$*: other losses behind the kill"
    echo "$*: killed, $count of 120 steps resumed, parameters $rest"
    must_train 3 "${common[@]}" --steps 130 --checkpoint "$folder/killed" --resume
    awk '/^held-out loss .* -> / { first = $3; last = $5 }
         END { exit !(first < 3.6 && last > 0 && last < first + 0.05) }' "$folder/out" ||
        fail "$*: three ranks do not go on from where two were: $(tail -n 3 "$folder/out")"
    rm -r "$folder/whole" "$folder/killed"
}

resumes() {
    export WIREWISE_DETERMINISTIC=plan
    resumes_with --codec int8
    resumes_with --codec topk:0.05 --optimizer sgd
}

# The same where steps do not end with what they began: results are late, ranks have parameters of
# their own, parts are away when a checkpoint comes due amid a window.
resumes_late() {
    export WIREWISE_DETERMINISTIC=plan
    resumes_with --staleness 2 --codec int8
    resumes_with --local-steps 8
    resumes_with --local-steps 6 --fragments 3 --outer-delay 3 --outer-mix 0.5
}

# What does not fit is refused with exit code 4, in one sentence: what, where, both values, and what
# helps.
refuses_checkpoints() {
    local one=$folder/one two=$folder/two
    must_train 2 --size small --steps 2 --quiet --checkpoint "$one"
    refused 4 "$one does not fit --size default .*tensor 0 is .* and .*in $one/.*; give" \
        2 --size default --quiet --checkpoint "$one" --resume
    refused 4 "in $one is of --seed 1 --batch 24, not --seed 2 --batch 24, .*: give --seed 1" \
        2 --size small --seed 2 --quiet --checkpoint "$one" --resume
    refused 4 "in $one is of --optimizer adam, not --optimizer sgd: give --optimizer adam, or" \
        2 --size small --optimizer sgd --quiet --checkpoint "$one" --resume
    refused 4 "in $one is of --local-steps 1, not --local-steps 4: give --local-steps 1, or" \
        2 --size small --local-steps 4 --quiet --checkpoint "$one" --resume
    must_train 2 --size small --steps 3 --local-steps 4 --quiet --checkpoint "$two"
    refused 4 "$two does not fit .*holds 4 local_steps, but there are 8 here.*; give the" \
        2 --size small --local-steps 8 --quiet --checkpoint "$two" --resume
    must_train 2 --size small --steps 4 --local-steps 4 --quiet --checkpoint "$two" --resume
    refused 2 "--resume: say from where" 2 --size small --resume
    # Before anything is trained, and not when the first save is due.
    refused 2 "--checkpoint=: name a folder" 2 --size small --checkpoint=
    refused 4 "--checkpoint=$folder/no/where cannot take files: No such file" \
        2 --size small --steps 1 --quiet --checkpoint "$folder/no/where"
    : >"$folder/file"
    refused 4 "--checkpoint=$folder/file cannot take files: Not a directory" \
        2 --size small --steps 1 --quiet --checkpoint "$folder/file" --resume
}

# goes_with OPTION...: a signal: everybody saves and goes, with exit code 6, and others go on.
goes_with() {
    local status step
    start_in_background 2 --size small --steps 100000 --checkpoint "$folder/kept" "$@"
    wait_for 60 grep -q '| step 5: ' "$folder/out" || fail "$*: it does not come to step 5"
    kill -TERM "$(a_rank_of "$job")"
    wait "$job"
    status=$?
    [ "$status" -eq 6 ] || fail "$*: exit $status instead of 6: $(cat "$folder/err")"
    step=$(sed -n 's/.*told to go; step \([0-9]*\) is saved.*/\1/p' "$folder/err")
    [ "${step:-0}" -ge 5 ] || fail "$*: it does not say what it saved: $(cat "$folder/err")"
    must_train 4 --size small --steps $((step + 3)) --checkpoint "$folder/kept" --resume "$@"
    grep -q "goes on behind step $step" "$folder/out" ||
        fail "$*: it did not go on behind step $step"
    [ "$(grep -c '| step [0-9]*: sent ' "$folder/out")" -eq 3 ] || fail "$*: not 3 steps were left"
    rm -r "$folder/kept"
}

goes() {
    goes_with --codec none
    goes_with --staleness 1 --codec int8
    goes_with --local-steps 6 --fragments 2 --outer-delay 2
    must_train 2 --size small --steps 3 --checkpoint "$folder/none" --resume
    grep -q "nothing to resume in" "$folder/out" || fail "it does not say that it begins"
}

help() {
    must_train 2 --help
    [ "$(grep -c -- '--log-losses=FILE' "$folder/out")" -eq 1 ] || fail "--help is not printed once"
    [ ! -s "$folder/err" ] || fail "--help complains: $(cat "$folder/err")"
    must_train 2 --version
    [ "$(grep -cE 'wirewise [0-9]+\.[0-9]+\.[0-9]+' "$folder/out")" -eq 1 ] || fail "no version"
}

# Ranks from the environment train as those of mpirun do: the same losses.
without_mpi() {
    local rank port=$((12000 + $$ % 20000)) pids=()
    must_train 2 --size small --steps 5 --quiet --log-losses "$folder/losses.mpi"
    for rank in 0 1; do
        RANK=$rank WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$port timeout -k 5 60 "$train" \
            --size small --steps 5 --quiet --log-losses "$folder/losses.env" \
            >"$folder/out.$rank" 2>"$folder/err.$rank" &
        pids+=($!)
    done
    for rank in 0 1; do
        wait "${pids[rank]}" || fail "rank $rank: $(cat "$folder/err.$rank")"
    done
    [ -s "$folder/out.0" ] && [ ! -s "$folder/out.1" ] || fail "rank 0 alone prints"
    cmp "$folder/losses.mpi" "$folder/losses.env" || fail "other losses without MPI"
}

run=0
case $check in
falls | ranks_agree | repeats | resumes | resumes_late | refuses_checkpoints | goes | stale | \
    stale_quality | refuses | local_steps | schedules | help | without_mpi) "$check" ;;
*)
    echo "check.sh: '$check' is no check" >&2
    exit 2
    ;;
esac
echo "passed: $check"
