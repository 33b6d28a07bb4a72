"""One instrument, one name: VISA lets people spell the same address in many ways."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

_LOCAL = {"localhost": "127.0.0.1", "localhost.localdomain": "127.0.0.1"}
_SECONDARY = 96  # GPIB counts secondary addresses from here on the bus, VISA from 0


def canonical_resource(address: str) -> str:
    """Return an address as the one name its instrument is owned by.

    Default parts are filled in, numbers written alike (USB ids in hexadecimal), host names in small letters. What is
    no VISA resource name, an alias of the VISA library for one, is returned as it is.
    """
    from pyvisa import rname

    text = address.strip()
    port = re.fullmatch(r"COM(\d+)(::INSTR)?", text, re.IGNORECASE)
    if port is not None:
        text = f"ASRL{port[1]}::INSTR"
    first, *middle = text.split("::")
    if middle and middle[-1].upper() in {"INSTR", "SOCKET", "RAW", "INTFC", "MEMACC", "BACKPLANE", "SERVANT"}:
        middle[-1] = middle[-1].upper()
    keyword = re.match(r"[A-Za-z]+\d*", first)
    if keyword is not None:
        first = keyword[0].upper() + first[keyword.end() :]
    try:
        parsed: Any = rname.ResourceName.from_string("::".join([first, *middle]))
    except rname.InvalidResourceName:
        return text
    kind = parsed.interface_type
    changes: dict[str, str] = {}
    for field in fields(parsed):
        value = getattr(parsed, field.name)
        if isinstance(value, str):
            changes[field.name] = _canonical_part(kind, field.name, value)
    return str(replace(parsed, **changes))


def _canonical_part(kind: str, name: str, value: str) -> str:
    if name == "host_address":
        host = value.lower().rstrip(".")
        host = _LOCAL.get(host, host)
        with suppress(ValueError):
            host = str(ipaddress.ip_address(host))
        return host
    if name == "lan_device_name":
        return value.lower()
    if kind == "ASRL" and name == "board" and not value.isdigit():
        return str(Path(value).resolve())  # /dev/serial/by-id is a folder of links
    number = _number(value) if name != "serial_number" else None
    if number is None:
        return value
    if kind == "USB" and name in {"manufacturer_id", "model_code"}:
        return f"0x{number:04X}"
    if kind == "GPIB" and name == "secondary_address":
        return str(number % _SECONDARY)
    return str(number)


def _number(value: str) -> int | None:
    with suppress(ValueError):
        return int(value, 16) if value.lower().startswith("0x") else int(value, 10)
    return None
