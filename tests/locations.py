"""Where tests find things."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "data" / "golden"
DEFAULT_CHECKPOINT = ROOT / "examples" / "training" / "default.pth"
CHECKPOINTS = ROOT / "tests" / "data" / "checkpoints"
