"""TensorRT and TensorRT-RTX: plans, built and run.

What is named here is for those who compile plans ahead of time; the rest is the engines' own.
"""

from cca_engines.tensorrt.compiler import PlanCompiler
from cca_engines.tensorrt.plans import PlanFile, PlanHeader

__all__ = ["PlanCompiler", "PlanFile", "PlanHeader"]
