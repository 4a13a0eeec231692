"""Configuration and catalogue: files of the operator → checked, frozen values.

Never: acts on them. Every fault becomes a `Problem` with file, line and column, and all of them are raised at once.
Read next: ``yaml.py``, then ``load.py`` (configuration) or ``catalogue.py`` (watched services).
"""
