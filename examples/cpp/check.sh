#!/bin/sh
# Builds the example against an installed package and compares it with cca-run, byte for byte:
#     check.sh PYTHON DIRECTORY
# PYTHON is an interpreter that has cca-codec[openvino]; DIRECTORY gets the build and all files.
set -eu
python=$1
work=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work/pictures" "$work/cpp" "$work/python"

cmake -S "$here" -B "$work/build" \
    -Dcca_DIR="$("$python" -m cca_runtime --cmake-dir)" \
    -DOpenVINO_DIR="$("$python" -c 'from openvino.utils import get_cmake_path
print(get_cmake_path())')" >"$work/build.log"
cmake --build "$work/build" --parallel >>"$work/build.log"

model=$("$python" -c 'from cca_runtime.bundle import find_bundle
print(find_bundle(None))')
cpp() {
    "$work/build/cca-openvino" "$1" "$model" "$2" "$3"
}
cca_run() {
    command=$1
    shift
    "$python" -m cca_runtime.cli "$command" --overwrite "$@"
}
same() {
    cmp "$work/$1" "$work/$2"
    echo "equal: $1 $2 ($(wc -c <"$work/$1") bytes)"
}

for picture in chelsea.png flower.jpg; do
    "$python" -c 'import sys
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").save(sys.argv[2])' \
        "$here/../$picture" "$work/pictures/${picture%.*}.ppm"
done

# One picture at a time, on all cores as the example: what is in floating point may depend on that.
cca_run encode --workers 1 --engine openvino "$work"/pictures/*.ppm -o "$work/python"
for name in chelsea flower; do
    cpp encode "$work/pictures/$name.ppm" "$work/cpp/$name.cca"
    same "cpp/$name.cca" "python/$name.cca"
done

# Each decodes what the other one made.
cca_run decode --workers 1 --engine openvino --format ppm "$work"/cpp/*.cca -o "$work/python"
for name in chelsea flower; do
    cpp decode "$work/python/$name.cca" "$work/cpp/$name.ppm"
    same "cpp/$name.ppm" "python/$name.ppm"
done

# A stream in exact mode decodes on any engine.
mkdir -p "$work/onnxruntime"
cca_run decode --engine onnxruntime "$work"/cpp/*.cca -o "$work/onnxruntime"
