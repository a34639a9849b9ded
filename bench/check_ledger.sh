#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check_ledger.sh COMMAND LEDGER.md JANSSON: `wirewise report` tells what is in a ledger, adds up
# what a killed run left, prices and replays it, alerts, and refuses with exit code 2 and a sentence
# what is no ledger. JANSSON is ON or OFF: whether this build reads JSON.
set -u
command=$1
document=$2
jansson=$3
here=$(cd "$(dirname "$0")" && pwd)
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

complain() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}

# runs STATUS ARGUMENTS...: into output and errors.
runs() {
    local wanted=$1 status
    shift
    "$command" report "$@" >output 2>errors
    status=$?
    [ "$status" = "$wanted" ] || complain "report $* exits with $status, not $wanted: $(cat errors)"
}

# prints WORDS ARGUMENTS...: exit 0, the words on stdout, nothing on stderr.
prints() {
    local words=$1
    shift
    runs 0 "$@"
    grep -qF -- "$words" output || complain "report $* does not print '$words': $(cat output)"
    [ ! -s errors ] || complain "report $* says on stderr: $(cat errors)"
}

# refuses STATUS WORDS ARGUMENTS...: that exit code, nothing on stdout, the words on stderr.
refuses() {
    local wanted=$1 words=$2
    shift 2
    runs "$wanted" "$@"
    [ ! -s output ] || complain "report $* prints: $(cat output)"
    grep -qF -- "$words" errors || complain "report $* does not say '$words': $(cat errors)"
}

kinds="int8 loss noise auto dense nulls gpus thinned shadows probed failed wild slow skew"
kinds="$kinds unexplained"
for kind in $kinds killed; do
    sh "$here/make_ledger.sh" "$kind" >"$kind" || complain "there is no ledger $kind"
done

refuses 2 "a ledger is missing"
if [ "$jansson" = OFF ]; then
    refuses 5 "built without jansson" int8
    [ "$failures" = 0 ]
    exit
fi

# ---- One run
prints "run       run-int8  [team=vision, price=spot], begun 2026-11-29T11:08:33Z" int8
prints "4 on 2 hosts, shm + mpi; written by rank 0 on node07" int8
prints "codec     int8: int8 1-20" int8
prints "20 in 2 s: mean 100 ms, median 100 ms; the run ended" int8
prints "network           6.199 MiB   317.4 KiB   19.07 MiB   12.87 MiB   68 %   9.537 MiB" int8
prints "communication         60 ms       1.2 s   60 %" int8
prints "mostly rank 3 (75 % of steps)" int8
prints "saved     900 ms (95 %: 720 ms to 1.08 s, measured), 45 % of the run" int8
prints "took 100 ms dense and 50 ms coded" int8
prints "5 ms      100 ms    5 %  what the probes of dense steps cost, 2 of them" int8
prints "error feedback keeps 0.125 (L2); 75 % of the energy was captured" int8
prints "eth0 counted 13.07 MiB, framing 578.1 KiB: 0.8 % unexplained" int8
prints "(shadows)         3.815 MiB   195.3 KiB  dense beside encoded steps" shadows
prints "codec     auto of none,fp16,int8: none 1-4, int8 5-16, fp16 17-20" auto
prints "step 16 policy: 4M..16M: fp16 instead of int8" auto
prints "saved     compression cost you 360 ms (95 %: 180 ms to 540 ms, measured)" loss
prints "saved     not distinguishable from zero: 90 ms (95 %: -180 ms to 360 ms" noise
prints "saved     insufficient data" nulls
prints "nobody counted" nulls
prints "saved     nothing: nothing was encoded" dense
prints "20 in 2 s: mean 100 ms" thinned
prints "saved     1 s (95 %: 800 ms to 1.2 s" thinned
prints "the run failed" failed
prints "saved     900 ms (95 %: 720 ms to 1.08 s, measured)" failed # added up
{ head -n 19 dense; sed -n 20p nulls; } >amid_a_race
prints "saved     insufficient data" amid_a_race # what is judged was dense, some was encoded
prints "run-int8" - <int8

# ---- What is not whole
runs 0 killed
grep -q "killed:21: the last line was cut short" errors || complain "the cut is not told"
grep -q "19 in 1.9 s.*the run was not ended" output || complain "19 of 20 steps: $(cat output)"
{ head -n 5 int8; tail -n +8 int8; } >gap
runs 0 gap
grep -q "gap: 2 steps have no line: sums are the summary's" errors || complain "the gap is not told"
{ head -n 1 int8 | sed 's/"rank"/"news": {"a": [1]}, "rank"/'; echo '{"event": "comet", "x": 1}'
  echo '{"heartbeat": 1}'; tail -n +2 int8; } >future
prints "20 in 2 s" future
head -n 1 int8 >header
prints "0 in 0 s" header
prints "run-int8" header header
refuses 2 "no step to replay" header --what-if 1gbit
head -n 3 int8 | tr -d '\n' | head -c 700 >start # one long line that is no JSON
refuses 2 "start:1: this is no JSON object" start

# ---- What is no ledger
refuses 2 "nowhere: cannot be opened: No such file" nowhere
refuses 2 "Is a directory" .
: >empty
refuses 2 "empty: is empty" empty
echo '{"schema": "wirewise.bench/1"}' >foreign
refuses 2 "foreign:1: this is JSON, but no ledger" foreign
echo '[1, 2]' >array
refuses 2 "array:1: this is no JSON object (an array)" array
sed '1s/"schema": 1/"schema": 2/' int8 >newer
refuses 2 "newer:1: the ledger has schema 2, this command knows 1" newer
head -c 5000 "$command" >binary
refuses 2 "binary:1: " binary
head -c 3000000 /dev/zero >zeroes
refuses 2 "zeroes:1: a line of more than 1 MiB" zeroes
sed '7s/^/garbage/' int8 >garbage
refuses 2 "garbage:7: this is no JSON object" garbage
refuses 2 "head -n 6 garbage | wirewise report -" garbage
sed '7s/"step_s": 0.1/"step_s": "fast"/' int8 >typed
refuses 2 'typed:7: "step_s" is a text; a number is expected' typed
sed '7s/"bytes": \[[0-9]*, /"bytes": [/' int8 >levels
refuses 2 'levels:7: "bytes" must be an array of 2 numbers' levels
sed '7s/"probes": 0/"probes": -1/' int8 >negative
refuses 2 'negative:7: "probes" is -1' negative
{ cat int8; cat int8; } >twice
refuses 2 "twice:23: another ledger begins here" twice
{ head -n 5 int8; sed -n 3,9p int8; } >back
refuses 2 "back:6: a line about 1 steps up to step 2 behind one up to step 4" back
{ cat int8; sed -n 3p int8; } >behind
refuses 2 "behind:23: a step behind the summary" behind
printf '%s\n' "$(head -n 1 int8 | sed 's/run-int8/\\u001b[2J/')" >steers
prints "run       " steers
grep -q "$(printf '\033')" output && complain "the terminal is steered"

# ---- Several runs
prints "run-loss             int8" int8 loss slow
prints "+0 %" int8 slow
runs 0 int8 loss
[ "$(wc -l <output)" = 6 ] || complain "a table of two rows and one note: $(cat output)"

# ---- CSV, JSON, SVG
prints "thinned,run-thinned,4,2,20,4,2,0,400,0,0.4,0.24,0.2,0.008,0.004,0.004,1,0,0.125,0.75" \
    --csv thinned
prints "file,run,ranks,hosts,step,steps,t,probes" --csv int8
runs 0 --csv int8 loss
[ "$(wc -l <output)" = 41 ] || complain "a row per step of two files"
sed 's/"network"/"rack"/' int8 >other
refuses 2 "other: has other levels than the first file" --csv int8 other
prints '"verdict": "lost"' --json loss
prints '"saved": null' --json nulls
prints '"runs": [' --json loss nulls
runs 0 int8 --svg picture.svg
grep -q '</svg>' picture.svg || complain "the picture is not whole"
[ "$(ls picture.svg*)" = picture.svg ] || complain "a draft is left behind"
grep -Eqi 'nan|inf\b|<script|href' picture.svg && complain "the picture holds what it may not"
for kind in $kinds; do
    runs 0 "$kind" --svg picture.svg
    ! command -v xmllint >/dev/null || xmllint --noout picture.svg || complain "XML of $kind"
done

# ---- Another wire: 750,000 bytes a rank saved in 50 + 3 ms by two ranks of a host: 226 Mbit/s;
# 500,000 bytes took 17.7 ms and will take 40; 10 of 60 ms stay hidden.
prints "what if   network had 100 Mbit/s: a step would take 122 ms coded, 239 ms dense" int8 \
    --what-if 100mbit
prints "a step would take 122 ms coded, 239 ms dense (recorded: 100 ms)" probed \
    --what-if 100mbit
prints "a step would take 118 ms coded, 215 ms dense (recorded: 100 ms)" shadows \
    --what-if 100mbit # all encoded
prints "replace what they took at 226 Mbit/s" int8 --what-if 100mbit
prints "would save 117 ms a step, 49 % of a dense one; it pays below 4 Gbit/s" int8 \
    --what-if network=12.5MB/s
prints "would cost 2.88 ms a step" int8 --what-if 100gbit
prints "a step would take 128 ms coded" int8 --what-if 100mbit,1ms
prints "all of which is taken to be this level's" noise --what-if 1gbit
prints "neither save nor cost" dense --what-if 1gbit
prints "it pays at no rate" dense --what-if 1gbit
prints '"break_even_bit_s": 3.9999' int8 --json --what-if 1gbit
refuses 2 "int8 has no level 'rack'; there are host, network" int8 --what-if rack=1gbit
refuses 2 "do not tell how much of the wires' time was that level's" int8 --what-if host=1gbit
# Single calls are in no step, but in what the host's interfaces must have counted.
sed 's/"claimed": [0-9]*/"claimed": 999999999999/' int8 >calls
prints "all ranks of a host alike" calls --what-if 100mbit
prints "a step would take 122 ms coded, 239 ms dense" calls --what-if 100mbit
for rate in '' 25 fast network= '25gbit,' 25gbit,50 -- -1gbit 0gbit; do
    refuses 2 "write RATE, LEVEL=RATE" int8 "--what-if=$rate"
done

# ---- Prices: 4 GPUs for 2 s at 3.60; 26 MB at 10 a GB; 2 hosts with 36 kJ at 0.50 a kWh.
price() {
    printf '%s\n' "$@" >prices
}
price '[prices]' 'currency = EUR ; what is paid' 'gpu_hour = 3.6' 'gigabyte = 10' \
    'kilowatt_hour = 0.5'
prints "0.278 EUR the run, 0.0139 EUR a step; time 0.008 EUR, traffic 0.26 EUR, energy 0.01 EUR" \
    int8 --prices prices
prints "energy 20 Wh, 1 Wh a step" int8 --prices prices
prints "a step: processors, measured on this host, times hosts; GPUs are not known" int8 \
    --prices prices
prints "energy    10 Wh by this host's processors, 90 Wh by its GPUs" gpus
prints "energy 0.1 EUR" gpus --prices prices
prints "energy 200 Wh, 10 Wh a step: processors and GPUs, measured on this host" gpus \
    --prices prices
prints "saved 0.0486 EUR (95 %: 0.0389 EUR to 0.0583 EUR) by time, with 90 Wh of energy" gpus \
    --prices prices
prints '"energy_of": "processors and GPUs"' gpus --json --prices prices
prints '"gpu_energy_j": 324000' gpus --json
prints "this host's GPUs sent 3 MiB and received 5 MiB through NVLink" gpus
prints '"nvlink_sent": 3145728' gpus --json
prints '"nvlink_received": 5242880' gpus --json
prints '"nvlink_sent": null' int8 --json
sed 's/"energy_j": 36000/"energy_j": null/' gpus >gpus-only
prints "energy    90 Wh by this host's GPUs" gpus-only
prints "energy 180 Wh, 9 Wh a step: GPUs, measured on this host, times hosts; processors are not" \
    gpus-only --prices prices
sed 's/, "gpu_energy_j": null//; s/, "nvlink_[a-z]*": null//g' int8 >older
prints "energy    10 Wh by this host's processors" older
prints "energy 20 Wh, 1 Wh a step: processors, measured" older --prices prices
prints '"gpu_energy_j": null' older --json
prints '"energy_of": "processors"' older --json --prices prices
sed 's/"gpu_energy_j": 324000/"gpu_energy_j": "much"/' gpus >wordy
refuses 2 '"gpu_energy_j" is a text; a number is expected' wordy
sed 's/"nvlink_sent": 3145728/"nvlink_sent": -1/' gpus >negative
refuses 2 '"nvlink_sent"' negative
prints "saved 0.0081 EUR (95 %: 0.00648 EUR to 0.00972 EUR) by time, with 9 Wh of energy" int8 \
    --prices prices
prints "traffic not sent: 0.54 EUR against dense fp32, 0.14 EUR against dense 16 bit" int8 \
    --prices prices
prints "no saving outside the noise" noise --prices prices
prints "no saving outside the noise" nulls --prices prices
prints "compression cost 0.00324 EUR" loss --prices prices
prints "energy is not known and in no sum" nulls --prices prices
prints "0.278 EUR" int8 loss --prices prices
prints '"total": 0.27808' int8 --json --prices prices
prints '"saved": null' noise --json --prices prices
price '[prices]' 'gpu_hour = 3.6' 'ranks_per_gpu = 2'
prints "0.004 the run" int8 --prices prices
price '[prices]' 'watts = 250' 'kilowatt_hour = 1'
prints "watts of the price file" nulls --prices prices
prints '"energy_of": null' nulls --json --prices prices
prints "energy 180 Wh, 9 Wh a step: GPUs, measured" gpus-only --prices prices
while IFS='|' read -r line words; do
    price '[prices]' '# a comment' "$line"
    refuses 2 "prices:3: $words" int8 --prices prices
done <<'LINES'
gpu_hour = -1|the value is '-1'; gpu_hour must be money per GPU and hour
gpu_hour = nan|the value is 'nan'
gpu_hour = inf|the value is 'inf'
gpu_hour = 1e999|the value is '1e999'
gpu_hour = 2,50|the value is '2,50'
gpu_hour = 2.50 EUR|the value is '2.50 EUR'
gpu_hour =|there is no value of 'gpu_hour'
gpu_hour|this is no line of a key and a value: 'gpu_hour'
gpu_huor = 1|there is no key 'gpu_huor'; [prices] may have currency, gpu_hour
ranks_per_gpu = 0|the value is '0'; ranks_per_gpu must be a number, more than 0
[price]|there is no section '[price]'
currency = Galactic Credits|currency is 'Galactic Credits'
LINES
price 'gpu_hour = 1'
refuses 2 "prices:1: the first line is 'gpu_hour = 1'" int8 --prices prices
price '[prices]' 'gpu_hour = 1' 'gpu_hour = 2'
refuses 2 "prices:3: a second line of 'gpu_hour'" int8 --prices prices
price '[prices]' 'currency = EUR'
refuses 2 "ends without a price" int8 --prices prices
refuses 2 "zeroes:1: the line is too long, or no text" int8 --prices zeroes
refuses 2 "nowhere: cannot be opened" int8 --prices nowhere

# ---- Alerts: notes without --check, exit codes with it
price '[prices]' 'currency = EUR' 'gpu_hour = 3600'
while read -r code kind; do
    prints "$kind: " "$kind"
    runs "$code" "$kind" --check
    grep -q "wirewise report: $kind: alert $kind: " errors || complain "no line about $kind"
    runs 0 "$kind" --check --alert none
    runs "$code" int8 "$kind" --check --alert "$kind"
done <<'CODES'
10 wild
11 loss
13 unexplained
14 slow
15 skew
CODES
runs 12 int8 --check --prices prices --budget 7.99
grep -qF "alert budget: the run cost 8.00 EUR, more than 7.99 EUR" errors || complain "budget"
runs 0 int8 --check --prices prices --budget 8.01
runs 10 skew wild loss --check
runs 0 skew --check --alert skew=60
runs 0 int8 --check
runs 0 nulls --check
# Probes that take five times as long as encoded steps are no slow steps, alone or in a line with
# others, nor where the run was killed.
sed '/"probes": 1,/s/"step_s": 0.1,/"step_s": 0.5,/' int8 >dear
runs 0 dear --check
grep -v summary dear >dear-killed
runs 0 dear-killed --check --alert slow
sed -e 's/"step_s": 0.45,/"step_s": 1.6,/' -e 's/"dense_s": 0.1,/"dense_s": 1.25,/' probed \
    >dear-lines
runs 0 dear-lines --check
runs 14 dear slow --check --alert slow
runs 0 shadows --check # these took more than twice a step besides
# Nor are steps by the codecs that "auto" tries while it chooses; one of them beyond the others is.
sed '/"codec": "none"/s/"step_s": 0.1,/"step_s": 0.5,/' auto >tried
cmp -s auto tried && complain "no step of auto was dense"
runs 0 tried --check --alert slow
sed '/"step": 2,/s/"step_s": 0.5,/"step_s": 2.5,/' tried >tried-slow
runs 14 tried-slow --check --alert slow
# A line about several steps tells that one of them at least was slow.
sed '/"step": 16,/s/"step_s": 0.4,/"step_s": 2.4,/' thinned >late
prints "1 slower than 3 medians" late
runs 14 late --check --alert slow=4
runs 0 late --check --alert slow=6
refuses 2 "--budget needs --prices" int8 --budget 5
refuses 2 "write an amount of money" int8 --prices prices --budget -5
refuses 2 "'los' is no rule" int8 --alert los
refuses 2 "--svg is about one ledger, 2 are given" int8 loss --svg x.svg
refuses 2 "--what-if is about one ledger" int8 loss --what-if 1gbit
refuses 2 "give one" int8 --csv --json
refuses 2 "drop --prices" int8 --csv --prices prices
refuses 2 "unrecognized" int8 --nonsense

# ---- A full disk is no success
for face in "" --csv --json; do
    # shellcheck disable=SC2086 # no word where there is none
    "$command" report int8 $face >/dev/full 2>errors
    [ $? = 5 ] && grep -q "No space left" errors || complain "a full disk for '$face'"
done
runs 5 int8 --svg /dev/full
grep -q -- "--svg /dev/full: .*No space left" errors || complain "a full disk for the picture"

# ---- The fixtures are what the document says, and the documents what readers expect
if command -v python3 >/dev/null; then
    # shellcheck disable=SC2086 # one word per kind
    python3 "$here/check_ledger_schema.py" "$document" $kinds || complain "the fixtures' schema"
    for broken in typed negative foreign; do
        ! python3 "$here/check_ledger_schema.py" "$document" $broken >/dev/null 2>&1 ||
            complain "check_ledger_schema.py takes $broken"
    done
    "$command" report int8 --json --prices prices --what-if 1gbit >report.json
    "$command" report thinned --csv >report.csv
    python3 - <<'PYTHON' || complain "JSON or CSV are not as documented"
import csv, json
report = json.load(open("report.json"))
assert report["schema"] == "wirewise.report/1" and report["run"] == "run-int8"
assert report["saved"] == [0.72, 0.9, 1.08] and report["verdict"] == "saved"
assert report["levels"][1] == {"name": "network", "bytes": 6500000, "dense32": 20000000,
                               "dense16": 10000000}
assert report["cost"]["total"] == 8 and report["what_if"]["level"] == "network"
rows = list(csv.DictReader(open("report.csv")))
assert sum(int(row["steps"]) for row in rows) == 20
assert sum(int(row["bytes_network"]) for row in rows) == 5000000
assert all(None not in row and None not in row.values() for row in rows)
PYTHON
fi
[ "$failures" = 0 ]
