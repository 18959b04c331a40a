"""Reading checkpoints: every published form of them, and nothing else."""

from __future__ import annotations

import contextlib
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cca_export.checkpoint import CheckpointError, load_network
from cca_export.families.cca.architecture import (
    STAGES,
    Architecture,
    GroupShape,
    NafStackShape,
    TransformShape,
)
from cca_export.families.cca.inference import infer_architecture
from cca_export.families.cca.network import CcaNetwork
from full_size_checkpoint import random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from locations import CHECKPOINTS
from tiny_networks import tiny_architecture
from torch import Tensor

State = dict[str, Any]


@pytest.fixture(scope="module")
def network() -> CcaNetwork:
    return random_network(tiny_architecture((2, 3)))


@pytest.fixture
def state(network: CcaNetwork) -> State:
    return dict(network.state_dict())


@pytest.fixture
def save(tmp_path: Path) -> Callable[[object], Path]:
    def save(content: object) -> Path:
        torch.save(content, tmp_path / "model.pth")
        return tmp_path / "model.pth"

    return save


Save = Callable[[object], Path]


def assert_same(loaded: CcaNetwork, network: CcaNetwork, tolerance: float = 0) -> None:
    assert loaded.architecture == network.architecture
    expected = network.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, expected[name], rtol=tolerance, atol=tolerance)


# What must be accepted


def test_the_small_model_has_its_architecture() -> None:
    architecture = load_network(CHECKPOINTS / "cca-small.pth").architecture
    stack, head = NafStackShape(48, 1), (64, 48)
    assert architecture == Architecture(
        latent_channels=96,
        hyper_channels=48,
        analysis=TransformShape((32, 48, 64), (1, 1, 1), (3, 3, 3)),
        synthesis=TransformShape((64, 48, 32), (1, 1, 1), (3, 3, 3)),
        hyper_analysis=(64, 64),
        hyper_means=(64, 64),
        hyper_scales=(64, 64),
        factorised_filters=(3, 3, 3, 3),
        groups=tuple(
            GroupShape(size, stack, stack, head, head, head) for size in (2, 8, 16, 27, 43)
        ),
    )


def test_a_checkpoint_of_distributed_training_is_read() -> None:
    file = CHECKPOINTS / "random-2groups.pth"
    loaded = load_network(file)
    assert loaded.architecture.group_sizes == (4, 12)
    assert loaded.architecture.analysis.naf_blocks == (1, 1, 2)
    assert loaded.architecture.synthesis.naf_blocks == (2, 1, 1)
    state = torch.load(file, weights_only=True)["state_dict"]
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, state[f"module.{name}"].float())


FORMS: dict[str, Callable[[State], object]] = {
    "published": lambda state: {"state_dict": state},
    "bare": lambda state: state,
    "training": lambda state: {"epoch": 7, "state_dict": state, "optimizer": {"lr": 1e-4}},
    "distributed": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "half": lambda state: {name: tensor.half() for name, tensor in state.items()},
    "bfloat16": lambda state: {name: tensor.bfloat16() for name, tensor in state.items()},
    "double": lambda state: {name: tensor.double() for name, tensor in state.items()},
    "reversed": lambda state: dict(reversed(state.items())),
    "strided": lambda state: {name: tensor.mT.contiguous().mT if tensor.ndim > 1 else tensor
                              for name, tensor in state.items()},
    "old spelling": lambda state: {respell(name): tensor for name, tensor in state.items()},
    "with training-only entries": lambda state: state
    | {"aux_entropymodel.anything.at.all": torch.zeros(3), "aux_entropymodel.odd": "not a tensor"},
    "with entropy tables": lambda state: state
    | {
        "z_entropy_bottleneck._offset": torch.zeros(2, dtype=torch.int32),
        "z_entropy_bottleneck._quantized_cdf": torch.zeros(0, dtype=torch.int32),
        "z_entropy_bottleneck._cdf_length": torch.zeros(2, dtype=torch.int32),
        "z_entropy_bottleneck.target": torch.zeros(3),
        "z_entropy_bottleneck.likelihood_lower_bound.bound": torch.zeros(1),
        "gaussian_conditional._offset": torch.zeros(64, dtype=torch.int32),
        "gaussian_conditional.scale_table": torch.zeros(64),
        "gaussian_conditional.scale_bound": torch.zeros(1),
        "gaussian_conditional.lower_bound_scale.bound": torch.zeros(1),
    },
}  # fmt: skip


def respell(name: str) -> str:
    """The factorised prior's names before CompressAI 1.2.7."""
    for new, old in (("matrices.", "_matrix"), ("biases.", "_bias"), ("factors.", "_factor")):
        name = name.replace(f"z_entropy_bottleneck.{new}", f"z_entropy_bottleneck.{old}")
    return name


@pytest.mark.parametrize("form", FORMS)
def test_every_published_form_gives_the_same_network(
    form: str, network: CcaNetwork, state: State, save: Save
) -> None:
    loaded = load_network(save(FORMS[form](state)))
    assert_same(loaded, network, tolerance=1e-2 if form in ("half", "bfloat16") else 0)
    assert not loaded.training


def test_the_legacy_file_format_is_read(network: CcaNetwork, state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(load_network(tmp_path / "old.pth"), network)


WIDTH = st.integers(1, 6)
EVEN_OR_ODD_WIDTH = st.integers(2, 7)
PAIR = st.tuples(WIDTH, WIDTH)
STACK = st.builds(NafStackShape, width=WIDTH, blocks=st.integers(0, 2))
PER_STAGE = st.tuples(*[st.integers(0, 2)] * STAGES)
TRANSFORM = st.builds(
    TransformShape,
    widths=st.tuples(*[EVEN_OR_ODD_WIDTH] * STAGES),
    naf_blocks=PER_STAGE,
    bottleneck_blocks=PER_STAGE,
)
GROUPS = st.lists(
    st.builds(
        GroupShape,
        channels=WIDTH,
        mean_naf=STACK,
        scale_naf=STACK,
        mean_head=PAIR,
        scale_head=PAIR,
        lrp_head=PAIR,
    ),
    min_size=1,
    max_size=4,
).map(tuple)
ARCHITECTURES = GROUPS.flatmap(
    lambda groups: st.builds(
        Architecture,
        latent_channels=st.just(sum(group.channels for group in groups)),
        hyper_channels=WIDTH,
        analysis=TRANSFORM,
        synthesis=TRANSFORM,
        hyper_analysis=PAIR,
        hyper_means=PAIR,
        hyper_scales=PAIR,
        factorised_filters=st.lists(WIDTH, max_size=4).map(tuple),
        groups=st.just(groups),
    )
)


@settings(max_examples=30, deadline=None)
@given(ARCHITECTURES)
def test_any_architecture_is_inferred_from_its_shapes(architecture: Architecture) -> None:
    with torch.device("meta"):
        state = CcaNetwork(architecture).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert infer_architecture(shapes) == architecture


def test_the_finest_step_stands_beside_the_state_dict(state: State, save: Save) -> None:
    assert load_network(save(state)).finest_step == 1
    assert load_network(save({"state_dict": state})).finest_step == 1
    file = save({"state_dict": state, "finest_step": 0.4})
    assert load_network(file).finest_step == 0.4
    assert load_network(file, 0.7).finest_step == 0.7
    bad = save({"state_dict": state, "finest_step": -1.0})
    assert load_network(bad, 0.7).finest_step == 0.7, "what is not asked for does not matter"


# What must be refused, in one line that names the file


def refusal(file: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_network(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    assert len(message) < 2000
    return message


NO_STEPS: dict[str, tuple[object, str]] = {
    "zero": (0.0, "0.0"),
    "negative": (-0.5, "-0.5"),
    "large": (1.5, "1.5"),
    "not a number": (float("nan"), "nan"),
    "infinite": (float("inf"), "inf"),
    "integer": (1, "of type int"),
    "long integer": (10**400, "of type int"),
    "truth": (True, "of type bool"),
    "nothing": (None, "of type NoneType"),
    "text": ("0.4\x1b[2J" * 1000, "of type str"),
    "list": ([0.4], "of type list"),
    "tensor": (torch.tensor(0.4), "of type Tensor"),
}


@pytest.mark.parametrize("kind", NO_STEPS)
def test_a_finest_step_that_is_none_is_refused(state: State, save: Save, kind: str) -> None:
    value, shown = NO_STEPS[kind]
    message = refusal(save({"state_dict": state, "finest_step": value}))
    assert f"its finest_step is {shown}, not a float above 0 and up to 1: give" in message


def test_missing_unknown_and_misshaped_entries_are_listed_in_one_error(
    state: State, save: Save
) -> None:
    del state["h_a.2.weight"], state["g_a.blocks.2.0.norm1.bias"]
    state["g_s.up.9.weight"] = torch.zeros(2, 3)
    state["lrp_transforms.1.2.weight"] = torch.zeros(9, 4, 5, 5)
    message = refusal(save({"state_dict": state}))
    assert "2 missing: " in message
    assert "h_a.2.weight [6, 4, 5, 5]" in message
    assert "g_a.blocks.2.0.norm1.bias [7]" in message
    assert "1 unknown: g_s.up.9.weight [2, 3]" in message
    assert "1 misshaped: lrp_transforms.1.2.weight is [9, 4, 5, 5]" in message
    assert "expected [9, 4, 3, 3]" in message


def test_long_lists_are_cut(state: State, save: Save) -> None:
    state |= {f"extra.{i}": torch.zeros(1) for i in range(5000)}
    message = refusal(save(state))
    assert "5000 unknown: extra.0 [1], extra.1 [1]" in message
    assert "and 4995 more" in message


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("g_a.down.0.bias", (4,)),
        ("g_a.down.3.bias", (4,)),
        ("mean_cc_transforms.0.4.bias", (3,)),
        ("mean_NAF_transforms.0.in_conv.bias", (6,)),
        ("z_entropy_bottleneck.quantiles", (6, 1, 3)),
        ("z_entropy_bottleneck.biases.0", (5, 4, 1)),
        ("h_mean_s.0.bias", (8,)),
    ],
)
def test_one_misshaped_tensor_is_blamed_alone(
    name: str, shape: tuple[int, ...], state: State, save: Save
) -> None:
    expected = list(state[name].shape)
    state[name] = torch.zeros(shape)
    message = refusal(save(state))
    assert message.endswith(f"1 misshaped: {name} is {list(shape)}, expected {expected}")


def test_entries_that_alone_tell_a_size_are_named_when_missing(state: State, save: Save) -> None:
    for name in [name for name in state if name.startswith("scale_NAF_transforms.1.")]:
        del state[name]
    assert "incomplete: missing scale_NAF_transforms.1.in_conv.bias" in refusal(save(state))


def test_names_in_a_file_cannot_break_the_line_or_fill_the_screen(state: State, save: Save) -> None:
    state["evil\n\x1b[31mcca-export: all is well" + "!" * 100_000] = torch.zeros(1)
    assert "1 unknown: evil??[31mcca-export" in refusal(save(state))


def test_another_network_is_recognised_as_such(save: Save) -> None:
    message = refusal(save({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(9)}))
    assert "is not a CCA checkpoint" in message
    assert "conv1.weight" in message


def test_groups_that_do_not_fill_the_latents_are_refused(state: State, save: Save) -> None:
    for head in ("mean_cc", "scale_cc", "lrp"):
        state[f"{head}_transforms.1.4.bias"] = torch.zeros(9)
        state[f"{head}_transforms.1.4.weight"] = torch.zeros(9, 5, 3, 3)
    assert "channel groups [2, 9] sum to 11, but the latents have 5" in refusal(save(state))


BAD_TENSORS: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "text": (lambda _: "hello", "a str"),
    "number": (lambda _: 3.5, "a float"),
    "list": (lambda tensor: [tensor], "a list"),
    "sparse": (lambda tensor: tensor.to_sparse(), "a sparse tensor"),
    "quantised": (
        lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        "a quantised tensor",
    ),
    "integers": (lambda tensor: tensor.int(), "of type int32"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "of type complex64"),
    "expanded": (lambda tensor: torch.zeros(1).expand(tensor.shape), "one value repeated"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", BAD_TENSORS)
def test_entries_that_are_not_plain_weights_are_named(kind: str, state: State, save: Save) -> None:
    change, reason = BAD_TENSORS[kind]
    state["g_a.down.1.bias"] = change(state["g_a.down.1.bias"])
    assert f"g_a.down.1.bias ({reason})" in refusal(save(state))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_beyond_float32_are_named(value: float, state: State, save: Save) -> None:
    state["h_a.4.bias"] = torch.full((5,), value, dtype=torch.float64)
    assert "infinite or not a number: h_a.4.bias" in refusal(save(state))


def test_absurd_sizes_are_refused_before_they_are_allocated(state: State, save: Save) -> None:
    state["g_a.down.0.bias"] = torch.zeros(1).expand(1 << 45)
    assert "one value repeated" in refusal(save(state))
    state["g_a.down.0.bias"] = torch.zeros(5000)
    del state["g_a.down.0.weight"], state["g_a.down.1.weight"]
    assert "analysis.widths.0 is 5000: 1 to 4096 are supported" in refusal(save(state))


CONTENTS: dict[str, tuple[object, str]] = {
    "a tensor": (torch.zeros(3), "holds a Tensor, not a state dict"),
    "a list": ([1, 2], "holds a list, not a state dict"),
    "an empty dict": ({}, "state dict is empty"),
    "an empty state dict": ({"state_dict": {}}, "state dict is empty"),
    "a list as state dict": ({"state_dict": [torch.zeros(3)]}, "not a dictionary of named tensors"),
    "numbered tensors": ({0: torch.zeros(3)}, "not a dictionary of named tensors"),
    "names twice": (
        {"module.a": torch.zeros(1), "a": torch.zeros(1)},
        "both with and without 'module.'",
    ),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_files_that_hold_something_else_are_refused(content: str, save: Save) -> None:
    value, reason = CONTENTS[content]
    assert reason in refusal(save(value))


class Payload:
    """Creates a file when unpickled, as an attacker would run code."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.victim),)


def test_code_in_a_checkpoint_is_not_run(state: State, save: Save, tmp_path: Path) -> None:
    file = save({"state_dict": state, "args": Payload(tmp_path / "victim")})
    message = refusal(file)
    assert "posix.mkdir" in message
    assert "save it again" in message
    assert not (tmp_path / "victim").exists()


def test_paths_that_are_no_readable_files_are_refused(tmp_path: Path) -> None:
    assert "cannot be read (No such file" in refusal(tmp_path / "none.pth")
    assert "is a directory" in refusal(tmp_path)
    (tmp_path / "empty.pth").touch()
    assert "is empty" in refusal(tmp_path / "empty.pth")
    (tmp_path / "text.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "not a PyTorch checkpoint" in refusal(tmp_path / "text.pth")


def test_a_compressed_archive_is_refused(state: State, save: Save, tmp_path: Path) -> None:
    packed = tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(save(state)) as plain,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for entry in plain.namelist():
            archive.writestr(entry, plain.read(entry))
    assert "is a compressed archive" in refusal(packed)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_files_are_refused(share: float, state: State, save: Save) -> None:
    file = save(state)
    os.truncate(file, int(file.stat().st_size * share))
    assert "damaged" in refusal(file)


def test_damaged_bytes_give_a_network_or_a_checkpoint_error(
    state: State, save: Save, tmp_path: Path
) -> None:
    intact = save(state).read_bytes()
    start = intact.index(b"data.pkl")
    pickled = range(start, intact.index(b"PK\x03\x04", start))
    generator = random.Random(7)
    for trial in range(60):
        damaged = bytearray(intact)
        for _ in range(generator.randint(1, 4)):
            position = generator.choice(pickled) if trial % 2 else generator.randrange(len(intact))
            damaged[position] = generator.randrange(256)
        file = tmp_path / "damaged.pth"
        file.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            load_network(file)
