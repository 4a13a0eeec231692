"""Who runs: the product and its peers, each given the same names and checked against the reference in the same run.

A peer that is not installed is skipped, and named as skipped with what would install it. Slow ones read only the
beginning of the log; speeds are lines per CPU second, so that this is fair but for their start, which a shorter file
weighs more (performance is compared within one table, start-up always included). Never: compares speeds of results
that differ from the reference. Read next: ``run.py``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks import measure, reference
from benchmarks.measure import Run
from benchmarks.names import Watched, expression, patterns
from benchmarks.reference import Truth

HERE = Path(__file__).resolve().parent
_ATTEMPTS = re.compile(rb"Watched lookups: ([\d,]+)")


@dataclass(frozen=True)
class Job:
    """One log to read, and what is true of it."""

    form: str
    log: Path
    truth: Truth
    work: Path  # a directory of our own
    names: list[Watched]


Verdict = str
"""Empty: the output is right. Else what is wrong with it."""


@dataclass(frozen=True)
class Contender:
    """One way of reading a log."""

    name: str
    what: str  # what it does, for the table
    run: Callable[[Job], Run]
    check: Callable[[Job, Run], Verdict]
    needs: tuple[str, ...] = ()  # programs
    install: str = ""
    lines: int | None = None  # of the log that it reads at most; None: all of them
    forms: tuple[str, ...] = ("bind", "dnsmasq")

    def absent(self) -> str:
        """Say what is missing, or nothing."""
        missing = [program for program in self.needs if _program(program) is None]
        return f"{', '.join(missing)} not found ({self.install})" if missing else ""


def _program(name: str) -> str | None:
    """Find a program; ``PEERS`` in the environment may name the root of unpacked packages."""
    root = os.environ.get("PEERS", "")
    path = os.pathsep.join([f"{root}/usr/sbin", f"{root}/usr/bin", os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path)


# ── The product ───────────────────────────────────────────────────────────────────────────────────────────────


CONFIG = """\
watch: {profile: extended}
detect: {unknown_clients: {at_once: 20000, per_minute: 6000}}
"""
"""Everything is watched. The generated clients come out of nowhere, thousands in a minute: as a flood of forged ones
does, which would be held back and cost less."""


def _scan(*options: str, before: str = "", packed: bool = False) -> Callable[[Job], Run]:
    def run(job: Job) -> Run:
        log = _packed(job) if packed else job.log
        config = job.work / "full.yaml"
        config.write_text(CONFIG, "ascii")
        dnswatch = [str(Path(sysconfig.get_path("scripts")) / "dnswatch")]
        if before:
            dnswatch = [sys.executable, "-c", f"{before}\nimport sys\nfrom dnswatch.cli import main\nsys.exit(main())"]
        state = job.work / "state"
        shutil.rmtree(state, ignore_errors=True)
        given = [str(state) if option == "STATE" else option for option in options]
        return measure.run([*dnswatch, "--config", str(config), "scan", "--format", "json", *given,
                            "--year", str(reference.YEAR), str(log)], keep=True)  # fmt: skip

    return run


def _packed(job: Job) -> Path:
    """Give the log as ``gzip`` packs it; packed once."""
    packed = job.work / f"{job.log.name}.gz"
    if not packed.exists():
        subprocess.run(["gzip", "-k", "-c", str(job.log)], stdout=packed.open("wb"), check=True)
    return packed


def _same_digest(job: Job, run: Run) -> Verdict:
    """Compare every opened alert, every tenth, hundredth … attempt of one, and the number of attempts."""
    said: dict[tuple[str, str, int], str] = {}
    for line in run.out.splitlines():
        alert = json.loads(line)
        count = alert["count"]
        if str(count).strip("0") == "1":
            key = (alert["client_ip"], alert["service"], count)
            said.setdefault(key, f"{key[0]} {key[1]} {count} {alert['time']} {alert['qname']}")
    found = _ATTEMPTS.search(run.err)
    attempts = int(found[1].replace(b",", b"")) if found else -1
    if reference.digest(list(said.values()), attempts) == job.truth.digest:
        return ""
    return f"digest differs from the reference ({attempts} attempts, {job.truth.attempts} expected)"


# ── Tools that look at every byte or line ─────────────────────────────────────────────────────────────────────


def _cat(job: Job) -> Run:
    return measure.run(["cat", str(job.log)])


def _wc(job: Job) -> Run:
    return measure.run(["wc", "-l", str(job.log)], keep=True)


def _rg(job: Job, *, packed: bool = False) -> Run:
    file = job.work / "patterns"
    file.write_text("\n".join(patterns(job.names)) + "\n", "ascii")
    search = ["rg", "--no-config", "-N", "-i", "-F", "-f", str(file)]
    if packed:
        return measure.run(["sh", "-c", 'zcat "$0" | "$@" -', str(_packed(job)), *search])
    return measure.run([*search, str(job.log)])


def _zcat_rg(job: Job) -> Run:
    return _rg(job, packed=True)


def _perline(*command: str) -> Callable[[Job], Run]:
    def run(job: Job) -> Run:
        file = job.work / "names"
        file.write_text("".join(f"{n.name} {n.match}\n" for n in job.names), "ascii")
        places = {"FORM": job.form, "NAMES": str(file), "LOG": str(job.log)}
        return measure.run([re.sub("FORM|NAMES|LOG", lambda m: places[m[0]], word) for word in command])

    return run


def _lines(job: Job, run: Run) -> Verdict:
    return "" if run.lines == job.truth.lines else f"{run.lines} lines instead of {job.truth.lines}"


def _wc_lines(job: Job, run: Run) -> Verdict:
    return "" if run.out.split()[:1] == [str(job.truth.lines).encode()] else f"says {run.out!r}"


def _matching(job: Job, run: Run) -> Verdict:
    return "" if run.lines == job.truth.matching else f"{run.lines} lines instead of {job.truth.matching}"


def _queries(job: Job, run: Run) -> Verdict:
    return "" if run.lines == job.truth.queries else f"{run.lines} lookups instead of {job.truth.queries}"


# ── Log daemons ───────────────────────────────────────────────────────────────────────────────────────────────


def _complete(job: Job, output: Path) -> Callable[[], bool]:
    return lambda: output.exists() and output.read_bytes().count(b"\n") >= job.truth.queries


def _ask(job: Job, dot: str) -> str:
    """Give the expression of a query line that asks for a watched name."""
    before = "query: " if job.form == "bind" else "query[[][A-Z]+[]] "
    return f"{before}{expression(job.names, dot)} "


def _rsyslog(job: Job) -> Run:
    out = job.work / "rsyslog.out"
    out.unlink(missing_ok=True)
    shutil.rmtree(job.work / "rsyslog", ignore_errors=True)
    (job.work / "rsyslog").mkdir()
    config = job.work / "rsyslog.conf"
    config.write_text(
        f'''global(workDirectory="{job.work / "rsyslog"}" maxMessageSize="8k")
module(load="imfile" mode="inotify")
template(name="line" type="string" string="%msg%\\n")
input(type="imfile" file="{job.log}" tag="dns" ruleset="watch" freshStartTail="off")
ruleset(name="watch") {{
  if re_match_i($msg, "{_ask(job, "[.]")}") then action(type="omfile" file="{out}" template="line")
}}
''', "ascii",
    )  # fmt: skip
    program = _program("rsyslogd")
    assert program is not None
    return measure.serve(
        [program, "-n", "-f", str(config), "-i", str(job.work / "rsyslog.pid")], out, _complete(job, out)
    )


def _syslog_ng(job: Job) -> Run:
    out = job.work / "syslog-ng.out"
    state = job.work / "syslog-ng"
    out.unlink(missing_ok=True)
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    config = job.work / "syslog-ng.conf"
    ask = _ask(job, "[.]").replace("[[]", r"\[").replace("[]]", r"\]")
    config.write_text(
        f"""@version: 3.35
options {{ stats-freq(0); }};
source logs {{ file("{job.log}" follow-freq(1) flags(no-parse) log-fetch-limit(1000) log-iw-size(10000)); }};
filter watched {{ match('{ask}' value("MESSAGE") type("pcre") flags("ignore-case")); }};
destination out {{ file("{out}" template("$MESSAGE\\n")); }};
log {{ source(logs); filter(watched); destination(out); }};
""", "ascii",
    )  # fmt: skip
    program = _program("syslog-ng")
    assert program is not None
    root = os.environ.get("PEERS", "")
    env = {}
    options = []
    if root and program.startswith(root):
        env["LD_LIBRARY_PATH"] = ":".join(
            f"{root}/{each}" for each in ("usr/lib/syslog-ng", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
        )
        options = [f"--module-path={root}/usr/lib/syslog-ng/3.38"]
    return measure.serve(
        [program, "-F", "--no-caps", f"--cfgfile={config}", f"--persist-file={state / 'persist'}",
         f"--control={state / 'ctl'}", f"--pidfile={state / 'pid'}", *options], out, _complete(job, out), env,
    )  # fmt: skip


def _fail2ban(job: Job) -> Run:
    form = {"bind": r"query: <NAMES>\s", "dnsmasq": r"query\[\S+\] <NAMES> from"}[job.form]
    host = {"bind": r"client @\S+ <ADDR>#\d+ .*", "dnsmasq": r"dnsmasq\[\d+\]: \d+ <ADDR>/\d+ "}[job.form]
    rule = job.work / "fail2ban.conf"
    rule.write_text(
        "[Definition]\nfailregex = ^.*"
        + host
        + form.replace("<NAMES>", "(?i:" + expression(job.names, r"\.") + ")")
        + "\nmaxlines = 1\n", "ascii",
    )  # fmt: skip
    stamp = {"bind": r"^%%d-%%b-%%Y %%H:%%M:%%S\.%%f", "dnsmasq": "^%%b %%d %%H:%%M:%%S"}[job.form].replace("%%", "%")
    return measure.run(["fail2ban-regex", "-d", stamp, "--maxlines", "1", str(job.log), str(rule)], keep=True)


def _fail2ban_count(job: Job, run: Run) -> Verdict:
    found = re.search(rb"Failregex: (\d+) total", run.out)
    count = int(found[1]) if found else -1
    return "" if count == job.truth.queries else f"{count} lookups instead of {job.truth.queries}"


PURE = "import sys; sys.modules['hyperscan'] = None"
"""Makes the product take its pure Python tier, as on a machine without the wheel."""

CONTENDERS: tuple[Contender, ...] = (
    Contender("cat", "copy the bytes", _cat, _lines),
    Contender("wc -l", "count newlines", _wc, _wc_lines),
    Contender("dnswatch scan", "alerts with evidence, as JSON", _scan(), _same_digest),
    Contender("dnswatch scan --state", "the same, and everything kept in a new store", _scan("--state", "STATE"),
              _same_digest),
    Contender("dnswatch scan, pure tier", "the same without hyperscan", _scan(before=PURE), _same_digest),
    Contender("dnswatch scan of .gz", "the same log, packed", _scan(packed=True), _same_digest, ("gzip",)),
    Contender("zcat and ripgrep", "the same", _zcat_rg, _matching, ("zcat", "rg"), "apt-get install ripgrep"),
    Contender("ripgrep -F -i -f", "print matching lines", _rg, _matching, ("rg",), "apt-get install ripgrep"),
    Contender("mawk", "names by label, hash look-up", _perline("mawk", "-f", str(HERE / "perline.awk"), "form=FORM",
              "NAMES", "LOG"), _queries, ("mawk",), "apt-get install mawk"),
    Contender("Python, line by line", "one expression a line, dict look-up", _perline(
        sys.executable, str(HERE / "perline.py"), "FORM", "NAMES", "LOG"), _queries, lines=500_000),
    Contender("rsyslog", "imfile, re_match_i, omfile", _rsyslog, _queries, ("rsyslogd",), "apt-get install rsyslog",
              lines=100_000),
    Contender("syslog-ng", "file, PCRE match, file", _syslog_ng, _queries, ("syslog-ng",),
              "apt-get install syslog-ng-core, or unpack it and set PEERS", lines=100_000),
    Contender("fail2ban-regex", "one failregex, explicit date pattern", _fail2ban, _fail2ban_count,
              ("fail2ban-regex",), "apt-get install fail2ban", lines=20_000),
)  # fmt: skip
"""In the order of the table."""

LEFT_OUT = {
    "CrowdSec": "cannot replay a file without a local API that it is registered with; no automatic set-up here",
}
"""Peers that are not run, and why."""


def head(log: Path, lines: int, to: Path) -> Path:
    """Copy the first lines of a log."""
    with log.open("rb") as file, to.open("wb") as short:
        short.writelines(islice(file, lines))
    return to
