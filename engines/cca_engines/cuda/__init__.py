"""NVIDIA GPUs through the CUDA runtime: what the engines on them share."""
