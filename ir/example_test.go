package ir_test

import (
	"fmt"

	"lorac/ir"
	_ "lorac/ir/op" // the operations
)

// The text is the language: what prints parses back to the same text.
func ExampleParse() {
	const text = `module double from "by hand"

dim T <= 8 @1:1

func forward(%x: f32[T,4]) -> (%y) {
  %y = scale %x {by=2.0} : f32[T,4] @2:1
}
`
	m, err := ir.Parse("double.ir", text)
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Name, len(m.Funcs), m.String() == text)
	_, err = ir.Parse("wrong.ir", text[:len(text)-3])
	fmt.Println(err != nil)
	// Output:
	// double 1 true
	// true
}
