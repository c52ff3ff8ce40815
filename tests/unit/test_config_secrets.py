"""Keys of accounts: where they may stand, and that they show nowhere."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from scalpcli.config_secrets import read_secrets, redact
from scalpcli.errors import CredentialsError

CANARY = "PKCANARY0123456789"


@pytest.fixture
def secrets_file(tmp_path):
    """Writes a secrets file and gives the environment that names it."""

    def write(text, mode=0o600):
        path = tmp_path / "secrets.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return {"SCALPCLI_SECRETS_FILE": str(path)}

    return write


def refused(environ) -> str:
    with pytest.raises(CredentialsError) as caught:
        read_secrets(environ)
    assert caught.value.exit_code == 3
    return caught.value.render()


def test_keys_are_read_under_both_of_their_names(monkeypatch, tmp_path):
    """Alpaca's own tools say APCA; its documents say ALPACA."""
    monkeypatch.setenv("HOME", str(tmp_path))
    ours = read_secrets({"ALPACA_API_KEY": "a", "ALPACA_SECRET_KEY": "b", "ORATS_TOKEN": "c"})
    theirs = read_secrets({"APCA_API_KEY_ID": "a", "APCA_API_SECRET_KEY": "b"})

    assert {name: secret.value for name, secret in ours.items()} == {
        "ALPACA_API_KEY": "a",
        "ALPACA_SECRET_KEY": "b",
        "ORATS_TOKEN": "c",
    }
    assert {name: secret.origin for name, secret in theirs.items()} == {
        "ALPACA_API_KEY": "environment APCA_API_KEY_ID",
        "ALPACA_SECRET_KEY": "environment APCA_API_SECRET_KEY",
    }


def test_the_environment_comes_before_the_file(secrets_file):
    """As with settings; and an empty variable is no key."""
    environ = secrets_file('ALPACA_API_KEY = "file"\nORATS_TOKEN = "file"\n')

    secrets = read_secrets({**environ, "ALPACA_API_KEY": "environment", "ORATS_TOKEN": ""})

    assert secrets["ALPACA_API_KEY"].value == "environment"
    assert secrets["ORATS_TOKEN"].value == "file"
    assert secrets["ORATS_TOKEN"].origin.endswith("secrets.toml ORATS_TOKEN")


def test_the_file_in_the_home_folder_is_found_without_being_named(monkeypatch, tmp_path):
    """cron has no environment to speak of."""
    path = tmp_path / ".config" / "scalpcli" / "secrets.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'ORATS_TOKEN = "{CANARY}"\n', encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))

    secrets = read_secrets({})

    assert secrets["ORATS_TOKEN"].value == CANARY


def test_no_file_and_no_variable_is_no_key(monkeypatch, tmp_path):
    """Replay needs no keys; their absence is no error here."""
    monkeypatch.setenv("HOME", str(tmp_path))

    assert read_secrets({}) == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660, 0o777, 0o610])
def test_a_file_open_to_others_is_refused(secrets_file, mode):
    """Any bit for group or others is one too many."""
    message = refused(secrets_file(f'ORATS_TOKEN = "{CANARY}"\n', mode))

    assert message.startswith(f"error: the secrets file has mode {mode:04o}, its limit is 0600: others can read it\n")
    assert "chmod 600" in message
    assert CANARY not in message


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_is_read(secrets_file, mode):
    """Writable or not, only its owner sees it."""
    environ = secrets_file(f'ORATS_TOKEN = "{CANARY}"\n', mode)

    assert read_secrets(environ)["ORATS_TOKEN"].value == CANARY


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'ORATS_TOKEM = "{CANARY}"\n', "unknown key `ORATS_TOKEM` in the secrets file"),
        (f"ORATS_TOKEN = {CANARY}\n", "the secrets file is not TOML"),
        ("ORATS_TOKEN = 5\n", "`ORATS_TOKEN` is not text in quotes"),
        (f'[ORATS_TOKEN]\nkey = "{CANARY}"\n', "`ORATS_TOKEN` is not text in quotes"),
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(secrets_file, text, found):
    """A message about a secrets file may name keys, never values."""
    message = refused(secrets_file(text))

    assert message.startswith(f"error: {found}\n")
    assert CANARY not in message


def test_a_named_file_that_is_missing(tmp_path, monkeypatch):
    """Whoever names a file expects its keys to be used."""
    monkeypatch.chdir(tmp_path)

    message = refused({"SCALPCLI_SECRETS_FILE": "absent.toml"})

    assert message == snapshot("""\
error: `SCALPCLI_SECRETS_FILE` names a file that does not exist
  in `absent.toml`

hint: name the TOML file with your keys, or unset the variable\
""")


def test_a_secret_shows_in_no_text_of_its_object(monkeypatch, tmp_path):
    """Objects end up in logs and tracebacks."""
    monkeypatch.setenv("HOME", str(tmp_path))
    secrets = read_secrets({"ORATS_TOKEN": CANARY})

    assert secrets["ORATS_TOKEN"].value == CANARY
    assert CANARY not in repr(secrets)
    assert CANARY not in str(secrets["ORATS_TOKEN"])


def test_keys_are_taken_out_of_any_text(secrets_file):
    """A vendor's error may quote the request with the key in it, from wherever the key came."""
    environ = {**secrets_file(f'ORATS_TOKEN = "{CANARY}"\n'), "APCA_API_KEY_ID": "AKIDXYZ"}

    text = redact(f"GET https://host/?token={CANARY}&key=AKIDXYZ failed", environ)

    assert text == "GET https://host/?token=***&key=*** failed"


def test_taking_keys_out_never_fails(secrets_file):
    """It runs while an error is being told; a refused secrets file must not hide that error."""
    environ = {**secrets_file("not toml", 0o644), "ORATS_TOKEN": CANARY}

    assert redact(f"a {CANARY} b", environ) == "a *** b"
