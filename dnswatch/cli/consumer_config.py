"""`dnswatch consumer-config TYPE`: complete configuration for a resolver that gets our zones.

Never: installs anything; what it writes into a directory may be read before it is put in place. Read next:
``core/feeds/consumers/``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from dnswatch.cli import config_path
from dnswatch.config.build import load_policy
from dnswatch.config.model import Config, Consumer
from dnswatch.config.values import split_listen
from dnswatch.core.clients.groups import Groups
from dnswatch.core.clients.who import canonical_address, canonical_network
from dnswatch.core.feeds.consumers import CONSUMERS, Writer
from dnswatch.core.feeds.subscription import File, Origin
from dnswatch.core.feeds.zones import ANY
from dnswatch.errors import EXIT_FAILED, ConfigError, DnswatchError, Problem
from dnswatch.io.consumers import reader, subscribe

SBIN = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))  # not on every user's path


@click.command("consumer-config", short_help="Write the configuration of a resolver that gets our zones.")
@click.argument("kind", metavar="TYPE", type=click.Choice(sorted(CONSUMERS)))
@click.option(
    "--consumer", "wanted", metavar="NAME", help="Which one of dns.consumers, where several are of this type."
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Write the files there.  [default: print them]")  # fmt: skip
@click.option("--force", is_flag=True, help="With --output: replace files that dnswatch did not write.")
@click.option("--plain", is_flag=True, help="Fetch zones without TLS, although dns.tls is configured.")
@click.option("--primary", "primaries", multiple=True, metavar="ADDRESS[:PORT]",
              help="Where the resolver reaches this server.  [default: dns.listen]")  # fmt: skip
@click.option("--clients", "others", multiple=True, metavar="NETWORK",
              help="Clients in no group that may ask, too.  [default: private networks]")  # fmt: skip
@click.option("--check", is_flag=True, help="Let the resolver's own checker (named-checkconf …) read the files first.")
@click.pass_context
def command(
    ctx: click.Context, kind: str, wanted: str | None, output: Path | None, force: bool, plain: bool,
    primaries: tuple[str, ...], others: tuple[str, ...], check: bool,
) -> None:  # fmt: skip
    """Write complete configuration for a resolver (TYPE: bind, dnsdist, dnsmasq, knot, powerdns, unbound) that gets our
    zones.

    It says which clients are served with which zone, how zones are fetched, and how queries are logged. It changes when
    groups, their networks or keys change; expectations and promotion change zones only. Knot Resolver, dnsdist and
    dnsmasq read files on this host instead; dnsmasq cannot tell clients apart, and the first two log by dnstap only.
    """
    loaded = load_policy(Path(config_path(ctx)))
    config, groups, writer = loaded.config, loaded.policy.groups, CONSUMERS[kind]
    networks = [_network(text) for text in others]
    if writer.reads_files and (wanted or primaries or plain):
        raise click.UsageError(f"{kind} reads files on this host: leave out --consumer, --primary and --plain")
    if networks and not writer.tells_clients:
        raise click.UsageError(f"{kind} cannot tell clients apart: leave out --clients")
    subscription = reader(config, groups, kind, networks) if writer.reads_files else subscribe(
        config, groups, _consumer(config, groups, writer, wanted),
        views=writer.has_views,
        tls=writer.has_tls and not plain and config.dns is not None and config.dns.tls is not None,
        primaries=[_origin(text, config, plain or not writer.has_tls) for text in primaries],
        others=networks,
    )  # fmt: skip
    files = writer.files(subscription)
    if check:
        _check(writer, files)
    if output is None:
        for file in files:
            click.echo(f"{file.comment} file: {file.name}")
            click.echo(file.text)
    else:
        for path in _write(output, files, force):
            click.echo(str(path))
    if config.feeds.mode == "off":
        click.echo("feeds.mode is off: no zones are published yet.", err=True)


def _consumer(config: Config, groups: Groups, writer: Writer, wanted: str | None) -> Consumer:
    """Choose the consumer, or say what to add to the configuration."""
    known = [one for one in config.dns.consumers if one.type == writer.name] if config.dns else []
    if wanted:
        named = [one for one in known if one.name == wanted]
        if not named:
            names = ", ".join(one.name for one in known) or "none"
            raise click.BadParameter(f"no consumer {wanted!r} of type {writer.name} (there are: {names})",
                                     param_hint="--consumer")  # fmt: skip
        return named[0]
    if len(known) > 1:
        raise click.UsageError(f"there are {len(known)} consumers of type {writer.name}: choose with --consumer "
                               + ", ".join(one.name for one in known))  # fmt: skip
    if not known:
        raise ConfigError([_missing(config, groups, writer)])
    return known[0]


def _missing(config: Config, groups: Groups, writer: Writer) -> Problem:
    """Say what the configuration needs before a resolver can fetch zones from us."""
    audiences = [*(group.name for group in groups.all), ANY]
    keys = [f"k-{name}" for name in audiences] if writer.has_views and len(audiences) > 1 else ["k-dnswatch"]
    entry = f"name: ns1, address: 10.0.0.53, type: {writer.name}"
    if writer.has_views and len(audiences) > 1:
        entry += ", views: {" + ", ".join(f"{name}: k-{name}" for name in audiences) + "}"
    elif writer.has_keys:
        entry += f", key: {keys[0]}"
    lines = [f"    - {{{entry}}}"]
    if config.dns is not None:
        path = ("dns", "consumers") if config.dns.consumers else ("dns",)
        return config.problem(path, "\n".join([f"no consumer of type {writer.name}: add to dns.consumers", *lines]))
    head = ["dns:", "  listen: 10.0.0.2:5300      # an address of this host that the resolver reaches"]
    if writer.has_keys:
        head += ["  keys:", *(f'    {key}: {{secret: "file:/etc/dnswatch/{key}"}}      # tsig-keygen {key} > '
                              f"/etc/dnswatch/{key}" for key in keys)]  # fmt: skip
    text = "no section dns, so there is nowhere to fetch zones from. Add\n"
    return config.problem((), text + "\n".join([*head, "  consumers:", *lines]))


def _origin(text: str, config: Config, plain: bool) -> Origin:
    """Read ADDRESS[:PORT]; the port is that of our server unless it says otherwise."""
    assert config.dns is not None
    tls = None if plain else config.dns.tls
    usual = split_listen(tls.listen if tls else config.dns.listen[0]).port
    try:
        return Origin(canonical_address(text.strip("[]")), usual)
    except ValueError:
        pass
    try:
        host, port = split_listen(text)
        return Origin(canonical_address(host), port)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--primary") from None


def _network(text: str) -> str:
    try:
        return canonical_network(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--clients") from None


def _write(directory: Path, files: Sequence[File], force: bool) -> list[Path]:
    """Write the files, secrets for the owner only; refuse to replace what somebody else wrote."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = directory / file.name
        if path.exists() and not force and f"install: {file.path}" not in path.read_text(errors="replace")[:200]:
            raise DnswatchError(f"{path} was not written by dnswatch: write into another directory, or use --force")
    written = []
    for file in files:
        path = directory / file.name
        descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=directory)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(file.text)
        Path(temporary).chmod(0o600 if file.private else 0o644)
        Path(temporary).replace(path)
        written.append(path)
    return written


def _check(writer: Writer, files: Sequence[File]) -> None:
    """Let the resolver's checker read the files from a directory of their own, before anybody relies on them."""
    if not writer.checker:
        raise DnswatchError(f"{writer.name} has no program that reads its files for mistakes: leave out --check")
    checker, *options = writer.checker.split()
    program = shutil.which(checker, path=os.pathsep.join((os.environ.get("PATH", ""), SBIN)))
    if program is None:
        raise DnswatchError(f"--check needs {checker}, and it is not installed here")
    with tempfile.TemporaryDirectory(prefix="dnswatch-") as folder:
        for file in files:
            text = file.text
            for other in files:
                text = text.replace(f'"{other.path}"', f'"{folder}/{other.name}"')
            path = Path(folder) / file.name
            path.touch(0o600)
            path.write_text(text, "utf-8")
        command = [program, *options, f"{folder}/{files[0].name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).replace(f"{folder}/", "").strip()
    click.echo(said or f"{checker}: no complaints", err=True)
    if done.returncode:
        raise click.exceptions.Exit(EXIT_FAILED)
