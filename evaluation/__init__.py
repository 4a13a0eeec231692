"""Evaluation: how well detection does, on logs whose truth is known. See ``README.md`` in this directory."""
