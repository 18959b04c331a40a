"""Where an engine gets the plan of a graph: it lies somewhere, or is built now."""

from __future__ import annotations

from cca_engines.engine import PlanOptions
from cca_engines.tensorrt.build import BuildSettings, build_plan
from cca_engines.tensorrt.cache import PlanCache, user_plans
from cca_engines.tensorrt.module import Target, TensorRt
from cca_engines.tensorrt.plans import PlanDirectory, PlanFileError, PlanKey, find_plan
from cca_engines.tensorrt.timing import user_timing


def provide_plan(
    library: TensorRt, target: Target, model: bytes, name: str, options: PlanOptions
) -> bytes:
    """The plan of a graph: from `options.directories`, the user's cache, or built and cached.

    Args:
        library: The module.
        target: The GPUs that the plan is for.
        model: The serialised ONNX model.
        name: The graph's name.
        options: Where plans may lie, and what one that is built has to take.

    Raises:
        EngineError: There is none and it cannot be built.
    """
    key = PlanKey.of(library, target, model)
    directories = [PlanDirectory(path) for path in options.directories]
    found, differences = find_plan(directories, name, key, options.shapes)
    if found is not None:
        try:
            return found.read()
        except PlanFileError as error:
            differences.append(f"{found.path} {error}")
    cache = user_plans()
    cached = _cached(cache, name, key, options) if cache else None
    if cached is not None:
        return cached
    why = f" ({differences[0]})" if differences else ""
    options.say(
        f"building graph '{name}' with {library.name} {library.version} for {target.name}{why}: "
        "this may take minutes, once"
    )
    plan = build_plan(
        library,
        model,
        name,
        BuildSettings(options.shapes, target, timing=user_timing(library, target)),
    )
    if cache:
        cache.write(name, key, options.shapes, plan)
    return plan.data


def _cached(cache: PlanCache, name: str, key: PlanKey, options: PlanOptions) -> bytes | None:
    """A plan that was built here before, for the same shapes."""
    for file in cache.directory.files(name):
        if file.header.key == key and file.header.shapes == options.shapes:
            try:
                return cache.read(file)
            except PlanFileError:
                continue
    return None
