#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# make_ledger.sh KIND: prints a ledger of 20 steps on 4 ranks and 2 hosts, as docs/ledger.md has
# them. A step takes 100 ms, 60 ms of them in communication; the codec takes 3 ms and a quarter of
# the bytes. KIND:
#   int8      saves 50 ms a step, steps 10 and 20 are probes
#   loss      loses 20 ms a step             noise     saves nothing that can be told from nothing
#   auto      none, int8, fp16, with events  dense     encodes nothing
#   nulls     knows nothing that may be null thinned   lines about 1, 2 and 4 steps
#   killed    int8, cut in its last line     failed    int8, ended by a failure
#   gpus      int8, where energy of GPUs is known as well
#   shadows   int8, of whose steps 10 and 20 have shadows that sent 2 MB and took 250 ms each
#   probed    int8, lines about 4 steps, one of which may be a probe, which takes 50 ms longer
#   wild slow skew unexplained               each with what `--check` finds under that name
set -u
kind=${1:?usage: make_ledger.sh KIND}

write() {
    awk -v kind="$1" '
    function is(word) { return kind == word }
    function saved_of(probes, steps) {
        if (is("nulls")) return "null"
        if (is("dense")) return "null"
        if (codec == "none" || probes == steps) return "[0, 0, 0]"
        if (is("loss")) return triple(-0.03, -0.02, -0.01, steps - probes)
        if (is("noise")) return triple(-0.01, 0.005, 0.02, steps - probes)
        return triple(0.04, 0.05, 0.06, steps - probes)
    }
    function triple(low, middle, high, steps) {
        return sprintf("[%.9g, %.9g, %.9g]", low * steps, middle * steps, high * steps)
    }
    function evidence_of(probes, steps) {
        if (is("nulls")) return "insufficient"
        if (is("dense") || codec == "none" || probes == steps) return "dense"
        return is("auto") ? "modelled" : "measured"
    }
    # The members of steps up to `step`, `slow` of which took 10 times as long.
    function members(step, steps, probes, slow, saved, evidence,
                     coded, longer, shadow, unknown) {
        coded = codec == "none" ? 0 : is("shadows") ? steps : steps - probes
        longer = is("probed") ? probes * 0.05 : 0
        shadow = is("shadows") ? probes * 0.25 : 0
        unknown = is("nulls")
        return sprintf("\"step\": %d, \"steps\": %d, \"t\": %.9g, \"codec\": \"%s\", " \
            "\"probes\": %d, \"bytes\": [%d, %d], \"dense32\": [%d, %d], " \
            "\"dense16\": [%d, %d], " \
            "\"control\": %d, \"shadow\": %d, " \
            "\"step_s\": %.9g, \"communication_s\": %.9g, \"exposed_s\": %.9g, " \
            "\"encode_s\": %.9g, \"decode_s\": %.9g, \"skew_s\": %.9g, \"slowest\": %s, " \
            "\"saved\": %s, \"evidence\": \"%s\", \"ledger_s\": %.9g, \"residual\": %s, " \
            "\"captured\": %s, \"encoded\": %d, \"chosen\": %d, \"wild\": %d",
            step, steps, step * 0.1, codec, probes,
            steps * 1000000, coded * 250000 + (steps - coded) * 1000000,
            steps * 1000000, steps * 1000000, steps * 500000, steps * 500000,
            steps * 100, is("shadows") ? probes * 2000000 : 0,
            steps * 0.1 + slow * 0.9 + longer + shadow, steps * 0.06 + longer,
            steps * 0.05 + longer + shadow,
            coded * 0.002, coded * 0.001, steps * (is("skew") ? 0.03 : 0.001),
            unknown ? "null" : (step % 4 == 0 && steps < 20 ? 1 : 3), saved, evidence,
            is("shadows") ? shadow : probes * 0.05,
            unknown ? "null" : "0.125", unknown ? "null" : "0.75",
            coded * 500000, coded * 500000, is("wild") && step >= 7 ? 3 : 0)
    }
    function line(step, steps,    probes, slow) {
        probes = (step % 10 == 0 && !is("dense") && !is("nulls") && !is("thinned"))
        codec = is("dense") || probes ? "none" : is("auto") ? auto_codec(step) : "int8"
        if (is("probed")) {
            probes = (step % 8 == 0)
            codec = "int8"
        }
        codec = is("shadows") ? "int8" : codec
        slow = is("slow") && step == 13
        printf "{%s}\n", members(step, steps, probes, slow, saved_of(probes, steps),
                                 evidence_of(probes, steps))
    }
    function auto_codec(step) { return step < 5 ? "none" : step < 17 ? "int8" : "fp16" }
    function event(kind, step, text) {
        printf "{\"event\": \"%s\", \"step\": %d, \"text\": \"%s\"}\n", kind, step, text
    }
    function header() {
        printf "{\"wirewise\": \"ledger\", \"schema\": 1, \"version\": \"0.1.0\", " \
            "\"run\": \"%s\", " \
            "\"labels\": {\"team\": \"vision\", \"price\": \"spot\"}, " \
            "\"started\": \"2026-11-29T11:08:33Z\", \"rank\": 0, \"ranks\": 4, \"hosts\": 2, " \
            "\"host\": \"node07\", \"fabric\": \"shm + mpi\", \"codec\": \"%s\", " \
            "\"allowed\": \"%s\", \"levels\": [\"host\", \"network\"], \"inside\": 1, " \
            "\"tensors\": 12, \"buckets\": 3, \"gradient_bytes\": 2000000, " \
            "\"basis\": \"exposed\"}\n",
            "run-" kind, is("auto") ? "auto" : is("dense") ? "none" : "int8",
            is("auto") ? "none,fp16,int8" : ""
    }
    function summary(    probes, saved, evidence, unknown) {
        unknown = is("nulls")
        probes = is("dense") || is("nulls") || is("thinned") ? 0 : 2
        codec = is("dense") ? "none" : "int8"
        saved = is("dense") ? "null" : saved_of(probes, 20)
        evidence = evidence_of(probes, 20)
        printf "{\"summary\": {%s, \"dense_s\": %s, \"coded_s\": %s, " \
            "\"staleness\": [20, 0, 0, 0, 0, 0, 0, 0, 0], " \
            "\"audit\": {\"claimed\": %d, \"counted\": %s, \"interface\": \"eth0\", " \
            "\"overhead\": %d, \"unexplained\": %s, " \
            "\"nvlink_sent\": %s, \"nvlink_received\": %s}, " \
            "\"energy_j\": %s, \"gpu_energy_j\": %s}}\n",
            members(20, 20, probes, is("slow"), saved, evidence),
            unknown ? "null" : is("loss") ? "0.03" : "0.1", unknown ? "null" : "0.05",
            13004000, unknown ? "null" : is("unexplained") ? "19000000" : "13700000", 592000,
            unknown ? "null" : is("unexplained") ? "0.415" : "0.008",
            is("gpus") ? "3145728" : "null", is("gpus") ? "5242880" : "null",
            unknown ? "null" : "36000", is("gpus") ? "324000" : "null"
    }
    BEGIN {
        header()
        if (is("probed")) {
            for (step = 4; step <= 20; step += 4) line(step, 4)
        } else if (is("thinned")) {
            for (step = 1; step <= 4; step++) line(step, 1)
            event("bound", 4, "lines are about 2 steps each from here on")
            for (step = 6; step <= 12; step += 2) line(step, 2)
            event("bound", 12, "lines are about 4 steps each from here on")
            line(16, 4)
            line(20, 4)
        } else {
            for (step = 1; step <= 20; step++) {
                line(step, 1)
                if (is("auto") && (step == 4 || step == 16))
                    event("policy", step, "4M..16M: " auto_codec(step + 1) " instead of " \
                          auto_codec(step) ": 12.1 ms, 3.6x")
            }
        }
        if (is("wild")) event("alert", 7, "3 values were not finite")
        if (is("failed")) event("failure", 20, "rank 2 never came")
        else summary()
    }'
}

case $kind in
killed)
    # Down to a third of the last step's line.
    write int8 | head -n 21 | awk '{ lines[NR] = $0 } END {
        for (i = 1; i < NR; i++) print lines[i]
        printf "%s", substr(lines[NR], 1, length(lines[NR]) / 3) }'
    ;;
int8 | loss | noise | gpus | shadows | probed | auto | dense | nulls | thinned | failed | \
    wild | slow | skew | unexplained)
    write "$kind"
    ;;
*)
    echo "make_ledger.sh: there is no kind '$kind'" >&2
    exit 2
    ;;
esac
