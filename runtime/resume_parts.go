package rt

import (
	"fmt"
	"regexp"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights/safetensors"
)

// A checkpoint holds what this run has, unless the user accepted differences: then
// what is new begins as in a new run, and what has no place here is left out. Both are said.

// match pairs the tensors of a checkpoint of ours with the stacks of this run.
func (c *checkpoints) match(path string, f *safetensors.File) ([]part, error) {
	var load []part
	var fresh, left []string
	here := map[string]bool{}
	for _, p := range c.parts() {
		here[p.name] = true
		switch t, ok := f.Tensor(p.name); {
		case ok && len(t.Data) == 4*p.s.numbers():
			load = append(load, p)
		case !c.accepted:
			return nil, fmt.Errorf("it lacks %s", p.name)
		case ok || hasOther(f, p.name):
			return nil, otherShape(path, p)
		default:
			fresh = append(fresh, p.name)
		}
	}
	for _, s := range c.weights.fixed { // adapters that trained and are frozen now
		name := "param." + s.Names[0]
		if t, ok := f.Tensor(name); ok && len(t.Data) == 4*len(s.Data) {
			here[name] = true
			load = append(load, part{name, s})
		}
	}
	for _, name := range f.Names() {
		if strings.HasPrefix(name, "param.") && !here[name] {
			left = append(left, name)
		}
	}
	c.sayParts(fresh, left)
	return load, nil
}

var layerNumber = regexp.MustCompile(`\.layers\.\d+\.`)

// hasOther reports whether a checkpoint has the part, beginning with another layer: which
// layers follow it does not say.
func hasOther(f *safetensors.File, name string) bool {
	kind := layerNumber.ReplaceAllString(name, ".")
	for _, other := range f.Names() {
		if layerNumber.ReplaceAllString(other, ".") == kind {
			return true
		}
	}
	return false
}

// otherShape is the error of a part that the checkpoint has for other layers or in another
// shape.
func otherShape(path string, p part) error {
	return exit.Inputf("cannot resume from %s: it has %s for other layers or in another shape, which --resume_mismatch cannot make up for\n  = help: a new run may start from the base, or from the adapter where that fits (--load_adapter)", path, partName(p.name))
}

// partName is the name of a part as users know the parameter.
func partName(name string) string {
	_, param, _ := strings.Cut(name, ".")
	return publicName(param)
}

// sayParts says what of a run the checkpoint does not have, and the other way round.
func (c *checkpoints) sayParts(fresh, left []string) {
	list := func(names []string) string {
		text := partName(names[0])
		if n := len(names) - 1; n > 0 {
			text += " and " + human.Count(n, "other")
		}
		return text
	}
	var params, states []string
	trains := map[string]bool{}
	for _, name := range fresh {
		if strings.HasPrefix(name, "param.") {
			params = append(params, name)
			trains[partName(name)] = true
		}
	}
	for _, name := range fresh {
		if !strings.HasPrefix(name, "param.") && !trains[partName(name)] {
			states = append(states, name)
		}
	}
	if len(params) > 0 {
		c.notes = append(c.notes, "not in the checkpoint, so they begin as in a new run: "+list(params))
	}
	if len(states) > 0 {
		c.notes = append(c.notes, "the optimizer's state begins at zero, since the checkpoint has none of its kind: that of "+list(states))
	}
	if len(left) > 0 {
		c.notes = append(c.notes, "trained in the checkpoint, and left out, since nothing like it trains here: "+list(left))
	}
}
