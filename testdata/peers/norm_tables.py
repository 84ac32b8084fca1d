"""Writes runtime/data/tokenizer/normtables.go: Unicode's canonical decompositions.

    python3 norm_tables.py ../../runtime/data/tokenizer/normtables.go

Needs Python alone; the version of Unicode is that of its unicodedata. gofmt the result.
"""
import sys
import unicodedata


def quoted(c):
    return "\\u%04X" % c if c < 0x10000 else "\\U%08X" % c


def wrapped(entries, n):
    return " +\n".join('\t"' + "".join(entries[i:i + n]) + '"' for i in range(0, len(entries), n))


pairs, ranges = [], []
for c in range(0x110000):
    if 0xD800 <= c < 0xE000 or 0xAC00 <= c < 0xD7A4:  # surrogates; Hangul is arithmetic
        continue
    d = unicodedata.decomposition(chr(c))
    if d and not d.startswith("<"):
        pairs.append((c, [int(x, 16) for x in d.split()]))
    k = unicodedata.combining(chr(c))
    if k and ranges and ranges[-1][1] == c - 1 and ranges[-1][2] == k:
        ranges[-1][1] = c
    elif k:
        ranges.append([c, c, k])
excluded = [c for c, d in pairs if len(d) == 2 and unicodedata.normalize("NFC", chr(c)) != chr(c)]
rows = ["{0x%X, 0x%X, %d}," % tuple(r) for r in ranges]
with open(sys.argv[1], "w") as f:
    f.write("""package tokenizer

// Tables of Unicode %s (UnicodeData.txt, CompositionExclusions.txt), written by
// testdata/peers/norm_tables.py.

// canonical has three characters a decomposition: the character and what it is taken
// apart to, with U+0000 for no second.
const canonical = "" +
%s

// classes are the combining classes that are not 0: first, last, class.
var classes = [...][3]rune{
%s
}

// excluded are the pairs in canonical that are never put together.
const excluded = "" +
%s
""" % (unicodedata.unidata_version, wrapped([quoted(c) + quoted(d[0]) + (quoted(d[1]) if len(d) == 2 else "\\u0000") for c, d in pairs], 6),
       "\n".join("\t" + " ".join(rows[i:i + 6]) for i in range(0, len(rows), 6)), wrapped([quoted(c) for c in excluded], 16)))
