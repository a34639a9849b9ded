#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# rules.sh TOP: judges the tree by what a machine can judge; prints every breach. Exit 1 on any.
# shellcheck disable=SC2086 # file names of this tree hold no blanks: words may be split
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:?usage: rules.sh TOP}" || exit 2
LC_ALL=C
export LC_ALL

# Only the house itself: build folders and what lies about beside it are not judged.
house="include runtime collectives topology bench examples tests"
sources=$(find $house -name '*.[ch]' 2>/dev/null | sort)
scripts=$(find $house cmake .ci \( -name '*.sh' -o -path .ci/run \) 2>/dev/null | sort)
build=$(find CMakeLists.txt $house cmake \( -name CMakeLists.txt -o -name '*.cmake' \) 2>/dev/null)
if [ -z "$sources" ]; then
    echo "rules.sh: no C file under $PWD: is that the top of the tree?" >&2
    exit 2
fi

awk -f "$here/rules.awk" $sources
broken=$?

for script in $scripts; do
    if ! head -n 2 "$script" | grep -q '^# SPDX-License-Identifier: BSD-3-Clause$'; then
        echo "$script:2: [spdx] the second line is # SPDX-License-Identifier: BSD-3-Clause"
        broken=1
    fi
done
if [ -n "$scripts$build" ]; then
    awk 'length($0) > 100 { print FILENAME ":" FNR ": [width] " length($0) " columns"; bad = 1 }
         END { exit bad }' $scripts $build || broken=1
fi

if [ "$broken" -eq 0 ]; then
    echo "$(echo "$sources" | wc -l) C files and $(echo "$scripts" | wc -w) scripts keep the rules"
fi
exit "$broken"
