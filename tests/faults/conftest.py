"""Tests here share the trials that `matrix.py` runs at length."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
