"""Where settings come from: one TOML file (`--config`, RAVEN_CONFIG), environment variables over it.

What may hold a password can lie in a file of its own, as secret stores give it: RAVEN_DATABASE_FILE=/run/secrets/db.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from raven.config import Settings
from raven.errors import ConfigError


def load_settings(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings of `file` (or RAVEN_CONFIG) with the environment's over them.

    Raises ConfigError that names the setting and where it stands.
    """
    file = file or (Path(environment["RAVEN_CONFIG"]) if environment.get("RAVEN_CONFIG") else None)
    values: dict[str, object] = dict(_read(file)) if file else {}
    known = set(Settings.model_fields)
    for name, value in environment.items():
        key = name.removeprefix("RAVEN_").lower()
        if name.startswith("RAVEN_") and key in known and value:
            values[key] = value
    values |= _secrets(environment)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        where = f" in {file} or the environment (RAVEN_...)" if file else " in the environment (RAVEN_...)"
        raise ConfigError(f"settings{where}: {'; '.join(faults)}") from error


SECRETS = tuple(f"RAVEN_{name.upper()}" for name, field in Settings.model_fields.items() if not field.repr)
"""Variables of what may hold a password; with _FILE behind it each names a file."""


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child that reads what others have made: no keys, no passwords, nor where they lie."""
    hidden = {*SECRETS, *(f"{name}_FILE" for name in SECRETS), "CREDENTIALS_DIRECTORY", "RAVEN_CONFIG"}
    return {
        name: value
        for name, value in environment.items()
        if name not in hidden and not name.startswith("AWS_") and not name.upper().endswith("_PROXY")
    }


def _secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that may hold a password and whose variable with _FILE behind it names a file: its text.

    Raises ConfigError where both are set, as one of them would be meant in vain.
    """
    found: dict[str, str] = {}
    for name in SECRETS:
        file, key = environment.get(f"{name}_FILE", ""), name.removeprefix("RAVEN_").lower()
        if file and environment.get(name):
            raise ConfigError(f"{key}: both {name} and {name}_FILE are set; set one of them")
        if file:
            try:
                found[key] = Path(file).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{key}: {name}_FILE names {file}, which cannot be read: {error}") from error
    return found


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {file} is not TOML: {error}") from error
