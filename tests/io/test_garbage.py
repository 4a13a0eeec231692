"""Cycles are found, and what stays is not looked through again; in a process of its own, for it changes a whole one."""

import subprocess
import sys

PROGRAM = """
import gc, weakref
gc.disable()
class Node: pass
old = [Node() for _ in range(50_000)]
from dnswatch.io import garbage
garbage.settle()
garbage.give_back()
assert gc.isenabled() and gc.get_count()[0] < 2_000 and gc.get_freeze_count() > 50_000
def cycle():
    one = Node()
    one.self = one
    return weakref.ref(one)
gone, stays = cycle(), [Node() for _ in range(150_000)]
kept = gc.get_freeze_count()
more = [Node() for _ in range(150_000)]
assert gone() is None, "a cycle is found while new objects come"
assert kept > 100_000, "what has survived a search is not looked through again"
late = cycle()
gc.freeze()
gc.collect()
assert late() is not None
gc.unfreeze()
gc.collect()
assert late() is None and gc.get_freeze_count() > 200_000, "once a day everything is looked through"
"""


def test_cycles_are_found_without_looking_through_what_stays() -> None:
    """New cycles go, old objects are left out, and a look through everything finds what was left out too early."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
