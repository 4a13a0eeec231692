"""Steps from one layout of the store to the next, by the version that a step leads to.

A further version: raise ``schema.VERSION``, add a module here with `upgrade(op)` in terms of alembic's operations, and
its line. A released step is never changed. Never: imported unless an older store is brought up to date. Read next:
``io/store/upgrade.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from alembic.operations import Operations

from dnswatch.io.store.steps import v2, v3, v4

STEPS: dict[int, Callable[[Operations], None]] = {
    2: v2.upgrade,
    3: v3.upgrade,
    4: v4.upgrade,
}
