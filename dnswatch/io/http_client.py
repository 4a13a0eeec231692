"""One HTTP connection to a receiver, and what its answers mean for delivery.

Never: follows redirects (a signed body belongs to one receiver), logs a secret. Read next: ``io/sinks/webhook.py``,
``io/sinks/splunk_hec.py``.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dnswatch import __version__
from dnswatch.io.deliver import Refused
from dnswatch.io.syslog.security import Security, said

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S = 30.0
SHOWN = 200
"""Characters of an answer that an error repeats."""
REFUSALS = frozenset({400, 413, 415, 422})
"""Answers that say: this very message is wrong; sending it again does not help (RFC 9110 §15.5)."""


class HttpClient:
    """POSTs to one URL. One task uses it at a time."""

    def __init__(self, url: str, security: Security, headers: Mapping[str, str]) -> None:
        self.url = url
        self._security = security
        self._server_name = security.server_name or None
        self._headers = {"User-Agent": f"dnswatch/{__version__}", **headers}
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, body: bytes, headers: Mapping[str, str], url: str = "", refusals: frozenset[int] = REFUSALS
    ) -> str:
        """Give the text of a 2xx answer. Raises `Refused` for ``refusals``, `OSError` for everything else."""
        import aiohttp

        session = self._open()
        try:
            async with session.post(
                url or self.url, data=body, headers=headers, allow_redirects=False, server_hostname=self._server_name
            ) as answer:
                text: str = (await answer.content.read(64 << 10)).decode("utf-8", "replace")
                if 200 <= answer.status < 300:
                    return text
                why = f"it answers {answer.status} {answer.reason or ''}".rstrip()
                told = " ".join(text.split())[:SHOWN]
                why += f": {told}" if told else ""
                if answer.status in refusals:
                    raise Refused(why)
                raise OSError(errno.EPROTO, why)
        except aiohttp.ServerFingerprintMismatch as error:
            why = f"its certificate has fingerprint {error.got.hex()}, not {error.expected.hex()}"
            raise OSError(errno.EPROTO, why) from error
        except aiohttp.ClientConnectorCertificateError as error:
            cause = error.certificate_error
            raise OSError(errno.EPROTO, said(cause) if isinstance(cause, OSError) else str(cause)) from error
        except ssl.SSLError as error:
            raise OSError(errno.EPROTO, said(error)) from error
        except aiohttp.ClientConnectorError as error:
            raise OSError(error.os_error.errno or errno.ECONNREFUSED, said(error.os_error)) from error
        except aiohttp.ClientError as error:
            raise OSError(errno.EPROTO, f"{type(error).__name__}: {error}") from error
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, f"no answer within {TIMEOUT_S:.0f} s") from error

    async def close(self) -> None:
        """Close the connection; `post` opens another one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> Any:
        import aiohttp

        if self._session is None:
            secure = self.url.startswith("https:")
            pinned = self._security.fingerprint
            trust = (
                aiohttp.Fingerprint(bytes.fromhex(pinned)) if pinned else self._security.context() if secure else True
            )
            connector = aiohttp.TCPConnector(limit=1, ssl=trust)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
            )
        return self._session
