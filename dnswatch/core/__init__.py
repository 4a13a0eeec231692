"""The pure half: synchronous, deterministic, no clock, no input or output. Start at core/model.py."""
