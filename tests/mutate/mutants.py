# SPDX-License-Identifier: Apache-2.0
"""What mutate.py may break in a source: one mutant is one place, changed so that the number of lines stays the same.

    negated     the condition of an if or a while
    bound       < for <=, && for ||, one more or one less
    store       a statement that stores is left out
    call        a statement that calls is left out

Lines of the log, asserts, crash points and what only gives memory back stay as they are: no unit test looks at them, and none should.
"""
import collections
import re

Mutant = collections.namedtuple("Mutant", "path line kind begin end text")     # source[begin:end] becomes text

SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "&&": "||", "||": "&&", "==": "!=", "!=": "=="}
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.S | re.M)
CONDITION = re.compile(r"\b(?:if|while) \(")
OPERATOR = re.compile(r" (<|<=|>|>=|&&|\|\||==|!=)(?=[ \n])")
# The larger or the smaller of two: when both are the same it does not matter which.
TERM = r"[\w.>\[\]-]+"
EITHER = re.compile(r"if \(({0}) [<>]=? ({0})\)\s+(?:\1 = \2|\2 = \1);|({0}) [<>]=? ({0}) \? (?:\3 : \4|\4 : \3)\b".format(TERM))
STEP = re.compile(r" ([+-]) 1\b(?![.xX])")
BOUND = re.compile(r"^#define [A-Z][A-Z0-9_]* ([0-9]+U?L?L?)\b", re.M)
STORE = re.compile(r"^\t+(?:\*?\w[\w.>\[\]-]* (?:[-+|&^]|<<|>>)?= [^;]*|(?:\+\+|--)\*?\w[\w.>\[\]-]*|\w[\w.>\[\]-]*(?:\+\+|--));$", re.M)
CALL = re.compile(r"^\t+(?:\(void\)!?)?(\w+)\([^;]*\);$", re.M)
WORDS = re.compile(r"^\t+(?:return|break|continue|goto|else|case|default)\b")
KEPT_CALLS = re.compile(r"log_\w+|free|\w+_free|FAULT\w*|ROSTER_ASSERT|_Static_assert|if|while|for|switch|return|sizeof|va_\w+")
KEPT_LINES = re.compile(r"ROSTER_ASSERT|_Static_assert|\bFAULT\w*\(|\blog_\w+\(")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def closing(text, at):
    """Where the parenthesis at `at` is closed."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    return len(text)


def bodies(code):
    """(begin, end) of each function: its braces stand in the first column."""
    for begin in re.finditer(r"^\{$", code, re.M):
        end = code.find("\n}", begin.end())
        # A table ends with "};".
        if end >= 0 and code[end + 2:end + 3] in ("\n", ""):
            yield begin.end(), end


def found(code, begin, end):
    """(kind, begin, end, text) of what can be broken between the two."""
    for match in CONDITION.finditer(code, begin, end):
        yield "negated", match.end(), closing(code, match.end() - 1), ""
    either = [match.span() for match in EITHER.finditer(code, begin, end)]
    for match in OPERATOR.finditer(code, begin, end):
        if any(first <= match.start() < last for first, last in either):
            continue
        yield "bound", match.start(1), match.end(1), SWAPS[match.group(1)]
    for match in STEP.finditer(code, begin, end):
        yield "bound", match.start(), match.end(), " %s %s" % (match.group(1), "2" if match.group(1) == "+" else "0")
    for match in STORE.finditer(code, begin, end):
        if not WORDS.match(match.group()):
            yield "store", match.start(), match.end(), ";"
    for match in CALL.finditer(code, begin, end):
        if not KEPT_CALLS.fullmatch(match.group(1)):
            yield "call", match.start(), match.end(), ";"


def whole_condition(code, at):
    """Is the comparison at `at` all of the condition of an if? Then it is the same as to negate that."""
    begin = code.rfind("\n", 0, at)
    match = CONDITION.search(code, begin, at)
    return match is not None and not re.search(r"&&|\|\||\?", code[match.end():closing(code, match.end() - 1)])


def mutants(path, source):
    """All of a source, in order."""
    code = NOISE.sub(blank, source)
    made = []

    def add(kind, begin, end, text):
        made.append(Mutant(path, source.count("\n", 0, begin) + 1, kind, begin, end, text))

    for match in BOUND.finditer(source):
        for step in ("+", "-"):
            add("bound", match.start(1), match.end(1), "(%s %s 1)" % (match.group(1), step))
    for begin, end in bodies(code):
        for kind, first, last, text in found(code, begin, end):
            line = code[code.rfind("\n", 0, first) + 1:code.find("\n", last)]
            if KEPT_LINES.search(line) or (text in ("!=", "==") and whole_condition(code, first)):
                continue
            if kind == "negated":
                text = "!(%s)" % source[first:last]
            elif kind in ("store", "call"):
                indent = re.match(r"\t+", source[first:last]).group()
                text = indent + ";" + "\n" * source.count("\n", first, last)
            add(kind, first, last, text)
    return sorted(made)


def apply(mutant, source):
    return source[:mutant.begin] + mutant.text + source[mutant.end:]


def lines(mutant, source):
    """The lines it changes, before and after, without what stands around: ([...], [...])."""
    changed = apply(mutant, source)
    first = source.rfind("\n", 0, mutant.begin) + 1
    old_end = source.find("\n", mutant.end)
    new_end = changed.find("\n", mutant.begin + len(mutant.text))
    return ([line.strip() for line in source[first:old_end].split("\n")],
            [line.strip() for line in changed[first:new_end].split("\n") if line.strip()])
