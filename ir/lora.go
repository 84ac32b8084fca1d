package ir

import (
	"fmt"
	"slices"
)

// LoRAGroup is the typed view of lora_linear, lora_linear_grad and
// lora_linear_grad_acc: linears that share their input, each plain or with a
// low-rank adapter. Numbers index the operands or the results of the statement;
// None stands for what a statement does not have.
//
//	lora_linear           x, (w | w, a, b)…, bias…, [seeds, layer]                   → (y | y, xa)…
//	lora_linear_grad      d…, [x], xa…, (w | w, a, b)…, [seeds, layer]               → [dx], (da, db)…
//	lora_linear_grad_acc  the same, then the storages that da and db are added to    → [dx]
//
// A gradient of plain linears reads no x, and none reads a bias.
type LoRAGroup struct {
	X       int // operand; None in a gradient without adapters
	Linears []LoRALinear
	Scale   float64
	Dropout float64 // probability, 0 for none
	Seeds   int     // operand, as Layer; None without dropout
	Layer   int
	DX      int // result: the gradient of x; None where nobody wants it
}

// LoRALinear is one linear of a group.
type LoRALinear struct {
	Kind    string // lora; plain: no adapter; frozen: an adapter that does not train (gradient only)
	Adapted bool
	Stream  int // which random mask the adapter draws
	W, A, B int // operands
	Bias    int // operand of the forward; None where there is none
	Y, XA   int // results of the forward: y and x·aᵀ; XA is an operand of the gradient
	D       int // operand: the gradient of y
	DA, DB  int // results of lora_linear_grad, operands of lora_linear_grad_acc
}

// None is the index of an operand or result that is not there.
const None = -1

// Adapters are the linears that have an adapter.
func (g *LoRAGroup) Adapters() (out []LoRALinear) {
	for _, l := range g.Linears {
		if l.Adapted {
			out = append(out, l)
		}
	}
	return out
}

// Trains reports whether a gradient makes those of an adapter.
func (g *LoRAGroup) Trains() bool {
	return slices.ContainsFunc(g.Linears, func(l LoRALinear) bool { return l.Kind == "lora" })
}

// IsLoRA reports whether LoRAOf can read a statement.
func IsLoRA(s *Stmt) bool {
	switch s.Op.Name {
	case "lora_linear", "lora_linear_grad", "lora_linear_grad_acc":
		return true
	}
	return false
}

// LoRAOf reads a statement of the family by its attributes; shapes are not
// looked at. The number of operands is checked.
func LoRAOf(s *Stmt) (*LoRAGroup, error) {
	backward, accumulates := s.Op.Name != "lora_linear", s.Op.Name == "lora_linear_grad_acc"
	g := &LoRAGroup{Scale: s.Attrs.Float("scale"), Dropout: s.Attrs.Float("p"), Seeds: None, Layer: None, DX: None}
	streams := s.Attrs.List("streams")
	for _, v := range s.Attrs.List("parts") {
		kind, _ := v.(string)
		if kind != "lora" && kind != "plain" && kind != "frozen" {
			return nil, fmt.Errorf("attribute `parts` has %q", kind)
		}
		l := LoRALinear{Kind: kind, Adapted: kind != "plain", A: None, B: None, Bias: None, Y: None, XA: None, D: None, DA: None, DB: None}
		if n := len(g.Adapters()); l.Adapted && g.Dropout > 0 {
			if n >= len(streams) {
				return nil, fmt.Errorf("attribute `streams` lists %d masks", len(streams))
			}
			l.Stream, _ = streams[n].(int)
		}
		g.Linears = append(g.Linears, l)
	}
	if len(g.Linears) == 0 {
		return nil, fmt.Errorf("attribute `parts` names no linear")
	}

	operands, results := counter(0), counter(0)
	if backward {
		for i := range g.Linears {
			g.Linears[i].D = operands.next()
		}
	}
	if g.X = None; !backward || len(g.Adapters()) > 0 {
		g.X = operands.next()
	}
	if backward {
		for i := range g.Linears {
			if l := &g.Linears[i]; l.Adapted {
				l.XA = operands.next()
			}
		}
		if dx, ok := s.Attrs["dx"].(bool); dx || !ok {
			g.DX = results.next()
		}
	}
	for i := range g.Linears {
		l := &g.Linears[i]
		l.W = operands.next()
		if !backward {
			l.Y = results.next()
		}
		if l.Adapted {
			l.A, l.B = operands.next(), operands.next()
			if !backward {
				l.XA = results.next()
			}
		}
	}
	for i, v := range s.Attrs.List("bias") {
		n, ok := v.(int)
		if !ok || n < 0 || n >= len(g.Linears) || g.Linears[n].Bias != None || backward {
			return nil, fmt.Errorf("attribute `bias` has %v: it lists the linears of a forward that have one, each once, from 0 to %d", s.Attrs.List("bias")[i], len(g.Linears)-1)
		}
		g.Linears[n].Bias = operands.next()
	}
	if g.Dropout > 0 {
		g.Seeds, g.Layer = operands.next(), operands.next()
	}
	if backward {
		into := &results
		if accumulates {
			into = &operands
		}
		for i := range g.Linears {
			if l := &g.Linears[i]; l.Kind == "lora" {
				l.DA, l.DB = into.next(), into.next()
			}
		}
	}
	if int(operands) != len(s.Args) {
		return nil, fmt.Errorf("%d operands do not match the parts, which take %d", len(s.Args), operands)
	}
	return g, nil
}

type counter int

func (c *counter) next() int {
	*c++
	return int(*c) - 1
}
