package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// An assembler of the vector instructions that the kernels use: Go's knows few of
// those of arm64. An instruction is text as GNU's assembler reads it, which becomes
// the comment of its word.

// form is how the operands of an instruction of some shape are encoded: their numbers
// from left to right, each in a field.
type form struct {
	base   uint32
	fields string
}

// fields puts a number into a word.
var fields = map[string]func(v int) uint32{
	"d":   func(v int) uint32 { return uint32(v) },
	"n":   func(v int) uint32 { return uint32(v) << 5 },
	"m":   func(v int) uint32 { return uint32(v) << 16 },
	"a":   func(v int) uint32 { return uint32(v) << 10 },
	"s":   func(v int) uint32 { return uint32(v>>1)<<11 | uint32(v&1)<<21 }, // an element of four
	"s19": func(v int) uint32 { return uint32(v) << 19 },
	"d20": func(v int) uint32 { return uint32(v) << 20 },
	"l":   func(v int) uint32 { return uint32(v) << 16 },    // a shift to the left
	"r32": func(v int) uint32 { return uint32(64-v) << 16 }, // and to the right
	"r16": func(v int) uint32 { return uint32(32-v) << 16 },
	"r8":  func(v int) uint32 { return uint32(16-v) << 16 },
	"e":   func(v int) uint32 { return uint32(v) << 11 },     // bytes of ext
	"o16": func(v int) uint32 { return scaled(v, 16) << 10 }, // an offset
	"o8":  func(v int) uint32 { return scaled(v, 8) << 10 },
	"o4":  func(v int) uint32 { return scaled(v, 4) << 10 },
	"o2":  func(v int) uint32 { return scaled(v, 2) << 10 },
	"p16": func(v int) uint32 { return scaled(v, 16) << 15 }, // of a pair, at most 1008
	"i9":  func(v int) uint32 { return uint32(v&511) << 12 }, // at most 255, added afterwards or not a multiple
	"0":   func(int) uint32 { return 0 },                     // says nothing
}

func scaled(v, by int) uint32 {
	if v%by != 0 || v < 0 {
		panic(fmt.Sprintf("offset %d is no multiple of %d", v, by))
	}
	return uint32(v / by)
}

// forms are the instructions, by mnemonic and shapes of the operands.
var forms = readForms(`
fadd .4s .4s .4s      4e20d400 d n m
fsub .4s .4s .4s      4ea0d400 d n m
fmul .4s .4s .4s      6e20dc00 d n m
fdiv .4s .4s .4s      6e20fc00 d n m
fmla .4s .4s .4s      4e20cc00 d n m
fmls .4s .4s .4s      4ea0cc00 d n m
fmax .4s .4s .4s      4e20f400 d n m
fmin .4s .4s .4s      4ea0f400 d n m
fmaxnm .4s .4s .4s    4e20c400 d n m
fcmgt .4s .4s .4s     6ea0e400 d n m
fcmeq .4s .4s .4s     4e20e400 d n m
fadd .2d .2d .2d      4e60d400 d n m
fmul .2d .2d .2d      6e60dc00 d n m
fmla .2d .2d .2d      4e60cc00 d n m
fmla .4s .4s .s[]     4f801000 d n m s
fmul .4s .4s .s[]     4f809000 d n m s
faddp d .2d           7e70d800 d n
faddp s .2s           7e30d800 d n
fmaxnmv s .4s         6e30c800 d n
fsqrt .4s .4s         6ea1f800 d n
fneg .4s .4s          6ea0f800 d n
frintn .4s .4s        4e218800 d n
fcvtns .4s .4s        4e21a800 d n
scvtf .4s .4s         4e21d800 d n
fcvtl .4s .4h         0e217800 d n
fcvtl2 .4s .8h        4e217800 d n
fcvtl .2d .2s         0e617800 d n
fcvtl2 .2d .4s        4e617800 d n
fcvtn .4h .4s         0e216800 d n
fcvtn2 .8h .4s        4e216800 d n
fcvt s h              1ee24000 d n
fadd s s s            1e202800 d n m
fmadd s s s s         1f000000 d n m a
umax .4s .4s .4s      6ea06400 d n m
umaxv s .4s           6eb0a800 d n
xtn .4h .4s           0e612800 d n
xtn2 .8h .4s          4e612800 d n
xtn .8b .8h           0e212800 d n
xtn2 .16b .8h         4e212800 d n
shll .4s .4h #        2e613800 d n 0
shll2 .4s .8h #       6e613800 d n 0
sxtl .8h .8b          0f08a400 d n
sxtl2 .8h .16b        4f08a400 d n
sxtl .4s .4h          0f10a400 d n
sxtl2 .4s .8h         4f10a400 d n
uxtl .8h .8b          2f08a400 d n
uxtl .4s .4h          2f10a400 d n
uxtl2 .4s .8h         6f10a400 d n
sshr .4s .4s #        4f000400 d n r32
sshr .8h .8h #        4f000400 d n r16
ushr .4s .4s #        6f000400 d n r32
ushr .16b .16b #      6f000400 d n r8
shl .4s .4s #         4f205400 d n l
shl .8h .8h #         4f105400 d n l
shl .16b .16b #       4f085400 d n l
ushl .16b .16b .16b   6e204400 d n m
add .4s .4s .4s       4ea08400 d n m
sub .4s .4s .4s       6ea08400 d n m
mul .4s .4s .4s       4ea09c00 d n m
smax .4s .4s .4s      4ea06400 d n m
smin .4s .4s .4s      4ea06c00 d n m
add .8h .8h .8h       4e608400 d n m
sub .8h .8h .8h       6e608400 d n m
sub .16b .16b .16b    6e208400 d n m
addp .8h .8h .8h      4e60bc00 d n m
addp .4s .4s .4s      4ea0bc00 d n m
saddlp .4s .8h        4e602800 d n
smull .8h .8b .8b     0e20c000 d n m
smull2 .8h .16b .16b  4e20c000 d n m
sdot .4s .16b .16b    4e809400 d n m
sdot .4s .16b .4b[]   4f80e000 d n m s
cmgt .4s .4s .4s      4ea03400 d n m
cmhs .8h .8h .8h      6e603c00 d n m
and .16b .16b .16b    4e201c00 d n m
bic .16b .16b .16b    4e601c00 d n m
orr .16b .16b .16b    4ea01c00 d n m
eor .16b .16b .16b    6e201c00 d n m
bif .16b .16b .16b    6ee01c00 d n m
dup .4s w             4e040c00 d n
dup .8h w             4e020c00 d n
dup .16b w            4e010c00 d n
dup .4s .s[]          4e040400 d n s19
dup .2d .d[]          4e080400 d n d20
fmov d x              9e670000 d n
trn1 .4s .4s .4s      4e802800 d n m
trn2 .4s .4s .4s      4e806800 d n m
trn1 .2d .2d .2d      4ec02800 d n m
trn2 .2d .2d .2d      4ec06800 d n m
zip1 .16b .16b .16b   4e003800 d n m
zip2 .16b .16b .16b   4e007800 d n m
zip1 .8h .8h .8h      4e403800 d n m
zip2 .8h .8h .8h      4e407800 d n m
ext .16b .16b .16b #  6e000000 d n m e
ldr q [x#]            3dc00000 d n o16
ldr d [x#]            fd400000 d n o8
ldr s [x#]            bd400000 d n o4
ldr h [x#]            7d400000 d n o2
str q [x#]            3d800000 d n o16
str d [x#]            fd000000 d n o8
str s [x#]            bd000000 d n o4
ldr q [x] #           3cc00400 d n i9
ldr d [x] #           fc400400 d n i9
ldr s [x] #           bc400400 d n i9
str q [x] #           3c800400 d n i9
str d [x] #           fc000400 d n i9
str s [x] #           bc000400 d n i9
ldur q [x#]           3cc00000 d n i9
ldur d [x#]           fc400000 d n i9
ldp q q [x#]          ad400000 d a n p16
stp q q [x#]          ad000000 d a n p16
ldp q q [x] #         acc00000 d a n p16
stp q q [x] #         ac800000 d a n p16
ld1r {.4s} [x#]       4d40c800 d n 0
`)

func readForms(text string) map[string]form {
	out := map[string]form{}
	word := regexp.MustCompile(`\s+([0-9a-f]{8})\s+`)
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		at := word.FindStringSubmatchIndex(line)
		base, err := strconv.ParseUint(line[at[2]:at[3]], 16, 32)
		if err != nil {
			panic(err)
		}
		out[line[:at[0]]] = form{uint32(base), line[at[1]:]}
	}
	return out
}

var (
	vectorOf  = regexp.MustCompile(`^v(\d+)(\.\d+[bhsd])$`)
	elementOf = regexp.MustCompile(`^v(\d+)(\.\d*[bsd])\[(\d)\]$`)
	listOf    = regexp.MustCompile(`^\{v(\d+)(\.4s)\}$`)
	scalarOf  = regexp.MustCompile(`^([qdshwx])(\d+)$`)
	memoryOf  = regexp.MustCompile(`^\[x(\d+)(?:, #(\d+))?\]$`)
	numberOf  = regexp.MustCompile(`^#(\d+)$`)
)

// encode is the word of an instruction.
func encode(text string) uint32 {
	mnemonic, rest, _ := strings.Cut(text, " ")
	key, numbers := mnemonic, []int{}
	add := func(shape string, values ...string) {
		key += " " + shape
		for _, v := range values {
			n, err := strconv.Atoi(v)
			if err != nil {
				panic(fmt.Sprintf("%s: %v", text, err))
			}
			numbers = append(numbers, n)
		}
	}
	parts := operands(rest)
	for i, p := range parts {
		if m := vectorOf.FindStringSubmatch(p); m != nil {
			add(m[2], m[1])
		} else if m := elementOf.FindStringSubmatch(p); m != nil {
			add(m[2]+"[]", m[1], m[3])
		} else if m := listOf.FindStringSubmatch(p); m != nil {
			add("{"+m[2]+"}", m[1])
		} else if m := scalarOf.FindStringSubmatch(p); m != nil {
			add(m[1], m[2])
		} else if m := numberOf.FindStringSubmatch(p); m != nil {
			add("#", m[1])
		} else if m := memoryOf.FindStringSubmatch(p); m == nil {
			panic(fmt.Sprintf("%s: what is %q?", text, p))
		} else if i+1 < len(parts) { // the number that follows is added to the address
			add("[x]", m[1])
		} else {
			add("[x#]", m[1], "0"+m[2])
		}
	}
	f, ok := forms[key]
	if !ok {
		panic(fmt.Sprintf("%s: no instruction %q", text, key))
	}
	word, names := f.base, strings.Fields(f.fields)
	if len(names) != len(numbers) {
		panic(fmt.Sprintf("%s: %d operands, %d fields", text, len(numbers), len(names)))
	}
	for i, n := range numbers {
		bits := fields[names[i]](n)
		if word&bits != 0 {
			panic(fmt.Sprintf("%s: operand %d does not fit", text, i))
		}
		word |= bits
	}
	return word
}

// operands splits at the commas that are not in brackets.
func operands(s string) (out []string) {
	depth, from := 0, 0
	for i, r := range s {
		switch r {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}
