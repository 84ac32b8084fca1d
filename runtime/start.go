package rt

import (
	"math"
	"strconv"
	"strings"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/lowrank"
	"lorac/runtime/rng"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// An adapter may start as a part of the base (PiSSA, Meng et al. 2024; OLoRA, Büyükakyüz
// 2024), which PEFT takes out of the base's weights. Here these stay as they are stored: a
// frozen pair of factors A₀ and −B₀, equal to the adapter before its first step, takes the
// part off the sum. Both together are the adapter for the base as it is, of twice the
// rank, that PEFT makes with path_initial_model_for_weight_conversion.

// ofBase reports whether startOfBase makes the start.
func (in Init) ofBase() bool { return in.Kind == "olora" || strings.HasPrefix(in.Kind, "pissa") }

// startsOfBase says how adapters start as parts of the base; "" where they do not.
func (l *Loader) startsOfBase() string {
	for _, s := range l.fixed {
		if s.start != "" {
			return s.start
		}
	}
	return ""
}

// pairOf is what is taken off for a factor; nil where nothing is.
func (l *Loader) pairOf(factor string) *kernels.Mat {
	name := naming.StartName(factor)
	for _, s := range l.fixed {
		for i, n := range s.Names {
			if n == name {
				m := s.Mat(i)
				return &m
			}
		}
	}
	return nil
}

// startOfBase makes the adapters that start as parts of the base, but for those that
// were loaded.
func (l *Loader) startOfBase() error {
	how := l.startsOfBase()
	if how == "" || l.begun {
		return nil
	}
	n := 0
	for _, s := range append(l.params[:len(l.params):len(l.params)], l.fixed...) {
		for i, name := range s.Names {
			linear, factor, ok := naming.SplitLoRA(name, naming.SchemeMindFormers)
			if !ok || factor != naming.FactorA || l.used[name] || l.used[naming.HF(name)] {
				continue
			}
			if n++; n == 1 {
				l.say("init_lora_weights %s: matrices of the base are decomposed", how)
			}
			if err := l.startLinear(how, linear, s.Mat(i)); err != nil {
				return err
			}
		}
	}
	l.say("init_lora_weights %s: the adapter starts as a part of the base in %s", how, human.Count(n, "linear"))
	return nil
}

// startLinear makes the adapter of one linear, whose factor A is a.
func (l *Loader) startLinear(how, linear string, a kernels.Mat) error {
	m, release := l.matrixOf(linear + ".weight")
	b := l.factor(naming.LoRAName(linear, naming.FactorB, naming.SchemeMindFormers))
	if m == nil || b == nil {
		return exit.Failedf("BUG: rt: no weights to start the adapter of %s with", linear)
	}
	defer release()
	at, bt, err := decomposed(m, how, a.Rows, l.scaleOf(linear+".mindpet_delta_lora_a"), rng.Named(linearName(linear), l.job.Seed))
	if err != nil {
		return exit.Inputf("init_lora_weights %s cannot decompose %s of the base: %w", how, publicName(linear+".weight"), err)
	}
	offA, offB := l.pairOf(linear+".mindpet_delta_lora_a"), l.pairOf(linear+".mindpet_delta_lora_b")
	for k := range a.Rows {
		for j, x := range at[k] {
			a.Data[k*a.Cols+j] = float32(x)
		}
		for i, x := range bt[k] {
			b.Data[i*b.Cols+k] = float32(x)
			offB.Data[i*b.Cols+k] = -float32(x)
		}
	}
	copy(offA.Data, a.Data)
	return nil
}

func linearName(linear string) string {
	if hf := naming.HF(linear + ".weight"); hf != "" {
		return hf
	}
	return linear + ".weight"
}

// decomposed is the rows of A and the columns of B that a matrix of the base gives
// (peft/tuners/lora/layer.py: pissa_init, olora_init).
func decomposed(m *lowrank.Matrix, how string, rank int, scale float64, numbers rng.Stream) (a, b lowrank.Columns, err error) {
	if how == "olora" {
		b, a, err = lowrank.QR(m, rank)
		return a, b, err
	}
	var s *lowrank.Singular
	if n, ok := strings.CutPrefix(how, "pissa_niter_"); ok {
		iterations, _ := strconv.Atoi(n)
		s, err = lowrank.Approximate(m, rank, iterations, numbers.Unit)
	} else {
		s, err = lowrank.Exact(m, rank, numbers.Unit)
	}
	if err != nil {
		return nil, nil, err
	}
	for k, value := range s.S {
		root := math.Sqrt(value / scale)
		for _, x := range [][]float64{s.U[k], s.V[k]} {
			for i := range x {
				x[i] *= root
			}
		}
	}
	return s.V, s.U, nil
}

// matrixOf is a matrix of the base, and what gives its pages back; nil if there is none.
func (l *Loader) matrixOf(name string) (*lowrank.Matrix, func()) {
	w, release := l.weightOf(name)
	if w.Rows == 0 {
		return nil, nil
	}
	return &lowrank.Matrix{Rows: w.Rows, Cols: w.Cols, Row: w.Row, Parallel: l.k.Parallel}, release
}

// factor is a matrix in memory by its name; nil if there is none.
func (l *Loader) factor(name string) *kernels.Mat {
	for _, list := range [][]*Stack{l.params, l.fixed} {
		for _, s := range list {
			for i, n := range s.Names {
				if n == name {
					m := s.Mat(i)
					return &m
				}
			}
		}
	}
	return nil
}

// withPair is a factor for the base as it is: together with what is taken off.
func (l *Loader) withPair(t peft.Tensor) peft.Tensor {
	off := l.pairOf(t.Name)
	if off == nil {
		return t
	}
	if _, factor, _ := naming.SplitLoRA(t.Name, naming.SchemeMindFormers); factor == naming.FactorA {
		t.Rows, t.Data = 2*t.Rows, append(append([]float32(nil), t.Data...), off.Data...)
		return t
	}
	both := make([]float32, 0, 2*len(t.Data))
	for i := range t.Rows {
		both = append(append(both, t.Data[i*t.Cols:(i+1)*t.Cols]...), off.Data[i*t.Cols:(i+1)*t.Cols]...)
	}
	t.Cols, t.Data = 2*t.Cols, both
	return t
}

// twice doubles ranks, and alphas such that the scale is the same.
func twice(c *peft.Config) {
	by := 2.0
	if c.RSLoRA {
		by = math.Sqrt2
	}
	c.Rank, c.Alpha = 2*c.Rank, by*c.Alpha
	for name := range c.RankOf {
		c.RankOf[name] *= 2
	}
	for name := range c.AlphaOf {
		c.AlphaOf[name] *= by
	}
}

// halves takes a factor of an adapter of twice the rank apart, as withPair put it
// together; rest is empty for one that fits as it is.
func halves(t peft.Tensor, s *Stack) (half, rest peft.Tensor) {
	_, factor, _ := naming.SplitLoRA(t.Name, naming.SchemeMindFormers)
	half, rest = t, peft.Tensor{}
	switch {
	case factor == naming.FactorA && t.Rows == 2*s.Rows && t.Cols == s.Cols:
		n := len(t.Data) / 2
		half.Rows, half.Data, rest.Data = s.Rows, t.Data[:n], t.Data[n:]
	case factor == naming.FactorB && t.Cols == 2*s.Cols && t.Rows == s.Rows:
		half.Cols, half.Data = s.Cols, nil
		for i := range t.Rows {
			row := t.Data[i*t.Cols : (i+1)*t.Cols]
			half.Data, rest.Data = append(half.Data, row[:s.Cols]...), append(rest.Data, row[s.Cols:]...)
		}
	}
	return half, rest
}

// saySplit says what became of an adapter where one starts as a part of the base.
func (l *Loader) saySplit(path string, split int) {
	switch how := l.startsOfBase(); {
	case how == "":
	case split > 0:
		l.say("the adapter %s has twice the rank of the config: its first half trains, the other is what init_lora_weights %s took off", path, how)
	default:
		l.say("the adapter %s is where training starts; init_lora_weights %s has no effect", path, how)
	}
}
