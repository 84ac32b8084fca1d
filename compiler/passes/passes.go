// Package passes optimises modules. A pass sees the IR and the facts of its
// options: no config, no Llama, no generated code, no kernels. The runner alone
// dumps, verifies, counts and limits.
package passes

import (
	"fmt"
	"strings"
	"time"

	"lorac/compiler/cost"
	"lorac/ir"
)

// Pass is one row of the table.
type Pass struct {
	Name     string
	Run      func(m *ir.Module, o *Options) int // returns the number of rewrites
	Required bool                               // the module cannot become a program without it
	Why      string
	// Knows is nil for a pass that needs the module alone. One that follows from
	// facts runs where they are known, and again when its dump is resumed.
	Knows func(m *ir.Module, o *Options) bool
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
	// Facts are what is known in addition to the module.
	Facts Facts

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

// Step is what one pass did.
type Step struct {
	Name          string
	Rewrites      int
	Before, After cost.Stats
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

// Run applies the table in order. after is called after every pass that ran
// (nil: not). When the module is a dump taken after some pass (setting
// ir.after), it resumes with the next. An error is either a wrong use of the
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
		return nil, fmt.Errorf("the module was dumped after `%s`, which follows `%s`; start from an earlier dump", table[first-1].Name, o.Last)
	}
	var steps []Step
	before := cost.Count(m)
	for _, p := range table[first:] {
		if !o.Disable[p.Name] && (p.Knows == nil || p.Knows(m, o)) {
			dump := m.String()
			start := time.Now()
			n, err := o.apply(p, m)
			if err != nil {
				return steps, &Fault{p.Name, err, dump}
			}
			if p.Knows == nil {
				mark(m, p.Name)
			}
			now := cost.Count(m)
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
		if p := table[index(name)]; p.Required {
			return fmt.Errorf("pass `%s` cannot be limited: %s", name, p.Why)
		}
		if o.Fuel[name] < 0 {
			return fmt.Errorf("fuel of pass `%s` is %d: must be a whole number from 0 up", name, o.Fuel[name])
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

// Optional lists the passes that may be switched off or limited, in order.
func Optional() []string {
	var out []string
	for _, p := range table {
		if !p.Required {
			out = append(out, p.Name)
		}
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
