package peft

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lorac/runtime/weights/naming"
)

// parseLayers reads exclude_modules, layers_to_transform and layers_pattern.
func (c *fileConfig) parseLayers(keys map[string]json.RawMessage) error {
	c.excluded = func(string) bool { return false }
	if raw := keys["exclude_modules"]; given(raw) {
		var pattern string
		var list []string
		switch {
		case json.Unmarshal(raw, &list) == nil:
			c.excluded = func(module string) bool {
				return slices.ContainsFunc(list, func(end string) bool { return module == end || strings.HasSuffix(module, "."+end) })
			}
		case json.Unmarshal(raw, &pattern) != nil:
			return fmt.Errorf("`exclude_modules` is %s, must be a list of names or a pattern", short(raw))
		default:
			if re, err := regexp.Compile(`^(?:` + pattern + `)$`); err == nil && pattern != "" {
				c.excluded = re.MatchString
			} else if pattern != "" {
				c.unread = append(c.unread, fmt.Sprintf("`exclude_modules` is %s, a pattern that is not understood: no matrix of the file is taken to be excluded", short(raw)))
			}
		}
	}
	if raw := keys["layers_to_transform"]; given(raw) {
		var one int
		if json.Unmarshal(raw, &one) == nil {
			c.layers = []int{one}
		} else if err := json.Unmarshal(raw, &c.layers); err != nil {
			return fmt.Errorf("`layers_to_transform` is %s, must be a number or a list of them", short(raw))
		}
		if len(c.layers) == 0 {
			c.layers = nil // all, as in PEFT
		}
	}
	if raw := keys["layers_pattern"]; given(raw) {
		var one string
		if json.Unmarshal(raw, &one) == nil {
			c.containers = []string{one}
		} else if err := json.Unmarshal(raw, &c.containers); err != nil {
			return fmt.Errorf("`layers_pattern` is %s, must be a name or a list of them", short(raw))
		}
		c.containers = slices.DeleteFunc(c.containers, func(s string) bool { return s == "" })
	}
	return nil
}

// given reports whether a key has a value.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// ignores says why PEFT would make no adapter for a module, and so ignore what the
// file has for it; "" where it makes one (peft/tuners/tuners_utils.py,
// check_target_module_exists).
func (c *fileConfig) ignores(module string) string {
	layer := naming.Layer(module + ".weight")
	switch {
	case c.mlx && !c.targets(module):
		return "`lora_parameters.keys` does not name it"
	case !c.targets(module):
		return "`target_modules` does not select it"
	case c.excluded(module):
		return "`exclude_modules` excludes it"
	case c.layers == nil || slices.Contains(c.Targets, module): // which names it in full
		return ""
	case len(c.containers) > 0 && !slices.ContainsFunc(c.containers, containsLayers):
		return fmt.Sprintf("`layers_pattern` is %s, and the layers of a Llama are in `layers`", strings.Join(c.containers, ", "))
	case !slices.Contains(c.layers, layer):
		return fmt.Sprintf("`layers_to_transform` leaves layer %d out", layer)
	}
	return ""
}

// containsLayers reports whether a value of layers_pattern finds a Llama's layers.
func containsLayers(pattern string) bool {
	re, err := regexp.Compile(`^.*\.(?:` + pattern + `)\.\d+\.`)
	return err != nil || re.MatchString("model.layers.0.x")
}

// missing is Adapter.Missing; has reports whether a linear, by its MindFormers
// name, has an adapter.
func (c *fileConfig) missing(layers int, has func(linear string) bool) []string {
	found := map[string]bool{}   // the linears of the model, and whether the file has an adapter
	matched := map[string]bool{} // names of target_modules that are linears
	without := map[string][]string{}
	var order []string
	for _, weight := range naming.ParameterNames(layers, naming.SchemeMindFormers, false) {
		linear, ok := strings.CutSuffix(weight, ".weight")
		layer := naming.Layer(weight)
		if !ok || layer < 0 || strings.HasSuffix(linear, "norm") {
			continue
		}
		module, _ := naming.TranslateLinear(linear, naming.SchemeMindFormers, naming.SchemeHuggingFace)
		for _, t := range c.Targets {
			if module == t || strings.HasSuffix(module, "."+t) {
				matched[t] = true
			}
		}
		found[module] = has(linear)
		if c.ignores(module) != "" || found[module] || c.anything {
			continue
		}
		leaf := module[strings.LastIndexByte(module, '.')+1:]
		if without[leaf] == nil {
			order = append(order, leaf)
		}
		without[leaf] = append(without[leaf], fmt.Sprint(layer))
	}
	var out []string
	if c.allLinear && len(order) > 0 { // in one line: such an adapter lacks many
		n := 0
		for _, list := range without {
			n += len(list)
		}
		out = append(out, fmt.Sprintf("target_modules is all-linear, and %d linears have no adapter, of %s", n, strings.Join(order, ", ")))
		order = nil
	}
	for _, leaf := range order {
		list := without[leaf]
		said := "layer " + list[0]
		switch {
		case len(list) == layers:
			said = "no layer"
		case len(list) > 1:
			said = "layers " + strings.Join(list, ", ")
		}
		if said == "no layer" {
			out = append(out, fmt.Sprintf("target_modules names %s, which no layer has", leaf))
		} else {
			out = append(out, fmt.Sprintf("target_modules names %s, which %s lacks", leaf, said))
		}
	}
	for _, key := range []struct {
		name  string
		rules []rule
	}{{"rank_pattern", c.rankPattern}, {"alpha_pattern", c.alphaPattern}} {
		for _, r := range key.rules {
			if !r.used(found) && layers > 0 {
				out = append(out, fmt.Sprintf("%s names %s, for which there is no adapter", key.name, strings.Trim(fmt.Sprintf("%.60q", r.name), `"`)))
			}
		}
	}
	if said := c.otherLayers(layers, found); said != "" {
		out = append(out, said)
	}
	for _, t := range c.Targets {
		if !matched[t] && layers > 0 {
			out = append(out, fmt.Sprintf("target_modules names %s, which is no linear of a Llama's layers", strings.Trim(fmt.Sprintf("%.40q", t), `"`)))
		}
	}
	return out
}

// used reports whether a rule matches a linear that has an adapter.
func (r *rule) used(found map[string]bool) bool {
	for module, has := range found {
		if has && r.pattern.MatchString(module) {
			return true
		}
	}
	return false
}
