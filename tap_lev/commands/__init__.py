"""The commands ``--check`` and ``--plan``."""
