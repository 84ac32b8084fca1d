// Package passes optimises modules. A pass sees the IR and nothing else: no
// config, no Llama, no generated code; a setting it needs is an attribute.
// The runner alone dumps, verifies, counts and limits.
package passes

import (
	"fmt"
	"strings"
	"time"

	"lorac/ir"
)

// Pass is one row of the table.
type Pass struct {
	Name     string
	Run      func(m *ir.Module, o *Options) int // returns the number of rewrites
	Required bool                               // the module cannot become a program without it
	Why      string
}

// Options steer a run of the passes.
type Options struct {
	// Fuel limits the rewrites of a pass, to bisect a wrong result; a pass
	// that is not named is not limited.
	Fuel map[string]int
	// Disable switches optional passes off.
	Disable map[string]bool
	// Last stops after the named pass; "" runs all.
	Last string

	pass string // the pass that is running
	used int
}

// spend asks for one more rewrite.
func (o *Options) spend() bool {
	if limit, ok := o.Fuel[o.pass]; ok && o.used >= limit {
		return false
	}
	o.used++
	return true
}

// Stats counts what a pass may save, at the greatest dimensions.
type Stats struct {
	Statements int
	FLOPs      float64 // of one step, or of the loss before autodiff
	Adapters   float64 // those of them that low-rank adapters take
	KeptBytes  int     // what waits for the backward, all layers
	Storages   int
}

// Step is what one pass did.
type Step struct {
	Name          string
	Rewrites      int
	Before, After Stats
	Time          time.Duration
}

// Fault is a fault of the compiler: a pass that failed or left a wrong module.
type Fault struct {
	Pass string
	Err  error
	Dump string // the module before the pass
}

func (f *Fault) Error() string { return fmt.Sprintf("BUG: pass %s: %v", f.Pass, f.Err) }
func (f *Fault) Unwrap() error { return f.Err }

// Run applies the table in order. after is called behind every pass that ran
// (nil: not). When the module is a dump taken after some pass (setting
// ir.after), it goes on with the next. An error is either a wrong use of the
// options or a *Fault.
func Run(m *ir.Module, o *Options, after func(name string, m *ir.Module)) ([]Step, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	first, err := resume(m)
	if err != nil {
		return nil, err
	}
	if o.Last != "" && index(o.Last) < first {
		return nil, fmt.Errorf("the module was dumped after `%s`, which comes behind `%s`; start from an earlier dump", table[first-1].Name, o.Last)
	}
	var steps []Step
	before := Count(m)
	for _, p := range table[first:] {
		if !o.Disable[p.Name] {
			dump := m.String()
			start := time.Now()
			n, err := o.apply(p, m)
			if err != nil {
				return steps, &Fault{p.Name, err, dump}
			}
			mark(m, p.Name)
			now := Count(m)
			steps = append(steps, Step{p.Name, n, before, now, time.Since(start)})
			before = now
			if after != nil {
				after(p.Name, m)
			}
		}
		if p.Name == o.Last {
			break
		}
	}
	return steps, nil
}

// resume returns the index of the first pass the module has not seen.
func resume(m *ir.Module) (int, error) {
	done, _ := m.Setting("ir.after").(string)
	if done == "" || done == "model" { // the module as it was built
		return 0, nil
	}
	i := index(done)
	if i < 0 {
		return 0, fmt.Errorf("the module says it was dumped after `%s`, which is no pass; passes: %s", done, strings.Join(Names(), ", "))
	}
	return i + 1, nil
}

// apply runs one pass and verifies what it left. A panic becomes an error, so
// that the last good dump is not lost.
func (o *Options) apply(p Pass, m *ir.Module) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	o.pass, o.used = p.Name, 0
	n = p.Run(m, o)
	return n, m.Verify()
}

func (o *Options) check() error {
	known := func(name string) error {
		if index(name) < 0 {
			return fmt.Errorf("no pass `%s`; passes: %s", name, strings.Join(Names(), ", "))
		}
		return nil
	}
	for name := range o.Fuel {
		if err := known(name); err != nil {
			return err
		}
	}
	for name := range o.Disable {
		if err := known(name); err != nil {
			return err
		}
		if table[index(name)].Required {
			return fmt.Errorf("pass `%s` cannot be switched off: %s", name, table[index(name)].Why)
		}
	}
	if o.Last != "" {
		return known(o.Last)
	}
	return nil
}

// Names lists the passes in order.
func Names() []string {
	var out []string
	for _, p := range table {
		out = append(out, p.Name)
	}
	return out
}

func index(name string) int {
	for i, p := range table {
		if p.Name == name {
			return i
		}
	}
	return -1
}

// mark records in the module which pass made it.
func mark(m *ir.Module, name string) {
	for _, s := range m.Settings {
		if s.Key == "ir.after" {
			s.Val = name
			return
		}
	}
	m.Settings = append(m.Settings, &ir.Setting{Key: "ir.after", Val: name})
}

// Dearest is a pass of most rows. Where nothing is known of their sequences, they
// are as few as can hold them, which attention takes longest for.
func Dearest(m *ir.Module) ir.Env {
	env := m.MaxEnv()
	if env["N"] < env["T"] { // made for data
		return env
	}
	env["N"] = 1
	if n, _ := m.Setting("seq_length").(int); n > 0 {
		env["N"] = (env["T"] + n - 1) / n
	}
	return env
}

// Count measures a module.
func Count(m *ir.Module) Stats {
	env := Dearest(m)
	s := Stats{Storages: len(m.Storages)}
	for _, f := range m.Funcs {
		s.Statements += len(f.Body)
	}
	for _, w := range Work(m, Root(m), env) {
		s.FLOPs += w.FLOPs
		if strings.HasPrefix(w.Group, "lora") {
			s.Adapters += w.FLOPs
		}
	}
	root := Root(m)
	if root == nil {
		return s
	}
	for _, t := range root.Body {
		if t.Callee != nil && root.ReadsKept(t) {
			for _, v := range t.Callee.Keep {
				s.KeptBytes += t.Range.Len() * v.Type.Bytes(env)
			}
		}
	}
	return s
}

// Root is the function that stands for the job: step once there is one,
// before that the function autodiff will start from.
func Root(m *ir.Module) *ir.Func {
	for _, name := range []string{"step", "train", "loss"} {
		if f := m.Func(name); f != nil {
			return f
		}
	}
	return nil
}

// Work adds up what one call of f takes, by group, repeats included.
func Work(m *ir.Module, f *ir.Func, env ir.Env) []ir.Work {
	sum := map[string]float64{}
	var order []string
	var walk func(f *ir.Func, times float64)
	walk = func(f *ir.Func, times float64) {
		for _, s := range f.Body {
			if s.Callee != nil {
				walk(s.Callee, times*float64(s.Range.Len()))
			} else if s.Op.Cost != nil {
				for _, w := range s.Op.Cost(s, env) {
					if _, ok := sum[w.Group]; !ok {
						order = append(order, w.Group)
					}
					sum[w.Group] += times * w.FLOPs
				}
			}
		}
	}
	if f != nil {
		walk(f, 1)
	}
	var out []ir.Work
	for _, g := range order {
		out = append(out, ir.Work{Group: g, FLOPs: sum[g]})
	}
	return out
}
