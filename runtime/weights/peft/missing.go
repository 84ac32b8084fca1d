package peft

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lorac/runtime/weights/naming"
)

// parseLayers reads exclude_modules and layers_to_transform.
func (c *fileConfig) parseLayers(keys map[string]json.RawMessage) error {
	c.excluded = func(string) bool { return false }
	if raw := keys["exclude_modules"]; len(raw) > 0 && string(raw) != "null" {
		var pattern string
		var list []string
		if json.Unmarshal(raw, &list) == nil {
			c.excluded = func(module string) bool {
				return slices.ContainsFunc(list, func(end string) bool { return module == end || strings.HasSuffix(module, "."+end) })
			}
		} else if json.Unmarshal(raw, &pattern) == nil {
			if re, err := regexp.Compile(`^(?:` + pattern + `)$`); err == nil {
				c.excluded = re.MatchString
			}
		}
	}
	raw := keys["layers_to_transform"]
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var one int
	if json.Unmarshal(raw, &one) == nil {
		c.layers = []int{one}
		return nil
	}
	if err := json.Unmarshal(raw, &c.layers); err != nil {
		return fmt.Errorf("`layers_to_transform` is %s, must be a number or a list of them", short(raw))
	}
	return nil
}

// missing is Adapter.Missing; has reports whether a linear, by its MindFormers
// name, has an adapter.
func (c *fileConfig) missing(layers int, has func(linear string) bool) []string {
	if c.anything {
		return nil
	}
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
		if !c.targets(module) || c.excluded(module) || c.layers != nil && !slices.Contains(c.layers, layer) || has(linear) {
			continue
		}
		leaf := module[strings.LastIndexByte(module, '.')+1:]
		if without[leaf] == nil {
			order = append(order, leaf)
		}
		without[leaf] = append(without[leaf], fmt.Sprint(layer))
	}
	var out []string
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
	for _, t := range c.Targets {
		if !matched[t] && layers > 0 {
			out = append(out, fmt.Sprintf("target_modules names %s, which is no linear of a Llama's layers", strings.Trim(fmt.Sprintf("%.40q", t), `"`)))
		}
	}
	return out
}
