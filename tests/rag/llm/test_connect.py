from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rag.core.errors import ChatUnreachable, SettingsError
from rag.core.types import ChatRequest, Delta, Message
from rag.llm.client import HttpChatModel
from tests.rag.chat_server import chat_server, writes


async def text_of(model: HttpChatModel) -> str:
    request = ChatRequest((Message("user", "What?"),), timeout_s=5)
    return "".join([event.text async for event in model.stream(request) if isinstance(event, Delta)])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate that it signed itself for 127.0.0.1, its key)"""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chat")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


@asynccontextmanager
async def tls_server(certificate: tuple[Path, Path]) -> AsyncIterator[str]:
    """A chat server behind TLS: bytes are passed on to a plain one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Any) -> None:
        try:
            while data := await reader.read(65536):
                to.write(data)
                await to.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            to.close()

    async with chat_server(writes("over ", "TLS")) as plain:
        port = int(plain.base_url.split(":")[2].split("/")[0])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(
                passed_on(reader, writer, inner_writer), passed_on(inner_reader, inner_writer, writer)
            )

        listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with listening:
            yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"


async def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as base_url:
        model = HttpChatModel(base_url, "m", ca_file=certificate[0])
        assert await text_of(model) == "over TLS"
        await model.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as base_url:
        model = HttpChatModel(base_url, "m")
        with pytest.raises(ChatUnreachable, match=r"certificate .* cannot be verified; set llm_ca_file"):
            await text_of(model)
        await model.close()


@pytest.mark.parametrize("content", [None, "no certificate", ""])
def test_a_file_of_certificates_that_is_none_is_said_at_the_start(
    content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match="llm_ca_file"):
        HttpChatModel("https://host/v1", "m", ca_file=file)


async def test_requests_go_through_the_proxy() -> None:
    async with chat_server(writes("by proxy")) as proxy:
        model = HttpChatModel("http://chat.invalid/v1", "m", proxy=proxy.base_url.removesuffix("/v1"))
        assert await text_of(model) == "by proxy"
        await model.close()
    assert proxy.headers[0]["host"] == "chat.invalid"


async def test_the_proxy_of_the_environment_is_used_unless_it_is_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with chat_server(writes("by proxy")) as proxy, chat_server(writes("straight")) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for base_url, text in (("http://chat.invalid/v1", "by proxy"), (server.base_url, "straight")):
            model = HttpChatModel(base_url, "m")
            assert await text_of(model) == text
            await model.close()


async def test_a_proxy_that_is_not_there() -> None:
    async with chat_server(writes("never")) as proxy:
        gone = proxy.base_url.removesuffix("/v1")
    model = HttpChatModel("http://chat.invalid/v1", "m", proxy=gone)
    with pytest.raises(ChatUnreachable):
        await text_of(model)
    await model.close()


def test_a_proxy_that_is_none_is_said_without_its_password() -> None:
    with pytest.raises(SettingsError, match="llm_proxy") as caught:
        HttpChatModel("http://host/v1", "m", proxy="gopher://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"a b": "x"}, {"x": "a\r\nY: b"}, {"": "x"}])
def test_a_header_that_is_none_is_said_at_the_start(headers: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="header"):
        HttpChatModel("http://host/v1", "m", headers=headers)
