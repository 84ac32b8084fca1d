package sharded

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Spread is the sharding of a checkpoint over the ranks of a job: Stages of a pipeline
// with Devices each; rank r is device r mod Devices of stage r div Devices.
type Spread struct {
	From            string // path of the strategy, or the degrees, for messages
	Stages, Devices int

	files   []map[string]Layout // per stage, by parameter
	degrees *Degrees            // instead of files: computed by rules
}

// One is the layout of a checkpoint in one file.
func One() *Spread { s, _ := Of(Degrees{}); return s }

// Of is the layout of a Llama under a parallel_config.
func Of(d Degrees) (*Spread, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return &Spread{From: d.String(), Stages: max(d.Pipeline, 1), Devices: max(d.Data, 1) * max(d.Context, 1) * max(d.Model, 1), degrees: &d}, nil
}

// Ranks is the number of devices of all stages.
func (s *Spread) Ranks() int { return s.Stages * s.Devices }

// Load reads a layout from a strategy file, one stage's or merged, or from a
// directory of those of the ranks.
func Load(path string) (*Spread, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		f, err := Read(path)
		if err != nil {
			return nil, err
		}
		return spreadOf(path, f.byStage(true), f.Merged())
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	stages, from := map[int]map[string]Layout{}, map[int]string{}
	for _, e := range list {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !slices.Contains([]string{".ckpt", ".json"}, filepath.Ext(e.Name())) {
			continue
		}
		file := filepath.Join(path, e.Name())
		f, err := Read(file)
		if err != nil {
			return nil, err
		}
		if f.Merged() {
			return nil, fmt.Errorf("%s holds the merged strategy %s; give that file itself", path, e.Name())
		}
		for stage, layouts := range f.byStage(false) {
			if old := stages[stage]; old != nil && !reflect.DeepEqual(old, layouts) {
				return nil, fmt.Errorf("%s and %s are of the same stage %d and differ; are they from different runs?", from[stage], file, stage)
			}
			stages[stage], from[stage] = layouts, file
		}
	}
	if len(stages) == 0 {
		return nil, fmt.Errorf("%s holds no strategy file (ckpt_strategy_rank_0.ckpt, …)", path)
	}
	return spreadOf(path, stages, true)
}

// PipelineStage is the stage of the strategy file of one rank.
func (f *File) PipelineStage() int {
	if len(f.Operators) > 0 {
		return f.Operators[0].Stage
	}
	return 0
}

// Merged reports whether the parameter names have a stage prefix.
func (f *File) Merged() bool {
	for _, p := range f.Params {
		if _, _, ok := stageName(p.Name); !ok {
			return false
		}
	}
	return len(f.Params) > 0
}

// stageName splits 1-model.norm_out.weight into stage and name.
func stageName(name string) (stage int, param string, ok bool) {
	digits, param, ok := strings.Cut(name, "-")
	if !ok || param == "" {
		return 0, "", false
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return int(n), param, err == nil
}

// byStage groups the layouts by stage. A single file of one rank is stage 0, whatever
// its stage number, since it is the only one.
func (f *File) byStage(alone bool) map[int]map[string]Layout {
	out := map[int]map[string]Layout{}
	merged := f.Merged()
	for _, p := range f.Params {
		stage, name := f.PipelineStage(), p.Name
		if merged {
			stage, name, _ = stageName(p.Name)
		} else if alone {
			stage = 0
		}
		if out[stage] == nil {
			out[stage] = map[string]Layout{}
		}
		out[stage][name] = p.Layout
	}
	return out
}

// spreadOf checks that no stage is missing and all have the same number of devices.
func spreadOf(path string, stages map[int]map[string]Layout, complete bool) (*Spread, error) {
	s := &Spread{From: path, Stages: len(stages)}
	if len(stages) == 0 {
		return nil, fmt.Errorf("%s has no layout of any parameter", path)
	}
	for i := range len(stages) {
		layouts, ok := stages[i]
		if !ok {
			return nil, fmt.Errorf("%s has the stages %v: stage %d is missing", path, slices.Sorted(maps.Keys(stages)), i)
		}
		for name, l := range layouts {
			if s.Devices == 0 {
				s.Devices = l.Count()
			}
			if l.Count() != s.Devices {
				return nil, fmt.Errorf("%s: %s is on %d devices, others on %d", path, name, l.Count(), s.Devices)
			}
		}
		s.files = append(s.files, layouts)
	}
	return s, nil
}

// of is the layout of a tensor in a stage. known is false for tensors that the
// strategy does not list, such as counters, which are replicated. here is false for
// tensors of other stages only. whole may be nil (unknown) when a source
// is read.
func (s *Spread) of(stage int, name string, dims int, whole []int, size, layers int) (l Layout, here, known bool, err error) {
	if s.degrees != nil {
		param := stateOf(name, func(string) bool { return false })
		if !strings.Contains(param, ".") {
			return Alone(dims), true, false, nil
		}
		if whole != nil && s.Stages > 1 {
			at, err := s.degrees.Stage(param, layers)
			if err != nil {
				return l, false, true, err
			}
			here = at == stage
		} else {
			here = true
		}
		return s.degrees.Layout(param, dims, whole, size), here, true, nil
	}
	param := stateOf(name, func(n string) bool {
		return slices.ContainsFunc(s.files, func(m map[string]Layout) bool { _, ok := m[n]; return ok })
	})
	for i, m := range s.files {
		if found, ok := m[param]; ok {
			known = true
			if i == stage {
				l, here = found, true
			}
		}
	}
	switch {
	case !known:
		return Alone(dims), true, false, nil
	case here && len(l.Map) != dims:
		return l, here, true, fmt.Errorf("%s has %d dimensions, in the strategy %s it has %d", name, dims, s.From, len(l.Map))
	}
	return l, here, true, nil
}
