"""Run the tap as ``python -m tap_lev``."""

from tap_lev.tap import TapLev

TapLev.cli()
