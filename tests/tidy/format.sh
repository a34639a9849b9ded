#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# format.sh TOP: is every C, C++ and CUDA file laid out as clang-format lays it out? Exit 77
# (skipped) without clang-format 14: other versions decide some lines differently, and nobody
# discusses layout.
set -u
cd "${1:?usage: format.sh TOP}" || exit 2

for tool in clang-format-14 clang-format ""; do
    if [ -z "$tool" ]; then
        echo "SKIPPED: no clang-format 14 here; apt-get install clang-format-14"
        exit 77
    fi
    if "$tool" --version 2>/dev/null | grep -q 'version 14\.'; then
        break
    fi
done

files=$(find include runtime collectives topology bench examples tests \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' \) | sort)
# shellcheck disable=SC2086 # file names of this tree hold no blanks
if ! said=$("$tool" --dry-run -Werror $files 2>&1); then
    echo "$said" | grep 'error: ' | head -n 40
    echo "$said" | grep 'error: ' | cut -d: -f1 | sort | uniq -c
    echo "remedy: $tool -i FILE"
    exit 1
fi
echo "$(echo "$files" | wc -l) files are laid out by $tool"
