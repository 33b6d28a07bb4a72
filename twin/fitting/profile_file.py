"""A fit as a profile file: every number with its source, the fitted ones with their standard deviation and flags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from ...common.errors import RefusedError
from ...mockhw.chip.profile import Profile, parse_profile
from ...mockhw.device_models.quantity import Quantity
from ..objective import PROTOCOL
from .posterior import Number, Posterior
from .result import FitResult

SUFFIX = ".profile.yaml"


def profile_text(
    base: Profile, found: Posterior, *, name: str, title: str, data_title: str, half: str
) -> str:  # fmt: skip
    """Return the YAML of the fitted profile.

    Parameters
    ----------
    base : Profile
        Where all numbers come from that were not fitted.
    data_title, half : str
        What was fitted on, and which half of it: they are in the source of every number.

    Raises
    ------
    ProfileError
        The device model does not take these numbers.
    """
    numbers = {one.name: one for one in found.numbers if not one.name.startswith(f"{PROTOCOL}.")}
    protocol = [one for one in found.numbers if one.name.startswith(f"{PROTOCOL}.")]
    lines = [
        f"# Written by xbarlab twin fit: numbers fitted on {_plain(data_title)}; the others are those of {base.name}.",
    ]
    for key, value in _head(base, name, title):
        lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    for key in ("geometry", "wiring", "limits", "read"):
        lines += [f"{key}:", *_section(getattr(base, key), 2)]
    lines.append("parameters:")
    for section in type(base.parameters).model_fields:
        here: Any = getattr(base.parameters, section)
        if here is None:
            continue
        if isinstance(here, Quantity):
            lines += _quantity(section, here, 2)
            continue
        lines.append(f"  {section}:")
        for key in type(here).model_fields:
            number, old = numbers.get(f"{section}.{key}"), getattr(here, key)
            if number is not None:
                old = Quantity(_rounded(number), old.unit, source_line(number, old.unit, data_title, half))
            lines += _quantity(key, old, 4)
    lines += _protocol(protocol, data_title, half)
    lines += _posterior(found)
    text = "\n".join(lines) + "\n"
    _refuse_unreadable(text, name)
    return text


def write_profile(result: FitResult, path: Path) -> None:
    """Write the profile of a fit; it is read again before, so that no file is left that nothing reads."""
    text = profile_text(
        result.base, result.posterior, name=profile_name(path), title=f"{result.base.title}; fitted on {result.title}",
        data_title=result.title, half=result.half,
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")


def source_line(number: Number, unit: str, data_title: str, half: str) -> str:
    """Return where a fitted number is from, how well it is known, and what is wrong with it."""
    said = f"fitted on {_plain(data_title)}, {half}: posterior {sd_words(number, unit)}"
    if number.at_bound:
        said += f"; at the {number.at_bound} bound of its range: no physical constant"
    if not number.identified:
        said += "; not identified by these data"
    return said


def sd_words(number: Number, unit: str = "") -> str:
    """Return the standard deviation of a number as people read it: of a logarithm in percent of the value."""
    if number.log:
        return f"sd {100.0 * number.sd:.2g} %" if number.sd < 1.0 else f"sd a factor of {np.exp(number.sd):.2g}"
    return f"sd {number.sd:.2g}{'' if unit in ('', '1') else f' {unit}'}"


def _rounded(number: Number) -> float:
    """Return the value to a hundredth of its standard deviation, at least to six digits."""
    return float(f"{number.value:.6g}")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _head(base: Profile, name: str, title: str) -> Iterator[tuple[str, Any]]:
    yield "name", name
    yield "title", title
    yield "description", _plain(f"{base.description} Some of its numbers are fitted on measurements of another chip.")
    yield "model", base.model
    yield "cell", base.cell
    if base.gate_axis is not None:
        yield "gate_axis", base.gate_axis
        yield "gate_axis_source", base.gate_axis_source


def _section(section: BaseModel, indent: int) -> list[str]:
    lines: list[str] = []
    for key in type(section).model_fields:
        value = getattr(section, key)
        if value is not None:
            lines += _quantity(key, value, indent)
    return lines


def _quantity(key: str, value: Any, indent: int) -> list[str]:
    if not isinstance(value, Quantity):
        return [f"{' ' * indent}{key}: {json.dumps(value, ensure_ascii=False)}"]
    number = float(value)
    written = str(int(number)) if number.is_integer() and abs(number) < 1e6 else _with_point(number)
    said = json.dumps(value.source, ensure_ascii=False)
    return [f"{' ' * indent}{key}: {{value: {written}, unit: {_unit(value.unit)}, source: {said}}}"]


def _with_point(number: float) -> str:
    """Return a float that YAML 1.1 and 1.2 read as one: with a point before the exponent, and its sign."""
    mantissa, e, power = f"{number!r}".partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{e}{power}"


def _unit(unit: str) -> str:
    plain = unit.replace("/", "").replace("^", "").replace("*", "")
    return unit if plain.isalnum() else json.dumps(unit)


def _protocol(numbers: list[Number], data_title: str, half: str) -> list[str]:
    """Return what was found of the protocols: no number of the chip, and where the next fit begins."""
    lines = ["protocol:"] if numbers else []
    for one in numbers:
        unit = {"volts": "V", "gate": "V", "Vt": "V", "width": "s"}.get(one.name.rsplit(".", 1)[-1], "1")
        value = Quantity(_rounded(one), unit, source_line(one, unit, data_title, half))
        lines += _quantity(one.name.removeprefix(f"{PROTOCOL}."), value, 2)
    return lines


def _posterior(found: Posterior) -> list[str]:
    mine = [at for at, one in enumerate(found.numbers) if not one.name.startswith(f"{PROTOCOL}.")]
    if not mine:
        return []
    lines = ["posterior:", f"  parameters: {_list(found.numbers[at].name for at in mine)}"]
    lines.append(f"  scale: {_list('log' if found.numbers[at].log else 'linear' for at in mine)}")
    ends = [[_with_point(end) for end in found.numbers[at].bounds] for at in mine]
    lines.append(f"  bounds: {_list(_list(one) for one in ends)}")
    lines.append("  covariance:")
    matrix = found.covariance[np.ix_(mine, mine)]
    matrix = (matrix + matrix.T) / 2.0
    lines += [f"    - [{', '.join(_with_point(float(f'{value:.6g}')) for value in row)}]" for row in matrix]
    return lines


def _list(words: Any) -> str:
    return f"[{', '.join(words)}]"


def _refuse_unreadable(text: str, name: str) -> None:
    from ...common.yaml_files import parse_yaml

    parse_profile(parse_yaml(text).data, name)


def output_of(path: Path) -> tuple[Path, Path]:
    """Return where the profile and the folder of its report go; refuse what is in the way.

    Raises
    ------
    RefusedError
        The name does not end in ``.yaml``, its folder is not there, or something is there already.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise RefusedError(f"{path}: a profile is a YAML file: call it {path.name}{SUFFIX}")
    if not path.parent.is_dir():
        raise RefusedError(f"{path}: there is no folder {path.parent}")
    folder = path.with_name(f"{profile_name(path)}.fit")
    for there in (path, folder):
        if there.exists():
            raise RefusedError(f"{there} is there already: give another name, or move it away")
    return path, folder


def profile_name(path: Path) -> str:
    """Return what a profile in this file is called."""
    return path.name.removesuffix(SUFFIX).removesuffix(path.suffix)
