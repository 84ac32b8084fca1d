package rt

import (
	"fmt"
	"strings"

	"lorac/runtime/sys/human"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// An adapter of lower rank than the config's, or without some of its linears, is filled up
// with zeros. Where both factors are zero neither gets a gradient, so what was filled stays
// zero in training, and the adapter is the one that was given.

// filled is what was filled up.
type filled struct {
	lacking, padded     int
	firstLack, firstPad string
}

func (f *filled) lacks(name string) {
	if _, factor, _ := naming.SplitLoRA(name, naming.SchemeMindFormers); factor == naming.FactorA {
		if f.lacking++; f.lacking == 1 {
			f.firstLack = linearOf(name)
		}
	}
}

func (f *filled) pads(name string, t peft.Tensor) {
	if _, factor, _ := naming.SplitLoRA(name, naming.SchemeMindFormers); factor == naming.FactorA {
		if f.padded++; f.padded == 1 {
			f.firstPad = fmt.Sprintf("%s has rank %d", linearOf(name), t.Rows)
		}
	}
}

// say tells of it; rank is the config's.
func (f *filled) say(say func(string, ...any), path string, rank int) {
	if f.lacking > 0 {
		say("the adapter %s has no %s%s: zeros stand there, which stay zero; exclude_layers of the config saves their computation", path, f.firstLack, more(f.lacking))
	}
	if f.padded > 0 {
		say("the adapter %s: %s%s, the config lora_rank %d: zeros fill them up, which stay zero", path, f.firstPad, more(f.padded), rank)
	}
}

// more is the tail of a list whose first item is named.
func more(n int) string {
	if n == 1 {
		return ""
	}
	return " (and " + human.Count(n-1, "linear") + " more)"
}

// linearOf names the linear of an adapter's matrix as Hugging Face does.
func linearOf(name string) string {
	linear, _, _ := naming.SplitLoRA(name, naming.SchemeMindFormers)
	return strings.TrimSuffix(naming.HF(linear+".weight"), ".weight")
}

// padded is a factor of lower rank with zeros up to rows and cols; ok where it is one.
func padded(t peft.Tensor, rows, cols int) (wide peft.Tensor, ok bool) {
	_, factor, _ := naming.SplitLoRA(t.Name, naming.SchemeMindFormers)
	switch {
	case factor == naming.FactorA && t.Cols == cols && t.Rows < rows:
	case factor == naming.FactorB && t.Rows == rows && t.Cols < cols:
	default:
		return t, false
	}
	wide = peft.Tensor{Name: t.Name, Rows: rows, Cols: cols, Data: make([]float32, rows*cols)}
	for i := range t.Rows {
		copy(wide.Data[i*cols:], t.Data[i*t.Cols:(i+1)*t.Cols])
	}
	return wide, true
}

// fillers are the matrices of an adapter that are zero for good.
type fillers map[string]bool

func (f *fillers) add(name string) {
	if *f == nil {
		*f = fillers{}
	}
	(*f)[name] = true
}
