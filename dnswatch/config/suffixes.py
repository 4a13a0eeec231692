"""Registrable domains by the ICANN section of the public suffix list.

The ICANN section only: with the private one ``ngrok.io`` or ``github.io`` would be suffixes, and each tenant its own
domain, where an analyst wants to see the service. Never: the network; the list comes with ``publicsuffixlist``.
Read next: ``catalogue.py``.
"""

from __future__ import annotations

from pathlib import Path

import publicsuffixlist

from dnswatch.core.model import Name


class Suffixes:
    """Answers for one load. Only rules of top-level domains that occur are compiled: 4 ms instead of 55."""

    def __init__(self) -> None:
        self._rules: dict[str, list[str]] = {}
        self._lists: dict[str, publicsuffixlist.PublicSuffixList] = {}
        text = Path(publicsuffixlist.PSLFILE).read_text(encoding="utf-8")
        icann = text.partition("// ===BEGIN ICANN DOMAINS===")[2].partition("// ===END ICANN DOMAINS===")[0]
        for line in icann.split("\n"):
            if line and not line.startswith("//"):
                rule = line.split()[0]
                self._rules.setdefault(rule.rpartition(".")[2], []).append(rule)

    def registrable(self, name: Name) -> Name | None:
        """Give the registrable domain of a canonical name; None when the name is itself a public suffix."""
        top = name.rpartition(".")[2]
        if top not in self._lists:
            try:
                written = top.encode("ascii").decode("idna")
            except UnicodeError:  # xn-- and something that is no IDNA: no such top-level domain
                written = top
            self._lists[top] = publicsuffixlist.PublicSuffixList(self._rules.get(written, []))
        found: Name | None = self._lists[top].privatesuffix(name)
        return found
