"""Where training starts: architectures by name, and networks grafted on narrower ones."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cca_export.checkpoint import load_network
from cca_export.families.cca.architecture import Architecture, NafStackShape, TransformShape
from cca_export.families.cca.network import CcaNetwork
from full_size_checkpoint import PUBLISHED, random_network
from tiny_networks import tiny_architecture
from training import data, train
from training.architectures import SMALL, ArchitectureError, named_architecture
from training.data import Crops
from training.forward import Pass, training_pass
from training.grafting import GraftError, graft
from training.start import untrained

DONOR = tiny_architecture((2, 3))


def passed(network: CcaNetwork) -> Pass:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    return training_pass(network, images, torch.Generator().manual_seed(2))


def grafted(architecture: Architecture, donor: CcaNetwork) -> CcaNetwork:
    network = untrained(architecture, seed=2)
    graft(network, donor)
    return network


def wider(**changes: Any) -> Architecture:
    return dataclasses.replace(DONOR, **changes)


def wider_groups() -> Architecture:
    """Larger groups, one more of them, wider heads and stacks with another block."""
    groups = tuple(
        dataclasses.replace(
            group,
            mean_naf=NafStackShape(group.mean_naf.width, group.mean_naf.blocks + 1),
            mean_head=(8, 9),
            lrp_head=(5, 9),
        )
        for group in tiny_architecture((2, 3, 4)).groups
    )
    return wider(latent_channels=9, groups=groups)


@pytest.mark.parametrize(
    "architecture",
    [
        wider(hyper_means=(9, 4), hyper_analysis=(5, 6)),
        wider(analysis=TransformShape((3, 6, 7), (0, 1, 2), (0, 1, 1))),
        wider(synthesis=TransformShape((6, 8, 5), (2, 1, 0), (1, 0, 1))),
        wider_groups(),
    ],
    ids=["hyperprior", "analysis", "synthesis", "groups"],
)
def test_a_grafted_network_begins_as_the_donor(architecture: Architecture) -> None:
    donor = random_network(DONOR)
    expected, found = passed(donor), passed(grafted(architecture, donor))
    torch.testing.assert_close(found.image, expected.image, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        found.context.decoded[:2], expected.context.decoded, atol=1e-5, rtol=1e-5
    )


def test_grafting_keeps_the_donors_transforms() -> None:
    donor = untrained(tiny_architecture((2, 3)), seed=1)
    network = untrained(tiny_architecture((2, 3, 4)), seed=2)
    graft(network, donor)
    assert torch.equal(network.g_a.down[0].weight, donor.g_a.down[0].weight)
    assert torch.equal(network.g_a.down[-1].weight[:5], donor.g_a.down[-1].weight)
    assert torch.equal(network.g_s.up[0].weight[:5], donor.g_s.up[0].weight)


def test_what_the_donor_lacks_learns_from_the_first_step() -> None:
    network = grafted(wider_groups(), random_network(DONOR)).train().requires_grad_(True)
    done = passed(network)
    (done.bits.sum() + done.image.square().sum()).backward()
    for layer in (network.g_s.up[0], network.h_a.get_submodule("0")):
        assert (layer.get_parameter("weight").grad != 0).all()


def test_a_wider_block_gives_what_it_gave_where_its_new_channels_are_silent() -> None:
    donor = random_network(wider(analysis=TransformShape((4, 5, 7), (1, 0, 0), (0, 0, 0))))
    network = grafted(wider(analysis=TransformShape((9, 5, 7), (1, 0, 0), (0, 0, 0))), donor)
    features = torch.randn(1, 4, 6, 6)
    features -= features.mean(1, keepdim=True)
    own, given = (n.g_a.blocks[0].get_submodule("0") for n in (network, donor))
    silent = torch.cat((features, torch.zeros(1, 5, 6, 6)), 1)
    found, expected = (b.gate(b.dwconv(b.norm1(x))) for b, x in ((own, silent), (given, features)))
    torch.testing.assert_close(found[:, :4], expected, atol=1e-5, rtol=1e-4)


def test_of_a_donor_with_other_groups_only_the_transforms_are_taken() -> None:
    donor, fresh = random_network(tiny_architecture((4, 1))), untrained(DONOR, seed=2)
    network = grafted(DONOR, donor)
    assert torch.equal(network.g_s.up[0].weight, donor.g_s.up[0].weight)
    assert torch.equal(network.h_a[0].weight, fresh.h_a[0].weight)


def test_a_wider_donor_is_refused() -> None:
    for donor in (
        wider(hyper_channels=6),
        wider(analysis=TransformShape((3, 5, 7), (0, 0, 2), (0, 1, 0))),
        wider(synthesis=TransformShape((6, 6, 3), (1, 0, 0), (0, 0, 1))),
    ):
        with pytest.raises(GraftError, match=r"^the donor has .* give it at least as many$"):
            grafted(DONOR, random_network(donor))


def test_architectures_have_names_and_files(tmp_path: Path) -> None:
    assert named_architecture("small") == SMALL
    assert named_architecture("published") == PUBLISHED
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(DONOR.to_manifest()))
    assert named_architecture(str(file)) == DONOR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_channels": 6}, "sum to 5"),
        ({"latent_channels": 5.0}, "latent_channels must be an integer"),
        ({"latent_channels": True}, "latent_channels must be an integer"),
        ({"hyper_channels": 0}, "hyper_channels is 0"),
        ({"groups": 3}, "groups must be a list"),
        ({"groups": []}, "0 channel groups"),
        ({"hyper_means": [3]}, "hyper_means must have 2 entries"),
        ({"analysis": {}}, "analysis must hold widths, naf_blocks"),
        ({"colour": 1}, "colour"),
    ],
)
def test_unusable_architectures_are_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({**DONOR.to_manifest(), **change}))
    with pytest.raises(ArchitectureError, match=message) as error:
        named_architecture(str(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"7"])
def test_files_that_are_no_architecture_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(ArchitectureError, match=r"bad\.json"):
        named_architecture(str(file))
    with pytest.raises(ArchitectureError, match="give small, published or a JSON file"):
        named_architecture(str(tmp_path / "none.json"))


def test_going_on_from_a_checkpoint_keeps_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network wider in one place and narrower in all others than the default one."""
    donor = random_network(wider(analysis=TransformShape((80, 5, 7), (0, 0, 1), (0, 1, 0))))
    torch.save({"state_dict": donor.state_dict()}, tmp_path / "donor.pth")
    run = tmp_path / "run"
    arguments = ["train", "--output", str(run), "--init", str(tmp_path / "donor.pth")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--steps", "0"])
    crops = Crops([np.zeros((64, 64, 3), np.uint8)], [1])
    monkeypatch.setattr(train, "training_crops", lambda *_: crops)
    train.main()
    assert load_network(run / "model.pth").architecture == donor.architecture


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "-1"], "-1 is less than 0"),
        (["--lambda", "nan"], "nan is not a number from 0 on"),
        (["--learning-rate", "0"], "0 is not above 0"),
        (["--step-range", "3", "0.4"], "LOW is above HIGH"),
        (["--threads", "0"], "0 is less than 1"),
        (["--workers", "many"], "invalid integer value: 'many'"),
        (["--device", "teapot"], "teapot does not work here"),
        (["--pictures", "nowhere"], "nowhere cannot be read"),
        (["--pictures", "nowhere=-1"], "the weight -1 must be a number above 0"),
        (["--init", "none.pth"], "none.pth: cannot be read"),
        (["--graft", "none.pth"], "none.pth: cannot be read"),
        (["--init", "a.pth", "--architecture", "small"], "--init keeps the checkpoint's"),
        (["--init", "a.pth", "--graft", "b.pth"], "not allowed with"),
        (["--architecture", "none.json"], "give small, published or a JSON file"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "--output", "run", *arguments])
    monkeypatch.setattr(data, "TRAINING", ())
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_more_processes_than_pictures_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setattr(sys, "argv", ["train", "--output", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 2
    assert "4 processes cannot share 3 pictures" in capsys.readouterr().err
