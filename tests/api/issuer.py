"""An OpenID Connect issuer on loopback: its own keys, a sign-in, and tokens good and bad."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

CLIENT, SECRET = "tenor", "a secret of the client"
ROLES = "viewers=viewer, approvers=approver, operators=operator, admins=admin"
Key = RSAKey | ECKey


class Steps:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class LocalIssuer:
    """What the issuer knows. ``signs_in`` are the claims of whoever signs in next.

    While ``open_doors`` is cleared, it accepts connections and answers nothing.
    """

    def __init__(self) -> None:
        self.url = ""
        self.open_doors = threading.Event()
        self._first = self.new_key()
        self.anew()

    def anew(self) -> None:
        """As it was when it began: the first key, the same person, nothing asked yet."""
        self.keys: list[Key] = [self._first]
        self.published: list[Key] = list(self.keys)
        self.nonce: str | None = None
        self.signs_in: dict[str, Any] = {"sub": "u-1", "name": "Ada", "roles": ["approvers"]}
        self.asked: list[str] = []
        self.down = False
        self.ending = ""
        self.is_public = False
        self.at_hash: str | None = None
        self.open_doors.set()
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def name(self) -> str:
        """The identifier by which it goes: its address, with a slash or without one."""
        return self.url + self.ending

    @staticmethod
    def new_key() -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish it alone."""
        self.keys = [self.new_key()]
        self.published = list(self.keys)

    def token(
        self,
        *,
        key: Key | OctKey | None = None,
        algorithm: str = "RS256",
        header: Mapping[str, Any] | None = None,
        **claims: Any,  # noqa: ANN401 - claims are anything
    ) -> str:
        """A token for Tenor of whoever signs in, with ``claims`` instead; ``None`` leaves out."""
        now = int(time.time())
        said = {"iss": self.name, "aud": CLIENT, "iat": now, "exp": now + 300, **self.signs_in}
        said = {name: value for name, value in {**said, **claims}.items() if value is not None}
        signing = key or self.keys[0]
        told = {"alg": algorithm, "kid": signing.kid, **(header or {})}
        return jwt.encode(told, said, signing, algorithms=[algorithm])

    def answer(self, method: str, url: str, form: Mapping[str, list[str]], auth: str) -> Any:  # noqa: ANN401
        """What a path is answered with: a document, or where to go."""
        path = urlsplit(url).path
        self.asked.append(path)
        self.open_doors.wait()
        if self.down:
            return None
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.name,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
        if path == "/keys":
            return {"keys": [key.as_dict(private=False) for key in self.published]}
        if path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            code = secrets.token_urlsafe(8)
            self._codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"], "iss": self.name})
            return f"{asked['redirect_uri']}?{back}"
        if path == "/token" and method == "POST":
            return self._exchange({name: values[0] for name, values in form.items()}, auth)
        return None

    def _exchange(self, form: Mapping[str, str], auth: str) -> dict[str, str] | None:
        asked = self._codes.pop(form["code"], None)
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or auth != ("" if self.is_public else f"Basic {wanted}"):
            return None
        if self.is_public and form["client_id"] != CLIENT:
            return None
        proof = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        if challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return None
        nonce = self.nonce or asked["nonce"]
        return {"id_token": self.token(nonce=nonce, at_hash=self.at_hash), "access_token": "opaque"}


@contextmanager
def local_issuer() -> Iterator[LocalIssuer]:
    """An issuer that answers on loopback."""
    issuer = LocalIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", {})

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            self._answer("POST", parse_qs(sent))

        def _answer(self, method: str, form: Mapping[str, list[str]]) -> None:
            auth = self.headers.get("Authorization", "")
            found = issuer.answer(method, self.path, form, auth)
            if isinstance(found, str):
                self.send_response(302)
                self.send_header("Location", found)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = json.dumps(found or {"error": "no"}).encode()
            self.send_response(200 if found is not None else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.open_doors.set()
        server.shutdown()
        thread.join()
        server.server_close()
