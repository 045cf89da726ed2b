"""``python -m benchmarks.plain_tap`` is the plain tap."""

from benchmarks.plain_tap.tap import PlainTap

PlainTap.cli()
