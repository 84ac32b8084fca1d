package comm

import (
	"encoding/json"
	"fmt"
	"strconv"

	"lorac/runtime/exit"
)

// Fact is something that all ranks must have alike.
type Fact struct{ Name, Value string }

// Quiet is an error that another rank reports. It is not printed; it carries the exit
// code, and what this rank would say where no other one does.
type Quiet struct {
	Code int
	Err  error // nil: nothing
}

func (q Quiet) Error() string {
	return "another rank reports the error, exit code " + strconv.Itoa(q.Code)
}

// ExitCode is the code, as exit.Code reads it.
func (q Quiet) ExitCode() int { return q.Code }

// Agree compares facts over the ranks; all of them name the same facts in the same order.
// At the first difference it returns an error on every rank: on rank 0 one of code
// exit.Input that names the fact, two ranks with their hosts, and both values, on
// the others Quiet. All ranks may then leave by Exit.
func (g *Group) Agree(list []Fact) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	all, err := g.Gather(text)
	if err != nil {
		return err
	}
	facts := make([][]Fact, len(all))
	for r := range all {
		if err := json.Unmarshal(all[r], &facts[r]); err != nil {
			return exit.Failedf("rank %s states its facts in an unknown form: %w", g.who(r), err)
		}
	}
	if err := differ(facts, g.who); err != nil {
		if g.rank == 0 {
			return err
		}
		return Quiet{Code: exit.Input}
	}
	return nil
}

// differ is the first difference.
func differ(facts [][]Fact, who func(rank int) string) error {
	for i := 0; ; i++ {
		more := false
		for r := range facts {
			more = more || i < len(facts[r])
			a, b := at(facts[0], i), at(facts[r], i)
			if a.Name != b.Name {
				return exit.Inputf("the ranks run different programs: %s compares %q where %s compares %q", who(0), a.Name, who(r), b.Name)
			}
			if a.Value != b.Value {
				return exit.Inputf("the ranks differ in %s:\n  rank %s: %s\n  rank %s: %s", a.Name, who(0), a.Value, who(r), b.Value)
			}
		}
		if !more {
			return nil
		}
	}
}

func at(list []Fact, i int) Fact {
	if i < len(list) {
		return list[i]
	}
	return Fact{Name: fmt.Sprintf("no fact %d", i+1)}
}

func (g *Group) who(rank int) string { return g.m.who(g.ranks[rank]) }
