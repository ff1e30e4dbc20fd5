"""The package: what there is, without importing what a project does not use."""

import subprocess
import sys

import pytest

from fairway import layers


def test_layers_that_not_every_system_has() -> None:
    """Nothing is imported for a layer that nobody asks for."""
    code = (
        "import sys, fairway.layers\n"
        "assert 'fairway.layers.local' not in sys.modules\n"
        "fairway.layers.LocalChannelLayer\n"
        "assert 'fairway.layers.local' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_misspelt() -> None:
    """Other names are missing as ever."""
    with pytest.raises(AttributeError, match=r"module 'fairway\.layers' has no attribute 'Redis'"):
        layers.Redis  # noqa: B018  the access is what is tested
