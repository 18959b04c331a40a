"""Transforms and float priors in float16, for accelerators."""
