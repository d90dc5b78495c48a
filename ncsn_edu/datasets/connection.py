"""Why a download failed, in words that say what to do: a proxy, a certificate, no internet.

This file does NOT connect to anything.
"""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

BUNDLE = "set REQUESTS_CA_BUNDLE to a file with the certificates of your network (ask who runs it)"


def reason(error: BaseException, url: str) -> str:
    """Why `url` could not be reached, from an error of requests, of urllib3 or of the system."""
    import requests

    host, chain = urlsplit(url).netloc, list(_chain(error))
    proxy = _proxy(url)
    if "SOCKS" in str(error):
        return (
            f"the proxy {proxy} is a SOCKS proxy, which needs PySocks ({error}): python -m pip install pysocks, or "
            "unset ALL_PROXY, HTTPS_PROXY and HTTP_PROXY where there is a way without it"
        )
    if "proxy URL" in str(error).lower() or (proxy and isinstance(error, requests.exceptions.InvalidURL)):
        return f"the proxy {proxy} has an address that cannot be used ({error}): correct HTTPS_PROXY or ALL_PROXY"
    if "TLS CA certificate bundle" in str(error):
        return f"{error}: correct or unset REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE"
    cause = _cause(chain)
    if any(isinstance(one, requests.exceptions.ProxyError) for one in chain):
        return f"the proxy {proxy} does not let this through ({cause}): correct or unset HTTPS_PROXY and ALL_PROXY"
    return f"{host} cannot be reached ({cause})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from: urllib3 and requests put each in another."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _cause(chain: list[BaseException]) -> str:
    import requests
    from urllib3.exceptions import NameResolutionError

    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            why = getattr(one, "verify_message", "") or one.reason or one
            return (
                f"its certificate is not trusted here: {why}. Where a company or a virus scanner reads along, {BUNDLE}"
            )
    if any(isinstance(one, ssl.SSLError) for one in chain):
        return f"no safe connection: {_last(chain)}. Where a company or a virus scanner reads along, {BUNDLE}"
    if any(isinstance(one, (socket.gaierror, NameResolutionError)) for one in chain):
        return "its name cannot be looked up: there is no internet here, or only through a proxy"
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return "the connection was refused"
    if any(isinstance(one, (requests.Timeout, TimeoutError)) for one in chain):
        return "there was no answer in time"
    if any(isinstance(one, requests.TooManyRedirects) for one in chain):
        return "it redirects without end, as networks do that want a login: open a page in a browser first"
    return _last(chain)


def _last(chain: list[BaseException]) -> str:
    """What the innermost of the errors says that says anything."""
    for one in reversed(chain):
        said = getattr(one, "strerror", None) or str(one)
        if said:
            return str(said).strip("()'\"")
    return "the connection broke"


def _proxy(url: str) -> str:
    """The proxy that the environment names for an address, without a password in it."""
    import requests

    try:
        proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) or ""
        parts = urlsplit(proxy)
        return proxy.replace(f"{parts.username}:{parts.password}@", "") if parts.password else proxy
    except ValueError:
        return "in HTTPS_PROXY"
