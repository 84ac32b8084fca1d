package peft

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/weights/naming"
)

// layerOf matches the layer index in the Hugging Face name of a linear.
var layerOf = regexp.MustCompile(`\.layers\.(\d+)\.(.+)$`)

// spelled is target_modules as a regular expression for full names, for an adapter
// whose layers differ in their adapted linears: a list of suffixes would select
// the linears of all layers. It is "" if a list is sufficient, or the number of
// layers is unknown.
func spelled(tensors []Tensor, layers int) string {
	at := map[string][]int{} // layers by the name after the index
	for _, t := range tensors {
		name, _ := naming.Translate(t.Name, naming.SchemeMindFormers, naming.SchemeHuggingFace)
		linear, factor, _ := naming.SplitLoRA(name, naming.SchemeHuggingFace)
		m := layerOf.FindStringSubmatch(linear)
		if factor != naming.FactorA || m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return ""
		}
		at[m[2]] = append(at[m[2]], n)
	}
	even := true
	linears := make([]string, 0, len(at))
	for linear, list := range at {
		linears = append(linears, linear)
		even = even && len(list) == layers
	}
	if layers == 0 || even {
		return ""
	}
	slices.Sort(linears)
	parts := make([]string, len(linears))
	for i, linear := range linears {
		slices.Sort(at[linear])
		numbers := strings.Trim(strings.ReplaceAll(fmt.Sprint(at[linear]), " ", "|"), "[]")
		parts[i] = `.*\.layers\.(` + numbers + `)\.` + regexp.QuoteMeta(linear)
	}
	return strings.Join(parts, "|")
}
