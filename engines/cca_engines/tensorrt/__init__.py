"""TensorRT and TensorRT-RTX: plans, built and run."""
