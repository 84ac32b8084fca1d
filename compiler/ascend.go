package compiler

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
)

// OnAscend is what keeps a job from an Ascend device, with reasons and ways out,
// and notes on what is different there.
func OnAscend(c *config.Config) (diag.List, error) {
	list := c.OnAscend()
	graph, err := model.Build(c)
	if err != nil {
		return nil, err
	}
	if c.LoRA != nil {
		list = append(list, baseTrains(graph, c.LoRA)...)
	}
	if list.HasErrors() {
		return list.Sorted(), nil
	}
	_, err = (&Target{Ascend: &passes.Ascend{}}).forAscend(c, graph, passes.Facts{})
	var refused diag.List
	if errors.As(err, &refused) {
		list, err = append(list, refused...), nil
	}
	return list.Sorted(), err
}

// baseTrains refuses configs that train more than adapters: patterns that free
// parameters of the base, or one half of an adapter.
func baseTrains(graph *ir.Module, lora *config.LoRA) (list diag.List) {
	at := lora.FreezeExclude.At
	if len(lora.FreezeExclude.V) == 0 {
		at = lora.FreezeInclude.At
	}
	var base, half []string
	for _, s := range graph.Storages {
		switch other := graph.Storage(otherHalf(s.Name)); {
		case s.Kind != ir.Param || !s.Trainable:
		case s.Module(): // modules_to_save is refused by that name
		case !s.Adapter():
			base = append(base, s.TensorName(0))
		case other != nil && !other.Trainable:
			half = append(half, s.TensorName(0))
		}
	}
	if len(base) > 0 {
		list = append(list, diag.Errorf(at, "ascend", "adapters alone train on an Ascend device").
			WithLabel("%s here", train(base)).
			WithHelp("take it out of freeze_exclude, or run with --device cpu"))
	}
	if len(half) > 0 {
		list = append(list, diag.Errorf(at, "ascend", "both halves of an adapter train on an Ascend device, or none").
			WithLabel("%s, the other half does not", train(half)).
			WithHelp("name both halves in freeze_include, or none; or run with --device cpu"))
	}
	return list
}

// otherHalf is the name of the other factor of an adapter.
func otherHalf(name string) string {
	if stem, ok := strings.CutSuffix(name, ".a"); ok {
		return stem + ".b"
	}
	return strings.TrimSuffix(name, ".b") + ".a"
}

func train(names []string) string {
	if len(names) == 1 {
		return names[0] + " trains"
	}
	return names[0] + " and others train"
}

// WithoutKernel lists what of a compiled module no kernel runs, once a reason.
func WithoutKernel(m *ir.Module) (list diag.List) {
	at := map[string]*diag.Diagnostic{}
	ops := map[string][]string{}
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			why := s.RefusedOnAscend()
			if why == "" || s.Callee != nil {
				continue
			}
			if !slices.Contains(ops[why], s.Op.Name) {
				ops[why] = append(ops[why], s.Op.Name)
			}
			d := at[why]
			if d == nil {
				d = diag.Errorf(s.Pos, "ascend", "")
				reason, help, _ := strings.Cut(why, ": ")
				d.WithLabel("%s", reason).WithHelp("%s, or run with --device cpu", help)
				at[why], list = d, append(list, d)
			}
			d.Message = "no Ascend kernel for `" + strings.Join(ops[why], "`, `") + "`"
		}
	}
	return list
}

// forAscend compiles a graph for a card. The job keeps the name that it has on
// the processor, so that a run may resume on the other. What does not fit in the
// memory of the card is recomputed.
func (t *Target) forAscend(c *config.Config, graph *ir.Module, facts passes.Facts) (*Result, error) {
	host := *t
	host.Ascend, host.After, host.Passes = nil, nil, passes.Options{}
	r, err := host.optimise(graph.Clone(), facts)
	if err != nil {
		return nil, err
	}
	card := *t.Ascend
	card.Low, _ = ir.ParseDType(c.Model.ComputeDType.V)
	facts.Ascend, facts.Job, facts.Dims = &card, r.Module.Identity(), t.Fit
	wanted := 0
	for {
		m := graph.Clone()
		if id := c.DeviceID.V; id != 0 {
			m.Settings = append(m.Settings, &ir.Setting{Key: "device.id", Val: id, Pos: graph.Settings[0].Pos})
		}
		t.show("model", m)
		r, err := t.optimise(m, facts)
		if err != nil {
			return nil, err
		}
		_, total := cost.MemoryOn(m, card.Scratch, card.Sums)
		switch limit := t.memoryOf(&card); {
		case limit == 0 || total <= limit:
			if facts.Limit != nil {
				r.Limit, r.Wanted = limit, wanted
			}
			return r, nil
		case facts.Limit == nil:
			facts.Limit = &passes.Limit{Bytes: limit, Base: total - cost.StorageBytes(m) - m.Arena()}
			wanted = total
		default:
			return nil, &TooLarge{Bytes: total, Fixed: facts.Limit.Base + cost.StorageBytes(m), Limit: limit}
		}
	}
}

// memoryOf is the bytes that a job may take of a card: some are left to others.
func (t *Target) memoryOf(card *passes.Ascend) int {
	if t.Limit > 0 {
		return t.Limit
	}
	return card.HBM / 100 * 97
}

// TooLarge is the error of a job that does not fit in the memory of a card, with
// everything recomputed that can be.
type TooLarge struct {
	Bytes int
	Fixed int // of them, what no other micro-batch changes: weights and their kin
	Limit int
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("the job takes at least %d bytes of the device's memory, %d are there", e.Bytes, e.Limit)
}
