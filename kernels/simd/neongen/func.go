package main

import (
	"fmt"
	"math"
	"strings"
)

// fn is a function while it is written: the text so far and where its arguments are.
type fn struct {
	name, signature string
	size            int
	args            map[string]arg
	result          arg
	text            strings.Builder
}

type arg struct {
	name, kind string
	offset     int
}

// cur is the function that is being written, done those of the group that are.
var (
	cur  *fn
	done []*fn
)

// begin begins a function; what follows is its text up to the next one.
func begin(name, arguments, result string) {
	cur = &fn{name: name, args: map[string]arg{}}
	done = append(done, cur)
	at := 0
	place := func(name, kind string) arg {
		size := map[string]int{"float32": 4, "uint32": 4}[kind]
		if size == 0 {
			size = 8
		}
		at = (at + size - 1) / size * size
		a := arg{name, kind, at}
		at += size
		return a
	}
	var names []string
	for _, p := range strings.Split(arguments, ", ") {
		name, kind, typed := strings.Cut(p, " ")
		names = append(names, name)
		for ; typed && len(names) > 0; names = names[1:] {
			cur.args[names[0]] = place(names[0], kind)
		}
	}
	cur.signature = "func " + name + "(" + arguments + ")"
	if result != "" {
		at = (at + 7) &^ 7
		cur.signature += " " + result
		cur.result = place("ret", result)
	}
	cur.size = at
}

// v writes a vector instruction, in the language of GNU's assembler.
func v(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(&cur.text, "\tWORD $0x%08x // %s\n", encode(text), text)
}

// g writes an instruction in the language of Go's.
func g(format string, args ...any) {
	fmt.Fprintf(&cur.text, "\t"+format+"\n", args...)
}

func label(format string, args ...any) {
	fmt.Fprintf(&cur.text, "\n"+format+":\n", args...)
}

// load brings an argument into a register: x of that number, or s or d.
func load(name string, to int) {
	a, ok := cur.args[name]
	if !ok {
		panic(cur.name + " has no argument " + name)
	}
	move, register := "MOVD", "R"
	switch a.kind {
	case "uint32":
		move = "MOVWU"
	case "float32":
		move, register = "FMOVS", "F"
	case "float64":
		move, register = "FMOVD", "F"
	}
	g("%s %s+%d(FP), %s%d", move, name, a.offset, register, to)
}

// loads brings arguments into the registers x0, x1 and so on.
func loads(names ...string) {
	for i, name := range names {
		load(name, i)
	}
}

// broadcast fills a register with an argument of f32.
func broadcast(name string, to int) {
	load(name, to)
	v("dup v%d.4s, v%d.s[0]", to, to)
}

// ret returns, with the result in s or d of that number.
func ret(result ...int) {
	if len(result) > 0 {
		move := map[string]string{"float32": "FMOVS", "float64": "FMOVD"}[cur.result.kind]
		g("%s F%d, ret+%d(FP)", move, result[0], cur.result.offset)
	}
	g("RET")
}

// constant fills a register with one number's bits, in each of four lanes.
func constant(to int, bits uint32) {
	g("MOVD $0x%x, R17", bits)
	v("dup v%d.4s, w17", to)
}

func constantFloat(to int, f float32) { constant(to, math.Float32bits(f)) }

// op is an instruction of registers with four f32 or integers each.
func op(mnemonic string, registers ...int) { lanes(mnemonic, "4s", registers...) }

// lanes is an instruction of registers with lanes of some kind.
func lanes(mnemonic, kind string, registers ...int) {
	list := make([]string, len(registers))
	for i, r := range registers {
		list[i] = fmt.Sprintf("v%d.%s", r, kind)
	}
	v("%s %s", mnemonic, strings.Join(list, ", "))
}

// bitwise is an operation of whole registers.
func bitwise(mnemonic string, registers ...int) { lanes(mnemonic, "16b", registers...) }

func mov(to, from int) { bitwise("orr", to, from, from) }

func zero(registers ...int) {
	for _, r := range registers {
		bitwise("eor", r, r, r)
	}
}

// shift shifts four integers.
func shift(mnemonic string, to, from, by int) { v("%s v%d.4s, v%d.4s, #%d", mnemonic, to, from, by) }

// loadPair and storePair move two registers and advance the address.
func loadPair(a, at int)  { v("ldp q%d, q%d, [x%d], #32", a, a+1, at) }
func storePair(a, at int) { v("stp q%d, q%d, [x%d], #32", a, a+1, at) }

// widen puts the four f32 of a register into two as f64.
func widen(from, to int) {
	v("fcvtl v%d.2d, v%d.2s", to, from)
	v("fcvtl2 v%d.2d, v%d.4s", to+1, from)
}

// sum64 adds four registers of f64 in the order of AVX2's two; the sum is in d of the
// first.
func sum64(a int) {
	lanes("fadd", "2d", a, a, a+2)
	lanes("fadd", "2d", a+1, a+1, a+3)
	lanes("fadd", "2d", a, a, a+1)
	v("faddp d%d, v%d.2d", a, a)
}

// sum32 adds two registers of f32 in the order of AVX2's one; the sum is in s of the
// first, the second is scratch.
func sum32(a, b int) {
	op("fadd", a, a, b)
	v("ext v%d.16b, v%d.16b, v%d.16b, #8", b, a, a)
	op("fadd", a, a, b)
	v("faddp s%d, v%d.2s", a, a)
}

// loop repeats body while n, in a register of Go's, is above zero; step is subtracted
// each time. n is not 0 at first.
func loop(name string, n, step int, body func()) {
	label("%s", name)
	body()
	g("SUBS $%d, R%d, R%d", step, n, n)
	g("BNE %s", name)
}
