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
cpp() {  # COMMAND IN OUT [OPTION VALUE]
    command=$1 in=$2 out=$3
    shift 3
    "$work/build/cca-openvino" "$command" "$@" "$model" "$in" "$out"
}
# One picture at a time, on all cores as the example: what is in floating point may depend on that.
cca_run() {
    command=$1
    shift
    "$python" -m cca_runtime.cli "$command" --overwrite --workers 1 --engine openvino "$@"
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

# An odd-sized part of one, for tiles.
"$python" -c 'import sys
from PIL import Image
Image.open(sys.argv[1]).crop((3, 5, 304, 180)).save(sys.argv[2])' \
    "$work/pictures/chelsea.ppm" "$work/pictures/odd.ppm"

# Each encodes,
cca_run encode "$work/pictures/chelsea.ppm" "$work/pictures/flower.ppm" -o "$work/python"
for name in chelsea flower; do
    cpp encode "$work/pictures/$name.ppm" "$work/cpp/$name.cca"
    same "cpp/$name.cca" "python/$name.cca"
done
for side in 64 128; do
    cca_run encode "$work/pictures/odd.ppm" -o "$work/python/tiles-$side.cca" --tile $side
    cpp encode "$work/pictures/odd.ppm" "$work/cpp/tiles-$side.cca" --tile $side
    same "cpp/tiles-$side.cca" "python/tiles-$side.cca"
done

rate() {  # NAME OPTION VALUE
    cca_run encode "$work/pictures/chelsea.ppm" -o "$work/python/$1.cca" "$2" "$3"
    cpp encode "$work/pictures/chelsea.ppm" "$work/cpp/$1.cca" "$2" "$3"
    same "cpp/$1.cca" "python/$1.cca"
}
rate quality --quality 72.5
rate size --target-size 9000
rate psnr --target-psnr 31

# and decodes what the other one made: all of it,
cca_run decode --format ppm "$work"/cpp/*.cca -o "$work/python"
for name in chelsea flower tiles-64 tiles-128 quality; do
    cpp decode "$work/python/$name.cca" "$work/cpp/$name.ppm"
    same "cpp/$name.ppm" "python/$name.ppm"
done

# or a part.
part() {  # NAME REGION
    cca_run decode --region "$2" "$work/cpp/$1.cca" -o "$work/python/$1-part.ppm"
    cpp decode "$work/python/$1.cca" "$work/cpp/$1-part.ppm" --region "$2"
    same "cpp/$1-part.ppm" "python/$1-part.ppm"
}
part chelsea 450,299,1,1
part tiles-64 60,50,70,101
part tiles-128 130,0,171,175

# Or some of its groups, or what a file that was cut still has.
cca_run decode --groups 1 "$work/cpp/quality.cca" -o "$work/python/groups.ppm"
cpp decode "$work/python/quality.cca" "$work/cpp/groups.ppm" --groups 1
same "cpp/groups.ppm" "python/groups.ppm"
for name in quality tiles-64; do
    size=$(wc -c <"$work/cpp/$name.cca")
    head -c $((size * 3 / 5)) "$work/cpp/$name.cca" >"$work/cut-$name.cca"
    cca_run decode --preview "$work/cut-$name.cca" -o "$work/python/cut-$name.ppm"
    cpp decode "$work/cut-$name.cca" "$work/cpp/cut-$name.ppm" --preview >"$work/cut-$name.txt"
    same "cpp/cut-$name.ppm" "python/cut-$name.ppm"
done

# A stream in exact mode decodes on any engine.
mkdir -p "$work/onnxruntime"
"$python" -m cca_runtime.cli decode --overwrite --engine onnxruntime "$work"/cpp/*.cca -o "$work/onnxruntime"
