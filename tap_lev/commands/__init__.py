"""What ``--check``, ``--plan`` and ``--about`` do and print."""
