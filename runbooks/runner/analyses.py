"""Sections of the report that analyses of the whole run make: shipped ones, and those of packages and plug-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common import plugins

if TYPE_CHECKING:
    from ...analysis.report.report import Section
    from ...analysis.report.run_tables import RunTables


def sections_of(run: RunTables) -> dict[str, Section]:
    """Return the section of every analysis that has something to say, by name.

    One that cannot be made says so in its place: a report is never lost for it.
    """
    from ...analysis.report.report import Section

    found: dict[str, Section] = {}
    for name, entries in plugins.offered(plugins.ANALYSES).items():
        try:
            plugins.refuse_twice(entries)
            made: object = entries[0].load()(run)
            if made is not None and not isinstance(made, Section):
                raise TypeError(f"it returned {type(made).__name__}, not a Section or None")
        except Exception as error:  # whatever the code of a stranger raises
            text = f"This section of {entries[0].origin} could not be made: {type(error).__name__}: {error}"
            made = Section(name, text)
        if made is not None:
            found[name] = made
    return found
