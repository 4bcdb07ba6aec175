"""Official archives over a loopback server and from the manual folder: only proven bytes count."""

import hashlib
import http.server
import logging
import threading

import pytest

from sparsity_jax.data.files import downloads
from sparsity_jax.data.files.downloads import Archive, obtain
from sparsity_jax.errors import UserError

CONTENT = bytes(range(256)) * 8192  # 2 MiB: several chunks
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self):
        type(self).requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        sent = CONTENT[:-1] if self.path == "/cut" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(sent[:-1] + b"!" if self.path == "/altered" else sent)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Handler.requests = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture
def get(tmp_path, server):
    def call(page="whole", **settings):
        archive = Archive("set.tar.gz", f"{server}/{page}", MD5, settings.pop("download", True))
        folders = {"manual_dir": tmp_path / "manual", "download_dir": tmp_path / "downloads"}
        return obtain(archive, **folders, progress=False, **settings)

    return call


def test_downloads_once(get, tmp_path):
    path = get()
    assert path == tmp_path / "downloads" / "set.tar.gz"
    assert path.read_bytes() == CONTENT
    assert get() == path
    assert Handler.requests == ["/whole"]
    assert [each.name for each in path.parent.iterdir()] == ["set.tar.gz"]


@pytest.mark.parametrize("page", ["missing", "altered", "cut"])
def test_failed_downloads_say_what_to_do_and_leave_nothing(get, tmp_path, page):
    with pytest.raises(UserError) as caught:
        get(page)
    message = str(caught.value)
    assert "\n" not in message
    assert "set.tar.gz" in message
    assert f"put it in {tmp_path / 'manual'}" in message
    assert not list((tmp_path / "downloads").iterdir())
    assert get().read_bytes() == CONTENT  # the next try starts afresh


def test_no_server(tmp_path):
    archive = Archive("set.tar.gz", "http://127.0.0.1:9/set.tar.gz", MD5)
    folders = {"manual_dir": tmp_path / "manual", "download_dir": tmp_path / "downloads"}
    with pytest.raises(UserError, match=r"cannot download set\.tar\.gz .*refused"):
        obtain(archive, **folders, progress=False)


def test_manual_file_is_used_without_asking_the_site(get, tmp_path):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "set.tar.gz").write_bytes(CONTENT)
    assert get() == tmp_path / "manual" / "set.tar.gz"
    assert Handler.requests == []


def test_manual_file_with_another_checksum(get, tmp_path, caplog):
    (tmp_path / "manual").mkdir()
    path = tmp_path / "manual" / "set.tar.gz"
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(UserError, match="--allow_unverified") as caught:
        get()
    assert MD5 in str(caught.value)
    flags = f"--manual_dir {tmp_path / 'manual'} --data_dir {tmp_path} --allow_unverified`"
    assert flags in str(caught.value)
    assert hashlib.md5(CONTENT + b"!").hexdigest() in str(caught.value)
    with caplog.at_level(logging.WARNING):
        assert get(allow_unverified=True) == path
    assert str(path) in caplog.text
    assert Handler.requests == []


def test_damaged_download_is_fetched_again(get, tmp_path, caplog):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "set.tar.gz").write_bytes(CONTENT[:100])
    assert get(allow_unverified=True).read_bytes() == CONTENT
    assert "damaged" in caplog.text


def test_archives_behind_an_account_are_asked_for(get):
    with pytest.raises(UserError, match=r"set.tar.gz is needed: get set.tar.gz from http.*manual"):
        get(download=False)
    assert Handler.requests == []


def test_full_disk(get, tmp_path, monkeypatch):
    def fail(url, part, progress):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "_stream", fail)
    with pytest.raises(UserError, match="No space left"):
        get()
    assert not list((tmp_path / "downloads").iterdir())


def test_unwritable_folder(get, tmp_path):
    (tmp_path / "downloads").write_text("")
    with pytest.raises(UserError, match=r"data folder .*downloads"):
        get()
