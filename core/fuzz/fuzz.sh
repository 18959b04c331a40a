#!/bin/sh
# Builds the fuzz targets and runs each for a while, from its corpus and the seeds.
#
#     fuzz.sh BUILD SECONDS [TARGET...]
#
# What is new is kept in BUILD/corpus, findings in BUILD/findings: the first one ends the run.
# Set CXX to choose a clang.
set -eu
build=$1
seconds=$2
shift 2
source=$(cd "$(dirname "$0")/../.." && pwd)
targets=${*:-"c_api container decode entropy_tables machines manifest onnx_graph round_trip table_file"}

mkdir -p "$build"
cmake -S "$source" -B "$build" -DCMAKE_CXX_COMPILER="${CXX:-clang++}" -DCMAKE_BUILD_TYPE=Release \
    -DCCA_FUZZ=ON -DCCA_PYTHON=OFF >"$build/build.log" 2>&1 || { cat "$build/build.log"; exit 1; }
cmake --build "$build" --parallel >"$build/build.log" 2>&1 || { cat "$build/build.log"; exit 1; }
programs=$build/core/fuzz
"$programs/make_seeds" "$source/tests/data/streams" "$build/seeds"

for target in $targets; do
    mkdir -p "$build/corpus/$target" "$build/findings/$target" "$source/tests/corpus/$target"
    log=$build/findings/$target.log
    echo "fuzzing $target for $seconds s"
    "$programs/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=32768 -print_final_stats=1 -artifact_prefix="$build/findings/$target/" \
        "$build/corpus/$target" "$source/tests/corpus/$target" "$build/seeds/$target" \
        >"$log" 2>&1 || { cat "$log"; exit 1; }
    grep "^stat::number_of_executed_units" "$log"
done
