"""How many threads an engine takes: as many as are asked for, or as the process may use."""

from __future__ import annotations

import os
from pathlib import Path

import cca_runtime
import numpy as np
import pytest
from cca_engines import EngineError, open_engine, processor
from cca_engines.cgroups import cpu_quota
from cca_runtime import BadInputError
from cca_runtime.cli import main
from PIL import Image

V2 = "0::/system/service"
V1 = "5:memory:/docker/1\n4:cpuacct,cpu:/docker/1\n"


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        (V2, {}, None),
        (V2, {"system/service/cpu.max": "max 100000"}, None),
        (V2, {"system/service/cpu.max": "150000 100000"}, 1.5),
        (V2, {"system/cpu.max": "300000 100000", "system/service/cpu.max": "max 100000"}, 3),
        (V2, {"cpu.max": "200000 100000", "system/service/cpu.max": "900000 100000"}, 2),
        (V2, {"unified/system/cpu.max": "100000 50000"}, 2),
        (V2, {"system/other/cpu.max": "100000 100000"}, None),
        (V2, {"system/service/cpu.max": "nonsense"}, None),
        (V2, {"system/service/cpu.max": "5 0"}, None),
        ("0::/", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/../elsewhere", {"cpu.max": "250000 100000"}, 2.5),
        (V1, {"cpu/docker/1/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (
            V1,
            {
                "cpuacct,cpu/docker/1/cpu.cfs_quota_us": "400000\n",
                "cpuacct,cpu/docker/1/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "70000", "cpu/cpu.cfs_period_us": "100000"}, 0.7),
        (V1, {"memory/docker/1/cpu.max": "100000 100000"}, None),
        ("", {"cpu.max": "100000 100000"}, None),
    ],
)
def test_the_least_quota_of_a_processs_groups_is_its(
    groups: str, files: dict[str, str], cores: float | None, tmp_path: Path
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert cpu_quota(tmp_path) == cores


def test_a_system_without_groups_has_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("allowed", "quota", "threads"),
    [(8, None, 8), (8, 2.5, 3), (8, 0.1, 1), (2, 16.0, 2), (1, None, 1)],
)
def test_engines_take_what_is_allowed_and_has_time(
    allowed: int, quota: float | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)))
    monkeypatch.setattr(processor, "cpu_quota", lambda: quota)
    assert processor.usable_cores() == threads
    assert f" {threads} threads" in open_engine("onnxruntime").description


def test_threads_are_as_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert " 3 threads" in cca_runtime.load(threads=3).engine.description
    with pytest.raises(BadInputError, match="threads must be a whole number, 1 to 1024"):
        cca_runtime.load(threads=0)
    with pytest.raises(EngineError, match="cannot run on 0 threads"):
        open_engine("onnxruntime", threads=0)
    file = tmp_path / "a.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file)
    bench = ["bench", str(file), "--repeat", "1", "--threads", "3"]
    assert main(bench) == 0
    assert " 3 threads" in capsys.readouterr().out
    assert main(["encode", str(file), "--threads", "1", "--quiet"]) == 0
    assert main(["decode", str(file.with_suffix(".cca")), "--overwrite", "--threads", "2"]) == 0
    for wrong in ("0", "-1", "x", "1025"):
        with pytest.raises(SystemExit) as caught:
            main(["encode", str(file), "--threads", wrong])
        assert caught.value.code == 2
