// Command gen writes the assembly of package simd with avo, one pair of files
// for each group of functions: ../generate.go has the calls.
package main

import (
	"flag"
	"go/types"
	"log"
	"strings"
	"unicode/utf8"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

var zs = []VecPhysical{Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}
var ys = []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}

// groups is what each pair of assembly files holds.
var groups = map[string]func(){
	"cpu": func() {
		cpuid()
		pause()
	},
	"gemm": func() {
		for mr := 1; mr <= 14; mr++ {
			gemm512(mr, 2, "")
			gemm512(mr, 1, "")
		}
		for _, d := range []string{"F32", "F16", "BF16"} {
			for mr := 12; mr <= 14; mr++ {
				gemm512(mr, 2, d)
			}
		}
		for mr := 1; mr <= 6; mr++ {
			gemm256(mr)
		}
	},
	"pack": func() {
		for _, d := range []string{"F32", "F16", "BF16"} {
			packT512(d)
			packN512(d)
			packT256(d)
			packN256(d)
		}
	},
	"convert": func() {
		cvt512("F16")
		cvt512("BF16")
		cvt256("F16")
		cvt256("BF16")
	},
	"half": func() {
		for _, d := range []string{"F16", "BF16"} {
			half512(d, true)
			half512(d, false)
		}
	},
	"elementwise": func() {
		swiglu512()
		swigluGrad512()
		mask512()
		adamw512()
	},
	"vector": func() {
		arithmetic()
		norms()
		normGradW512()
		losses()
		rope512()
	},
	"vector256": func() {
		table := expTable256()
		exps256(table)
		arithmetic256()
		norms256()
		normGradW256()
		losses256(table)
		rope256()
		mask256()
		adamw256()
		for _, d := range []string{"F16", "BF16"} {
			half256(d, true)
			half256(d, false)
		}
	},
	"quant": func() {
		for _, f := range []string{"Q8_0", "Q4_0", "Q4_1"} {
			deq512(f)
			deq256(f)
		}
		nibbles512()
		sixes512()
		nibbles256()
		sixes256()
		fit4x512()
	},
	"few": func() {
		for r := 1; r <= fewRows; r++ {
			for _, d := range []string{"F32", "F16", "BF16"} {
				fewFloats256(d, r)
			}
			fewBytes256(r)
			fewNibbles256("Q4_0", r)
			fewNibbles256("Q4_1", r)
			fewQ4K256(r)
			fewQ6K256(r)
		}
		halves256()
		pairs256()
		supers256()
	},
	"int8": func() {
		for mr := 1; mr <= 14; mr++ {
			int8x512(mr)
		}
		for mr := 1; mr <= rows8; mr++ {
			int8x256(mr)
		}
		bias512()
		quads256()
		bytes512()
		bytes256()
		maxAbs512()
		maxAbs256()
	},
	"rows": func() {
		for mr := 1; mr <= 14; mr++ {
			rowTiles(true, mr, 2)
			rowTiles(true, mr, 1)
		}
		for mr := 1; mr <= 6; mr++ {
			rowTiles(false, mr, 2)
		}
	},
	"attention": func() {
		expSum512()
		logSum512()
		softmaxCols512()
		softmaxGrad512()
		scaleCols512()
		dots512()
		copyRows512()
		softmaxCols256()
		softmaxGrad256()
		scaleCols256()
		dots256()
	},
}

func main() {
	group := flag.String("group", "", "the group of functions to write")
	flag.Parse()
	write, ok := groups[*group]
	if !ok {
		log.Fatalf("no group %q", *group)
	}
	ConstraintExpr("amd64")
	write()
	Generate()
}

// describe writes the contract of a function, in lines of a comment's width.
func describe(text string) {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > 77 {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	Doc(append(lines, line)...)
}

// loadFloat and storeFloat move an argument and a result. Those of avo are in
// the encoding of SSE, which costs some processors hundreds of cycles while
// wide registers are in use.
func loadFloat(name string, to Register) {
	moveFloat(Param(name), func(m Op) (Op, Op) { return m, to })
}

func storeFloat(from Register) {
	moveFloat(ReturnIndex(0), func(m Op) (Op, Op) { return from, m })
}

func moveFloat(c gotypes.Component, order func(Op) (from, to Op)) {
	b, err := c.Resolve()
	if err != nil {
		log.Fatal(err)
	}
	from, to := order(b.Addr)
	if b.Type.Kind() == types.Float64 {
		VMOVSD(from, to)
	} else {
		VMOVSS(from, to)
	}
}

func itoa(n int) string {
	if n >= 10 {
		return string(rune('0'+n/10)) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}
