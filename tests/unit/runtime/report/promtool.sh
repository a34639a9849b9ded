#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# promtool.sh UNIT_PROMETHEUS: the tests of the metrics, when Prometheus' own judge takes part: they
# ask promtool where it is. Exit 77 (skipped) where it is not: Debian's package has 96 MB.
set -u
if ! command -v promtool >/dev/null 2>&1; then
    echo "SKIPPED: no promtool here; apt-get install --no-install-recommends prometheus"
    exit 77
fi
exec "$1" --jobs 1 --color=never
