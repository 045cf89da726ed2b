"""Write the tap's entry for Meltano's hub: ``python -m devtools.hub``.

The entry, ``deploy/hub/tap-lev.yml``, is the plugin definition of ``meltano.yml`` with the tap's
defaults and what the hub shows on its page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tap_lev.config.settings import SETTINGS
from tap_lev.tap import TapLev

ROOT = Path(__file__).parents[1]
DEFINITION = ROOT / "deploy" / "hub" / "tap-lev.yml"
HEAD = """\
# The tap's entry for Meltano's hub, made by devtools/hub.py. Whoever publishes the tap adds repo,
# pip_url, logo_url and a variant with their name.
"""
LOCAL_KEYS = ("config", "pip_url")


def definition() -> dict[str, Any]:
    """Build the definition."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    (plugin,) = project["plugins"]["extractors"]
    about = TapLev._get_about_info()  # noqa: SLF001 - what --about prints
    return {name: value for name, value in plugin.items() if name not in LOCAL_KEYS} | {
        "description": "Deals, lenders, placements, contacts and term sheets of real estate teams",
        "domain_url": "https://www.lev.com",
        "keywords": ["api", "meltano_sdk"],
        "maintenance_status": "active",
        "quality": "unknown",
        "settings": [setting | _default(setting["name"]) for setting in plugin["settings"]],
        "supported_python_versions": list(about.supported_python_versions or ()),
        "variant": "original",
    }


def _default(name: str) -> dict[str, Any]:
    setting = SETTINGS["properties"].get(name, {})
    return {"value": setting["default"]} if "default" in setting else {}


def rendered(definition: dict[str, Any]) -> str:
    """Render a definition in the hub's format."""
    return HEAD + yaml.safe_dump(definition, sort_keys=True, allow_unicode=True, width=100)


if __name__ == "__main__":
    DEFINITION.write_text(rendered(definition()), encoding="utf-8")
