#!/bin/sh
# Makes tests/corpus anew: the fewest and smallest inputs of the corpus, the seeds and the last
# runs of fuzz.sh that together reach all that they reach, and the findings (finding-*).
#
#     minimise.sh BUILD
set -eu
build=$1
source=$(cd "$(dirname "$0")/../../.." && pwd)
for program in "$build"/core/fuzz/fuzz_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    target=${program##*/fuzz_}
    corpus=$source/tests/corpus/$target
    fresh=$build/minimised/$target
    rm -rf "$fresh"
    mkdir -p "$fresh" "$corpus" "$build/corpus/$target"
    # An input of the coder's targets need not be long to reach everything.
    "$program" -set_cover_merge=1 -max_len=8192 "$fresh" "$corpus" "$build/corpus/$target" \
        "$build/seeds/$target" >"$build/minimise.log" 2>&1 || { cat "$build/minimise.log"; exit 1; }
    # What once failed stays whatever it reaches.
    cp "$corpus"/finding-* "$fresh" 2>/dev/null || true
    rm -rf "$corpus"
    cp -r "$fresh" "$corpus"
    echo "$target: $(find "$corpus" -type f | wc -l) inputs, $(du -sb "$corpus" | cut -f1) bytes"
done
