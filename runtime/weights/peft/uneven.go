package peft

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/weights/naming"
)

// layerOf finds the layer's number in the name of a linear of Hugging Face.
var layerOf = regexp.MustCompile(`\.layers\.(\d+)\.(.+)$`)

// spelled is target_modules as a regular expression, which PEFT matches with
// whole names, for an adapter that is not on the same linears in each layer:
// the ends of names that a list holds would put adapters on all of them. It is
// "" where a list is enough, or the number of layers is not known.
func spelled(tensors []Tensor, layers int) string {
	at := map[string][]int{} // layers by what stands after their number
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
