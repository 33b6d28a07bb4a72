"""What is wrong with a YAML text, in our words: its reader's own speak of tokens and mapping starts."""

from __future__ import annotations

import re

_OTHERWISE = "this line is indented otherwise than the ones it belongs to"
_DASH = "this '-' is indented otherwise than the list or key it belongs to"
_COLON = "a ': ' where none can stand: put the text in quotes, or correct the indentation of this line"
_NO_COLON = "a key without its ': ', or text that goes on where a key should begin"
_ESCAPE = "a backslash in double quotes begins an escape, and this one is none: use single quotes"
_TAG = "'!' begins a tag, and this one is none: put the text in quotes"
_BLOCK = "after | or > only +, -, a digit or a comment may stand: put the text on the next line"
_DIRECTIVE = "a line that begins with % is a directive, and this one is none: put the text in quotes"
_SECOND = "what the file holds is complete before this line: correct its indentation, or delete what follows"
_ONCE = "a '<<' takes a map, or a list of maps"

_SENTENCES = [
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (r"mapping values are not allowed", _COLON),
        (r"mapping keys are not allowed here", "a '?' where none can stand: put the text in quotes"),
        (r"sequence entries are not allowed here", "a '-' where no list can begin: put it on a line of its own"),
        (r"did not find expected key", _OTHERWISE),
        (r"found character '\\t'", "a tab indents this line, or stands where only blanks can: use spaces"),
        (
            r"found character (.+) that cannot start any token",
            r"\1 cannot begin a value: put the text in quotes",
        ),
        (r"expected <block end>, but found '<block mapping start>'", _OTHERWISE),
        (r"expected <block end>, but found '(<block sequence start>|-)'", _DASH),
        (r"expected <block end>, but found '\?'", _OTHERWISE),
        (r"expected <block end>, but found '<(scalar|alias|anchor|tag)>'", "this text follows something that is "
         "complete already: put the whole in quotes"),
        (r"expected <block end>, but found '(.)'", r"a '\1' where none can stand: put the text in quotes"),
        (r"expected <block end>, but found", _OTHERWISE),
        (r"could not find expected ':'", _NO_COLON),
        (r"expected ',' or '\]', but got '<stream end>'", "a '[' is not closed by a ']'"),
        (r"expected ',' or '\}+', but got '<stream end>'", "a '{' is not closed by a '}'"),
        (r"expected ',' or '\]', but got", "in a list [ … ] a ',' is missing here, or the ']' that ends it"),
        (r"expected ',' or '\}+', but got", "in a map { … } a ',' is missing here, or the '}' that ends it"),
        (r"found unexpected ':'", "a ':' within { … } or [ … ] needs a blank behind it, or the text quotes"),
        (r"found unexpected end of stream", "a quote is not closed"),
        (r"found unexpected document separator", "a quote is not closed before this '---' or '...'"),
        (r"found unknown escape character|expected escape sequence", _ESCAPE),
        (r"more indented follow up line", "the first line of a text after | or > is indented less than those that "
         "follow it"),
        (r"expected chomping or indentation|expected indentation indicator|expected a comment or a line break", _BLOCK),
        (r"found undefined alias '?(.+?)'?$",
         r"the alias *\1 has no anchor & above it: put the text in quotes if it is none"),
        (r"found duplicate anchor", "an anchor & stands twice"),
        (r"found duplicate key \"?(.*?)\"?(?: with value.*)?$", r'duplicate key "\1": it stands above already'),
        (r"found unhashable key", "a key is a list or a map: a key is text or a number"),
        (r"could not determine a constructor for the tag (.+)",
         r"the tag \1 is neither text, number, true/false, list nor map: put it in quotes if it is text"),
        (r"expected a mapping (or list of mappings )?for merging", _ONCE),
        (r"expected an? .*node, but found|expected a (sequence|single mapping|mapping of length)|base64|empty value",
         "the tag in front of this does not fit what it stands before: leave it away"),
        (r"expected the node content, but found", "a value is missing here"),
        (r"special characters are not allowed", "a character that no text has (a control character): delete it"),
        (r"expected alphabetic or numeric character", "'&' and '*' begin the name of an anchor: put the text in "
         "quotes"),
        (r"undefined tag handle|expected '[!> ]'|expected URI|\btag\b", _TAG),
        (r"non-comment content after document end|another document|expected '<document start>'", _SECOND),
        (r"directive|YAML document|expected a digit", _DIRECTIVE),
        (r"failed to construct timestamp", "this looks like a date and is none: put it in quotes if it is text"),
    )
]  # fmt: skip


def in_our_words(said: str) -> str:
    """Return the sentence for what ruamel.yaml says of a text."""
    said = " ".join(said.split())
    for pattern, sentence in _SENTENCES:
        match = pattern.search(said)
        if match is not None:
            return match.expand(sentence) if "\\1" in sentence else sentence
    return f"this is no YAML: put text in quotes, indent with spaces, close what is opened ({said})"
